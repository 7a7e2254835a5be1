"""A run in a notebook while it goes: a widget that draws what is new, replaced at the end by what is kept.

The widget's state is a flat table of short texts: the answer's HTML ``h0``, ``h1``, …, pieces of reasoning ``r0``, …,
and a few names. An update sends the rows that changed, so what was sent as part of the tail is not sent again when it
settles. And the model in the browser holds the whole picture whenever a view is made of it, early or late. The source
goes along, ``s0``, …, for the reader who copies it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from IPython.display import DisplayHandle, clear_output, display

from cozeloop_magic.printable import printable
from cozeloop_magic.run.state import Phase, RunState
from cozeloop_magic.view import control, render, request
from cozeloop_magic.view.front import is_all_ours, is_watched, runs_no_python
from cozeloop_magic.view.left_behind import NOTHING, left_behind
from cozeloop_magic.view.markdown import Blocks
from cozeloop_magic.view.widget import Rows, RowsWidget, script, sheet

__all__ = ["LiveView"]

_ARGUMENTS_SHOWN = 240  # characters of a tool call's arguments while they come
_IDLE = 3  # times as long as drawing and sending took, nothing is drawn
_TAIL_SPEED = 100_000  # characters a second: a tail of 5,000 is drawn 20 times a second, a longer one less often
_ROW = 80  # characters: few, because at each update the last row is sent anew, but each brings its name along


class _Widget(RowsWidget):
    """Draws one run."""

    _esm = script("live.js")
    _css = sheet("live.css")


class LiveView:
    """Draws a run in the cell that runs now.

    Without a front end (nbclient, papermill, ``nbconvert --execute``) nobody watches and a widget's state would stay
    behind in the saved notebook, so only the end is shown there.

    Parameters
    ----------
    stop : callable
        What the Stop button calls; any thread may.
    behind : bool
        Whether the run goes on behind other cells: then Stop must not interrupt those, and no cell tells its error.
    fold_height : int
        Pixels above which a long answer is folded; 0 never folds.
    """

    def __init__(
        self,
        stop: Callable[[], None] = lambda: None,
        *,
        behind: bool = False,
        fold_height: int = render.FOLD_HEIGHT,
    ) -> None:
        self._stop = stop
        self._behind = behind
        self._fold_height = fold_height
        self._watched = is_watched()
        self._control = ""
        self._widget: _Widget | None = None
        self._handle: DisplayHandle | None = None
        self._words: DisplayHandle | None = None  # see `left_behind`
        self._blocks = Blocks()
        self._settled = 0
        self._tail = 0  # characters of HTML that are drawn anew each time
        self._asked: RunState | None = None  # whose request is shown
        self._thoughts, self._source = _Growing("r"), _Growing("s")
        self._next = 0.0

    def update(self, state: RunState) -> None:
        """Draw what is new; the first time, make the widget."""
        if not self._watched:
            return
        if self._widget is None:
            self._control = control.listen(self._stop)
            hint = f"{state.request.prompt_key}: the answer appears here; use --plain to see it grow"
            self._widget = _Widget(printable(hint), self._frame() | self._drawn(state), self._stop)
            left = left_behind("_loop.result()" if self._behind else "_loop")
            self._words = display(left, raw=True, display_id=True)  # type: ignore[no-untyped-call]
            self._handle = display(self._widget, display_id=True)  # type: ignore[no-untyped-call]
        elif (began := time.monotonic()) >= self._next:
            self._widget.show(self._drawn(state))
            now = time.monotonic()
            self._next = now + max(self._tail / _TAIL_SPEED, _IDLE * (now - began))

    def finish(self, state: RunState) -> None:
        """Put what is kept in the widget's place, and close it. A failure that a cell tells leaves nothing alone."""
        if state.phase is Phase.FAILED and not self._behind and not render.has_output(state):
            self._leave_nothing()
        else:
            self._keep(state)
        if self._widget is not None:
            self._widget.close()
        control.forget(self._control)

    def _keep(self, state: RunState) -> None:
        if self._widget is not None:
            self._widget.show(self._drawn(state))  # the last words at once: a long answer takes a moment to lay out
            sys.stdout.flush()  # they are on their way before that takes the interpreter from the thread that sends
        kept = render.bundle(state, fold_height=self._fold_height, with_error=self._behind)
        about = render.metadata(state)
        if self._handle is not None and (self._behind or not runs_no_python()):
            self._empty(self._words)
            self._handle.update(kept, raw=True, metadata=about)  # type: ignore[no-untyped-call]
            return
        if self._handle is not None:
            clear_output(wait=True)  # type: ignore[no-untyped-call]  # nothing else is there
        display(kept, raw=True, metadata=about)  # type: ignore[no-untyped-call]

    @staticmethod
    def _empty(output: DisplayHandle | None) -> None:
        """Empty an output of ours alone; an empty record stays."""
        if output is not None:
            output.update(NOTHING, raw=True)  # type: ignore[no-untyped-call]

    def _leave_nothing(self) -> None:
        """Clear a cell that is all ours; elsewhere empty our outputs alone."""
        if self._handle is None:
            return
        if is_all_ours():
            clear_output()  # type: ignore[no-untyped-call]
        else:
            self._empty(self._words)
            self._empty(self._handle)

    def _frame(self) -> Rows:
        """Give what stays the same."""
        held = {"behind": self._behind, "control": self._control, "height": self._fold_height}
        return {"root": render.ROOT, **held}

    def _request(self, state: RunState) -> Rows:
        """Give the request, which changes once its definition is known."""
        if self._asked is not None and self._asked.definition is state.definition:
            return {}
        self._asked = state
        return {"request": request.to_html(state.request, state.settings, state.definition)}

    def _drawn(self, state: RunState) -> Rows:
        blocks, tail = self._blocks.feed(state.text, growing=not state.ended)
        settled, growing = _split("".join(blocks)), _split(tail)
        rows: Rows = {f"h{self._settled + i}": html for i, html in enumerate(settled + growing)}
        self._settled += len(settled)
        self._tail = len(tail)
        rows |= self._thoughts.feed(state.reasoning) | self._source.feed(state.text) | self._request(state)
        rows |= {
            "settled": self._settled,
            "end": self._settled + len(growing),
            "calls": render.calls_html(state, _ARGUMENTS_SHOWN),
            "status": render.status(state),
            "progress": render.progress(state),
            "waits_for": _waits_for(state),
            "css_class": render.css_class(state),
            "long": state.ended and render.is_long(state, self._fold_height),  # what grows is seen
        }
        return rows


def _waits_for(state: RunState) -> str:
    """Return what the person waits for, so that the page counts the seconds; empty once something came."""
    if state.ended or render.has_output(state):
        return ""
    return "preparing" if state.preparing else "answer"


def _split(html: str) -> list[str]:
    return [html[i : i + _ROW] for i in range(0, len(html), _ROW)]


class _Growing:
    """A text that is sent piece by piece."""

    def __init__(self, row: str) -> None:
        self._row = row
        self._sent = self._pieces = 0

    def feed(self, text: str) -> Rows:
        """Give the row that is new, for the whole `text` as far as it has come."""
        if len(text) == self._sent:
            return {}
        piece, self._sent = printable(text[self._sent :]), len(text)
        self._pieces += 1
        return {f"{self._row}{self._pieces - 1}": piece}
