"""Who is calling: a personal access token, or a JWT OAuth application.

Both are callables that give the value of the ``Authorization`` header. Secrets are wrapped so that a repr, a log
line or a traceback that shows its locals shows dots.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from cozeloop_magic.errors import AuthenticationFailed, ConfigurationError, without_frames
from cozeloop_magic.forks import Lock

__all__ = ["Auth", "JWTOAuth", "PersonalToken", "Secret"]

_LIFETIME = 900  # seconds an access token is asked for
_REFRESH_AHEAD = 60  # seconds before it ends that a new one is fetched
_DOTS = "••••••"
_LONG = 12  # characters of a secret that no word holds by chance
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Secret(str):
    """Text that shows as dots wherever it is not used on purpose."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(_DOTS)

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not pickled")

    def hidden_in(self, text: str) -> str:
        """Give `text` with dots where it holds the secret, with or without its ``Bearer``.

        One as short as a word is hidden where it stands alone: inside other words it would only garble them.
        """
        secret = self.removeprefix("Bearer ")
        if len(secret) >= _LONG:
            return text.replace(secret, _DOTS)
        return re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", _DOTS, text, flags=re.ASCII) if secret else text


class Auth(Protocol):
    """Gives the value of the ``Authorization`` header."""

    def __call__(self) -> Secret:
        """Give the header's value, fresh enough to be used now."""


class PersonalToken:
    """A personal access token.

    Raises
    ------
    ConfigurationError
        If the token holds anything but printable ASCII: HTTP headers carry nothing else.
    """

    def __init__(self, token: str) -> None:
        token = Secret(token.strip())
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ConfigurationError(
                "The API token holds characters that no token has.",
                hint="Copy it again, without quotes or line breaks.",
            )
        self._header = Secret(f"Bearer {token}")

    def __call__(self) -> Secret:
        """Give the header's value."""
        return self._header


class JWTOAuth:
    """A JWT OAuth application: a signed claim is exchanged for an access token, renewed ahead of its end.

    Parameters
    ----------
    client_id, public_key_id : str
        As the platform shows them.
    private_key : str
        The PEM text, with real or escaped line breaks, or the path of a file that holds it.
    base_url : str
        The platform's origin; the claim's audience is its host.
    exchange : callable
        Posts a body to a path with an ``Authorization`` header and gives the JSON answer
        (``POST /api/permission/oauth2/token``).
    """

    path = "/api/permission/oauth2/token"

    def __init__(
        self,
        client_id: str,
        private_key: str,
        public_key_id: str,
        *,
        base_url: str,
        exchange: Callable[[str, Mapping[str, Any], Secret], Mapping[str, Any]],
    ) -> None:
        self._client_id = client_id
        self._private_key = _read_key(private_key)
        self._public_key_id = public_key_id
        self._audience = urlsplit(base_url).hostname or ""
        self._exchange = exchange
        self._lock = Lock()
        self._header: Secret | None = None
        self._ends = 0.0

    def __call__(self) -> Secret:
        """Give the header's value; many threads wait for one exchange."""
        with self._lock:
            if self._header is None or time.time() + _REFRESH_AHEAD >= self._ends:
                body = {"grant_type": _GRANT, "duration_seconds": _LIFETIME}
                self._take(self._exchange(self.path, body, Secret(f"Bearer {self._claim()}")))
            assert self._header is not None
            return self._header

    def _take(self, answer: Mapping[str, Any]) -> None:
        ends = answer.get("expires_in")
        if not isinstance(answer.get("access_token"), str) or not isinstance(ends, (int, float)):
            answer = {}  # no frame of an error holds a token
            raise AuthenticationFailed(f"{self._audience} answered the JWT OAuth exchange with no access token.")
        self._header, self._ends = Secret(f"Bearer {answer['access_token']}"), float(ends)

    def _claim(self) -> Secret:
        try:
            import jwt
        except ImportError:
            raise ConfigurationError(
                "JWT OAuth needs the [oauth] extra.", hint='Run: pip install "cozeloop-magic[oauth]"'
            ) from None
        now = int(time.time())
        claims = {
            "iss": self._client_id,
            "aud": self._audience,
            "iat": now,
            "exp": now + _LIFETIME,
            "jti": uuid.uuid4().hex,
        }
        try:
            return Secret(
                jwt.encode(claims, str(self._private_key), algorithm="RS256", headers={"kid": self._public_key_id})
            )
        except (ValueError, TypeError, jwt.PyJWTError) as error:
            raise ConfigurationError(
                "The JWT OAuth private key cannot be read.", hint="It must be an RSA key in PEM form."
            ) from without_frames(error)


def _read_key(text: str) -> Secret:
    text = Secret(text.strip().replace("\\n", "\n"))
    if text.startswith("-----BEGIN"):
        return text
    try:
        return Secret(Path(text).expanduser().read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError, RuntimeError):
        pass  # raised below, so that no frame in the error's chain holds the text: it may be a key after all
    raise ConfigurationError(
        "The JWT OAuth private key is neither a PEM text nor the path of a file that can be read."
    )
