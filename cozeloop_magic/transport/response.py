"""Answers that keep to their call's limits: every read, of a header or of a chunk's size, ends in time.

http.client lets a connection have its own class of response; the read timeout that it knows begins anew with every
byte.
"""

from __future__ import annotations

import errno
import http.client
import io
import socket
from typing import Any

from cozeloop_magic.transport.call import CALL, Call
from cozeloop_magic.transport.chunked import ChunkedDecoder

__all__ = ["Response"]

_READ_SIZE = 65536


class _SocketReader(io.RawIOBase):
    """What a socket receives for one call.

    Attributes
    ----------
    ended : bool
        Whether the other side has sent its last byte.
    """

    def __init__(self, sock: socket.socket, call: Call) -> None:
        self.ended = False
        self._socket = sock
        self._file = sock.makefile("rb", buffering=0)
        self._call = call

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:  # tests: test_one_byte_at_a_time
        return True

    def readinto(self, buffer: Any) -> int | None:
        # tests: test_ends_with_the_calls_limit, test_waits_only_a_moment_for_the_end_of_what_is_complete
        # tests: test_that_breaks_off_is_an_error
        self._call.limit(self._socket)
        count = self._file.readinto(buffer)
        if count:
            self._call.answered = True
        self.ended = count == 0
        return count

    def close(self) -> None:
        # tests: test_is_no_longer_in_the_hand_of_the_call_before, test_ends_with_the_calls_limit
        self._call.detach()
        self._file.close()
        super().close()


class Response(http.client.HTTPResponse):
    """Reads by its call's limits, and takes all chunks that are there at once."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        self._call = CALL.get()
        self._reader = _SocketReader(sock, self._call)
        super().__init__(self._reader, *args, **kwargs)  # type: ignore[arg-type]  # it has the makefile() of a socket
        self._decoder = ChunkedDecoder()

    def begin(self) -> None:
        # tests: test_that_breaks_off_is_an_error, test_of_headers_that_are_none_hold_no_secret
        """Read the headers; left to itself, http.client takes those that break off for complete."""
        try:
            super().begin()
        except http.client.BadStatusLine as error:
            if not (self._is_truncated() and "HTTP/".startswith(str(error)[:5])):  # an alert of TLS, say, is no HTTP
                raise
        if self._is_truncated():
            raise ConnectionAbortedError(errno.ECONNABORTED, "the other side hung up in the middle of the headers")
        self.msg.defects.clear()  # urllib3 logs the lines that are no headers, and they may echo credentials
        self.msg.set_payload("")

    def _read_status(self) -> tuple[str, int, str]:  # tests: test_an_answer_may_be_announced_time_and_again
        """Skip what is said ahead of the answer (RFC 9110, 15.2); of such statuses http.client knows but one."""
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200:
                return version, status, reason
            http.client.parse_headers(self.fp)

    def _is_truncated(self) -> bool:
        return self._reader.ended and self._call.answered

    def read1(self, n: int = -1) -> bytes:  # tests: test_takes_all_chunks_that_are_there_at_once
        """Read what is there."""
        if not self.chunked:
            return super().read1(n)
        content = b""
        while not content and self.fp is not None:
            fresh = self.fp.read1(_READ_SIZE)
            content = self._decoder.feed(fresh)
            if self._decoder.is_complete:
                self.close()
            elif not content and self._decoder.is_malformed:
                raise ConnectionAbortedError(errno.ECONNABORTED, "what came is not framed in chunks as announced")
            elif not content and not fresh:
                raise http.client.IncompleteRead(content)
        return content
