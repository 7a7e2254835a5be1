"""Many runs at once: worker threads make the calls and fill a queue, the caller's thread drains it.

A notebook's display belongs to the thread that runs the cell, so nothing else may happen there. Tasks are taken from
an iterator when their turn comes, so that a million rows need no more memory than those that are under way.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from queue import Empty, SimpleQueue
from typing import Generic

from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.prompt import ExecuteRequest, ExecuteResult
from cozeloop_magic.errors import ClientClosed, LoopError
from cozeloop_magic.lab.events import OngoingRun, Paced, Task, Told, join_told
from cozeloop_magic.lab.keeper import Keeper
from cozeloop_magic.lab.limiter import Limiter
from cozeloop_magic.run.drive import Stop
from cozeloop_magic.run.state import ENDS, Event, Failed, Finished, Interrupted, Phase, Preparing, Ran, RunState
from cozeloop_magic.run.work import HAS_THREADS, PATIENCE
from cozeloop_magic.transport.call import Calls
from cozeloop_magic.transport.retry import asks_for_patience

__all__ = ["Scheduler"]

_QUIET = 0.2  # seconds beyond a batch's time after which an empty one is given
_PARTING = 1.0  # seconds for threads to notice that their call was ended
_UNTOLD = 1024  # runs that may have ended without the caller having taken notice
_BACKOFF, _LONGEST_BACKOFF = 0.25, 2.0  # seconds a task waits that was refused twice in a row, and at most


@dataclass(order=True)
class _Turn(Generic[Task]):
    """A task's turn, which comes again if the server asks for patience."""

    ready: float
    number: int
    task: Task = field(compare=False)
    refusals: int = field(default=0, compare=False)
    begun: float = field(default=0.0, compare=False)
    end: Event | None = field(default=None, compare=False)  # where all before it was told already


