"""`batch`: run a prompt over every row of a table; each answer is kept at once, and none is paid for twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.prompt import ExecuteRequest, Message
from cozeloop_magic.errors import InvalidRequest, LoopError, RequirementNotMet
from cozeloop_magic.lab.checks import Check, parse_check
from cozeloop_magic.lab.events import Paced, Told
from cozeloop_magic.lab.inputs import Row, iterate_table
from cozeloop_magic.lab.limiter import Limiter
from cozeloop_magic.lab.scheduler import Scheduler
from cozeloop_magic.lab.tables import TableWriter, writer_for
from cozeloop_magic.lab.variants import ResolvedVariant, Variant, resolve_variants
from cozeloop_magic.run.drive import Stop
from cozeloop_magic.run.state import Phase, RunState, fold
from cozeloop_magic.store.key import Place, place_of, run_key
from cozeloop_magic.store.record import RunRecord
from cozeloop_magic.store.runs import RunStore, opened
from cozeloop_magic.template.check import check_variables

__all__ = ["BatchProgress", "batch"]

_AT_ONCE = 500  # rows that are looked for in the store together
_ENOUGH_TO_TELL = 20  # rows, before a share of failures means anything


@dataclass(frozen=True)
class BatchProgress:
    """How far a batch is.

    Attributes
    ----------
    done, failed, kept : int
        Rows that were answered, that failed, and, of the first, that were in the store.
    total : int or None
        How many rows there are, where that is known before the end.
    input_tokens, output_tokens : int
        What the calls of this run cost, as far as the server told.
    concurrency : int
        How many calls run at once, at most.
    """

    done: int = 0
    failed: int = 0
    kept: int = 0
    total: int | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    concurrency: int = 1

    def __str__(self) -> str:
        of = "" if self.total is None else f" of {self.total:,}"
        items = [
            f"{self.done + self.failed:,}{of} rows",
            self.kept and f"{self.kept:,} were in the store",
            self.failed and f"{self.failed:,} failed",
            self.output_tokens and f"{self.input_tokens:,} → {self.output_tokens:,} tokens",
            f"{self.concurrency} at once",
        ]
        return " · ".join(item for item in items if item)


def batch(
    client: Client,
    data: Any,
    prompt_key: str,
    *,
    variables: Mapping[str, str] | None = None,
    version: str | None = None,
    label: str | None = None,
    constants: Mapping[str, Any] | None = None,
    messages: Sequence[Message] = (),
    out: str = "answer",
    to: str | Path | None = None,
    checks: Iterable[str | Callable[..., Any]] = (),
    expect: str | None = None,
    json_columns: bool = False,
    concurrency: int = 16,
    rpm: float | None = None,
    tpm: float | None = None,
    sample: int | None = None,
    fail_above: float | None = None,
    fresh: bool = False,
    retry_errors: bool = False,
    store: RunStore | bool = True,
    stop: Stop | None = None,
    timeout: float | None = None,
    progress: Callable[[BatchProgress], object] | None = None,
    functions: Mapping[str, Any] | None = None,
) -> Any:
    """Run a prompt over a table, and return the table with its answers.

    Rows that are equal share one call. What the store has of an earlier batch is not asked for again. A row that
    fails never stops the others: its answer is null, and its ``error`` says why.

    Parameters
    ----------
    client : Client
        Who runs it.
    data : data frame, list of dicts, or path of a CSV or JSONL file
        What comes back is of the same kind; of a path, a list of dicts, or the path `to` where that is given.
    prompt_key : str
        The prompt.
    variables : mapping, optional
        Columns by variable; a variable that is not named takes the column of its own name.
    version, label : str, optional
        Which version; the latest, where neither is given.
    constants : mapping, optional
        Values of variables that are the same for every row.
    messages : sequence of Message
        Appended to the prompt.
    out : str
        The column that takes the answer.
    to : path, optional
        A CSV or JSONL file to write to, row by row and in order, whatever their number.
    checks, expect
        As in `compare`; each check becomes a column.
    json_columns : bool
        Whether an answer that is a JSON object becomes columns of its fields, too.
    concurrency : int
        How many calls run at once, at most; fewer where the server asks for patience.
    rpm, tpm : float, optional
        How many calls a minute may begin, and how many tokens a minute they may cost.
    sample : int, optional
        Run the first rows only, to look at what comes.
    fail_above : float, optional
        The share of failed rows above which the batch ends.
    fresh : bool
        Whether to ask for everything anew.
    retry_errors : bool
        Whether rows that failed before are asked for again.
    store : RunStore or bool
        Where answers are kept: the user's own store (none if ``COZELOOP_MAGIC_KEEP`` is 0), another, or nowhere.
    stop, timeout, progress
        What stops it; seconds for each call; what is told how far it is.
    functions : mapping, optional
        Where the check ``python:NAME`` is looked up.

    Returns
    -------
    data frame, list of dicts, or path
        With the columns `out`, ``finish_reason``, ``input_tokens``, ``output_tokens``, ``ttft``, ``latency``
        (seconds), ``error`` and ``log_id``. A stopped batch returns what came.

    Raises
    ------
    InvalidRequest
        If the table or what is asked cannot be used; nothing was run.
    RequirementNotMet
        If more rows failed than may; what came is in the store.
    LoopError
        If the prompt cannot be had, or answers cannot be kept.
    """
    if sample is not None and sample < 1:
        raise InvalidRequest(f"A sample of {sample} rows shows nothing.", hint="Write sample=5 (--sample 5).")
    made = [check if isinstance(check, Check) else parse_check(check, functions) for check in checks]
    (prompt,), _ = resolve_variants(client, [Variant(prompt_key, version, label)], timeout=timeout)
    limiter = Limiter(concurrency, rpm=rpm, tpm=tpm)
    rows = iterate_table(data)
    writer = writer_for(data, to)
    columns = _Columns(prompt, variables or {}, constants or {}, out, made, expect, json_columns)
    with ExitStack() as resources:
        resources.enter_context(writer)
        kept = resources.enter_context(opened(store))
        job = _Job(
            client, prompt, columns, tuple(messages), limiter, stop or Stop(), kept, place_of(client.connect()),
            fresh, retry_errors, fail_above, timeout, progress,
        )  # fmt: skip
        job.run(islice(rows, sample) if sample is not None else rows, writer, _length(data, sample))
    return writer.result()


def _length(data: Any, sample: int | None) -> int | None:
    if isinstance(data, (str, Path)) or not hasattr(data, "__len__"):
        return sample
    return min(len(data), sample) if sample is not None else len(data)


@dataclass
class _Columns:
    """From a row to the values of the prompt's variables, and from a run to the columns that it adds."""

    prompt: ResolvedVariant
    mapped: Mapping[str, str]
    constants: Mapping[str, Any]
    out: str
    checks: Sequence[Check]
    expect: str | None
    json_columns: bool

    def values(self, row: Row) -> dict[str, Any]:
        """Return the variables' values, checked against the prompt's definition."""
        declared = self.prompt.declared
        values = dict(self.constants) | {variable: row[column] for variable, column in self.mapped.items()}
        for name in declared if declared is not None else row.values:
            if name not in values and name in row.values:
                values[name] = row[name]
        if self.prompt.prompt is not None:
            check_variables(self.prompt.prompt, values)
        return values

    def added(self, row: Row, run: RunState | None, error: str | None = None) -> dict[str, Any]:
        """Return the columns that an answer adds; of a row without one, all but the error are null."""
        done = run is not None and run.phase is Phase.DONE
        usage = run.result.usage if run and done else None
        failed = str(run.error) if run is not None and run.error is not None else error
        added = {
            self.out: run.text if run and done else None,
            "finish_reason": run.result.finish_reason if run and done else None,
            "input_tokens": usage.input_tokens if usage else None,
            "output_tokens": usage.output_tokens if usage else None,
            "ttft": run.ttft if run else None,
            "latency": run.latency if run else None,
            "error": failed,
            "log_id": (run.result.log_id or (run.error.log_id if run.error else None)) if run else None,
        }
        if run is not None and done:
            added |= self._checked(row, run, added) | self._fields(run.text, added)
        return added

    def _checked(self, row: Row, run: RunState, added: dict[str, Any]) -> dict[str, Any]:
        expected = row.values.get(self.expect) if self.expect else None
        scores = [score for check in self.checks for score in check(run.result, row.values, expected)]
        problems = [score.error for score in scores if score.error]
        if problems:
            added["error"] = "; ".join(problems)
        return {score.name: score.value for score in scores}

    def _fields(self, text: str, added: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of a JSON answer; one that is none keeps its text and says so."""
        if not self.json_columns:
            return {}
        try:
            value = json.loads(text)
        except ValueError as error:
            added["error"] = f"the answer is no JSON: {error}"
            return {}
        if not isinstance(value, dict):
            added["error"] = "the answer is JSON, but no object"
            return {}
        return {f"{self.out}.{name}": each for name, each in value.items()}


@dataclass
class _Job:
    """The rows of one batch: from the store or by a call, kept, and handed on in their order."""

    client: Client
    prompt: ResolvedVariant
    columns: _Columns
    messages: tuple[Message, ...]
    limiter: Limiter
    stop: Stop
    store: RunStore | None
    place: Place
    fresh: bool
    retry_errors: bool
    fail_above: float | None
    timeout: float | None
    progress: Callable[[BatchProgress], object] | None
    counted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("done", "failed", "kept", "in", "out"), 0))

    def run(self, rows: Iterable[Row], writer: TableWriter, total: int | None) -> None:
        """Run the rows and write each in its turn."""
        self._writer, self._total = writer, total
        self._waiting: dict[str, list[Row]] = {}  # rows by the key of the call they wait for
        self._requests: dict[str, ExecuteRequest] = {}
        self._lock = threading.Lock()
        scheduler: Scheduler[str] = Scheduler(
            self.client, self._requests.__getitem__, self.limiter, self.stop,
            keep=self._keep, stream=True, timeout=self.timeout,
        )  # fmt: skip
        runs: dict[str, RunState] = {}
        with self.stop.on_interrupt():
            for told in scheduler.run(self._calls(rows), interval=0.1):
                for item in told:
                    if isinstance(item, Told):
                        self._take(item, runs)
                    elif isinstance(item, Paced):
                        self._tell()
                self._tell()
        self._tell()
        for left in self._waiting.values():
            for row in left:
                self._write(row, None, "it was not run: the batch was stopped")

    def _calls(self, rows: Iterable[Row]) -> Iterator[str]:
        """Yield the keys of the calls to make, in a worker's thread; what the store has is written at once."""
        source = iter(rows)
        while some := list(islice(source, _AT_ONCE)):
            keys: dict[str, list[Row]] = {}
            for row in some:
                if (key := self._key(row)) is not None:
                    keys.setdefault(key, []).append(row)
            kept = self.store.find(keys) if self.store is not None and not self.fresh else {}
            for key, equal in keys.items():
                record = kept.get(key)
                if record is not None and (record.phase is Phase.DONE or not self.retry_errors):
                    self.counted["kept"] += len(equal)
                    self._settle(equal, record.state())
                elif self._waits(key, equal):
                    yield key

    def _waits(self, key: str, equal: list[Row]) -> bool:
        """Have rows wait for a call; tell whether it is yet to be made."""
        with self._lock:
            is_new = key not in self._waiting
            self._waiting.setdefault(key, []).extend(equal)
        return is_new

    def _key(self, row: Row) -> str | None:
        """Return the key of a row's call; a row that cannot be sent is written with what is wrong with it."""
        try:
            values, prompt = self.columns.values(row), self.prompt
            request = ExecuteRequest(prompt.prompt_key, prompt.version, variable_vals=values, messages=self.messages)
            key = run_key(self.place, request, self.prompt.definition)
        except LoopError as error:
            if row.number == 0:
                raise  # most likely all rows are like this one
            self._write(row, None, str(error))
            return None
        self._requests[key] = request
        return key

    def _keep(self, key: str, run: RunState) -> None:
        if self.store is not None and run.phase in (Phase.DONE, Phase.FAILED):
            self.store.put(RunRecord.of(key, run, label=self.prompt.asked.label))

    def _take(self, told: Told[str], runs: dict[str, RunState]) -> None:
        key = told.task
        run = runs[key] = fold(runs.get(key) or RunState(self._requests[key]), told.event)
        if not run.ended:
            return
        usage = run.result.usage
        self.counted["in"] += (usage and usage.input_tokens) or 0
        self.counted["out"] += (usage and usage.output_tokens) or 0
        del runs[key]
        with self._lock:
            equal = self._waiting.pop(key)
            del self._requests[key]
        self._settle(equal, run)

    def _settle(self, equal: Iterable[Row], run: RunState) -> None:
        for row in equal:
            self._write(row, run)

    def _write(self, row: Row, run: RunState | None, error: str | None = None) -> None:
        with self._lock:
            self.counted["done" if run is not None and run.phase is Phase.DONE else "failed"] += 1
            failed, ended = self.counted["failed"], self.counted["done"] + self.counted["failed"]
        self._writer.put(row, self.columns.added(row, run, error))
        if self.fail_above is not None and ended >= _ENOUGH_TO_TELL and failed > self.fail_above * ended:
            last = error or (run and run.error)
            raise RequirementNotMet(
                f"{failed:,} of {ended:,} rows failed, more than {self.fail_above:.0%}; the last said: {last}",
                hint="What came is kept: mend what is wrong, and run it again with retry_errors (--retry-errors).",
            )

    def _tell(self) -> None:
        if self.progress is not None:
            counted = self.counted
            self.progress(
                BatchProgress(
                    counted["done"], counted["failed"], counted["kept"], self._total,
                    counted["in"], counted["out"], self.limiter.concurrency,
                )
            )  # fmt: skip
