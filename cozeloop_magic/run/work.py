"""Blocking work of one run, in a thread of its own or, where none can be started, in the caller's."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from cozeloop_magic.errors import LoopError
from cozeloop_magic.run.state import Arrived, Event, Failed, Finished, Interrupted, join_arrived
from cozeloop_magic.transport.call import Calls

if TYPE_CHECKING:
    from cozeloop_magic.run.drive import Stop

__all__ = ["HAS_THREADS", "PATIENCE", "Clock", "InlineWork", "Steps", "ThreadWork", "Work"]

HAS_THREADS = sys.platform != "emscripten"
"""Whether any can be started: in a browser none can."""

PATIENCE = 0.1
"""Seconds of one wait: on Windows no signal is heard before it ends."""


class Clock:
    """Counts the seconds since the call began, or until then since the run did."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Count from now."""
        self._started = time.monotonic()

    def __call__(self) -> float:
        """Return the seconds."""
        return time.monotonic() - self._started


Steps = Callable[[Clock, Callable[[Event], None]], Iterator[Event]]


class InlineWork:
    """Blocking work in the caller's thread: what comes is shown between two waits for more."""

    def __init__(self, stop: Stop, steps: Steps) -> None:
        self.clock = Clock()
        self._calls = Calls()
        self._stop = stop
        self._steps = steps
        stop.wakes(self.cancel)

    def cancel(self) -> None:
        """End what is under way."""
        self._calls.cancel()

    def events(self, interval: float) -> Iterator[Event]:
        """Yield what happens to its end; see `ThreadWork`."""
        batch: list[Arrived] = []
        tick = 0.0
        try:
            with self._calls:
                for event in self._steps(self.clock, lambda event: None):
                    if isinstance(event, Arrived):
                        batch.append(event)
                        if time.monotonic() < tick:
                            continue
                    yield from _joined(batch)
                    tick = time.monotonic() + interval
                    if not isinstance(event, Arrived):
                        yield event
            end: Event = Finished(self.clock())
        except LoopError as error:
            end = Interrupted(self.clock()) if self._stop.asked else Failed(self.clock(), error)
        yield from _joined(batch)
        yield end


def _joined(batch: list[Arrived]) -> Iterator[Arrived]:
    """Yield pieces as one and forget them."""
    if batch:
        yield join_arrived(batch)
        batch.clear()


class ThreadWork:
    """Blocking work in a thread of its own, and what it tells."""

    def __init__(self, stop: Stop, steps: Steps) -> None:
        self._queue: SimpleQueue[Event | BaseException | None] = SimpleQueue()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._calls = Calls()
        self._stop = stop
        self.clock = Clock()
        stop.wakes(self._stop_now)
        threading.Thread(target=self._run, args=(steps,), name="cozeloop-stream", daemon=True).start()

    # In any thread.

    def _stop_now(self) -> None:
        """End the calls at once, though the caller's thread may be drawing; that thread hears it before their end."""
        self._end(None)
        self.cancel()

    def cancel(self) -> None:
        """End what is under way."""
        self._calls.cancel()

    # In the thread.

    def _run(self, steps: Steps) -> None:
        end: Event | BaseException
        try:
            with self._calls:
                for event in steps(self.clock, self._queue.put):
                    self._queue.put(event)
            end = Finished(self.clock())
        except LoopError as error:
            end = Failed(self.clock(), error)
        except BaseException as error:
            end = error
        self._end(end)

    def _end(self, how: Event | BaseException | None) -> None:
        self._queue.put(how)
        self._bell.put(None)

    # In the caller's thread.

    def events(self, interval: float) -> Iterator[Event]:
        """Give what happens to its end, pieces in batches: the first at once and then at a steady pace.

        Raises
        ------
        BaseException
            What the work raised, unless that belongs to a run: then it is an event.
        """
        tick = 0.0
        while not self._stop.asked:
            batch, item = self._gather(tick)
            if batch:
                yield join_arrived(batch)
                tick = time.monotonic() + interval
            if isinstance(item, BaseException):
                raise item
            if item is not None:
                yield item
            if isinstance(item, (Finished, Failed)):
                return
        yield from self._stopped()

    def _gather(self, until: float) -> tuple[list[Arrived], Event | BaseException | None]:
        """Collect pieces until the tick, and at least one, or until something else happens."""
        batch: list[Arrived] = []
        item = self._first()
        if isinstance(item, Arrived):
            self._sleep(until)
        while isinstance(item, Arrived):
            batch.append(item)
            try:
                item = self._queue.get_nowait()
            except Empty:
                return batch, None
        return batch, item

    def _first(self) -> Event | BaseException | None:
        while not self._stop.asked:
            try:
                return self._queue.get(timeout=PATIENCE)
            except Empty:
                pass
        return None

    def _sleep(self, until: float) -> None:
        """Wait for the tick, or the end; whatever waited for the queue would be woken by each piece."""
        while not self._stop.asked and (left := until - time.monotonic()) > 0:
            try:
                return self._bell.get(timeout=min(left, PATIENCE))
            except Empty:
                pass

    def _stopped(self) -> Iterator[Event]:
        """End the work, and give what it told before."""
        self.cancel()
        told = []
        while not self._queue.empty():
            told.append(self._queue.get())
        batch = [item for item in told if isinstance(item, Arrived)]
        if batch:
            yield join_arrived(batch)
        yield next((item for item in told if isinstance(item, Finished)), Interrupted(self.clock()))


Work = ThreadWork if HAS_THREADS else InlineWork
