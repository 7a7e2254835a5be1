"""What a notebook says where it was saved, or its page or kernel was left, before an answer was complete.

A widget that is gone says nothing of use: "Loading widget…", or "model not found". So words of their own stand before
it. They are not seen as long as it lives, and it is not seen where it does not.
"""

from __future__ import annotations

from html import escape

__all__ = ["left_behind"]

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
    html = f'<p class="cozeloop-left">{escape(before)}<code>{escape(name)}</code>{escape(after)}</p>'
    return {"text/html": f"{html}<style>{_STYLE}</style>", "text/plain": f"{before}{name}{after}"}
