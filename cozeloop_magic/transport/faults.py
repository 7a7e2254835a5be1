"""What requests and urllib3 raise, as errors of this package."""

from __future__ import annotations

import http.client
import re
import ssl
import time

import requests
import urllib3

from cozeloop_magic.call import Call
from cozeloop_magic.errors import (
    ConfigurationError,
    ConnectFailed,
    LoopError,
    StreamInterrupted,
    TransportError,
    UnexpectedContent,
)

__all__ = ["LARGEST", "READ_ERRORS", "reason", "timed_out", "unsent"]

LARGEST = 100_000_000
"""Bytes that a whole answer, or one event of a stream, may have: a compressed one may unpack to any size."""

READ_ERRORS = (urllib3.exceptions.HTTPError, OSError, ValueError)  # ValueError: read from what was closed meanwhile

_CHECK_PROXY = "Check HTTP_PROXY and HTTPS_PROXY, or add the host to NO_PROXY."
_SLACK = 0.05  # seconds beyond a round trip, after which a server may have begun what it hung up on


def unsent(error: BaseException, origin: str, call: Call) -> LoopError:
    """Make the error for a call to which no answer came."""
    if call.cancelled:
        return call.ended()
    if isinstance(error, requests.Timeout) or _caused_by(error, TimeoutError):
        return call.exceeded(origin) if call.expired else _no_connection_in_time(origin, call)
    if type(error) is OSError and error.errno is None:  # requests looks for the certificates before it connects
        return ConfigurationError(f"{error}.", hint="Check REQUESTS_CA_BUNDLE.")
    if isinstance(error, requests.exceptions.SSLError):
        return _no_tls(error, origin)
    if isinstance(error, requests.exceptions.ProxyError) or (call.proxied and not call.connected):
        return ConnectFailed(
            f"The proxy on the way to {origin} did not let the call through: {reason(error)}.", hint=_CHECK_PROXY
        )
    if isinstance(error, requests.ConnectionError):
        return _unreached(error, origin, call)
    if isinstance(error, requests.exceptions.InvalidSchema):  # requests says so of SOCKS, which is an extra of its
        return ConfigurationError(f"{reason(error)}.", hint='Run: pip install "requests[socks]"')
    if isinstance(error, (requests.exceptions.InvalidURL, urllib3.exceptions.LocationParseError, TypeError)):
        return ConfigurationError(
            f"The proxy on the way to {origin} has no address that can be read.", hint=_CHECK_PROXY
        )
    return TransportError(f"The call to {origin} failed: {reason(error)}.")


def _no_tls(error: BaseException, origin: str) -> ConnectFailed:
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ConnectFailed(
                f"The certificate of {origin} was not accepted: {cause.verify_message.rstrip('.')}.",
                hint="Check the address; behind a company proxy, set REQUESTS_CA_BUNDLE to its certificate file.",
            )
    return ConnectFailed(
        f"No secure connection to {origin} could be made: {reason(error)}.",
        hint="Check whether the address begins with the right one of http:// and https://, and REQUESTS_CA_BUNDLE.",
    )


def _no_connection_in_time(origin: str, call: Call) -> ConnectFailed:
    return ConnectFailed(
        f"No connection to {origin} was made within {call.limits.connect:g} s, the limit to connect.",
        hint="Check the address and the network, or give it more with new_client(connect_timeout=...).",
    )


def _unreached(error: requests.ConnectionError, origin: str, call: Call) -> TransportError:
    said = error.args[0] if error.args else None
    fault: TransportError
    if isinstance(getattr(said, "reason", said), urllib3.exceptions.NewConnectionError):
        fault = ConnectFailed(
            f"{origin} cannot be reached: {reason(error)}.",
            hint="Check the address and the network, then run it again.",
        )
        fault.repeatable = _caused_by(error, ConnectionRefusedError)
        return fault
    if any(
        isinstance(cause, http.client.HTTPException) and not isinstance(cause, OSError) for cause in _causes(error)
    ):
        return UnexpectedContent(
            f"{origin} answered with what is not proper HTTP.",
            hint="Check COZELOOP_API_BASE_URL, its port and whether it begins with http:// or https://.",
        )
    fault = StreamInterrupted(
        f"{origin} closed the connection before it answered: {reason(error)}.",
        hint="Run it again; whether the call was begun is not known.",
    )
    if call.reused and not call.answered and time.monotonic() - call.sent_at < call.round_trip + _SLACK:
        fault.repeatable, fault.retry_after = True, 0.0
    return fault


def timed_out(error: BaseException) -> bool:
    """Tell whether a read came to its limit."""
    return isinstance(error, (urllib3.exceptions.ReadTimeoutError, TimeoutError))


def _caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    return any(isinstance(cause, kind) for cause in _causes(error))


def _causes(error: BaseException) -> list[BaseException]:
    """Give an error and what caused it, outermost first."""
    seen: list[BaseException] = []
    todo = [error]
    while todo and len(seen) < 12:
        current = todo.pop()
        seen.append(current)
        inner = [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
        todo += [cause for cause in inner if isinstance(cause, BaseException) and cause not in seen]
    return seen


def reason(error: BaseException) -> str:
    """Find the innermost cause worth a person's attention."""
    for cause in reversed(_causes(error)):
        if isinstance(cause, http.client.IncompleteRead):
            return "the connection ended before the announced end"
        if isinstance(cause, http.client.RemoteDisconnected):
            return "it hung up without a word"
        if isinstance(cause, urllib3.exceptions.DecodeError):
            return "its compression is damaged"
        if isinstance(cause, UnicodeError):
            return "no host has such a name"
        if isinstance(cause, ssl.SSLError) and cause.reason:
            return cause.reason.replace("_", " ").lower()
        if type(cause) is OSError and cause.errno is None:
            return str(cause).rstrip(".")
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
    return re.sub(r"<[^>]*object at [^>]*>:? ?", "", str(error)).rstrip(".") or type(error).__name__
