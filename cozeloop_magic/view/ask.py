"""Asking the page whether it draws widgets: its answer takes the question's place, and stays when it is saved."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import anywidget
from IPython.display import display

from cozeloop_magic.printable import printable
from cozeloop_magic.view.render import ROOT, style

__all__ = ["ask_page"]

_UNANSWERED = "✗ This page draws no widgets: answers grow as plain text. Install anywidget where the page is served."
_LONGEST = 80  # characters of what a page calls itself


class _Question(anywidget.AnyWidget):
    """Draws nothing; says that it was asked to."""

    _esm = Path(__file__).with_name("ask.js").read_text(encoding="utf-8")  # of a path, it would be kept for ever

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return {**data, "text/plain": _UNANSWERED}, metadata


def ask_page() -> None:
    """Ask, and show the answer where the question stood; it comes once the cell has ended."""
    question = _Question()
    handle = display(question, display_id=True)  # type: ignore[no-untyped-call,unused-ignore]

    def show(widget: object, message: object, buffers: object) -> None:
        said = printable(f"✓ {str(message)[:_LONGEST]} draws widgets: answers stream.")
        page = f'<div class="{ROOT}"><style>{style()}</style>{escape(said)}</div>'
        handle.update({"text/html": page, "text/plain": said}, raw=True)
        question.layout.close()
        question.close()

    question.on_msg(show)