class Scheduler(Generic[Task]):
    """Makes a call for each of many tasks, several at once.

    Parameters
    ----------
    client : Client
        Who calls.
    request_of : callable
        Gives what a task asks; called in a worker's thread.
    limiter : Limiter
        How many at once, and how fast.
    stop : Stop
        What stops all of it.
    keep : callable, optional
        Called in a thread of its own with runs that ended, before anybody is told; what it raises ends the job. What
        ends while it keeps some, and for a moment after, is kept together: a commit costs as much for many as for
        one.
    shows : callable, optional
        Whether a task's pieces are wanted as they come, asked when it begins; else they are told at its end, joined.
    stream : bool
        Whether to ask for answers piece by piece, without which there is no time to the first text.
    timeout : float, optional
        Seconds for each call.
    patience : float
        Seconds without any answer, after which a server's asking for patience is a failure.
    """

    def __init__(
        self,
        client: Client,
        request_of: Callable[[Task], ExecuteRequest],
        limiter: Limiter,
        stop: Stop,
        *,
        keep: Callable[[Sequence[tuple[Task, RunState]]], object] | None = None,
        shows: Callable[[Task], bool] | None = None,
        stream: bool = True,
        timeout: float | None = None,
        patience: float = 600.0,
    ) -> None:
        self._client = client
        self._request_of = request_of
        self._limiter = limiter
        self._stop = stop
        self._keep = keep or (lambda runs: None)
        self._shows = shows or (lambda task: False)
        self._stream = stream
        self._timeout = timeout
        self._patience = patience
        self._queue: SimpleQueue[list[Told[Task]] | Paced | BaseException | None] = SimpleQueue()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._changed = threading.Condition()
        self._calls: dict[int, Calls] = {}
        self._running: dict[int, tuple[Task, float]] = {}  # by the number of the turn, until they are kept
        self._again: list[_Turn[Task]] = []
        self._numbers = count()
        self._untold = 0
        self._exhausted = self._over = False
        self._answered_at = 0.0
        self._error: BaseException | None = None
        self._own_turns: Iterator[None] = iter(())  # those that the caller's thread takes

    def run(self, tasks: Iterable[Task], interval: float = 0.05) -> Iterator[list[Told[Task] | Paced]]:
        """Run the tasks and give what happens, all of a moment together, to the end or to a stop.

        Where nothing happens, nothing is given now and then, for a caller that has something else to look after.

        Parameters
        ----------
        tasks : iterable
            Iterated over in workers' threads, one at a time.
        interval : float
            Seconds between two batches.

        Raises
        ------
        BaseException
            What the iterator, `request_of` or `keep` raised. A failed call raises nothing: it is an event.
        """
        self._tasks = iter(tasks)
        self._origin = self._client.connect().origin
        self._answered_at = time.monotonic()
        self._alive = self._limiter.concurrency if HAS_THREADS else 1
        self._keeper = Keeper(self._keep_some, self._kept, at_once=self._alive == 1)
        self._stop.wakes(self._cancel)
        self._start()
        try:
            yield from self._batches(interval)
        finally:
            self._over = True
            self._cancel()

    def _start(self) -> None:
        if HAS_THREADS:
            for number in range(self._alive):
                threading.Thread(target=self._work, args=(number,), name="cozeloop-trial", daemon=True).start()
        else:
            self._own_turns = self._turns(0)

    # In any thread, also in a signal's handler: no lock of the scheduler's is taken.

    def _cancel(self) -> None:
        """End what is under way."""
        self._bell.put(None)  # which no signal can find locked
        for calls in list(self._calls.values()):
            calls.cancel()

    # In the caller's thread.

    def _batches(self, interval: float) -> Iterator[list[Told[Task] | Paced]]:
        tick = 0.0
        over = False
        while not over and not self._stop.asked:
            next(self._own_turns, None)
            batch, over = self._drain(tick)
            if batch or time.monotonic() >= tick + _QUIET:
                yield batch
                tick = time.monotonic() + interval
            self._raise()
        if not over:
            yield self._last_words()
            self._raise()

    def _raise(self) -> None:
        """Raise what a worker raised, once what came before it was given."""
        if self._error is not None:
            raise self._error

    def _drain(self, until: float) -> tuple[list[Told[Task] | Paced], bool]:
        """Wait for something to happen and for the tick, and take all that happened; tell whether that was all."""
        self._wait_for(until)
        batch: list[Told[Task] | Paced] = []
        runs, over = 0, False
        for item in self._waiting():
            if isinstance(item, BaseException):
                self._error = self._error or item
            elif isinstance(item, list):
                batch += item
                runs += sum(isinstance(told.event, ENDS) for told in item)
            elif item is not None:
                batch.append(item)
            over = over or item is None
        with self._changed:
            if self._untold >= _UNTOLD:
                self._changed.notify_all()
            self._untold -= runs
        return join_told(batch), over

    def _waiting(self) -> Iterator[list[Told[Task]] | Paced | BaseException | None]:
        """Give what waits in the queue, and at least one item if there soon is one."""
        try:
            yield self._queue.get(timeout=PATIENCE)
            for _ in range(self._queue.qsize()):
                yield self._queue.get_nowait()
        except Empty:
            pass

    def _wait_for(self, until: float) -> None:
        """Wait for the tick, or the end; whoever waited for the queue would be woken by each piece."""
        while not self._stop.asked and (left := until - time.monotonic()) > 0:
            try:
                return self._bell.get(timeout=min(left, PATIENCE))
            except Empty:
                pass

    def _last_words(self) -> list[Told[Task] | Paced]:
        """Give what came before the stop, and an end to each run that was under way."""
        self._cancel()
        batch: list[Told[Task] | Paced] = []
        ends = time.monotonic() + _PARTING
        over = False
        while not over and time.monotonic() < ends:
            more, over = self._drain(0.0)
            batch += more
        with self._changed:
            left = list(self._running.values())
        return batch + [Told(task, Interrupted(time.monotonic() - begun)) for task, begun in left]

    # In the workers' threads.

    @property
    def _ended(self) -> bool:
        """Whether nothing more is to be begun, and what is under way to be ended."""
        return self._over or self._stop.asked

    def _work(self, number: int) -> None:
        for _ in self._turns(number):
            pass

    def _turns(self, number: int) -> Iterator[None]:
        """Make one call after the other, until there is none for this worker."""
        try:
            while (turn := self._next()) is not None:
                self._call(number, turn)
                yield
        except BaseException as error:
            self._queue.put(error)
        with self._changed:
            self._alive -= 1
            is_last = not self._alive
        if is_last:
            self._keeper.close()
            self._queue.put(None)
            self._bell.put(None)

    @property
    def _has_room(self) -> bool:
        """Whether what has ended is told and kept fast enough."""
        return self._untold < _UNTOLD and not self._keeper.is_full

    def _next(self) -> _Turn[Task] | None:
        """Wait for a task's turn; None if there will be none for this thread."""
        with self._changed:
            while not self._ended:
                now = time.monotonic()
                wait = self._limiter.seconds_to_wait(now) if self._has_room else None
                if wait == 0.0 and (turn := self._take(now)) is not None:
                    self._limiter.begin(now)
                    turn.begun = now
                    self._running[turn.number] = turn.task, now
                    return turn
                if self._exhausted and not self._again:
                    return None
                self._changed.wait(min(wait or PATIENCE, PATIENCE))
        return None

    def _take(self, now: float) -> _Turn[Task] | None:
        """Take the task whose turn it is, those first whose turn comes again."""
        if self._again and self._again[0].ready <= now:
            return heapq.heappop(self._again)
        if not self._exhausted:
            for task in self._tasks:
                return _Turn(0.0, next(self._numbers), task)
            self._exhausted = True
            self._keeper.hurry()
        return None

    def _call(self, number: int, turn: _Turn[Task]) -> None:
        """Make a task's call, keep how it went and tell it."""
        run = OngoingRun(turn.task, self._request_of(turn.task), self._origin)
        tell = self._queue.put if self._shows(turn.task) else None
        calls = self._calls[number] = Calls(paced=True)
        if self._ended:
            calls.cancel()
        answer: ExecuteResult | None = None
        try:
            with calls:
                answer = self._answer(run, tell)
            end: Event = Finished(run.clock())
        except LoopError as error:
            answer = error.partial
            ended = self._ended or isinstance(error, ClientClosed)  # a stream that was cut says that it broke off
            end = Interrupted(run.clock()) if ended else Failed(run.clock(), error)
        if not self._waits(turn, run, end):
            turn.end = end if run.told else None
            self._settle(turn, run.ended(answer if run.came else None, end))

    def _answer(
        self, run: OngoingRun[Task], tell: Callable[[list[Told[Task]]], object] | None
    ) -> ExecuteResult | None:
        """Make the call, take its pieces and give the answer that they make."""
        if not self._stream:
            answer = self._client.run(run.request, self._timeout)
            run.arrived(answer, tell)
            return answer
        reader = self._client.stream(run.request, self._timeout)
        for piece in reader:
            run.arrived(piece, tell)
        return reader.partial

    def _waits(self, turn: _Turn[Task], run: OngoingRun[Task], end: Event) -> bool:
        """Have a task wait for another turn, if the server asks for patience; tell whether it does."""
        if not isinstance(end, Failed) or run.came or not asks_for_patience(end.error):
            return False
        now = time.monotonic()
        asked = end.error.retry_after or 0.0
        if now - self._answered_at > self._patience or asked > self._patience:
            return False
        backoff = min(_BACKOFF * 2**turn.refusals, _LONGEST_BACKOFF) if turn.refusals else 0.0
        backoff = max(asked, backoff)
        turn.refusals += 1
        with self._changed:
            wait = self._limiter.refused(turn.begun, now, end.error.retry_after)
            turn.ready = now + backoff
            heapq.heappush(self._again, turn)
            del self._running[turn.number]
            self._queue.put(Paced(self._limiter.concurrency, wait))
        self._queue.put([Told(turn.task, Preparing("the server asks for patience"))])
        return True

    def _settle(self, turn: _Turn[Task], state: RunState) -> None:
        """Have a run that ended kept and told."""
        with self._changed:
            before = self._limiter.concurrency
            self._count(turn, state)
            self._untold += 1
            if self._limiter.concurrency != before:
                self._queue.put(Paced(self._limiter.concurrency))
            self._changed.notify(2)  # one for this turn, one for what the answer may have allowed
        self._keeper.put(turn, state)

    def _keep_some(self, some: Sequence[tuple[_Turn[Task], RunState]]) -> None:
        self._keep([(turn.task, run) for turn, run in some])

    def _kept(self, some: Sequence[tuple[_Turn[Task], RunState]], failure: BaseException | None) -> None:
        """Tell runs that were kept; those that cannot be are told all the same, and nothing more is begun."""
        self._over = self._over or failure is not None
        with self._changed:
            for turn, _ in some:
                del self._running[turn.number]
            self._changed.notify(len(some))  # those that waited for these to be kept
        self._queue.put([Told(turn.task, turn.end or Ran(run)) for turn, run in some])
        if failure is not None:
            self._queue.put(failure)

    def _count(self, turn: _Turn[Task], state: RunState) -> None:
        now = time.monotonic()
        if state.phase is Phase.DONE:
            usage = state.result.usage
            self._limiter.answered(
                turn.begun, now, (usage.input_tokens or 0) + (usage.output_tokens or 0) if usage else 0
            )
            self._answered_at = now
        elif state.error is not None and asks_for_patience(state.error):
            asked = state.error.retry_after  # nobody waits longer than patience lasts
            self._limiter.refused(turn.begun, now, asked if (asked or 0.0) <= self._patience else None)
        else:
            self._limiter.end()
