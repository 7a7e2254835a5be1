"""A comparison while it goes: one widget for all trials, replaced at the end by what is kept.

Of each cell that is shown, only the text that is new is sent; of all others, counts. So a comparison of a thousand
inputs costs no more to watch than one of ten. What is shown follows what is under way, until somebody turns the page.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from IPython.display import display

from cozeloop_magic.lab.plan import Trial
from cozeloop_magic.lab.ratings import BlindRating
from cozeloop_magic.lab.state import ExperimentState
from cozeloop_magic.lab.verdict import Decision
from cozeloop_magic.printable import printable
from cozeloop_magic.run.state import Phase
from cozeloop_magic.view import comparison, control
from cozeloop_magic.view.answers import Answers, shortened
from cozeloop_magic.view.front import is_watched
from cozeloop_magic.view.left_behind import Place, left_in
from cozeloop_magic.view.pager import Pager
from cozeloop_magic.view.rating import RatingView, rate_in_terminal
from cozeloop_magic.view.render import ROOT
from cozeloop_magic.view.widget import Rows, RowsWidget, script, sheet

__all__ = ["GridView", "PlainGridView"]

_LONGEST = 20_000  # characters of a cell while it streams
_INPUT = 160  # characters of an input


class _Widget(RowsWidget):
    """Draws the cells of a comparison."""

    _esm = script("grid.js")
    _css = sheet("tables.css") + sheet("grid.css")


class GridView:
    """Draws a comparison in the cell that runs now.

    Parameters
    ----------
    stop : callable
        What the Stop button calls; any thread may.
    concurrency : int
        How many calls run at once, at most.
    diff : bool
        Whether words that are not the baseline's are marked at the end.
    prices : mapping, optional
        Money for a million input and output tokens.
    """

    def __init__(
        self, stop: Callable[[], None], *, concurrency: int = 1, diff: bool = False, prices: Any = None
    ) -> None:
        self._stop = stop
        self._options: dict[str, Any] = {"concurrency": concurrency, "diff": diff, "prices": prices}
        self._watched = is_watched()
        self._control = ""
        self._widget: _Widget | None = None
        self._place: Place | None = None
        self._pager = Pager()
        self._shown: frozenset[Trial] = frozenset()
        self._sent: dict[Trial, tuple[int, int]] = {}  # pieces and characters that the page has

    def shows(self, trial: Trial) -> bool:
        """Whether a trial is one of those that stream visibly."""
        return self._watched and trial in self._shown

    def update(self, state: ExperimentState) -> None:
        """Draw what is new; the first time, make the widget."""
        if not self._watched:
            return
        if self._widget is None:
            self._begin(state)
        else:
            self._widget.show(self._drawn(state))

    def finish(self, state: ExperimentState) -> None:
        """Put what is kept in the widget's place, and close it."""
        kept = comparison.bundle(state, **self._options)
        if self._place is not None:
            self._place.keep(kept, _metadata(state))
        else:
            display(kept, raw=True, metadata=_metadata(state))  # type: ignore[no-untyped-call]
        if self._widget is not None:
            self._widget.close()
        control.forget(self._control)

    def rate(self, rating: BlindRating, decide: Callable[[], Sequence[Decision]]) -> None:
        """Ask for ratings in the cell that runs now, unless a machine runs it."""
        if is_watched():
            RatingView(rating, decide)

    def _begin(self, state: ExperimentState) -> None:
        plan = state.plan
        self._control = control.listen(self._stop, self._pager.ask)
        frame: Rows = {
            "root": ROOT,
            "control": self._control,
            "behind": False,
            "heads": [variant.name for variant in plan.variants],
            "repeat": plan.repeat,
        }
        hint = "The comparison appears here; use --plain to see it as text."
        self._widget = _Widget(hint, frame | self._drawn(state), self._stop)
        self._widget.on_msg(self._pager.hear)
        way = "What came is kept: run the cell again, and it runs only what is missing."
        self._place = Place(self._widget, left_in("a comparison", way))

    def _drawn(self, state: ExperimentState) -> Rows:
        inputs = self._pager.turn(state)
        self._shown = frozenset(
            Trial(number, variant, repeat)
            for number in inputs
            for variant in range(len(state.plan.variants))
            for repeat in range(state.plan.repeat)
        )
        answers = Answers(state)
        rows: Rows = {"status": comparison.progress(state), "notes": printable("\n".join(state.notes))}
        rows |= {"shown": inputs, "pager": self._pager.said}
        rows |= {"follows": self._pager.follows, "filters": self._pager.filters}
        rows |= {f"i{number}": printable(shortened(answers.input_text(number), _INPUT)) for number in inputs}
        for trial in self._shown:
            rows |= self._cell(trial, answers)
        return rows

    def _cell(self, trial: Trial, answers: Answers) -> Rows:
        """Return the piece of a cell's text that is new, and how far it is."""
        each = answers.state.trials[trial]
        name = f"c{trial.input}_{trial.variant}_{trial.repeat}"
        text = each.run.text[:_LONGEST]
        pieces, length = self._sent.get(trial, (0, 0))
        rows: Rows = {f"{name}_state": each.run.phase.value}
        if len(text) > length:
            rows[f"{name}_{pieces}"] = printable(text[length:])
            self._sent[trial] = pieces + 1, len(text)
        if each.run.ended:
            judged = "" if trial.repeat else answers.judged(trial.input, trial.variant)
            rows[f"{name}_end"] = printable(" · ".join(filter(None, (comparison.outcome(each), judged))))
        return rows


class PlainGridView:
    """Writes how far a comparison is, a line every few seconds, and all of it at the end.

    Parameters
    ----------
    out, status : TextIO
        Where the comparison goes, and where its progress.
    """

    _EVERY = 5.0  # seconds

    def __init__(
        self, out: TextIO, status: TextIO | None = None, *, concurrency: int = 1, prices: Any = None
    ) -> None:
        self._out = out
        self._status = sys.stderr if status is None else status
        self._options: dict[str, Any] = {"concurrency": concurrency, "prices": prices}
        self._next: float | None = None

    def shows(self, trial: Trial) -> bool:
        """Return False: text shows whole answers."""
        return False

    def update(self, state: ExperimentState) -> None:
        """Write a line, if it is time."""
        now = time.monotonic()
        if self._next is None:
            self._status.write(printable("\n".join(state.notes)) + "\n")
        elif now < self._next:
            return
        else:
            self._status.write(printable(comparison.progress(state)) + "\n")
        self._status.flush()
        self._next = now + self._EVERY

    def finish(self, state: ExperimentState) -> None:
        """Write all of it."""
        self._out.write(comparison.to_text(state, **self._options) + "\n")
        self._out.flush()

    def rate(self, rating: BlindRating, decide: Callable[[], Sequence[Decision]]) -> None:
        """Ask for ratings line by line, unless a machine runs it."""
        if is_watched():
            rate_in_terminal(rating, decide, self._out)


def _metadata(state: ExperimentState) -> dict[str, Any]:
    """Return a small record of a comparison: which variants, how many runs and what they show; no text."""
    record = {
        "prompt_key": ", ".join(dict.fromkeys(variant.prompt_key for variant in state.plan.variants)),
        "phase": (Phase.DONE if state.complete else Phase.INTERRUPTED).value,
        "variants": [str(variant.asked) for variant in state.plan.variants],
        "runs": len(state.trials),
        "failed": state.phases[Phase.FAILED],
        "verdicts": {decision.variant: decision.verdict.value for decision in state.decisions},
    }
    return {"cozeloop_magic": record}
