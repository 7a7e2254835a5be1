"""The server-sent events of one answer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from itertools import groupby

import urllib3
from sseclient import SSEClient

from cozeloop_magic.entities.stream import WAITING
from cozeloop_magic.errors import LoopError, StreamInterrupted, UnreadableEvent
from cozeloop_magic.transport.call import Call
from cozeloop_magic.transport.causes import strip_tracebacks
from cozeloop_magic.transport.endpoint import Endpoint
from cozeloop_magic.transport.error_responses import error_from_body, error_from_json, excerpt, parse_json
from cozeloop_magic.transport.faults import LARGEST, READ_ERRORS, pluralize, reason, timed_out
from cozeloop_magic.transport.reply import LINGER, model_of, notes_of, safe_notes

__all__ = ["EventStream"]

logging.getLogger("sseclient").disabled = True  # it logs what a server says, which may echo credentials

_READ_SIZE = 65536
_EXAMINED = 65536  # bytes of what may turn out to be no stream
_MANY_LINES = 100  # lines of one event
_LINE_JOINT = "\x1f"  # in place of a line's end: JSON holds none
_WAITING = f": {WAITING}".encode()
_BOM = b"\xef\xbb\xbf"


class EventStream:
    """The server-sent events of one answer, as ``(event, data)``.

    Attributes
    ----------
    call : Call
        The call it answers.
    log_id, model : str or None
        What the headers tell.
    bytes_read, events_read : int
        How much came.
    has_content : bool
        Whether any of an answer was in it; whoever reads the events says so.
    last_unknown : str
        The last event of a kind that is not known, for a stream that ends early: it may tell why.
    unreadable_finish_reason : object
        What came in place of a finish reason, which is text.
    """

    def __init__(self, raw: urllib3.BaseHTTPResponse, endpoint: Endpoint, call: Call, log_id: str | None) -> None:
        self.call = call
        self.log_id = log_id
        self.model = model_of(raw.headers, endpoint)
        self.notes = notes_of(raw.headers, endpoint)
        self.bytes_read = self.events_read = 0
        self.has_content = False
        self.last_unknown = ""
        self.unreadable_finish_reason: object = None
        self._start = b""
        self._read_error: LoopError | None = None
        self._raw = raw
        self._endpoint = endpoint
        self._open = True
        self._is_truncated = False
        self._reading = threading.Lock()

    def read_notes(self, notes: object) -> tuple[str, ...]:
        """Read remarks that an event holds; they are safe to show."""
        return safe_notes(notes, self._endpoint)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        try:
            for event in SSEClient(self._events()).events():
                self.events_read += 1
                yield event.event, event.data.replace(_LINE_JOINT, "\n")
        except UnicodeDecodeError as error:
            self.events_read += 1
            raise self.unreadable("is not UTF-8") from strip_tracebacks(error)

    def _events(self) -> Iterator[bytes]:
        """Give whole events, so that the parser sees each byte once; what the end cut off comes last."""
        pending = bytearray()
        try:
            for lines in _lines(self._chunks()):
                start = max(len(pending) - 1, 0)
                pending += lines
                end = pending.rfind(b"\n\n", start) + 2
                if end > 1:
                    self._read_comments(pending)
                    yield _plain(bytes(pending[:end]))
                    del pending[:end]
                if len(pending) > LARGEST:
                    pending.clear()  # to parse it would take seconds
                    raise self._too_large()
        except LoopError as error:
            self._read_error = error
        if pending:
            self._is_truncated = True
            yield _plain(bytes(pending)) + b"\n\n"
        if self._read_error is not None:
            raise self._read_error

    def _read_comments(self, events: bytes | bytearray) -> None:
        """Pass on where in the line the call is; a stream tells that in comments, and before anything else."""
        if self.call.on_waiting is not None and events.startswith(_WAITING):
            last = events[events.rfind(_WAITING) + len(_WAITING) :].partition(b"\n")[0]
            self.call.on_waiting(excerpt(last.decode(errors="replace").strip(), self._endpoint))

    def _chunks(self) -> Iterator[bytes]:
        """Give bytes as soon as they are there: of all ways to read, `read1` alone never waits for more."""
        while chunk := self._read():
            if not self.events_read and len(self._start) < _EXAMINED:
                self._start += chunk
                if self._start.removeprefix(_BOM).lstrip().startswith((b"{", b"<")):
                    raise self._no_stream()
            self.bytes_read += len(chunk)
            yield chunk

    def _read(self) -> bytes:
        try:
            with self._reading:
                return self._raw.read1(_READ_SIZE, decode_content=True)
        except READ_ERRORS as error:
            raise self._map_read_error(error) from strip_tracebacks(error)
        finally:
            if not self._open:  # closed meanwhile, from another thread
                self._raw.close()

    def _no_stream(self) -> LoopError:
        """Make the error for JSON or a page that calls itself a stream."""
        try:
            with self.call.fail_after(LINGER):
                while len(self._start) < _EXAMINED and (more := self._read()):
                    self._start += more
        except LoopError:
            pass  # what there is says enough
        return self._error_from_body()

    def _error_from_body(self) -> LoopError:
        return error_from_body(
            self._start, self._endpoint, http_status=self._raw.status, headers=self._raw.headers, log_id=self.log_id
        )

    def _map_read_error(self, error: Exception) -> LoopError:
        if not self._open or self.call.cancelled:
            return self._closed()
        if timed_out(error):
            return self.call.timeout_error(self._endpoint.name, self.log_id)
        return self.interrupted(reason(error))

    def _closed(self) -> StreamInterrupted:
        return self.interrupted("the client was closed" if self._open else "its reader was closed")

    def incomplete_error(self) -> LoopError:
        """Make the error for a stream that ended, or was ended, before its answer did."""
        if not self._open or self.call.cancelled:
            return self._closed()
        if not self.events_read and self._start.strip():
            return self._error_from_body()
        why = "the stream ended " + ("in the middle of an event" if self._is_truncated else "without a finish reason")
        if self.unreadable_finish_reason:
            why = f"its finish reason is not text but {excerpt(str(self.unreadable_finish_reason), self._endpoint)}"
        return self.interrupted(
            f"{why}, after it said: {excerpt(self.last_unknown, self._endpoint)}" if self.last_unknown else why
        )

    def interrupted(self, why: str) -> StreamInterrupted:
        """Make the error for a stream that broke off."""
        return StreamInterrupted(
            f"The answer from {self._endpoint.name} broke off: {why} "
            f"({pluralize(self.events_read, 'event')}, {pluralize(self.bytes_read, 'byte')} received).",
            hint=self._hint,
            log_id=self.log_id,
        )

    @property
    def _hint(self) -> str | None:
        return None if self.has_content else "Run it again."

    def unreadable(self, why: str, what: object = "") -> LoopError:
        """Make the error for an event that cannot be read; `what` is quoted."""
        if self._is_truncated:
            return self._read_error or self.incomplete_error()
        why += f": {excerpt(str(what), self._endpoint)}" if what else ""
        return UnreadableEvent(
            f"Event {self.events_read:,} of the answer from {self._endpoint.name} {why} "
            f"({pluralize(self.bytes_read, 'byte')} received).",
            hint=self._hint,
            log_id=self.log_id,
        )

    def _too_large(self) -> UnreadableEvent:
        return UnreadableEvent(
            f"Event {self.events_read + 1:,} of the answer from {self._endpoint.name} is larger than "
            f"{LARGEST // 10**6} MB.",
            hint="Ask whoever runs the server.",
            log_id=self.log_id,
        )

    def error_event(self, data: str) -> LoopError:
        """Make the error for an ``event: error``, whose data is JSON ``{code, msg}`` or plain text."""
        body = parse_json(data)
        if not isinstance(body, dict):
            body = {"msg": data}
        return error_from_json(body, self._endpoint, http_status=self._raw.status, log_id=self.log_id)

    def close(self, *, complete: bool = False) -> None:
        """Give the connection back where the answer is complete, else cut it; wakes a thread that reads."""
        if not self._open:
            return
        self._open = False
        if complete and self._drained() and not self.call.cancelled:  # else it was cut meanwhile
            self._raw.release_conn()
            return
        self.call.close_socket()
        if self._reading.acquire(blocking=False):
            try:
                self._raw.close()
            finally:
                self._reading.release()
        # else a thread is inside a read: it has been woken, and it closes when it is out

    def _drained(self) -> bool:
        try:
            with self.call.fail_after(LINGER):
                return not self._raw.read1(_READ_SIZE, decode_content=True)
        except READ_ERRORS:
            return False


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Make every line end a line feed, as the parser sees the end of an event only where its two line ends are alike.

    A carriage return that ends a chunk is a line's end at once, and its line feed is left out if it comes.
    """
    returned = False
    for chunk in _without_bom(chunks):
        if returned:
            chunk = chunk.removeprefix(b"\n")
        returned = chunk.endswith(b"\r")
        yield chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in chunk else chunk


def _without_bom(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Leave out a byte order mark at the start, also one that comes in pieces."""
    start: bytes | None = b""
    for chunk in chunks:
        if start is None:
            yield chunk
            continue
        start += chunk
        if len(start) >= len(_BOM) or not _BOM.startswith(start):
            yield start.removeprefix(_BOM)
            start = None
    if start:
        yield start


def _plain(events: bytes) -> bytes:
    """Leave out the line that names the usual kind of event: it is what the parser spends a third of its time on."""
    events = events.removeprefix(b"event: data\n").replace(b"\nevent: data\n", b"\n")
    return _in_one_line(events) if events.count(b"\ndata:") > _MANY_LINES + events.count(b"\n\n") else events


def _in_one_line(events: bytes) -> bytes:
    """Make one line of an event's data, for the parser copies all lines before for each."""
    lines: list[bytes] = []
    for is_data, group in groupby(events.split(b"\n"), lambda line: line.startswith(b"data:")):
        found = list(group)
        data = _LINE_JOINT.encode().join(line[5:].removeprefix(b" ") for line in found)
        lines += [b"data:" + data] if is_data else found
    return b"\n".join(lines)
