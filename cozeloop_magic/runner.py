"""Driving one run: prepare, check, call, and show what comes at a steady pace.

A thread reads the stream and only fills a queue; the caller's thread folds and shows, because a notebook's display
belongs to the thread that runs the cell, and because a keyboard interrupt reaches only that one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from queue import Empty, SimpleQueue

from cozeloop_magic.check import check_variables
from cozeloop_magic.client import Client
from cozeloop_magic.entities.prompt import ExecuteRequest, ExecuteResult, Prompt
from cozeloop_magic.entities.stream import join_results
from cozeloop_magic.errors import (
    AuthenticationFailed,
    LabelNotFound,
    LoopError,
    PromptNotFound,
    RemoteError,
    VersionNotFound,
)
from cozeloop_magic.reader import StreamReader
from cozeloop_magic.run import Arrived, Event, Failed, Finished, Interrupted, Prepared, Preparing, RunState, fold
from cozeloop_magic.view import View

__all__ = ["Stop", "drive", "look_up"]

_FOREVER = 3600.0  # an untimed wait cannot be interrupted on Windows
_Call = Callable[[], Iterable[ExecuteResult]]
_FATAL = (AuthenticationFailed, PromptNotFound, VersionNotFound, LabelNotFound)


def look_up(
    client: Client, request: ExecuteRequest, timeout: float | None = None
) -> tuple[Prompt | None, tuple[str, ...]]:
    """Get the prompt's definition and check the variables against it.

    Returns
    -------
    tuple of (Prompt or None, tuple of str)
        None where the definition may not be looked at; then a note says so.

    Raises
    ------
    VariableError
        If a variable is missing, unknown or of another type.
    LoopError
        If the run would fail in the same way.
    """
    try:
        prompt = client.get_prompt(request.prompt_key, request.version or "", request.label or "", timeout=timeout)
    except _FATAL:
        raise
    except RemoteError as error:
        return None, (f"variables not checked: {error.message}",)
    check_variables(prompt, request.variable_vals, chosen=bool(request.version or request.label))
    return prompt, ()


class Stop:
    """Stops a run from another thread, as an interrupt stops it in its own: a button does it, or another cell."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._wake: Callable[[], None] = lambda: None

    def __call__(self) -> None:
        """Stop the run; nothing happens if it has ended."""
        self._asked.set()
        self._wake()

    def wakes(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when a stop is asked for, or now if it was before."""
        self._wake = wake
        if self._asked.is_set():
            wake()

    def check(self) -> None:
        """Raise KeyboardInterrupt if a stop was asked for."""
        if self._asked.is_set():
            raise KeyboardInterrupt


def drive(
    client: Client,
    request: ExecuteRequest,
    view: View,
    *,
    stream: bool = True,
    timeout: float | None = None,
    interval: float = 0.05,
    stop: Stop | None = None,
) -> RunState:
    """Run a request from start to end and show it all the way.

    Parameters
    ----------
    client, request, view
        Who runs what, and what draws it.
    stream : bool
        Whether to ask for the answer piece by piece.
    timeout : float or None
        Seconds for the whole call; None leaves it to the client.
    interval : float
        Seconds between paints.
    stop : Stop or None
        What stops it from another thread.

    Returns
    -------
    RunState
        The last state. A failed or interrupted run returns, too: its state says so and holds what came.
    """
    run = _Run(view, RunState(request), stop or Stop())
    try:
        endpoint = client.connect(lambda text: run.happen(Preparing(text)))
        prompt, notes = look_up(client, request, timeout)
        if prompt is not None:
            request = replace(request, version=prompt.version)  # what was checked is what runs
        run.begin(Prepared(endpoint.origin, prompt.version if prompt else None, notes))
        call = _opened(lambda: client.stream(request, timeout) if stream else [client.run(request, timeout)])
        run.follow(call, interval)
    except LoopError as error:
        run.end(Failed(run.clock(), error))
    except KeyboardInterrupt:
        run.end(Interrupted(run.clock()))
    except BaseException:
        run.end(Interrupted(run.clock()))  # no live view is left behind, whatever happened
        raise
    return run.state


def _opened(call: _Call) -> _Call:
    """Make the call here if an interrupt reaches this thread: it cuts even a connection that waits for its answer."""
    if threading.current_thread() is not threading.main_thread():
        return call
    pieces = call()
    return lambda: pieces


class _Run:
    """A state on its way, and the view that shows it."""

    def __init__(self, view: View, state: RunState, stop: Stop) -> None:
        self._view = view
        self._stop = stop
        self._started = time.monotonic()
        self.state = state
        view.update(state)

    def clock(self) -> float:
        return time.monotonic() - self._started

    def begin(self, event: Prepared) -> None:
        self._started = time.monotonic()
        self.happen(event)

    def happen(self, event: Event) -> None:
        self.state = fold(self.state, event)
        self._view.update(self.state)
        self._stop.check()

    def end(self, event: Event) -> None:
        self.state = fold(self.state, event)
        self._view.finish(self.state)

    def follow(self, call: _Call, interval: float) -> None:
        pump = _Pump(call, self.clock)
        self._stop.wakes(pump.interrupt)
        try:
            for batch in pump.batches(interval):
                self.happen(batch)
        except BaseException:
            pump.close()
            self._keep(pump.rest())
            raise
        self.end(Finished(pump.ended_at))

    def _keep(self, batch: Arrived | None) -> None:
        if batch is not None:
            self.state = fold(self.state, batch)


class _Pump:
    """Reads a stream in a thread and gives what came in batches, the first at once and then at a steady pace."""

    def __init__(self, call: _Call, clock: Callable[[], float]) -> None:
        self._queue: SimpleQueue[tuple[float, ExecuteResult | BaseException | None]] = SimpleQueue()
        self._hurry = threading.Event()  # what waits for the tick would be woken by each piece of the queue
        self._taken: list[tuple[float, ExecuteResult]] = []
        self._clock = clock
        self._closed = False
        self._pieces: Iterable[ExecuteResult] = ()
        self.ended_at = 0.0
        threading.Thread(target=self._read, args=(call,), name="cozeloop-stream", daemon=True).start()

    def interrupt(self) -> None:
        """Have `batches` raise KeyboardInterrupt; any thread may."""
        self._end(KeyboardInterrupt())

    def close(self) -> None:
        """Stop reading, and close the stream as soon as there is one."""
        self._closed = True
        if isinstance(self._pieces, StreamReader):
            self._pieces.close()

    def _read(self, call: _Call) -> None:
        end: BaseException | None = None
        try:
            self._pieces = call()
            if self._closed:
                self.close()
            for piece in self._pieces:
                self._queue.put((self._clock(), piece))
        except BaseException as error:
            end = error
        self._end(end)

    def _end(self, how: BaseException | None) -> None:
        self._queue.put((self._clock(), how))
        self._hurry.set()

    def batches(self, interval: float) -> Iterator[Arrived]:
        """Give batches until the answer is complete; raise what the reader raised, after all that came before it."""
        tick = 0.0
        while True:
            ended, error = self._gather(until=tick)
            batch = self._take()
            if batch is not None:
                yield batch
            if error is not None:
                raise error
            if ended:
                return
            tick = time.monotonic() + interval

    def _gather(self, until: float) -> tuple[bool, BaseException | None]:
        """Collect until the tick, and at least one piece; tell whether the end came, and with what error."""
        at, item = self._queue.get(timeout=_FOREVER)
        self._hurry.wait(max(until - time.monotonic(), 0.0))
        while isinstance(item, ExecuteResult):
            self._taken.append((at, item))
            try:
                at, item = self._queue.get_nowait()
            except Empty:
                return False, None
        self.ended_at = at
        return True, item

    def _take(self) -> Arrived | None:
        taken, self._taken = self._taken, []
        if not taken:
            return None
        return Arrived(taken[0][0], join_results(piece for _, piece in taken), len(taken), taken[-1][0])

    def rest(self) -> Arrived | None:
        """Give what was read and not yet taken, once the reading has been stopped."""
        while not self._queue.empty():
            at, item = self._queue.get()
            if isinstance(item, ExecuteResult):
                self._taken.append((at, item))
        return self._take()
