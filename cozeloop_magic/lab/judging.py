"""Running a prompt as judge over the answers of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.prompt import ExecuteRequest
from cozeloop_magic.errors import InvalidRequest
from cozeloop_magic.lab.events import Told
from cozeloop_magic.lab.judge import Judgement, combine, judge_variables
from cozeloop_magic.lab.limiter import Limiter
from cozeloop_magic.lab.plan import Plan, Trial
from cozeloop_magic.lab.scheduler import Scheduler
from cozeloop_magic.lab.state import ExperimentState
from cozeloop_magic.lab.variants import ResolvedVariant, resolve_variants
from cozeloop_magic.run.drive import Stop
from cozeloop_magic.run.state import Phase, RunState, fold

__all__ = ["Judge", "Judgements", "judge_pairs"]

_VARIABLES = ("input", "expected", "a", "b")

Judgements = Mapping[tuple[int, int], Judgement]
"""By input and variant."""


class _Question(NamedTuple):
    """Which of two answers to one input is better, in one order."""

    input: int
    variant: int
    swapped: bool


@dataclass(frozen=True)
class Judge:
    """A version of a prompt that judges."""

    prompt: ResolvedVariant

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
    timeout: float | None = None,
) -> dict[tuple[int, int], Judgement]:
    """Have every variant's first answer judged against the baseline's, in both orders; a stop leaves some out."""
    pairs = [
        (number, variant)
        for number in range(len(state.plan.inputs))
        for variant in range(1, len(state.plan.variants))
        if all(state.trials[Trial(number, each)].run.phase is Phase.DONE for each in (0, variant))
    ]
    questions = [_Question(*pair, swapped) for pair in pairs for swapped in (False, True)]
    runs = {each: RunState(judge.request(state, each)) for each in questions}

    def request_of(question: _Question) -> ExecuteRequest:
        return judge.request(state, question)

    scheduler: Scheduler[_Question] = Scheduler(client, request_of, limiter, stop, timeout=timeout)
    for batch in scheduler.run(questions):
        for item in batch:
            if isinstance(item, Told):
                runs[item.task] = fold(runs[item.task], item.event)
    return {pair: _judgement(runs[_Question(*pair, False)], runs[_Question(*pair, True)]) for pair in pairs}


def _judgement(baseline_first: RunState, variant_first: RunState) -> Judgement:
    for run in (baseline_first, variant_first):
        if run.phase is not Phase.DONE:
            why = run.error.message if run.error else "it was stopped"
            return Judgement(None, error=f"the judge did not answer: {why}")
    return combine(baseline_first.text, variant_first.text)
