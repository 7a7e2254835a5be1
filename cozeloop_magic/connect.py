"""`new_client`: from settings to a client, of a Loop server or of the embedded Loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from cozeloop_magic.auth import Auth, JWTOAuth, PersonalToken, Secret
from cozeloop_magic.client import Client
from cozeloop_magic.endpoint import Endpoint, Timeouts
from cozeloop_magic.settings import Settings
from cozeloop_magic.transport import Transport

__all__ = ["client_for", "new_client"]


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
) -> Client:
    """Make a client.

    What is not given is taken from the environment (``COZELOOP_API_BASE_URL``, ``COZELOOP_WORKSPACE_ID``,
    ``COZELOOP_API_TOKEN``, ``COZELOOP_JWT_OAUTH_*``). Nothing configured at all, or ``api_base_url="local"``: the
    embedded Loop, started at the first call.

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

    Raises
    ------
    ConfigurationError
        If something is configured but not enough.
    """
    arguments = {
        "api_base_url": api_base_url,
        "workspace_id": workspace_id,
        "api_token": api_token,
        "jwt_oauth_client_id": jwt_oauth_client_id,
        "jwt_oauth_private_key": jwt_oauth_private_key,
        "jwt_oauth_public_key_id": jwt_oauth_public_key_id,
    }
    return client_for(Settings.gather(arguments), Timeouts(connect=connect_timeout, total=timeout))


def client_for(settings: Settings, timeouts: Timeouts | None = None) -> Client:
    """Make the client that `settings` describe."""
    transport = Transport(trust_env=not settings.local)
    if settings.local:
        return Client(_embedded, transport, timeouts)
    endpoint = _endpoint(settings, transport, timeouts or Timeouts())
    return Client(lambda *, progress=None, failed=None: endpoint, transport, timeouts)


def _embedded(*, progress: Callable[[str], None] | None = None, failed: Endpoint | None = None) -> Endpoint:
    """Find the embedded Loop, or start it; one that `failed` has stopped, so another start is what is wanted."""
    from cozeloop_magic.local.process import ensure_running

    loop = ensure_running(progress)
    return Endpoint(loop.base_url, loop.workspace_id, PersonalToken(loop.token), "embedded Loop")


def _endpoint(settings: Settings, transport: Transport, timeouts: Timeouts) -> Endpoint:
    base_url = settings.api_base_url
    origin = urlsplit(base_url).netloc

    def exchange(path: str, body: Mapping[str, Any], header: Secret) -> Mapping[str, Any]:
        return transport.call(Endpoint(base_url, "", lambda: header, origin), path, body, timeouts).body

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
