"""The rows of one table: from the store or by a call, each kept at once, and handed on in their order."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from cozeloop_magic.client.request import execute_body
from cozeloop_magic.entities.prompt import ExecuteRequest, Message
from cozeloop_magic.errors import LoopError, RequirementNotMet
from cozeloop_magic.lab.columns import RowColumns
from cozeloop_magic.lab.events import Paced, Told
from cozeloop_magic.lab.inputs import EmptyCell, Row
from cozeloop_magic.lab.progress import BatchProgress, FirstLook, duration
from cozeloop_magic.lab.tables import TableWriter
from cozeloop_magic.run.drive import Stop
from cozeloop_magic.run.state import ENDS, Phase, RunState
from cozeloop_magic.store.jobs import Job, JobState
from cozeloop_magic.store.key import Place, body_key, digest_of
from cozeloop_magic.store.record import RunRecord
from cozeloop_magic.store.runs import RunStore

__all__ = ["Call", "TableJob"]

_AT_ONCE = 500  # rows that are looked for in the store together
_ENOUGH_TO_TELL = 20  # rows, before a share of failures means anything
_RECENT = 10_000  # runs that are remembered for equal rows, where there is no store


@dataclass(frozen=True)
class Call:
    """A call to make for a row, and for all that are equal to it."""

    key: str
    request: ExecuteRequest
    body: Mapping[str, Any]


Engine = Callable[[Iterator[str]], Iterable[Sequence[Told[str] | Paced]]]
"""Makes the calls of keys, several at once, and tells what happens."""


class TableJob:
    """Runs a table.

    Parameters
    ----------
    columns : RowColumns
        What is taken from a row and added to it.
    messages : sequence of Message
        Appended to every prompt.
    place : Place
        Who answers.
    store : RunStore or None
        Where answers are kept, and looked for.
    writer : TableWriter
        Takes the rows.
    stop : Stop
        What stops it.
    fresh, retry_errors : bool
        Whether to ask for everything anew, or for what failed before.
    fail_above : float, optional
        The share of failed rows above which it ends.
    progress : callable, optional
        What is told how far it is.
    total : int, optional
        How many rows there are.
    source : str
        The path of the table, if it is a file.
    concurrency : int
        How many calls run at once, at most.
    """

    def __init__(
        self,
        columns: RowColumns,
        messages: Sequence[Message],
        place: Place,
        store: RunStore | None,
        writer: TableWriter,
        stop: Stop,
        *,
        fresh: bool = False,
        retry_errors: bool = False,
        fail_above: float | None = None,
        progress: Callable[[BatchProgress], object] | None = None,
        total: int | None = None,
        source: str = "",
        concurrency: int = 1,
    ) -> None:
        self.progress = BatchProgress(total=total, concurrency=concurrency)
        self._columns = columns
        self._messages = tuple(messages)
        self._place = place
        self._store = store
        self._writer = writer
        self._stop = stop
        self._fresh = fresh
        self._retry_errors = retry_errors
        self._fail_above = fail_above
        self._told = progress
        self._waiting: dict[str, list[Row]] = {}  # rows by the key of the call they wait for
        self._calls: dict[str, Call] = {}
        self._ended: dict[str, RunState] = {}
        self._looked_at: dict[int, Call] = {}  # by the number of a row, from the first look to the run
        self._recent: OrderedDict[str, RunState] = OrderedDict()
        self._lock = threading.Lock()
        self._began = time.monotonic()
        asked = [columns.prompt.identity, columns.mapped, columns.constants, [each.to_json() for each in messages]]
        where = [place.origin, place.workspace_id, place.model]
        self._plan = digest_of(["batch", where, asked, source or total])
        self._seen = _Seen()
        self._job: int | None = None
        self._jobs: frozenset[int] = frozenset()  # earlier ones of the same plan

    def __enter__(self) -> TableJob:
        if self._store is not None:
            self._jobs = self._store.jobs.of_plan(self._plan)
            job = Job("batch", self._plan, self._columns.prompt.identity, "", self.progress.total or 0, time.time())
            self._job = self._store.jobs.begin(job)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Note how it ended; what an earlier one left unfinished is finished with it."""
        if self._store is None or self._job is None:
            return
        if kind is not None or self._stop.asked:
            self._store.jobs.end(self._job, JobState.STOPPED)
            return
        for number in (*self._jobs, self._job):
            self._store.jobs.end(number, JobState.COMPLETE)

    def request_of(self, key: str) -> ExecuteRequest:
        """Give what a call asks."""
        return self._calls[key].request

    def body_of(self, key: str) -> Mapping[str, Any]:
        """Give what goes over the wire."""
        return self._calls[key].body

    # The first look.

    def look(self, rows: Iterable[Row], most: int, *, remember: bool = False) -> FirstLook:
        """Look at all rows, but only at `most` of them for those that are equal or in the store.

        Parameters
        ----------
        rows : iterable of Row
            The table.
        most : int
            How many rows are looked at.
        remember : bool
            Whether they are run next: what each asks is worked out once.
        """
        counted: dict[str, int] = {}
        number = bad = 0
        for number, row in enumerate(rows, 1):
            if number > most or self._stop.asked:
                continue
            try:
                call = self._call(row)
                counted[call.key] = counted.get(call.key, 0) + 1
                if remember:
                    self._looked_at[row.number] = call
            except LoopError as error:
                if row.number == 0 and not isinstance(error, EmptyCell):
                    raise
                bad += 1
        kept = {} if self._store is None or self._fresh else self._store.phases(counted)
        stands = {key for key, (phase, job) in kept.items() if self._stands(phase, job)}
        looked_at = min(number, most)
        look = FirstLook(
            number,
            looked_at,
            looked_at - bad - len(counted),
            sum(counted[key] for key in stands),
            len(counted) - len(stands) + number - looked_at,
        )
        self._change(look=look)
        self._tell()
        return look

    def forecast(self, concurrency: int, rpm: float | None) -> None:
        """Tell what the calls of the first look will cost, by what those of a sample did."""
        look, seen = self.progress.look, self._seen
        if look is None or not look.calls:
            to_come = "no call to come"
        elif not seen.runs:
            to_come = f"{look.calls:,} calls to come; nothing was answered that tells what they cost"
        else:
            seconds = max(look.calls * seen.seconds / seen.runs / concurrency, look.calls * 60 / rpm if rpm else 0)
            tokens = " → ".join(f"{look.calls * each / seen.runs:,.0f}" for each in (seen.input, seen.output))
            cost = f"about {tokens} tokens" if seen.output else "tokens are not told"
            to_come = f"{look.calls:,} calls to come: {cost} and {duration(seconds)}, {concurrency} at once"
        self._change(to_come=to_come)
        self._tell()

    # The run.

    def run(self, rows: Iterable[Row], engine: Engine) -> None:
        """Run the rows and write each in its turn."""
        self._began = time.monotonic()
        try:
            with self._stop.on_interrupt():
                for told in engine(self._todo(rows)):
                    for item in told:
                        if isinstance(item, Told):
                            self._take(item)
                        else:
                            self._change(concurrency=item.concurrency)
                    self._tell()
        finally:
            self._tell()

    def _todo(self, rows: Iterable[Row]) -> Iterator[str]:
        """Yield the keys of the calls to make, in a worker's thread; what the store has is written at once."""
        source = iter(rows)
        while not self._stop.asked and (some := list(islice(source, _AT_ONCE))):
            calls: dict[str, Call] = {}
            equal: dict[str, list[Row]] = {}
            for row in some:
                if (call := self._checked_call(row)) is not None:
                    calls[call.key] = call
                    equal.setdefault(call.key, []).append(row)
            kept = self._kept(calls)
            for key, call in calls.items():
                if key in kept:
                    self._settle(equal[key], kept[key], was_kept=True)
                elif self._waits(call, equal[key]):
                    yield key

    def _call(self, row: Row) -> Call:
        values, prompt = self._columns.values(row), self._columns.prompt
        request = ExecuteRequest(prompt.prompt_key, prompt.version, variable_vals=values, messages=self._messages)
        body = execute_body(request)
        return Call(body_key(self._place, body, prompt.definition), request, body)

    def _checked_call(self, row: Row) -> Call | None:
        """Return a row's call; a row that cannot be sent is written with what is wrong with it."""
        if row.number == 0:
            self._change(replaced=", ".join(self._columns.replaced(row)))
        try:
            return self._looked_at.pop(row.number, None) or self._call(row)
        except LoopError as error:
            if row.number == 0 and not isinstance(error, EmptyCell):
                raise  # most likely all rows are like this one
            self._settle([row], None, str(error))
            return None

    def _kept(self, calls: Mapping[str, Call]) -> dict[str, RunState]:
        """Find the runs that need no call."""
        if self._store is None:
            return {key: self._recent[key] for key in calls if key in self._recent}
        found = self._store.find(calls, job=self._job if self._fresh else None)
        stands = {key: run for key, run in found.items() if self._stands(run.phase, run.job)}
        return {key: run.state(calls[key].request) for key, run in stands.items()}

    def _stands(self, phase: Phase, job: int | None) -> bool:
        """Tell whether a kept run stands for a call; a failure does only for the table it belongs to."""
        if phase is Phase.DONE or job == self._job:
            return True
        return job in self._jobs and not self._retry_errors

    def _waits(self, call: Call, equal: list[Row]) -> bool:
        """Have rows wait for a call; tell whether it is yet to be made."""
        with self._lock:
            is_new = call.key not in self._waiting
            self._waiting.setdefault(call.key, []).extend(equal)
            self._calls.setdefault(call.key, call)
        return is_new

    def keep(self, runs: Sequence[tuple[str, RunState]]) -> None:
        """Keep runs that ended, in a worker's thread; of one that was stopped, what came."""
        ended = {key: run for key, run in runs if run.phase in (Phase.DONE, Phase.FAILED)}
        self._ended.update(ended)
        if self._store is not None:
            self._store.put_all(self._record(key, run) for key, run in runs if run.received)
        else:
            with self._lock:
                self._recent.update(ended)
                while len(self._recent) > _RECENT:
                    self._recent.popitem(last=False)

    def _record(self, key: str, run: RunState) -> RunRecord:
        label = self._columns.prompt.asked.label
        return RunRecord.of(key, run, job=self._job, label=label, body=self._calls[key].body)

    def _take(self, told: Told[str]) -> None:
        """Take the end of a run, which was kept as a whole before it was told; nothing else is of interest."""
        if not isinstance(told.event, ENDS):
            return
        with self._lock:
            equal = self._waiting.pop(told.task)
            del self._calls[told.task]
            run = self._ended.pop(told.task, None)
        if run is None:
            return  # it was stopped: as if it had not begun
        usage = run.result.usage
        if usage is not None:
            self._count(input_tokens=usage.input_tokens or 0, output_tokens=usage.output_tokens or 0)
        self._settle(equal, run)

    def _settle(self, equal: Sequence[Row], run: RunState | None, why: str = "", *, was_kept: bool = False) -> None:
        """Write rows that need nothing more."""
        done = run is not None and run.phase is Phase.DONE
        number = len(equal)
        if run is not None and done:
            self._seen.add(run)
        self._count(done=number * done, failed=number * (not done), kept=number * was_kept)
        for row in equal:
            self._writer.put(row, self._columns.added(row, run, why or None))
        if not done:
            self._change(last_error=why or str(run and run.error))
        self._check_failures()

    def _change(self, **values: Any) -> None:
        with self._lock:
            self.progress = replace(self.progress, **values)

    def _count(self, **more: int) -> None:
        with self._lock:
            counted = {name: getattr(self.progress, name) + number for name, number in more.items()}
            self.progress = replace(self.progress, **counted)

    def _check_failures(self) -> None:
        ended, failed = self.progress.ended, self.progress.failed
        if self._fail_above is not None and ended >= _ENOUGH_TO_TELL and failed > self._fail_above * ended:
            raise RequirementNotMet(
                f"{failed:,} of {ended:,} rows failed, more than {self._fail_above:.0%}; the last said: "
                f"{self.progress.last_error}",
                hint="What came is kept: mend what is wrong, and run it again with retry_errors (--retry-errors).",
            )

    def _tell(self) -> None:
        self._change(seconds=time.monotonic() - self._began)
        if self._told is not None:
            self._told(self.progress)


@dataclass
class _Seen:
    """What answers of this table cost, also those that were in the store, as far as the server told."""

    runs: int = 0
    input: int = 0
    output: int = 0
    seconds: float = 0.0

    def add(self, run: RunState) -> None:
        usage = run.result.usage
        self.runs += 1
        self.input += (usage and usage.input_tokens) or 0
        self.output += (usage and usage.output_tokens) or 0
        self.seconds += run.latency or 0.0
