"""Running a prompt as judge over the answers of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.prompt import ExecuteRequest
from cozeloop_magic.errors import InvalidRequest
from cozeloop_magic.lab.events import Paced, Told
from cozeloop_magic.lab.judge import Judgement, combine, judge_variables
from cozeloop_magic.lab.limiter import Limiter
from cozeloop_magic.lab.plan import Plan, Trial
from cozeloop_magic.lab.scheduler import Scheduler
from cozeloop_magic.lab.state import ExperimentState, Judged
from cozeloop_magic.lab.variants import ResolvedVariant, resolve_variants
from cozeloop_magic.run.drive import Stop
from cozeloop_magic.run.state import Phase, RunState, fold
from cozeloop_magic.store.key import run_key
from cozeloop_magic.store.record import RunRecord
from cozeloop_magic.store.runs import RunStore

__all__ = ["Judge", "judge_pairs"]

_VARIABLES = ("input", "expected", "a", "b")


class _Question(NamedTuple):
    """Which of two answers to one input is better, in one order."""

    input: int
    variant: int
    swapped: bool


@dataclass(frozen=True)
class Judge:
    """A version of a prompt that judges."""

    prompt: ResolvedVariant

    def key(self, state: ExperimentState, question: _Question) -> str:
        """Give the key that its answer is kept under."""
        return run_key(state.plan.place, self.request(state, question), self.prompt.definition)

    @classmethod
    def of(cls, client: Client, written: str, plan: Plan) -> Judge:
        """Find the judging prompt.

        Raises
        ------
        InvalidRequest
            If it does not take the variables ``a`` and ``b``, or takes others than a judge is given.
        """
        (prompt,), _ = resolve_variants(client, [written])
        declared = prompt.declared
        if declared is not None and ({"a", "b"} - declared or declared - set(_VARIABLES)):
            raise InvalidRequest(
                f"The prompt {written} cannot judge: its variables are {', '.join(sorted(declared)) or 'none'}.",
                hint=f"A judge takes {', '.join(_VARIABLES)}, of which a and b must be there.",
            )
        return cls(prompt)

    def request(self, state: ExperimentState, question: _Question) -> ExecuteRequest:
        """Return what it is asked of one pair, in one order."""
        given = state.plan.inputs[question.input]
        numbers = (question.variant, 0) if question.swapped else (0, question.variant)
        first, second = (state.trials[Trial(question.input, number)].run.text for number in numbers)
        variables = judge_variables(dict(given.values), given.expected, first, second)
        declared = self.prompt.declared
        chosen = {name: value for name, value in variables.items() if declared is None or name in declared}
        return ExecuteRequest(self.prompt.prompt_key, self.prompt.version, variable_vals=chosen)


def judge_pairs(
    client: Client,
    judge: Judge,
    state: ExperimentState,
    limiter: Limiter,
    stop: Stop,
    *,
    store: RunStore | None = None,
    fresh: bool = False,
    timeout: float | None = None,
) -> Iterator[list[Judged | Paced]]:
    """Have every variant's first answer judged against the baseline's, in both orders; a stop leaves some out.

    Answers that are the same are a tie, and nobody is asked. What was asked before is in the store, and not asked
    again unless `fresh`.

    Yields
    ------
    list of Judged or Paced
        What happened of a moment, a pair's judgement as soon as both its orders are there.
    """
    pairs = {pair: _texts(state, pair) for pair in _pairs(state)}
    asked = dict.fromkeys(pair for pair, (first, second) in pairs.items() if first != second)
    questions = [_Question(*pair, swapped) for pair in asked for swapped in (False, True)]
    runs = {each: RunState(judge.request(state, each)) for each in questions}
    keys = {each: judge.key(state, each) for each in questions} if store is not None else {}
    if store is not None and not fresh:
        kept = store.find(keys.values())
        runs |= {each: kept[key].state() for each, key in keys.items() if _answered(kept.get(key))}
    yield [Judged(*pair, Judgement(0, equal=True)) for pair in pairs if pair not in asked]
    yield list(_judged(runs, asked))

    def keep(ended: Iterable[tuple[_Question, RunState]]) -> None:
        if store is not None:
            label = judge.prompt.asked.label
            store.put_all(RunRecord.of(keys[each], run, label=label) for each, run in ended if run.received)

    scheduler = Scheduler(client, lambda each: runs[each].request, limiter, stop, keep=keep, timeout=timeout)
    for batch in scheduler.run([each for each in questions if not runs[each].ended]):
        told = [item for item in batch if isinstance(item, Told)]
        for item in told:
            runs[item.task] = fold(runs[item.task], item.event)
        touched = dict.fromkeys((item.task.input, item.task.variant) for item in told)
        yield [*_judged(runs, touched), *(item for item in batch if isinstance(item, Paced))]


def _answered(kept: RunRecord | None) -> bool:
    return kept is not None and kept.phase is Phase.DONE


def _pairs(state: ExperimentState) -> Iterator[tuple[int, int]]:
    """Yield the pairs of which both have an answer."""
    for number in range(len(state.plan.inputs)):
        for variant in range(1, len(state.plan.variants)):
            if all(state.trials[Trial(number, each)].run.phase is Phase.DONE for each in (0, variant)):
                yield number, variant


def _texts(state: ExperimentState, pair: tuple[int, int]) -> tuple[str, str]:
    number, variant = pair
    return state.trials[Trial(number, 0)].run.text, state.trials[Trial(number, variant)].run.text


def _judged(runs: Mapping[_Question, RunState], pairs: Iterable[tuple[int, int]]) -> Iterator[Judged]:
    """Yield what is said of the pairs that both orders of have ended."""
    for pair in pairs:
        both = runs[_Question(*pair, False)], runs[_Question(*pair, True)]
        if all(run.ended for run in both):
            usages = tuple(run.result.usage for run in both if run.result.usage is not None)
            yield Judged(*pair, replace(_judgement(*both), usages=usages))


def _judgement(baseline_first: RunState, variant_first: RunState) -> Judgement:
    for run in (baseline_first, variant_first):
        if run.phase is not Phase.DONE:
            why = run.error.message if run.error else "it was stopped"
            return Judgement(None, error=f"the judge did not answer: {why}")
    return combine(baseline_first.text, variant_first.text)
