"""Errors as a notebook shows them: their sentence, and no traceback for a slip of the pen."""

from __future__ import annotations

from functools import partial

from IPython import get_ipython

from cozeloop_magic.printable import printable
from cozeloop_magic.view.errors import let_page_wrap, wrap_for_terminal
from cozeloop_magic.view.front import running_cell

__all__ = ["shorten"]


def shorten(error: BaseException) -> BaseException:
    """Have IPython show an error as its sentence, without a traceback; the cell fails all the same."""
    error._render_traceback_ = partial(_lines, error, set())  # type: ignore[attr-defined]  # IPython's own hook
    return error


def _lines(error: BaseException, shown_in: set[str]) -> list[str]:
    """Return what is shown of an error: its sentence, and the lines of a source that it quotes.

    A kernel asks for it more than once; `shown_in` holds the executions in which the page has been told.
    """
    sentence, *source = printable(": ".join(filter(None, (type(error).__name__, str(error))))).split("\n")
    if getattr(get_ipython(), "kernel", None) is None:
        return [wrap_for_terminal(sentence), *source]
    _, execution = running_cell()
    if execution not in shown_in:
        shown_in.add(execution)
        let_page_wrap(error)
    return [sentence, *source]
