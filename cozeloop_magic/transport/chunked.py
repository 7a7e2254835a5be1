"""Chunked framing, taken off as many chunks at a time as are there."""

from __future__ import annotations

__all__ = ["Unchunker"]


class Unchunker:
    """Takes the framing off a chunked body, however it is cut.

    Attributes
    ----------
    ended, broken : bool
        Whether the body came to its end, or to what is no chunk.
    """

    def __init__(self) -> None:
        self.ended = self.broken = False
        self._left = 0  # bytes of the chunk that are still to come, its closing line break included
        self._rest = b""
        self._in_trailer = False

    def feed(self, fresh: bytes) -> bytes:
        """Take what came and give what is content of it."""
        data = self._rest + fresh if self._rest else fresh
        at, found = 0, []
        while at < len(data) and not (self.ended or self.broken):
            if self._left:
                end = min(at + self._left, len(data))
                found.append(data[at : max(min(end, at + self._left - 2), at)])
                self._left -= end - at
                at = end
                continue
            end = data.find(b"\n", at)
            if end < 0:
                break
            self._line(data[at:end])
            at = end + 1
        self._rest = data[at:]
        return b"".join(found)

    def _line(self, line: bytes) -> None:
        if self._in_trailer:
            self.ended = not line.strip()
            return
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            size = -1
        self.broken = size < 0
        self._in_trailer = size == 0
        self._left = size + 2 if size > 0 else 0
