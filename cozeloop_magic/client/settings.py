"""Where the Loop is and who calls it: arguments, else the environment, else ``%config``, in one frozen value.

A tape stands in for every Loop but one that an argument names.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from cozeloop_magic.errors import ConfigurationError
from cozeloop_magic.printable import replace_surrogates
from cozeloop_magic.transport.secret import Secret

__all__ = ["DEFAULT_BASE_URL", "LOCAL", "SPEED_VARIABLE", "TAPE_VARIABLE", "Settings", "read_speed"]

DEFAULT_BASE_URL = "https://api.coze.cn"
LOCAL = "local"
TAPE_VARIABLE = "COZELOOP_MAGIC_TAPE"
SPEED_VARIABLE = "COZELOOP_MAGIC_TAPE_SPEED"

_PREFIX = "COZELOOP_"
_OAUTH = ("jwt_oauth_client_id", "jwt_oauth_private_key", "jwt_oauth_public_key_id")
_NAMES = ("api_base_url", "workspace_id", "api_token", *_OAUTH)
_SECRET = ("api_token", "jwt_oauth_private_key")


@dataclass(frozen=True, slots=True)
class Settings:
    """A set-up that is complete, or the embedded Loop.

    Attributes
    ----------
    local : bool
        Whether the embedded Loop is meant.
    api_base_url, workspace_id : str
        The Loop server's origin, and the workspace there.
    api_token, jwt_oauth_client_id, jwt_oauth_private_key, jwt_oauth_public_key_id : str
        Who calls: a token, or the three of JWT OAuth.
    tape : str
        The file of a tape that answers in place of a server; empty for none.
    tape_speed : float
        How many times as fast as it was recorded; infinity waits for nothing.
    sources : Mapping[str, str]
        Where each value came from: ``argument``, the environment variable's name, ``%config`` or ``default``.
    """

    local: bool = False
    api_base_url: str = ""
    workspace_id: str = ""
    api_token: str = ""
    jwt_oauth_client_id: str = ""
    jwt_oauth_private_key: str = ""
    jwt_oauth_public_key_id: str = ""
    tape: str = ""
    tape_speed: float = 1.0
    sources: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def gather(
        cls,
        arguments: Mapping[str, str | None] | None = None,
        environ: Mapping[str, str] | None = None,
        config: Mapping[str, str] | None = None,
    ) -> Settings:
        """Gather each value from the first place that has it.

        Nothing configured at all, or ``api_base_url="local"``, means the embedded Loop.

        Raises
        ------
        ConfigurationError
            If something is configured but not enough: what is missing is named, and nothing else is fallen back to.
        """
        environ = os.environ if environ is None else environ
        if played := _tape(arguments or {}, environ):
            return cls(tape=played[0], tape_speed=played[1], sources={"tape": TAPE_VARIABLE})
        places = (
            _read_values(arguments or {}),
            _read_values(environ, _PREFIX),
            _read_values(config or {}),
        )
        values: dict[str, str] = {}
        sources: dict[str, str] = {}
        for name in _NAMES:
            labels = ("argument", _PREFIX + name.upper(), "%config")
            for place, label in zip(places, labels, strict=True):
                if place[name]:
                    values[name] = place[name]
                    sources[name] = label
                    break
        if not values or values.get("api_base_url") == LOCAL:
            return cls(local=True, api_base_url=LOCAL, sources=sources)
        values = _complete(values, sources)
        return cls(sources=sources, **values)  # type: ignore[arg-type]  # mypy: any str might be `local`


def _tape(arguments: Mapping[str, str | None], environ: Mapping[str, str]) -> tuple[str, float] | None:
    """Return the tape to play and its speed."""
    tape = environ.get(TAPE_VARIABLE, "").strip()
    if not tape or arguments.get("api_base_url"):
        return None
    return tape, read_speed(environ.get(SPEED_VARIABLE, "").strip() or "1", SPEED_VARIABLE)


def read_speed(text: str, what: str) -> float:
    """Return how many times as fast as it was recorded a tape plays.

    Raises
    ------
    ConfigurationError
        If `text` is neither a number above 0 nor ``instant``.
    """
    try:
        speed = math.inf if text == "instant" else float(text)
    except ValueError:
        speed = 0.0
    if not speed > 0:
        raise ConfigurationError(f"{what} is {text!r}.", hint="Write a number above 0, such as 4, or instant.")
    return speed


def _read_values(place: Mapping[str, str | None], prefix: str = "") -> dict[str, str]:
    """Take what a place has, secrets wrapped at once: any frame may be shown by an error."""
    found = {}
    for name in _NAMES:
        kind = Secret if name in _SECRET else str
        found[name] = kind(str(place.get(prefix + (name.upper() if prefix else name)) or "").strip())
    return found


def _complete(values: dict[str, str], sources: dict[str, str]) -> dict[str, str]:
    for name, value in values.items():
        if name not in _SECRET and replace_surrogates(value) != value:
            raise ConfigurationError(
                f"{_PREFIX}{name.upper()} holds half a character (a lone surrogate).", hint="Write it again."
            )
    if "api_base_url" not in values:
        values["api_base_url"], sources["api_base_url"] = DEFAULT_BASE_URL, "default"
    values["api_base_url"] = _origin(values["api_base_url"])
    missing = [] if "workspace_id" in values else [_PREFIX + "WORKSPACE_ID"]
    given = [name for name in _OAUTH if name in values]
    if "api_token" not in values and len(given) < len(_OAUTH):
        absent = [_PREFIX + name.upper() for name in _OAUTH if name not in values]
        missing.append(" and ".join(absent) if given else _PREFIX + "API_TOKEN")
    if missing:
        found = [(name, label) for name, label in sources.items() if label != "default"]
        named = sorted(label if label.startswith(_PREFIX) else f"{name} ({label})" for name, label in found)
        raise ConfigurationError(
            f"The Loop server is only half configured: {' and '.join(missing)} missing (found: {', '.join(named)}).",
            hint="Set what is missing, or unset the others to use the embedded Loop.",
        )
    if not re.fullmatch(r"[0-9]{1,19}", values["workspace_id"], re.ASCII):  # and not shown: it may be the token
        raise ConfigurationError(
            f"{_PREFIX}WORKSPACE_ID is no number.", hint="Copy the digits from the address of the workspace's page."
        )
    return values


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port, or of an IPv6 address
        usable = False
    if not usable or re.search(r"\s", url):
        raise ConfigurationError(
            f"COZELOOP_API_BASE_URL is {_shown(url)}, which is no http or https address of a server.",
            hint=f"Use one such as {DEFAULT_BASE_URL}.",
        )
    if re.search(r"[?#]", url):
        raise ConfigurationError(
            f"COZELOOP_API_BASE_URL is {_shown(url)} with a ? or a # and more.",
            hint="Leave that out, and use COZELOOP_API_TOKEN for the token.",
        )
    if parts.username or parts.password:
        raise ConfigurationError(
            "COZELOOP_API_BASE_URL holds a user name or password.", hint="Use COZELOOP_API_TOKEN for the token."
        )
    return url.rstrip("/")


def _shown(url: str) -> str:
    """Return as much of an address as may be shown: no query, no password, and nothing that may be a token."""
    address = re.split(r"[?#]", re.sub(r"//[^/?#]*@", "//", url))[0]
    is_address = "://" in address or re.fullmatch(r"[\w-]+(\.[\w-]+)*(:\d+)?(/.*)?", address)
    is_token = re.match(r"pat_|sat_|sk-|eyJ|Bearer\b", address) or not re.search(r"[.:/]", address)
    return repr(address) if is_address and not is_token else "something"
