"""How an error reads on a page and in a terminal: its lines are broken between words, where they are shown."""

from __future__ import annotations

import textwrap
from shutil import get_terminal_size

from IPython.display import display

__all__ = ["let_page_wrap", "wrap_for_terminal"]

# JupyterLab and nbconvert break the lines of an error anywhere, also within words. This stands before it, unseen. An
# interrupted answer has said so itself, and a stop is nothing that went wrong: below one, its error is not shown.
_PLACE = ".jp-OutputArea-child:has(>.jp-OutputArea-output>{})"
_STYLE = (
    "{wrap}{{display:none}}{wrap}+.jp-OutputArea-child pre{{word-break:normal;overflow-wrap:anywhere}}"
    "{run}+{stop}+.jp-OutputArea-child{{display:none}}"
).format(
    wrap=_PLACE.format(".cozeloop-wrap"),
    run=_PLACE.format(".cozeloop-interrupted"),
    stop=_PLACE.format(".cozeloop-stop"),
)


def let_page_wrap(error: BaseException) -> None:
    """Show the unseen output that tells a page how to lay out the error behind it."""
    kind = "cozeloop-wrap cozeloop-stop" if isinstance(error, KeyboardInterrupt) else "cozeloop-wrap"
    display({"text/html": f'<span class="{kind}"></span><style>{_STYLE}</style>'}, raw=True)  # type: ignore[no-untyped-call]


def wrap_for_terminal(line: str) -> str:
    """Break a line between words, as wide as the terminal is."""
    return textwrap.fill(line, get_terminal_size().columns, break_long_words=False, break_on_hyphens=False)
