"""Breaking text between words as it streams into a terminal, which by itself breaks wherever its edge is."""

from __future__ import annotations

import re
from collections.abc import Callable

from wcwidth import wcswidth

__all__ = ["WordWrap"]

_WIDE = "\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6"
_CLOSING = "、。，．：；？！）］｝」』】〕〉》〙〗〟’”…,.:;?!)\\]}"  # begin no line
_PIECE = re.compile(rf"\n|[ \t]+|[{_WIDE}][{_CLOSING}]*|[^\s{_WIDE}]+[{_CLOSING}]*|\s")
_FENCE = re.compile(r"```|~~~")


class WordWrap:
    """Breaks lines between words, and leaves as they are those that a break would spoil: code and tables.

    Parameters
    ----------
    width : callable
        Gives the columns of the terminal.
    """

    def __init__(self, width: Callable[[], int]) -> None:
        self._width = width
        self._held = ""  # it may go on, and then may not fit
        self._blanks = ""  # are written with the word behind them
        self._column = 0
        self._begins = True  # a line
        self._as_it_is = False
        self._in_fence = False

    def feed(self, text: str) -> str:
        """Return what can be written now; the last word waits for its end."""
        text, self._held = self._held + text, ""
        written = []
        for piece in _PIECE.finditer(text):
            held = self._begins or not self._as_it_is
            if piece.end() == len(text) and held and not piece[0].isspace():
                self._held = piece[0]
            else:
                written.append(self._placed(piece[0]))
        return "".join(written)

    def flush(self) -> str:
        """Return what was held back."""
        piece, self._held = self._held, ""
        return self._placed(piece) if piece else ""

    def _placed(self, piece: str) -> str:
        if piece == "\n":
            self._begins, self._as_it_is, self._column = True, self._in_fence, 0
            blanks, self._blanks = self._blanks, ""
            return blanks + piece
        if not piece.strip():
            self._blanks += piece
            self._as_it_is |= self._begins and len(self._blanks.expandtabs(4)) >= 4
            return ""
        if self._begins:
            self._begin(piece)
        before, self._blanks = self._blanks, ""
        width, size = self._width(), max(0, wcswidth(piece))
        needed = self._column + len(before.expandtabs(8)) + size
        if needed > width and self._column and not self._as_it_is:
            before, needed = "\n", size
        self._column = needed
        return before + piece

    def _begin(self, word: str) -> None:
        self._begins = False
        if _FENCE.match(word):
            self._in_fence = not self._in_fence
            self._as_it_is = True
        self._as_it_is |= word.startswith("|")
