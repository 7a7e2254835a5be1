"""What a notebook says where it was saved, or its page or kernel was left, before an answer was complete.

A widget that is gone says nothing of use: "Loading widget…", or "model not found". So words of their own stand before
it. They are not seen as long as it lives, and it is not seen where it does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from IPython.display import DisplayHandle, display

__all__ = ["NOTHING", "Place", "left_behind", "left_in"]

NOTHING = {"text/html": ""}
"""An empty output: one of no kind at all could not be exported."""

_PLACE = ".jp-OutputArea-child"
_WORDS = f"{_PLACE}:has(>.jp-OutputArea-output>.cozeloop-left)"
_STYLE = (
    f".cozeloop-left{{display:none}}{_PLACE} .cozeloop-left{{display:block;"
    "font-family:var(--jp-content-font-family,sans-serif);font-size:var(--jp-content-font-size1,14px);"
    "animation:cozeloop-late 0s 3s backwards}"  # a widget needs a moment to come
    "@keyframes cozeloop-late{from{max-height:0;overflow:hidden;opacity:0}}"
    f"{_WORDS}:has(+{_PLACE} .cozeloop-run),{_WORDS}+{_PLACE}:not(:has(.cozeloop-run)){{display:none}}"
)


def left_behind(name: str) -> dict[str, str]:
    """Return the output that names the way to an answer, by MIME type.

    Parameters
    ----------
    name : str
        What a cell alone must say to show the answer.
    """
    before, after = (
        "This was saved, or its page was left, while the answer was on its way. As long as the same kernel runs, a "
        "cell with ",
        " alone shows the answer; else run this cell again.",
    )
    return _output(f"{escape(before)}<code>{escape(name)}</code>{escape(after)}", f"{before}{name}{after}")


def left_in(what: str, way: str) -> dict[str, str]:
    """Return the output that names the way on from what is kept in the store, by MIME type.

    Parameters
    ----------
    what : str
        What was under way, such as ``the comparison``.
    way : str
        What to do.
    """
    words = f"This was saved, or its page was left, in the middle of {what}. {way}"
    return _output(escape(words), words)


def _output(html: str, text: str) -> dict[str, str]:
    return {"text/html": f'<p class="cozeloop-left">{html}</p><style>{_STYLE}</style>', "text/plain": text}


class Place:
    """Where a widget is drawn in the cell that runs now, behind words for who comes when it is gone.

    Parameters
    ----------
    widget : widget
        What is drawn.
    words : dict
        What stands before it; see `left_in`.
    """

    def __init__(self, widget: object, words: Mapping[str, str]) -> None:
        self._words: DisplayHandle = display(words, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        self._handle: DisplayHandle = display(widget, display_id=True)  # type: ignore[no-untyped-call]

    def keep(self, data: Mapping[str, str], metadata: Mapping[str, Any] | None = None) -> None:
        """Put what is kept in the place of both."""
        self._words.update(NOTHING, raw=True)  # type: ignore[no-untyped-call]
        self._handle.update(data, raw=True, metadata=metadata or {})  # type: ignore[no-untyped-call]
