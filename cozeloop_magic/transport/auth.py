"""Who is calling: a personal access token, or a JWT OAuth application.

Both are callables that give the value of the ``Authorization`` header.
"""

from __future__ import annotations

import threading
import time
import uuid
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from cozeloop_magic.errors import AuthenticationFailed, ConfigurationError, to_install
from cozeloop_magic.forks import register_after_fork
from cozeloop_magic.transport.call import POLL_INTERVAL, Call, Timeouts
from cozeloop_magic.transport.causes import strip_tracebacks
from cozeloop_magic.transport.secret import Secret

__all__ = ["Auth", "Header", "JWTOAuth", "PersonalToken"]

_LIFETIME = 900  # seconds an access token is asked for
_REFRESH_AHEAD = 60  # seconds before it ends that a new one is fetched
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Auth(Protocol):
    """Gives the value of the ``Authorization`` header.

    Attributes
    ----------
    hint : str
        What a person should look at where a server does not accept it.
    """

    hint: str

    def __call__(self, call: Call | None = None) -> Secret:
        """Give the header's value, fresh enough to be used now; a renewal keeps to the call's limits."""

    def refused(self, header: Secret, call: Call) -> bool:
        """Note that a server did not accept this value; tell whether the call may succeed with another."""


class Header:
    """A value that stays the same; `source` is whose it is, where that one may have another."""

    def __init__(self, header: Secret, hint: str = "", source: Auth | None = None) -> None:
        self._header = header
        self._source = source
        self.hint = hint

    def __call__(self, call: Call | None = None) -> Secret:
        """Give the header's value."""
        return self._header

    def refused(self, header: Secret, call: Call) -> bool:
        """Tell the source, if there is one."""
        return self._source is not None and self._source.refused(header, call)


class PersonalToken(Header):
    """A personal access token.

    Raises
    ------
    ConfigurationError
        If the token holds anything but printable ASCII: HTTP headers carry nothing else.
    """

    def __init__(self, token: str) -> None:
        token = Secret(token.strip())
        if not _is_token(token):
            raise ConfigurationError(
                "The API token holds characters that no token has.",
                hint="Copy it again, without quotes or line breaks.",
            )
        hint = "Check COZELOOP_API_TOKEN, or make a new personal access token."
        super().__init__(Secret(f"Bearer {token}"), hint)


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
        Posts a body to a path with an authorization of its own, as part of a call, and gives the JSON answer
        (``POST /api/permission/oauth2/token``) and its log id.
    """

    path = "/api/permission/oauth2/token"
    hint = "Check the three COZELOOP_JWT_OAUTH_* settings, and the application's permissions."

    def __init__(
        self,
        client_id: str,
        private_key: str,
        public_key_id: str,
        *,
        base_url: str,
        exchange: Callable[[str, Mapping[str, Any], Header, Call], tuple[Mapping[str, Any], str | None]],
    ) -> None:
        self._client_id = client_id
        self._private_key = _read_key(private_key)
        self._public_key_id = public_key_id
        self._audience = urlsplit(base_url).hostname or ""
        self._exchange = exchange
        self._token: _Token | None = None
        self.after_fork()
        register_after_fork(self)

    def after_fork(self) -> None:
        """Renew by ourselves: the parent's call that does is not ours."""
        self._lock = threading.Lock()
        self._renewer: Callable[[], Call | None] = lambda: None

    def __call__(self, call: Call | None = None) -> Secret:
        """Give the header's value; many threads wait for one exchange, each as long as its call may."""
        call = call or Call(Timeouts())
        while (token := self._fresh()) is None:
            if self._is_renewer(call):
                token = self._token = self._renew(call)
                break
            if not call.wait(POLL_INTERVAL):
                raise call.cancelled_error() if call.cancelled else call.timeout_error(self._audience)
        return token.header

    def _is_renewer(self, call: Call) -> bool:
        """Tell whether this call is the one to renew: the first, or the next where that one has failed or is gone."""
        with self._lock:
            renewer = self._renewer()
            if renewer is None or renewer is call or renewer.finished:
                self._renewer = weakref.ref(call)
                return True
            return False

    def refused(self, header: Secret, call: Call) -> bool:
        """Forget the token if it is this one; a call that has just had a new one gains nothing by another."""
        token = self._token
        if token is None or token.header != header:
            return True  # another thread was refused before
        self._token = None
        return token.since < call.begun_at

    def _fresh(self) -> _Token | None:
        token = self._token
        return token if token is not None and time.time() + _REFRESH_AHEAD < token.ends else None

    def _renew(self, call: Call) -> _Token:
        body = {"grant_type": _GRANT, "duration_seconds": _LIFETIME}
        claim = Header(Secret(f"Bearer {self._claim()}"), self.hint)
        try:
            answer, log_id = self._exchange(self.path, body, claim, call)
        finally:
            self._renewer = lambda: None
        token = _Token.of(answer)
        if token is None:
            del answer  # no frame of an error holds a token
            what = f"{self._audience} answered the JWT OAuth exchange with no access token that can be used."
            raise AuthenticationFailed(what, hint=self.hint, log_id=log_id)
        return token

    def _claim(self) -> Secret:
        try:
            import jwt
        except ImportError:
            raise ConfigurationError("JWT OAuth needs the [oauth] extra.", hint=f"{to_install('oauth')}.") from None
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
        except Exception as error:  # the library's own, and whatever a key of another kind leads to
            raise ConfigurationError(
                "The JWT OAuth private key cannot be read.", hint="It must be an RSA private key in PEM form."
            ) from strip_tracebacks(error)
        except BaseException as error:  # an interrupt: inner frames hold the key
            raise error.with_traceback(None)  # noqa: B904


class _Token(NamedTuple):
    """An access token as a header, the UNIX time it ends at, and the monotonic time it came at."""

    header: Secret
    ends: float
    since: float

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> _Token | None:
        """Read the answer to an exchange; None where it holds none that can be used."""
        text, ends = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(text, str) or not _is_token(text) or not isinstance(ends, (int, float, str)):
            return None
        try:
            return cls(Secret(f"Bearer {text}"), float(ends), time.monotonic())
        except (ValueError, OverflowError):
            return None


def _is_token(text: str) -> bool:
    return text.isascii() and text.isprintable() and bool(text) and " " not in text


def _read_key(text: str) -> Secret:
    text = Secret(text.strip().replace("\\n", "\n"))
    if text.startswith("-----BEGIN"):
        return text
    try:
        return Secret(Path(text).expanduser().read_text(encoding="utf-8").strip())
    except (OSError, ValueError, RuntimeError):
        pass  # raised below, so that no frame in the error's chain holds the text: it may be a key after all
    raise ConfigurationError(
        "The JWT OAuth private key is neither a PEM text nor the path of a file that can be read.",
        hint="Check COZELOOP_JWT_OAUTH_PRIVATE_KEY; a PEM text begins with -----BEGIN.",
    )
