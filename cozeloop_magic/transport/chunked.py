"""Chunked framing, taken off as many chunks at a time as are there."""

from __future__ import annotations

import re

__all__ = ["ChunkedDecoder"]

_LONGEST = 65536  # bytes of a line between chunks, as http.client has it
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")


class ChunkedDecoder:
    """Takes the framing off a chunked body, however it is cut.

    Attributes
    ----------
    is_complete, is_malformed : bool
        Whether the body came to its end, or to what is no chunk.
    """

    def __init__(self) -> None:
        self.is_complete = self.is_malformed = False
        self._left = 0  # bytes of the chunk that are still to come, its closing line break included
        self._rest = b""
        self._in_trailer = False

    def feed(self, fresh: bytes) -> bytes:
        """Take what came and give what is content of it."""
        data = self._rest + fresh if self._rest else fresh
        at, size, left, found = 0, len(data), self._left, []
        while at < size and not (self.is_complete or self.is_malformed):
            if not left:
                end = data.find(b"\n", at)
                if end < 0:
                    self.is_malformed = size - at > _LONGEST
                    break
                left = self._line(data[at:end])
                at = end + 1
            end = at + left
            if left > 2:
                found.append(data[at : min(end - 2, size)])
            left = max(end - size, 0)
            at = min(end, size)
        self._left = left
        self._rest = data[at:]
        return b"".join(found)

    def _line(self, line: bytes) -> int:
        """Read a line between chunks, and give the bytes of the chunk that it begins."""
        if self._in_trailer:
            self.is_complete = not line.strip()
            return 0
        number = line.partition(b";")[0].strip()
        size = int(number, 16) if _SIZE.fullmatch(number) else -1
        self.is_malformed = size < 0
        self._in_trailer = size == 0
        return size + 2 if size > 0 else 0
