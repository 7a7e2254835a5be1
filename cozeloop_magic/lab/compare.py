"""`compare`: run variants of a prompt on the same inputs, keep every answer, and say what that shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cozeloop_magic.client.client import Client
from cozeloop_magic.client.request import execute_body
from cozeloop_magic.entities.prompt import Message
from cozeloop_magic.errors import InvalidRequest
from cozeloop_magic.lab.checks import Check, check_expected, parse_check
from cozeloop_magic.lab.comparison import Comparison
from cozeloop_magic.lab.events import Told, with_result
from cozeloop_magic.lab.judging import Judge, judge_pairs
from cozeloop_magic.lab.limiter import Limiter
from cozeloop_magic.lab.measures import check_by, check_measure
from cozeloop_magic.lab.plan import Plan, Trial, make_plan
from cozeloop_magic.lab.scheduler import Scheduler
from cozeloop_magic.lab.state import (
    Decided,
    Event,
    ExperimentState,
    ExperimentView,
    Noted,
    Scored,
    fold,
)
from cozeloop_magic.lab.variants import Variant
from cozeloop_magic.lab.verdict import inputs_to_show_anything, what_can_be_shown
from cozeloop_magic.run.answer import Answer
from cozeloop_magic.run.drive import Stop
from cozeloop_magic.run.state import Interrupted, Phase, RunState
from cozeloop_magic.store.jobs import Job, JobState
from cozeloop_magic.store.record import RunRecord
from cozeloop_magic.store.runs import RunStore, opened

__all__ = ["compare"]

_VERDICTS = ("better", "not-worse")
_LOOKS = (
    "This is look {look} at the same question on inputs that were looked at before: who looks often finds something "
    "by chance, so each further look is judged more strictly."
)


def compare(
    client: Client,
    variants: Iterable[Variant | str] | Variant | str,
    inputs: Any = None,
    *,
    variables: Mapping[str, Any] | None = None,
    map: Mapping[str, str] | None = None,
    expect: str | None = None,
    messages: Sequence[Message] = (),
    repeat: int = 1,
    checks: Iterable[str | Callable[..., Any]] = (),
    judge: str | None = None,
    decide: str | None = None,
    by: float = 0.1,
    concurrency: int = 4,
    max_runs: int = 60,
    seed: int = 0,
    fresh: bool = False,
    retry_errors: bool = False,
    cache: bool = False,
    require: str | None = None,
    prices: Mapping[str, float] | None = None,
    store: RunStore | bool = True,
    view: ExperimentView | None = None,
    stop: Stop | None = None,
    timeout: float | None = None,
    interval: float = 0.1,
    functions: Mapping[str, Any] | None = None,
) -> Comparison:
    """Compare variants of a prompt on the same inputs.

    Parameters
    ----------
    client : Client
        Who runs them.
    variants : iterable of str or Variant
        ``KEY@VERSION``, ``KEY:LABEL`` or ``KEY``, each with settings of the model behind it
        (``"greet@1.0.0 temperature=0.7"``). The first is the baseline.
    inputs : data frame, iterable of mappings, or path of a CSV or JSONL file
        One input a row: its columns are the prompt's variables by name. Without it, `variables` alone is the input.
    variables : mapping, optional
        Values that are the same for every input.
    map : mapping, optional
        Columns by variable, where the names differ.
    expect : str, optional
        The column that holds what an answer should be.
    messages : sequence of Message
        Appended to every prompt.
    repeat : int
        How often each variant answers each input. Repeats are averaged into their input.
    checks : iterable of str or callable
        What an answer must be; see `cozeloop_magic.lab.checks.parse_check`.
    judge : str, optional
        ``KEY@VERSION`` of a prompt that says which of two answers is better, asked in both orders.
    decide : str, optional
        What to decide by: ``pass`` (all checks), a check's name, ``judge``, ``human``, ``tokens`` or ``latency``.
        Without it, all checks; the judge where there is one and no check.
    by : float
        The smallest difference worth acting on: 0.1 is ten percentage points, or a tenth of the baseline's tokens.
    concurrency : int
        How many calls run at once, at most; fewer where the server asks for patience.
    max_runs : int
        How many runs there may be.
    seed : int
        Of the order of runs.
    fresh : bool
        Whether to run everything anew, also what an earlier run that did not come to its end has left.
    retry_errors : bool
        Whether to run again what failed in the last comparison of this kind, and only that.
    cache : bool
        Whether kept answers of any earlier run may stand in for calls.
    require : str, optional
        ``better`` or ``not-worse``: anything else is an error, after everything was shown.
    prices : mapping, optional
        ``{"input": …, "output": …}``, money for a million tokens.
    store : RunStore or bool
        Where runs are kept: the user's own store (none if ``COZELOOP_MAGIC_KEEP`` is 0), another one, or nowhere.
    view, stop, timeout, interval
        What draws it, what stops it, seconds for each call, and seconds between two drawings.
    functions : mapping, optional
        Where the check ``python:NAME`` is looked up.

    Raises
    ------
    InvalidRequest
        If it cannot be run as it is asked for; nothing was run.
    RequirementNotMet
        If it does not show what is required; its ``result`` is the comparison.
    LoopError
        If a prompt cannot be had, or runs cannot be kept; then ``result`` is the comparison as far as it came. A
        failed call raises nothing: its trial says why.
    """
    made = [check if isinstance(check, Check) else parse_check(check, functions) for check in checks]
    check_expected(made, expect)
    measure = decide or ("judge" if judge and not made else "pass")
    check_measure(measure, [check.name for check in made], concurrency)
    check_by(by, measure)
    _check_requirement(require, nothing=measure == "pass" and not made)
    asked = [variants] if isinstance(variants, (str, Variant)) else variants
    plan = make_plan(
        client, asked, inputs, variables=variables, map=map, expect=expect, messages=messages,
        repeat=repeat, seed=seed, max_runs=max_runs, timeout=timeout,
    )  # fmt: skip
    if require and len(plan.variants) == 1:
        raise InvalidRequest(
            f"There is one variant alone, {plan.variants[0].name}; nothing can be required of it.",
            hint="Name the one it is to be compared with, as the first.",
        )
    jury = Judge.of(client, judge, plan) if judge else None
    if measure == "judge" and jury is None:
        raise InvalidRequest("No judge is named to decide by.", hint="Name one: --judge KEY@VERSION.")
    with opened(store) as kept:
        experiment = _Experiment(client, plan, made, measure, by, kept, view, stop or Stop(), concurrency)
        came = with_result(lambda: experiment.comparison(prices, store))
        with came, experiment.stop.on_interrupt(), experiment.finished():
            experiment.run(fresh, retry_errors, cache, timeout, interval)
            if jury is not None and not experiment.stop.asked:
                experiment.judge(jury, fresh, timeout)
            comparison = experiment.comparison(prices, store)
            said = [Noted(note) for note in (comparison.judge_note, comparison.check_note) if note]
            experiment.shown(*said, Decided(tuple(comparison.decide_all())))
            comparison = comparison.with_state(experiment.state)
    if require:
        with with_result(lambda: comparison):
            comparison.require(require)
    return comparison


def _check_requirement(require: str | None, *, nothing: bool) -> None:
    if require not in (None, *_VERDICTS):
        raise InvalidRequest(f"{require!r} cannot be required.", hint=f"Require {' or '.join(_VERDICTS)}.")
    if require and nothing:
        raise InvalidRequest(
            f"Nothing could show that a variant is {require.replace('-', ' ')}.",
            hint="Name a check (--check), a judge, or --decide human, tokens or latency.",
        )


@dataclass
class _Experiment:
    """The trials of one comparison: taken from the store or run, checked, kept and shown."""

    client: Client
    plan: Plan
    checks: Sequence[Check]
    measure: str
    by: float
    store: RunStore | None
    view: ExperimentView | None
    stop: Stop
    concurrency: int
    job: int | None = None
    look: int = 1

    def __post_init__(self) -> None:
        self.limiter = Limiter(self.concurrency)
        self.state = ExperimentState.of(self.plan, self.limiter.concurrency)

    def run(self, fresh: bool, retry_errors: bool, cache: bool, timeout: float | None, interval: float) -> None:
        """Run what is not kept yet."""
        kept = self._kept(fresh, retry_errors, cache)
        self._begin()
        events: list[Event] = [Noted(f"{self.plan} {self._promise()}")]
        if self.look > 1:
            events.append(Noted(_LOOKS.format(look=self.look)))
        if kept:
            events.append(Noted(_in_store(kept.values(), len(self.plan))))
        self.shown(*events, *(Told(trial, event) for trial, run in kept.items() for event in run.events()))
        todo = [trial for trial in self.plan.trials() if trial not in kept]
        scheduler = Scheduler(
            self.client, lambda trial: self.state.trials[trial].run.request, self.limiter, self.stop,
            keep=self._keep, shows=self.view.shows if self.view else None, timeout=timeout,
        )  # fmt: skip
        for batch in scheduler.run(todo, interval):
            self.shown(*batch)

    def comparison(self, prices: Mapping[str, float] | None, store: RunStore | bool) -> Comparison:
        """Give it as far as it has come."""
        return Comparison(
            self.state, self.measure, self.by, self.look, self.concurrency, prices, store, self.view
        )  # fmt: skip

    def judge(self, jury: Judge, fresh: bool, timeout: float | None) -> None:
        """Have the answers judged; what was judged before is not asked again."""
        limiter = Limiter(self.concurrency)
        for batch in judge_pairs(
            self.client, jury, self.state, limiter, self.stop, store=self.store, fresh=fresh, timeout=timeout
        ):
            self.shown(*batch)

    def _promise(self) -> str:
        """Say what it can show."""
        inputs, variants = len(self.plan.inputs), len(self.plan.variants)
        if variants == 1:
            return "There is nothing to compare it with; this is a look, not a test."
        if self.measure == "pass" and not self.checks and inputs >= inputs_to_show_anything():
            return "No check is named to decide by; this is a look, not a test."
        shares = self.measure not in ("tokens", "latency")
        return what_can_be_shown(inputs, variants, by=self.by, shares=shares, look=self.look)

    @contextmanager
    def finished(self) -> Iterator[None]:
        """Draw the last state in the end, and note in the store how far it came.

        Where something ends it early, a full disk say, what came is drawn all the same.
        """
        try:
            yield
        except BaseException:
            under_way = [trial for trial, each in self.state.trials.items() if each.run.phase is Phase.STREAMING]
            self.state = fold(self.state, *(Told(trial, Interrupted(0.0)) for trial in under_way))
            self._finish(self.state)
            raise
        self._finish(self.state)
        if self.store is not None and self.job is not None:
            whole = self.state.complete and not self.stop.asked
            self.store.jobs.end(self.job, JobState.COMPLETE if whole else JobState.STOPPED)

    def _finish(self, state: ExperimentState) -> None:
        if self.view is not None:
            self.view.finish(state)

    def _kept(self, fresh: bool, retry_errors: bool, cache: bool) -> dict[Trial, RunRecord]:
        """Find what needs no call: runs of a comparison that did not come to its end, or of any, if asked for."""
        if self.store is None or fresh:
            return {}
        latest = self.store.jobs.latest(self.plan.digest)
        again = latest is not None and (latest.state is not JobState.COMPLETE or retry_errors)
        self.job = latest.id if again and latest is not None else None
        if self.job is None and not cache:
            return {}
        keys = {trial: self.plan.key(trial) for trial in self.plan.trials()}
        found = self.store.find(keys.values(), job=self.job)
        kept = {trial: found[key] for trial, key in keys.items() if key in found}
        done_only = retry_errors or self.job is None
        kept = {trial: run for trial, run in kept.items() if run.phase is Phase.DONE or not done_only}
        if latest is not None and latest.question == self._question and len(kept) == len(keys):
            self.job = latest.id  # the same answers to the same question: no further look
        return kept

    @property
    def _question(self) -> str:
        return f"{self.measure} ±{self.by:g} {[check.name for check in self.checks]}"

    def _begin(self) -> None:
        if self.store is None:
            return
        inputs = [each.digest for each in self.plan.inputs]
        plan = self.plan
        job = Job("compare", plan.digest, plan.subject, self._question, len(plan), time.time())
        self.job = self.job or self.store.jobs.begin(job, inputs)
        self.look = self.store.jobs.count_looks(job, inputs, before=self.job) + 1

    def _keep(self, runs: Iterable[tuple[Trial, RunState]]) -> None:
        if self.store is not None:
            self.store.put_all(self._record(trial, run) for trial, run in runs if run.received)

    def _record(self, trial: Trial, run: RunState) -> RunRecord:
        label, body = self.plan.variants[trial.variant].asked.label, execute_body(run.request)
        return RunRecord.of(self.plan.key(trial, body), run, job=self.job, label=label, body=body)

    def shown(self, *events: Event) -> None:
        """Fold what happened and what the checks say of it, and draw it."""
        self.state = fold(self.state, *events)
        if self.checks:
            self.state = fold(self.state, *self._scores(events))
        if self.view is not None:
            self.view.update(self.state)

    def _scores(self, events: Sequence[Event]) -> Iterator[Scored]:
        for trial in dict.fromkeys(event.task for event in events if isinstance(event, Told)):
            each = self.state.trials[trial]
            if each.run.phase is Phase.DONE and not each.scores:
                given = self.plan.inputs[trial.input]
                scores = (check(Answer(each.run), given.row.values, given.expected) for check in self.checks)
                yield Scored(trial, tuple(score for made in scores for score in made))


def _in_store(kept: Collection[RunRecord], total: int) -> str:
    """Say how many runs need no call, and how many of these failed."""
    failed = sum(run.phase is Phase.FAILED for run in kept)
    of_which = f", {failed:,} of them failed (--retry-errors runs those again)" if failed else ""
    return f"{len(kept):,} of {total:,} runs are in the store{of_which}."
