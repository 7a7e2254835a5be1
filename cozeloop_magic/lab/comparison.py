"""`Comparison`: what `compare` leaves behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cozeloop_magic.errors import InvalidRequest, RequirementNotMet
from cozeloop_magic.lab.judge import Agreement, agreement
from cozeloop_magic.lab.measures import PREFERENCES, check_by, decide_by, decide_by_preference, passed
from cozeloop_magic.lab.plan import Plan, Trial
from cozeloop_magic.lab.ratings import BlindRating, read_ratings, with_equal_answers
from cozeloop_magic.lab.state import ExperimentState, ExperimentView, TrialState
from cozeloop_magic.lab.verdict import Decision, Verdict
from cozeloop_magic.run.answer import Answer
from cozeloop_magic.run.state import Phase
from cozeloop_magic.store.runs import RunStore

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison"]

_BY = 0.1  # the smallest difference worth acting on, where nobody says
_ENOUGH = 4  # answers, of which to remark that all are alike
_SAID = 40  # characters of an answer in a remark
_NOT_WORSE = (Verdict.BETTER, Verdict.NO_DIFFERENCE_THAT_MATTERS)


@dataclass(frozen=True, repr=False)
class Comparison:
    """A comparison that was run. Iterating gives its trials; ``cmp[variant, row]`` an answer.

    Attributes
    ----------
    state : ExperimentState
        All that is known of it.
    decided_by : str
        The measure.
    by : float
        The smallest difference worth acting on.
    look : int
        The how-manieth look at this question it is.
    concurrency : int
        How many calls ran at once at most: under load, times measure a queue.
    prices : mapping or None
        Money for a million input and output tokens.
    """

    state: ExperimentState
    decided_by: str
    by: float
    look: int = 1
    concurrency: int = 1
    prices: Mapping[str, float] | None = None
    _store: RunStore | bool = field(default=False, compare=False)
    _view: ExperimentView | None = field(default=None, compare=False)

    @property
    def plan(self) -> Plan:
        """What was run."""
        return self.state.plan

    def __len__(self) -> int:
        return len(self.state.trials)

    def __iter__(self) -> Iterator[tuple[Trial, TrialState]]:
        return iter(self.state.trials.items())

    def __getitem__(self, place: tuple[str | int, int] | tuple[str | int, int, int]) -> Answer:
        """Return the answer of a variant (its name or number) to a row, the first or that of a repeat.

        Raises
        ------
        KeyError, IndexError
            If there is no such variant, row or repeat.
        """
        variant, row, *repeat = place
        trial = Trial(self.plan.input_of_row(row), self.plan.variant_of(variant), *repeat)
        if trial not in self.state.trials:
            raise IndexError(f"There is no repeat {trial.repeat}; there are {self.plan.repeat}.")
        return Answer(self.state.trials[trial].run)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What it shows: one decision for each variant behind the baseline."""
        return self.state.decisions

    @property
    def verdict(self) -> Verdict:
        """What can be said of the first variant behind the baseline; it reads as text."""
        return self.decide().verdict

    def decide(self, measure: str | None = None, *, by: float | None = None, variant: str | int = 1) -> Decision:
        """Return what it shows of one variant against the baseline.

        Parameters
        ----------
        measure : str, optional
            As ``decide`` of `compare`. Another than was asked for before the run is a look of its own: what one
            finds by looking at many things is found by chance more often.
        by : float, optional
            The smallest difference worth acting on.
        variant : str or int
            Its name or number.

        Raises
        ------
        InvalidRequest
            If there is one variant alone.
        """
        number = self.plan.variant_of(variant) if len(self.plan.variants) > 1 else 0
        if number == 0:
            raise InvalidRequest("There is nothing to compare the baseline with.", hint="Name another variant.")
        return self.decide_all(measure, by=by)[number - 1]

    def decide_all(self, measure: str | None = None, *, by: float | None = None) -> list[Decision]:
        """Return what it shows of every variant against the baseline; see `decide`."""
        name = measure or self.decided_by
        is_of_it = name == self.decided_by or self.by <= 1  # else it is in the unit of a check
        smallest = by if by is not None else self.by if is_of_it else _BY
        check_by(smallest, name)
        if name in PREFERENCES:
            preferences = self._preferences(name)
            return decide_by_preference(self.plan, name, preferences, by=smallest, look=self.look)
        return decide_by(self.state, name, by=smallest, look=self.look)

    def _preferences(self, name: str) -> dict[tuple[int, int], int | None]:
        if name == "judge":
            return {pair: judged.preference for pair, judged in self.state.judgements.items()}
        return with_equal_answers(self.state, read_ratings(self.state, self._store))

    @property
    def flips(self) -> tuple[int, int]:
        """How many of the judge's preferences went with the order, and how many there are."""
        asked = [each for each in self.state.judgements.values() if not each.equal]
        judged = [each for each in asked if each.preference is not None]
        return sum(each.flipped for each in judged), len(judged)

    @property
    def check_note(self) -> str:
        """What to think of where checks say the same of all answers; empty where they do not."""
        verdicts = {each: passed(trial) for each, trial in self if trial.scores}
        if len(verdicts) < _ENOUGH or len(set(verdicts.values())) > 1 or None in verdicts.values():
            return ""
        if all(verdicts.values()):
            return "Every answer passes: on these inputs the checks cannot tell the variants apart."
        first = next(iter(verdicts))
        expected = self.plan.inputs[first.input].expected
        wanted = "" if expected is None else f", expected is {str(expected)[:_SAID]!r}"
        said = self.state.trials[first].run.text[:_SAID]
        return f"No answer passes: do the checks ask for what you mean? One says {said!r}{wanted}."

    @property
    def judge_note(self) -> str:
        """How far the judge can be trusted, in a sentence; empty where there was none."""
        flipped, judged = self.flips
        judgements = self.state.judgements.values()
        if not judgements:
            return ""
        equal = sum(each.equal for each in judgements)
        items = [
            f"The judge's preference went with the order in {flipped:,} of {judged:,} pairs, which count as ties",
            f"{equal:,} {'pair is' if equal == 1 else 'pairs are'} the same" if equal else "",
            str(self.agreement),
        ]
        lost = [each.error for each in judgements if each.preference is None]
        if lost:
            items.append(f"{len(lost):,} could not be judged: {lost[0]}")
        return "; ".join(filter(None, items)) + "."

    @property
    def agreement(self) -> Agreement:
        """How often the judge says what people say, of the answers that differ."""
        rated = read_ratings(self.state, self._store)
        return agreement((judged.preference, rated.get(pair)) for pair, judged in self.state.judgements.items())

    def rate(self, *, again: bool = False) -> BlindRating:
        """Show pairs of answers side by side, without saying which is whose, and keep which one you prefer.

        Where the comparison was shown, in a page or a terminal, so are the pairs. In a script without a view, rate
        them with what is returned.

        Parameters
        ----------
        again : bool
            Whether to ask of pairs, too, that were rated before.

        Raises
        ------
        InvalidRequest
            If ratings could not be kept, or no pair is left.
        """
        rating = BlindRating.of(self.state, self._store, again=again)
        if self._view is not None:
            self._view.rate(rating, lambda: self.decide_all("human"))
        return rating

    def require(self, verdict: str) -> None:
        """See that every variant is what is required.

        Raises
        ------
        RequirementNotMet
            If one is not; ``better`` takes that verdict alone, ``not-worse`` also no difference that matters.
        """
        enough = (Verdict.BETTER,) if verdict == "better" else _NOT_WORSE
        for decision in self.decisions:
            if decision.verdict not in enough:
                raise RequirementNotMet(
                    f"{decision.variant} was required to be {verdict.replace('-', ' ')}. {decision.sentence}"
                )

    def with_state(self, state: ExperimentState) -> Comparison:
        """Return the same with another state."""
        return replace(self, state=state)

    def to_pandas(self) -> pd.DataFrame:
        """Return a data frame with a row a trial: variant, input, answer, scores, tokens, times, error."""
        import pandas as pd

        return pd.DataFrame([self._row(trial, each) for trial, each in self])

    def _row(self, trial: Trial, each: TrialState) -> dict[str, Any]:
        run, given = each.run, self.plan.inputs[trial.input]
        usage = run.result.usage
        return {
            "variant": self.plan.variants[trial.variant].name,
            "input": given.row.number,
            "repeat": trial.repeat,
            **{f"row.{name}": value for name, value in given.row.values.items()},
            "expected": given.expected,
            "answer": run.text if run.phase is Phase.DONE else None,
            "passed": passed(each),
            **self._judged(trial),
            **{score.name: score.value for score in each.scores},
            "finish_reason": run.result.finish_reason,
            "input_tokens": usage and usage.input_tokens,
            "output_tokens": usage and usage.output_tokens,
            "ttft": run.ttft,
            "latency": run.latency,
            "error": str(run.error) if run.error else next((s.error for s in each.scores if s.error), None),
            "log_id": run.result.log_id,
        }

    def _judged(self, trial: Trial) -> dict[str, int | None]:
        if not self.state.judgements:
            return {}
        judged = None if trial.repeat else self.state.judgements.get((trial.input, trial.variant))
        return {"judge": judged.preference if judged else None}

    def __repr__(self) -> str:
        said = " ".join(decision.sentence for decision in self.decisions)
        return f"<Comparison of {', '.join(variant.name for variant in self.plan.variants)}: {said}>"
