"""What a comparison is decided by: from its trials to the values that each variant reached on each input."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from cozeloop_magic.errors import InvalidRequest
from cozeloop_magic.lab.checks import says_yes_or_no
from cozeloop_magic.lab.plan import Plan, Trial
from cozeloop_magic.lab.state import ExperimentState, TrialState
from cozeloop_magic.lab.verdict import Decision, Measure, Value, Verdict, decide
from cozeloop_magic.lab.wording import JUDGE, PEOPLE
from cozeloop_magic.run.state import Phase

__all__ = ["PREFERENCES", "Preferences", "check_by", "check_measure", "decide_by", "decide_by_preference", "passed"]

PREFERENCES = ("human", "judge")
"""Measures that compare answers with one another, instead of each with a rule."""

_OF_ALL = ("pass", "tokens", "latency", *PREFERENCES)
_SHARE_OF_BASELINE = ("tokens", "latency")

Preferences = Mapping[tuple[int, int], int | None]
"""By input and variant: 1 where the variant is preferred to the baseline, -1 the other way, 0 for a tie."""


def check_measure(name: str, checks: Sequence[str], concurrency: int) -> None:
    """See that a comparison can be decided by a measure, before it is paid for.

    Raises
    ------
    InvalidRequest
        If there is no such measure, or it would measure something else.
    """
    known = [*_OF_ALL, *checks]
    if name not in known and name.partition(".")[0] not in checks:
        close = difflib.get_close_matches(name, known, n=1)
        meant = f" (did you mean {close[0]}?)" if close else ""
        raise InvalidRequest(f"Nothing here measures {name!r}{meant}.", hint=f"Decide by one of {', '.join(known)}.")
    if name == "latency" and concurrency > 1:
        raise InvalidRequest(
            f"With {concurrency} calls at once, times measure the queue.", hint="Compare latency with concurrency 1."
        )


def check_by(by: float, measure: str) -> None:
    """See that a smallest difference worth acting on is one, in the unit of what is decided by.

    Raises
    ------
    InvalidRequest
        If it is none: 5, meant as five points, would leave no difference that matters.
    """
    is_number = isinstance(by, (int, float)) and not isinstance(by, bool)
    most = 1 if measure in _OF_ALL or says_yes_or_no(measure) else math.inf
    if not is_number or not 0 <= by <= most:
        kind = "share, from 0 to 1" if most == 1 else "number, 0 or more"
        example = f"{by / 100:g} for {by:g} points" if is_number and 1 < by <= 100 else "0.1 for ten points"
        raise InvalidRequest(
            f"The smallest difference worth acting on is {by}; it must be a {kind}.",
            hint=f"Write {example}.",
        )


def passed(trial: TrialState) -> bool | None:
    """Whether all checks of an answer that say yes or no say yes; None where there is none, or one failed itself."""
    if any(score.error for score in trial.scores):
        return None
    verdicts = [score.value for score in trial.scores if isinstance(score.value, bool)]
    return all(verdicts) if verdicts else None


def decide_by(state: ExperimentState, name: str, *, by: float, level: float = 0.95, look: int = 1) -> list[Decision]:
    """Decide by a measure of single answers: ``pass``, a check's name, ``tokens`` or ``latency``.

    Parameters
    ----------
    by : float
        The smallest difference worth acting on: of shares as a share (0.1 is ten percentage points), of tokens and
        latency as a share of the baseline's mean, else in the check's own unit.
    """
    value_of = _value_of(name)
    values = {variant.name: _per_input(state, number, value_of) for number, variant in enumerate(state.plan.variants)}
    if all(value is None for per_input in values.values() for repeats in per_input for value in repeats):
        ended = any(trial.run.phase is Phase.DONE for trial in state.trials.values())
        raised = any(score.error for trial in state.trials.values() for score in trial.scores)
        values = {variant: [] for variant in values} if (ended and not raised) or not state.trials else values
    measure = _measure(name, values)
    if name in _SHARE_OF_BASELINE:
        first = [float(value) for repeats in next(iter(values.values())) for value in repeats if value is not None]
        by *= fmean(first) if first else 0.0
    why = _why_nothing(state, name)
    return [
        replace(decision, why=why) if decision.verdict is Verdict.NOTHING_TO_DECIDE_BY else decision
        for decision in decide(values, measure, by=by, level=level, look=look)
    ]


def _why_nothing(state: ExperimentState, name: str) -> str:
    """Say what could be decided by instead, where checks gave something else."""
    given = dict.fromkeys(score.name for trial in state.trials.values() for score in trial.scores)
    if not given or name in (*given, *_SHARE_OF_BASELINE):
        return ""
    what = "the checks give numbers alone" if name == "pass" else f"no check gives {name}"
    return f"{what}; --decide {' or '.join(given)} goes by one"


def decide_by_preference(
    plan: Plan, name: str, preferences: Preferences, *, by: float, level: float = 0.95, look: int = 1
) -> list[Decision]:
    """Decide by what people or a judge prefer: the share of preferences, a tie counting half for both."""
    baseline, *others = plan.variants
    strict = 1 - (1 - level) / max(1, len(others))  # each has its own pairs: Bonferroni
    decisions = []
    for number, variant in enumerate(others, 1):
        said = [preferences.get((each, number)) for each in range(len(plan.inputs))]
        first: list[list[Value]] = [[None if p is None else (1 - p) / 2] for p in said]
        second: list[list[Value]] = [[None if p is None else (1 + p) / 2] for p in said]
        rated = any(p is not None for p in said)
        values = {baseline.name: first if rated else [], variant.name: second if rated else []}
        measure = Measure(name, judges=PEOPLE if name == "human" else JUDGE)
        decisions += decide(values, measure, by=by, level=strict, look=look)
    return decisions


def _per_input(state: ExperimentState, variant: int, value_of: Callable[[TrialState], Value]) -> list[list[Value]]:
    plan = state.plan
    return [
        [value_of(state.trials[Trial(number, variant, repeat)]) for repeat in range(plan.repeat)]
        for number in range(len(plan.inputs))
    ]


def _value_of(name: str) -> Callable[[TrialState], Value]:
    """Return what gives a trial's value: None where its call did not come to its end."""
    read = {"pass": passed, "tokens": _tokens, "latency": lambda trial: trial.run.latency}.get(name) or _score(name)
    return lambda trial: read(trial) if trial.run.phase is Phase.DONE else None


def _tokens(trial: TrialState) -> Value:
    usage = trial.run.result.usage
    return None if usage is None or usage.output_tokens is None else float(usage.output_tokens)


def _score(name: str) -> Callable[[TrialState], Value]:
    return lambda trial: next((score.value for score in trial.scores if score.name == name), None)


def _measure(name: str, values: Mapping[str, Sequence[Sequence[Value]]]) -> Measure:
    if name == "tokens":
        return Measure("output", higher_is_better=False, unit="tokens")
    if name == "latency":
        return Measure(name, higher_is_better=False, unit="s")
    shares = all(
        value is None or isinstance(value, bool) or 0 <= value <= 1
        for per_input in values.values() for repeats in per_input for value in repeats
    )  # fmt: skip
    return Measure("the checks" if name == "pass" else name, unit="" if shares else " ")
