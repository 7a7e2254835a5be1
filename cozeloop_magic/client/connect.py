"""`new_client`: from settings to a client, of a Loop server, of the embedded Loop, or of a tape."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from cozeloop_magic.client.cache import PromptCache
from cozeloop_magic.client.client import Client
from cozeloop_magic.client.default import DEFAULT
from cozeloop_magic.client.settings import Settings
from cozeloop_magic.errors import ConfigurationError, RemoteError, StreamInterrupted
from cozeloop_magic.tape import RECORDING, Tape, TapeWriter
from cozeloop_magic.transport import Transport
from cozeloop_magic.transport.auth import Auth, JWTOAuth, PersonalToken
from cozeloop_magic.transport.call import Call, Timeouts, seconds_error
from cozeloop_magic.transport.endpoint import Connector, Endpoint
from cozeloop_magic.transport.record import RecordingTransport
from cozeloop_magic.transport.replay import ReplayTransport
from cozeloop_magic.transport.secret import Secret

__all__ = ["client_for", "new_client"]

_RESERVED_HEADERS = (
    "authorization",
    "accept",
    "content-type",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "host",
)


def new_client(
    api_base_url: str | None = None,
    workspace_id: str | None = None,
    api_token: str | None = None,
    jwt_oauth_client_id: str | None = None,
    jwt_oauth_private_key: str | None = None,
    jwt_oauth_public_key_id: str | None = None,
    *,
    timeout: float = 600.0,
    connect_timeout: float = 10.0,
    first_token_timeout: float | None = None,
    max_retries: int = 2,
    headers: Mapping[str, str] | None = None,
    prompt_cache_max_count: int = 100,
    prompt_cache_refresh_interval: float = 0.0,
    prompt_trace: bool = False,
) -> Client:
    """Make a client; the first that is made is also that of module-level calls, unless another is set.

    What is not given is taken from the environment (``COZELOOP_API_BASE_URL``, ``COZELOOP_WORKSPACE_ID``,
    ``COZELOOP_API_TOKEN``, ``COZELOOP_JWT_OAUTH_*``). Nothing configured at all, or ``api_base_url="local"``: the
    embedded Loop, started at the first call. Where no `api_base_url` is given and ``COZELOOP_MAGIC_TAPE`` names a
    tape, that one answers, ``COZELOOP_MAGIC_TAPE_SPEED`` times as fast as it was recorded.

    Parameters
    ----------
    api_base_url : str, optional
        The Loop server's origin; ``https://api.coze.cn`` unless told otherwise.
    workspace_id : str, optional
        The workspace the prompts are in.
    api_token : str, optional
        A personal access token.
    jwt_oauth_client_id, jwt_oauth_private_key, jwt_oauth_public_key_id : str, optional
        A JWT OAuth application in place of a token; the key as PEM text or a file's path.
    timeout, connect_timeout : float
        Seconds for a whole call, and to connect.
    first_token_timeout : float, optional
        Seconds to a stream's first piece; as long as the whole call unless told otherwise.
    max_retries : int
        How many times a call is made again where the server cannot have begun it (it refused the connection, or was
        just closing one that was kept) or asks to come again (HTTP 429 and 503, its limits of calls a second); 0 for
        never.
    headers : Mapping[str, str], optional
        Sent with every call. Proxies and CA bundles are taken from the environment, as requests does.
    prompt_cache_max_count : int
        How many definitions of prompts are kept.
    prompt_cache_refresh_interval : float
        Seconds that a definition which may change (the latest, a label's) may be used before it is asked for again;
        0 asks every time, so that what was just committed is what runs.
    prompt_trace : bool
        Of the official SDK: taken, but no trace is sent.

    Raises
    ------
    ConfigurationError
        If something is configured but not enough, or cannot be.
    """
    api_token, jwt_oauth_private_key = _secret(api_token), _secret(jwt_oauth_private_key)
    timeouts = _timeouts(connect_timeout, timeout, first_token_timeout)
    if isinstance(max_retries, bool) or not isinstance(max_retries, int) or max_retries < 0:
        raise ConfigurationError(f"max_retries is {max_retries!r}; it must be a whole number, 0 for never.")
    cache = _cache(prompt_cache_max_count, prompt_cache_refresh_interval)
    if prompt_trace:
        warnings.warn("prompt_trace: this client sends no traces; the platform writes its own.", stacklevel=2)
    arguments = {
        "api_base_url": api_base_url,
        "workspace_id": workspace_id,
        "api_token": api_token,
        "jwt_oauth_client_id": jwt_oauth_client_id,
        "jwt_oauth_private_key": jwt_oauth_private_key,
        "jwt_oauth_public_key_id": jwt_oauth_public_key_id,
    }
    options: dict[str, Any] = {"max_retries": max_retries, "headers": _checked(headers or {}), "prompt_cache": cache}
    client = client_for(Settings.gather(arguments), timeouts, **options)
    DEFAULT.offer(client)
    return client


def client_for(
    settings: Settings,
    timeouts: Timeouts | None = None,
    *,
    max_retries: int = 2,
    headers: Mapping[str, str] | None = None,
    prompt_cache: PromptCache | None = None,
    recorded: bool = True,
) -> Client:
    """Make the client that `settings` describe; if `recorded`, it goes on a tape where this process records one."""
    if settings.tape:
        connect, transport = _replaying(settings)
    else:
        connect, transport = _calling(settings, headers)
    if recorded and RECORDING.writer is not None and not settings.tape:  # a copy would tell a wrong day
        connect, transport = _recording(connect, transport, RECORDING.writer)
    return Client(connect, transport, timeouts, max_retries=max_retries, prompt_cache=prompt_cache)


def _calling(settings: Settings, headers: Mapping[str, str] | None) -> tuple[Connector, Transport]:
    from cozeloop_magic.transport.http_transport import HTTPTransport  # which needs sockets, as a tape does not

    transport = HTTPTransport(trust_env=not settings.local, headers=headers)
    if settings.local:
        return _embedded, transport
    endpoint = _endpoint(settings, transport)
    return lambda *, progress=None, failed=None: endpoint, transport


def _replaying(settings: Settings) -> tuple[Connector, Transport]:
    tape = Tape.read(settings.tape)
    name = hashlib.sha256(f"{tape.name} {tape.header}".encode()).hexdigest()[:16]
    endpoint = Endpoint("", "tape", PersonalToken(secrets.token_hex()), tape.header.origin, tape=name)
    return lambda *, progress=None, failed=None: endpoint, ReplayTransport(tape, settings.tape_speed)


def _recording(connect: Connector, transport: Transport, writer: TapeWriter) -> tuple[Connector, Transport]:
    name = f"{writer.path} {time.time()}"

    def find(*, progress: Callable[[str], None] | None = None, failed: Endpoint | None = None) -> Endpoint:
        return replace(connect(progress=progress, failed=failed), tape=name)

    return find, RecordingTransport(transport, writer)


def _secret(secret: str | None) -> Secret | None:
    return None if secret is None else Secret(secret)


def _timeouts(connect: float, total: float, first_token: float | None) -> Timeouts:
    named = {"connect_timeout": connect, "timeout": total, "first_token_timeout": first_token}
    for name, value in named.items():
        left_out = value is None and name == "first_token_timeout"
        if problem := None if left_out else seconds_error(name, value):
            raise ConfigurationError(problem)
    return Timeouts(connect, total, first_token)


def _cache(max_count: int, refresh_interval: float) -> PromptCache:
    if isinstance(max_count, bool) or not isinstance(max_count, int) or max_count < 1:
        raise ConfigurationError(f"prompt_cache_max_count is {max_count!r}; it must be a whole number above 0.")
    if refresh_interval != 0 and (problem := seconds_error("prompt_cache_refresh_interval", refresh_interval)):
        raise ConfigurationError(problem)
    return PromptCache(max_count, refresh_interval)


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    """Check extra headers; their values may be secrets and are not shown."""
    if not isinstance(headers, Mapping):
        raise ConfigurationError(f"headers is of type {type(headers).__name__}.", hint='Write {"name": "value"}.')
    for name, value in headers.items():
        if not isinstance(name, str) or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise ConfigurationError(
                f"{name!r} is no name of a header.", hint="A name is made of letters, digits and hyphens."
            )
        if name.lower() in _RESERVED_HEADERS:
            raise ConfigurationError(
                f"The header {name} is the client's own.",
                hint="Use api_token for the token." if name.lower() == "authorization" else "Leave it out.",
            )
        if not isinstance(value, str) or not re.fullmatch(r"([\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?)?", value):
            raise ConfigurationError(
                f"The header {name} holds a value that no header can carry.",
                hint="A value is text of printable ASCII characters, without blanks around it.",
            )
    return {name: Secret(value) for name, value in headers.items()}


def _embedded(*, progress: Callable[[str], None] | None = None, failed: Endpoint | None = None) -> Endpoint:
    """Find the embedded Loop, or start it; one that `failed` has stopped, so another start is what is wanted."""
    from cozeloop_magic.local.process import ensure_running

    loop = ensure_running(progress)
    return Endpoint(loop.base_url, loop.workspace_id, PersonalToken(loop.token), "embedded Loop", local=True)


def _endpoint(settings: Settings, transport: Transport) -> Endpoint:
    base_url = settings.api_base_url
    origin = urlsplit(base_url).netloc

    def exchange(path: str, body: Mapping[str, Any], auth: Auth, call: Call) -> tuple[Mapping[str, Any], str | None]:
        try:
            reply = transport.call(Endpoint(base_url, "", auth, origin), path, body, call)
        except StreamInterrupted as fault:
            fault.hint, fault.repeatable = "Run it again.", True  # it costs nothing
            raise
        except RemoteError as fault:
            if fault.http_status in (200, 400, 403):  # it says no to who asks; other hints are of prompts
                fault.hint = auth.hint
            raise
        return reply.body, reply.log_id

    auth: Auth
    if settings.api_token:
        auth = PersonalToken(settings.api_token)
    else:
        auth = JWTOAuth(
            settings.jwt_oauth_client_id,
            settings.jwt_oauth_private_key,
            settings.jwt_oauth_public_key_id,
            base_url=base_url,
            exchange=exchange,
        )
    return Endpoint(base_url, settings.workspace_id, auth, origin)
