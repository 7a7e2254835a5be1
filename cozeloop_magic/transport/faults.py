"""What requests and urllib3 raise, as errors of this package."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import time

import requests
import urllib3

from cozeloop_magic.errors import (
    ConfigurationError,
    ConnectFailed,
    LoopError,
    StreamInterrupted,
    TransportError,
    UnexpectedContent,
)
from cozeloop_magic.transport.call import Call
from cozeloop_magic.transport.causes import causes
from cozeloop_magic.transport.endpoint import Endpoint

__all__ = ["LARGEST", "READ_ERRORS", "map_exception", "pluralize", "reason", "timed_out"]

LARGEST = 100_000_000
"""Bytes that a whole answer, or one event of a stream, may have: a compressed one may unpack to any size."""

READ_ERRORS = (urllib3.exceptions.HTTPError, OSError, ValueError)  # ValueError: read from what was closed meanwhile

_CHECK_PROXY = "Check HTTP_PROXY and HTTPS_PROXY, or add the host to NO_PROXY."
_CHECK_PORT = "Check COZELOOP_API_BASE_URL, its port and whether it begins with http:// or https://."
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")
_NO_SUCH_NAME = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
_OUT_OF_DATE = (9, 10)  # OpenSSL's: not valid yet, and no longer
_SLACK = 0.05  # seconds beyond a round trip, after which a server may have begun what it hung up on


def map_exception(error: BaseException, endpoint: Endpoint, call: Call) -> LoopError:
    """Make the error for a call to which no answer came."""
    if call.cancelled:
        return call.cancelled_error()
    if isinstance(error, requests.Timeout) or _caused_by(error, TimeoutError):
        return call.timeout_error(endpoint.name) if call.expired else _no_connection_in_time(endpoint.name, call)
    if type(error) is OSError and error.errno is None:  # requests looks for the certificates before it connects
        return ConfigurationError(f"{error}.", hint="Check REQUESTS_CA_BUNDLE.")
    if isinstance(error, requests.exceptions.SSLError):
        return _no_tls(error, endpoint.origin)
    if isinstance(error, requests.exceptions.ProxyError) or (call.proxied and not call.connected):
        return ConnectFailed(
            f"The proxy on the way to {endpoint.origin} did not let the call through: {reason(error)}.",
            hint=_CHECK_PROXY,
        )
    if isinstance(error, requests.ConnectionError):
        return _unreached(error, endpoint, call)
    if isinstance(error, requests.exceptions.InvalidSchema):  # requests says so of SOCKS, which is an extra of its
        return ConfigurationError(
            f"The SOCKS proxy on the way to {endpoint.origin} needs a part of requests that is not installed.",
            hint='Run: pip install "requests[socks]".',
        )
    if isinstance(error, (ValueError, TypeError)):  # the server's own address, and all headers, were looked at before
        return ConfigurationError(
            f"The proxy on the way to {endpoint.origin} has an address that cannot be used.", hint=_CHECK_PROXY
        )
    return TransportError(f"The call to {endpoint.name} failed: {reason(error)}.")


def _no_tls(error: BaseException, origin: str) -> LoopError:
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _not_accepted(cause, origin)
        if isinstance(cause, ssl.SSLError) and cause.library in ("X509", "PEM"):
            return ConfigurationError(
                "The bundle of certificates to trust holds none.", hint="Check REQUESTS_CA_BUNDLE."
            )
    return ConnectFailed(
        f"No secure connection to {origin} could be made: {reason(error)}.",
        hint="Check the address, and whether it begins with the right one of http:// and https://.",
    )


def _not_accepted(error: ssl.SSLCertVerificationError, origin: str) -> ConnectFailed:
    if error.verify_code in _OUT_OF_DATE:
        hint = "Check this computer's clock, or ask whoever runs the server."
    else:
        hint = "Check the address; behind a company proxy, set REQUESTS_CA_BUNDLE to its certificate file."
    return ConnectFailed(
        f"The certificate of {origin} was not accepted: {error.verify_message.rstrip('.')}.", hint=hint
    )


def _no_connection_in_time(server: str, call: Call) -> ConnectFailed:
    check = "Check HTTP_PROXY and HTTPS_PROXY" if call.proxied else "Check the address and the network"
    return ConnectFailed(
        f"No connection to {server} was made within {call.limits.connect:g} s, the limit to connect.",
        hint=f"{check}, or give it more with new_client(connect_timeout=...).",
    )


def _unreached(error: requests.ConnectionError, endpoint: Endpoint, call: Call) -> TransportError:
    said = error.args[0] if error.args else None
    if isinstance(getattr(said, "reason", said), urllib3.exceptions.NewConnectionError):
        return _not_connected(error, endpoint)
    if any(
        isinstance(cause, http.client.HTTPException) and not isinstance(cause, OSError) for cause in causes(error)
    ):
        return UnexpectedContent(
            f"The answer from {endpoint.name} is not proper HTTP.",
            hint=_CHECK_PROXY if call.proxied else _CHECK_PORT,
        )
    return _hung_up(error, endpoint, call)


def _not_connected(error: BaseException, endpoint: Endpoint) -> ConnectFailed:
    fault = ConnectFailed(
        f"No connection to {endpoint.name} could be made: {reason(error)}.",
        hint="Check the address, the network and whether the server runs; then run it again.",
    )
    fault.repeatable = _caused_by(error, ConnectionRefusedError)
    return fault


def _hung_up(error: BaseException, endpoint: Endpoint, call: Call) -> StreamInterrupted:
    fault = StreamInterrupted(
        f"The connection to {endpoint.name} ended before an answer came: {reason(error)}.",
        hint="Run it again; whether the call was begun is not known.",
    )
    if endpoint.base_url.startswith("http:") and not (endpoint.local or call.reused or call.answered):
        fault.hint += " If it stays, the address may have to begin with https://."
    if call.reused and not call.answered and time.monotonic() - call.sent_at < call.round_trip + _SLACK:
        fault.repeatable, fault.retry_after = True, 0.0
    return fault


def pluralize(count: int, noun: str) -> str:
    """Count things for a person."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def timed_out(error: BaseException) -> bool:
    """Tell whether a read came to its limit."""
    return isinstance(error, (urllib3.exceptions.ReadTimeoutError, TimeoutError))


def _caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    return any(isinstance(cause, kind) for cause in causes(error))


def reason(error: BaseException) -> str:
    """Find the innermost cause worth a person's attention."""
    for cause in reversed(causes(error)):
        if isinstance(cause, http.client.IncompleteRead):
            return "the connection ended before the announced end"
        if isinstance(cause, http.client.RemoteDisconnected):
            return "the other side hung up without a word"
        if isinstance(cause, urllib3.exceptions.DecodeError):
            return "its compression is damaged"
        if isinstance(cause, http.client.HTTPException):
            return "it answered with what is not proper HTTP"
        if isinstance(cause, UnicodeError) or (isinstance(cause, socket.gaierror) and cause.errno in _NO_SUCH_NAME):
            return "no host has such a name"
        if isinstance(cause, socket.gaierror):
            return "its name could not be looked up"
        if isinstance(cause, ssl.SSLError) and cause.reason in _NOT_TLS:
            return "what answered does not speak TLS"
        if isinstance(cause, ssl.SSLError) and cause.reason:
            return cause.reason.replace("_", " ").lower()
        if type(cause) is OSError and cause.errno is None:
            return str(cause).rstrip(".")
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
    return re.sub(r"<[^>]*object at [^>]*>:? ?", "", str(error)).rstrip(".") or type(error).__name__
