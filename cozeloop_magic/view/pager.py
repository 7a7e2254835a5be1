"""Which inputs of a comparison are shown while it goes."""

from __future__ import annotations

import time
from typing import Any

from cozeloop_magic.lab.state import ExperimentState
from cozeloop_magic.view.answers import Answers

__all__ = ["SHOWN", "Pager"]

SHOWN = 24
"""Trials that are shown as they stream; of the rest, the counts."""

_TURNS = {"next": 1, "previous": -1}


class Pager:
    """The inputs that are under way, or the page that a person turned to.

    What a person asks for comes in another thread, and is heard when the next picture is drawn.

    Attributes
    ----------
    follows : bool
        Whether the page is the one that is under way.
    filters : bool
        Whether inputs are shown alone that are done and differ, what was lost first.
    said : str
        Which inputs of how many are shown; empty where all are.
    """

    def __init__(self) -> None:
        self.follows = True
        self.filters = False
        self.said = ""
        self._page = 0
        self._turns: list[str] = []
        self._differing: list[int] = []
        self._next_look = 0.0

    def ask(self, what: Any) -> None:
        """Take a wish of the page's: ``next``, ``previous``, ``follow`` or ``filter``."""
        self._turns.append(str(what))

    def hear(self, _widget: object, message: Any, _buffers: object) -> None:
        """Take a wish where the front end has no control channel."""
        if isinstance(message, dict) and "ask" in message:
            self.ask(message["ask"])

    def turn(self, state: ExperimentState) -> list[int]:
        """Return the numbers of the inputs to show."""
        while self._turns:
            self._do(self._turns.pop(0))
        size = max(1, SHOWN // (len(state.plan.variants) * state.plan.repeat))
        numbers = self._filtered(state) if self.filters else range(len(state.plan.inputs))
        if self.follows and not self.filters:
            under_way = (trial.input for trial, each in state.trials.items() if not each.run.ended)
            self._page = next(under_way, self._page * size) // size
        self._page = max(0, min(self._page, (len(numbers) - 1) // size))
        some = list(numbers[self._page * size : (self._page + 1) * size])
        first = self._page * size + 1
        self.said = ""
        if len(state.plan.inputs) > size:
            which = f"{first:,} to {first + len(some) - 1:,} of {len(numbers):,}" if some else "none yet"
            self.said = f"{which} that differ" if self.filters else f"inputs {which}"
        return some

    def _do(self, what: str) -> None:
        if what == "filter":
            self.filters, self._page, self._next_look = not self.filters, 0, 0.0
        elif what == "follow":
            self.follows, self.filters = not self.follows, False
        elif what in _TURNS:
            self.follows = False
            self._page += _TURNS[what]

    def _filtered(self, state: ExperimentState) -> list[int]:
        """Return the inputs that are done and differ, looked for once a second: it takes a look at all of them."""
        if time.monotonic() >= self._next_look:
            open_yet = {trial.input for trial, each in state.trials.items() if not each.run.ended}
            self._differing = [number for number in Answers(state).differing if number not in open_yet]
            self._next_look = time.monotonic() + 1.0
        return self._differing
