"""Reasoning that a model writes into its answer, between ``<think>`` and ``</think>``."""

from __future__ import annotations

__all__ = ["ThinkTags"]

_OPEN, _CLOSE = "<think>", "</think>"
_LINE_ENDS = "\r\n"


class ThinkTags:
    """Takes ``<think>…</think>`` at the very start of an answer for reasoning, wherever the pieces are cut.

    Line ends after either tag are of no text.

    Parameters
    ----------
    keep : bool
        Whether the tags and what is between them stay in the answer.
    """

    def __init__(self, keep: bool) -> None:
        self._held = ""
        self._state = "text" if keep else "start"  # then: opened, thought, closed, text

    def feed(self, text: str) -> tuple[str, str]:
        """Return the reasoning and the text that are certain by now."""
        if self._state == "text" or not text:
            return "", text
        self._held += text
        if self._state == "start":
            start = self._held.lstrip()
            if len(start) < len(_OPEN) and _OPEN.startswith(start):
                return "", ""  # it may yet become one
            if not start.startswith(_OPEN):
                return "", self._rest()
            self._state, self._held = "opened", start[len(_OPEN) :]
        thought = self._thought() if self._state in ("opened", "thought") else ""
        return thought, self._after() if self._state == "closed" else ""

    def end(self) -> tuple[str, str]:
        """Return what was held back: reasoning that was not closed, or what might have become a tag."""
        is_thought = self._state in ("opened", "thought")
        held = self._rest()
        return (held, "") if is_thought else ("", held)

    def _thought(self) -> str:
        if self._state == "opened":
            self._held = self._held.lstrip(_LINE_ENDS)
        thought, closed, rest = self._held.partition(_CLOSE)
        if closed:
            self._state, self._held = "closed", rest
            return thought
        kept = _length_of_beginning(self._held)
        thought, self._held = self._held[: len(self._held) - kept], self._held[len(self._held) - kept :]
        self._state = "thought" if thought else self._state
        return thought

    def _after(self) -> str:
        self._held = self._held.lstrip(_LINE_ENDS)
        return self._rest() if self._held else ""

    def _rest(self) -> str:
        held, self._held, self._state = self._held, "", "text"
        return held


def _length_of_beginning(text: str) -> int:
    """Return how many characters at the end of a text may begin the closing tag."""
    return next((n for n in range(len(_CLOSE) - 1, 0, -1) if text.endswith(_CLOSE[:n])), 0)
