"""Errors as a notebook shows them: their sentence, and no traceback for a slip of the pen."""

from __future__ import annotations

import textwrap
from functools import partial

from cozeloop_magic.printable import printable

__all__ = ["shorten"]

_WIDTH = 92  # columns: JupyterLab would break longer lines in the middle of a word
_wrap = partial(textwrap.fill, width=_WIDTH, break_long_words=False, break_on_hyphens=False)


def shorten(error: BaseException) -> BaseException:
    """Have IPython show an error as its sentence, without a traceback; the cell fails all the same."""
    sentence, *source = printable(": ".join(filter(None, (type(error).__name__, str(error))))).split("\n")
    lines = [_wrap(sentence), *source]
    error._render_traceback_ = partial(list, lines)  # type: ignore[attr-defined]  # IPython's own hook
    return error
