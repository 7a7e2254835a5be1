"""HTTP, and the one place that knows it: requests for the calls, sseclient-py for the streams.

Every foreign error becomes one of `cozeloop_magic.errors` here.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import requests
import urllib3
from requests.adapters import HTTPAdapter
from sseclient import SSEClient

from cozeloop_magic.auth import Auth
from cozeloop_magic.endpoint import Endpoint, Timeouts
from cozeloop_magic.errors import (
    ConnectFailed,
    DeadlineExceeded,
    LoopError,
    StreamInterrupted,
    TransportError,
    UnexpectedContent,
    UnreadableEvent,
)
from cozeloop_magic.refusal import refusal, unexpected
from cozeloop_magic.version import __version__

__all__ = ["EventStream", "Reply", "Transport"]

log = logging.getLogger("cozeloop_magic")

_READ_SIZE = 65536
_LINGER = 0.05  # seconds a finished stream may take to end its body before its connection is given up
_BOM = b"\xef\xbb\xbf"
_READ_ERRORS = (urllib3.exceptions.HTTPError, OSError, requests.RequestException)


class Reply(NamedTuple):
    """A JSON answer, with what its headers tell."""

    body: dict[str, Any]
    log_id: str | None
    model: str | None


class Transport:
    """A pool of connections. Thread-safe.

    Parameters
    ----------
    trust_env : bool
        Whether proxies and CA bundles are taken from the environment, as requests does. Off for the embedded Loop:
        a proxy cannot reach this machine's loopback.
    """

    def __init__(self, *, trust_env: bool = True) -> None:
        self._session = requests.Session()
        self._session.trust_env = trust_env
        self._session.headers["User-Agent"] = f"cozeloop-magic/{__version__}"
        adapter = HTTPAdapter(pool_connections=4, pool_maxsize=256)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def close(self) -> None:
        """Close every idle connection."""
        self._session.close()

    def call(self, endpoint: Endpoint, path: str, body: Mapping[str, Any], timeouts: Timeouts) -> Reply:
        """Post a JSON body and give the JSON answer.

        Raises
        ------
        LoopError
            A `TransportError` if no answer came that can be read, a `RemoteError` if the server said no.
        """
        response = self._post(endpoint, path, body, timeouts, stream=False)
        with response:
            return _reply(response, endpoint)

    def stream(self, endpoint: Endpoint, path: str, body: Mapping[str, Any], timeouts: Timeouts) -> EventStream:
        """Post a JSON body and give the answer's server-sent events.

        Raises
        ------
        LoopError
            As `call`; also where the server answers with JSON in place of a stream.
        """
        started = time.monotonic()
        response = self._post(endpoint, path, body, timeouts, stream=True)
        try:
            if not _is_event_stream(response):
                reply = _reply(response, endpoint)
                raise UnexpectedContent(
                    f"{endpoint.origin} answered with one JSON object where a stream was asked for.",
                    hint="Run it again without streaming.",
                    http_status=response.status_code,
                    log_id=reply.log_id,
                )
        except BaseException:
            response.close()
            raise
        return EventStream(response, endpoint, deadline=started + timeouts.total, total=timeouts.total)

    def _post(
        self, endpoint: Endpoint, path: str, body: Mapping[str, Any], timeouts: Timeouts, *, stream: bool
    ) -> requests.Response:
        log.debug("POST %s%s", endpoint.base_url, path)
        accept = "text/event-stream, application/json" if stream else "application/json"
        with _translated(endpoint, timeouts):
            return self._session.post(
                endpoint.base_url + path,
                data=json.dumps(body, allow_nan=False).encode(),
                headers={"Content-Type": "application/json", "Accept": accept},
                auth=_authorize(endpoint.auth),
                timeout=(min(timeouts.connect, timeouts.total), timeouts.total),
                stream=stream,
                allow_redirects=False,
            )


def _authorize(auth: Auth) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Set the header as requests' own `auth`: only so does a ~/.netrc entry not replace it."""

    def apply(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = auth()
        return request

    return apply


class EventStream:
    """The server-sent events of one answer, as ``(event, data)``.

    Attributes
    ----------
    log_id, model : str or None
        What the headers tell.
    """

    def __init__(self, response: requests.Response, endpoint: Endpoint, *, deadline: float, total: float) -> None:
        self._response = response
        self._raw: urllib3.HTTPResponse = response.raw
        self._endpoint = endpoint
        self._deadline = deadline
        self._total = total
        self._open = True
        self._reading = threading.Lock()
        self.bytes_read = 0
        self.events_read = 0
        self.log_id = _log_id(response)
        self.model = response.headers.get("X-Loop-Model")

    def __iter__(self) -> Iterator[tuple[str, str]]:
        try:
            for event in SSEClient(self._chunks()).events():
                self.events_read += 1
                yield event.event, event.data
        except UnicodeDecodeError as error:
            raise self.unreadable("is not UTF-8") from error

    def _chunks(self) -> Iterator[bytes]:
        """Give bytes as soon as they are there: of all ways to read, `read1` alone never waits for more."""
        start = True
        while True:
            self._check_deadline()
            try:
                with self._reading:
                    chunk = self._raw.read1(_READ_SIZE, decode_content=True)
            except urllib3.exceptions.ReadTimeoutError:
                raise self._too_late() from None
            except _READ_ERRORS as error:
                raise self.interrupted(_reason(error)) from error
            finally:
                if not self._open:  # closed meanwhile, from another thread
                    self._response.close()
            if not self._open:
                raise self.interrupted("it was closed")
            if not chunk:
                return
            self.bytes_read += len(chunk)
            yield chunk.removeprefix(_BOM) if start else chunk
            start = False

    def _check_deadline(self) -> None:
        if time.monotonic() > self._deadline:
            raise self._too_late()

    def _too_late(self) -> LoopError:
        return DeadlineExceeded(
            f"The answer was not complete after {self._total:g} s, the call's time limit.",
            hint="Give it more with timeout=... (--timeout in a cell).",
            log_id=self.log_id,
        )

    def interrupted(self, why: str) -> StreamInterrupted:
        """Make the error for a stream that ended before its answer did."""
        return StreamInterrupted(
            f"The answer from {self._endpoint.origin} broke off: {why} "
            f"({self.events_read} events, {self.bytes_read} bytes received).",
            hint="The text so far is kept; run it again for a complete answer.",
            log_id=self.log_id,
        )

    def unreadable(self, why: str) -> UnreadableEvent:
        """Make the error for an event that cannot be read."""
        return UnreadableEvent(
            f"Event {self.events_read} of the answer from {self._endpoint.origin} {why}.",
            hint="The text so far is kept; run it again for a complete answer.",
            log_id=self.log_id,
        )

    def refused(self, data: str) -> LoopError:
        """Make the error for an ``event: error``, whose data is JSON ``{code, msg}`` or plain text."""
        try:
            body = json.loads(data)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            body = {"msg": data}
        return refusal(body, self._endpoint, http_status=self._response.status_code, log_id=self.log_id)

    def close(self, *, complete: bool = False) -> None:
        """Give the connection back where the answer is complete, else cut it; wakes a thread that reads."""
        if not self._open:
            return
        self._open = False
        if complete and self._drained():
            self._raw.release_conn()
            return
        try:
            self._raw.shutdown()
        except (ValueError, OSError, RuntimeError):
            pass  # the body is read to its end, or the socket is gone already
        if self._reading.acquire(blocking=False):
            try:
                self._response.close()
            finally:
                self._reading.release()
        # else a thread is inside a read: the shutdown wakes it, and it closes when it is out

    def _drained(self) -> bool:
        connection = self._raw.connection
        sock = getattr(connection, "sock", None)
        if sock is None:
            return False
        try:
            before = sock.gettimeout()
            sock.settimeout(_LINGER)
            ended = not self._raw.read1(_READ_SIZE)
            sock.settimeout(before)
        except (*_READ_ERRORS, ValueError):
            return False
        return ended


class _translated:
    """Turns what requests raises on the way to an answer into this package's errors."""

    def __init__(self, endpoint: Endpoint, timeouts: Timeouts) -> None:
        self._endpoint = endpoint
        self._timeouts = timeouts

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        origin, timeouts = self._endpoint.origin, self._timeouts
        if isinstance(error, requests.ConnectTimeout):
            raise ConnectFailed(
                f"{origin} did not answer within {min(timeouts.connect, timeouts.total):g} s.",
                hint="Check the address and the network.",
            ) from error
        if isinstance(error, requests.Timeout):
            raise DeadlineExceeded(
                f"{origin} sent no answer within {timeouts.total:g} s, the call's time limit.",
                hint="Give it more with timeout=... (--timeout in a cell).",
            ) from error
        if isinstance(error, requests.exceptions.SSLError):
            raise ConnectFailed(
                f"The certificate of {origin} was not accepted.",
                hint="Behind a company proxy, set REQUESTS_CA_BUNDLE to its certificate file.",
            ) from error
        if isinstance(error, requests.ConnectionError):
            raise _unreached(error, origin) from error
        if isinstance(error, requests.RequestException):
            raise TransportError(f"The call to {origin} failed: {_reason(error)}.") from error


def _unreached(error: requests.ConnectionError, origin: str) -> TransportError:
    reason = error.args[0] if error.args else None
    if isinstance(getattr(reason, "reason", reason), urllib3.exceptions.NewConnectionError):
        return ConnectFailed(
            f"{origin} cannot be reached: {_reason(error)}.",
            hint="Check the address and the network, then run it again.",
        )
    return StreamInterrupted(
        f"{origin} closed the connection before it answered: {_reason(error)}.",
        hint="Run it again; whether the call was begun is not known.",
    )


def _reason(error: BaseException) -> str:
    """Find the innermost cause worth a person's attention."""
    seen: list[BaseException] = []
    todo = [error]
    while todo and len(seen) < 12:
        current = todo.pop()
        seen.append(current)
        inner = [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
        todo += [cause for cause in inner if isinstance(cause, BaseException) and cause not in seen]
    for cause in reversed(seen):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
    return type(error).__name__ if not str(error) else re.sub(r"<[^>]*object at [^>]*>:? ?", "", str(error))


def _is_event_stream(response: requests.Response) -> bool:
    kind = response.headers.get("Content-Type", "")
    return response.status_code == 200 and kind.partition(";")[0].strip().lower() == "text/event-stream"


def _log_id(response: requests.Response) -> str | None:
    return response.headers.get("x-tt-logid") or response.headers.get("X-Log-ID")


def _reply(response: requests.Response, endpoint: Endpoint) -> Reply:
    """Read a JSON answer and raise what it says went wrong."""
    log_id, status = _log_id(response), response.status_code
    try:
        content = response.content
    except requests.RequestException as error:
        raise StreamInterrupted(
            f"The answer from {endpoint.origin} broke off: {_reason(error)}.", hint="Run it again.", log_id=log_id
        ) from error
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    if isinstance(body, dict) and (body.get("code") or status >= 400):
        raise refusal(body, endpoint, http_status=status, log_id=log_id)
    if not isinstance(body, dict) or status != 200:
        raise unexpected(status, response.headers, content, endpoint, log_id)
    return Reply(body, log_id, response.headers.get("X-Loop-Model"))
