"""What is known of a comparison: one frozen value, and the pure function that takes it from event to event.

Everything that shows or keeps a comparison reads an `ExperimentState`: the live grid, the static table, a data frame,
the verdict. Where its events come from cannot be told: a live call, the store of runs, or a tape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from cozeloop_magic.lab.checks import Score
from cozeloop_magic.lab.events import Paced, Told
from cozeloop_magic.lab.judge import Judgement
from cozeloop_magic.lab.plan import Plan, Trial
from cozeloop_magic.lab.verdict import Decision
from cozeloop_magic.run.state import Phase, RunState
from cozeloop_magic.run.state import fold as fold_run

if TYPE_CHECKING:
    from cozeloop_magic.lab.ratings import BlindRating

__all__ = [
    "Decided",
    "Event",
    "ExperimentState",
    "ExperimentView",
    "Judged",
    "Noted",
    "Scored",
    "TrialEvent",
    "TrialState",
    "fold",
]

TrialEvent = Told[Trial]
"""Something happened to a trial's run."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A trial's answer was checked."""

    trial: Trial
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class Noted:
    """Something is worth knowing."""

    note: str


@dataclass(frozen=True, slots=True)
class Decided:
    """Nothing more will come, and this is what it shows."""

    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """A variant's answer to an input was judged against the baseline's."""

    input: int
    variant: int
    judgement: Judgement


Event = TrialEvent | Scored | Judged | Paced | Noted | Decided


@dataclass(frozen=True, slots=True)
class TrialState:
    """A trial as far as it has come.

    Attributes
    ----------
    run : RunState
        Its run.
    scores : tuple of Score
        What the checks say of the answer; empty as long as there is none.
    """

    run: RunState
    scores: tuple[Score, ...] = ()


@dataclass(frozen=True, slots=True)
class ExperimentState:
    """A comparison as far as it has come.

    Attributes
    ----------
    plan : Plan
        What is run.
    trials : Mapping[Trial, TrialState]
        How far each trial has come, in the order they are begun.
    concurrency : int
        How many run at once, at most.
    wait : float
        Seconds that all wait because the server asked for it.
    notes : tuple of str
        Quiet remarks.
    judgements : Mapping[tuple[int, int], Judgement]
        What a judge says, by input and variant.
    decisions : tuple of Decision
        What it shows, once it has ended: one for each variant behind the baseline.
    """

    plan: Plan
    trials: MappingProxyType[Trial, TrialState] = field(repr=False)
    concurrency: int = 1
    wait: float = 0.0
    notes: tuple[str, ...] = ()
    judgements: Mapping[tuple[int, int], Judgement] = field(default_factory=dict, repr=False)
    decisions: tuple[Decision, ...] = ()

    @classmethod
    def of(cls, plan: Plan, concurrency: int = 1) -> ExperimentState:
        """Give the state before anything happened."""
        trials = {trial: TrialState(RunState(plan.request(trial))) for trial in plan.trials()}
        return cls(plan, MappingProxyType(trials), concurrency, notes=plan.notes)

    @property
    def phases(self) -> Counter[Phase]:
        """How many trials are how far."""
        return Counter(each.run.phase for each in self.trials.values())

    @property
    def complete(self) -> bool:
        """Whether every trial came to its end, were it a failure."""
        return all(each.run.phase in (Phase.DONE, Phase.FAILED) for each in self.trials.values())


class ExperimentView(Protocol):
    """Draws a comparison while it goes."""

    def update(self, state: ExperimentState) -> None:
        """Draw a state that is not the last one."""

    def finish(self, state: ExperimentState) -> None:
        """Draw the last state, which holds the decisions; nothing follows."""

    def shows(self, trial: Trial) -> bool:
        """Whether a trial that begins is to be shown piece by piece; called in any thread."""

    def rate(self, rating: BlindRating, decide: Callable[[], Sequence[Decision]]) -> None:
        """Ask a person to rate, and show in the end what was preferred and what `decide` gives."""


def fold(state: ExperimentState, *events: Event) -> ExperimentState:
    """Give the state after all of `events`.

    The map of trials is copied once a call, whatever the number of events, so give it all of a moment together.
    """
    trials: dict[Trial, TrialState] | None = None
    for event in events:
        match event:
            case Told(trial, happened):
                trials = state.trials.copy() if trials is None else trials
                before = trials[trial]
                trials[trial] = TrialState(fold_run(before.run, happened), before.scores)
            case Scored(trial, scores):
                trials = state.trials.copy() if trials is None else trials
                trials[trial] = TrialState(trials[trial].run, scores)
            case Paced(concurrency, wait):
                state = replace(state, concurrency=concurrency, wait=wait)
            case Judged(number, variant, judgement):
                state = replace(state, judgements={**state.judgements, (number, variant): judgement})
            case Noted(note):
                state = replace(state, notes=(*state.notes, note))
            case Decided(decisions):
                state = replace(state, decisions=decisions)
    return state if trials is None else replace(state, trials=MappingProxyType(trials))
