"""Driving one run: prepare, check, call, and show what comes at a steady pace.

A thread reads the stream and only fills a queue; the caller's thread folds and shows, because a notebook's display
belongs to the thread that runs the cell, and because a keyboard interrupt reaches only that one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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

__all__ = ["drive", "look_up"]

_INTERVAL = 0.05  # seconds between paints
_FOREVER = 3600.0  # an untimed wait cannot be interrupted on Windows
_FATAL = (AuthenticationFailed, PromptNotFound, VersionNotFound, LabelNotFound)


def look_up(client: Client, request: ExecuteRequest) -> tuple[Prompt | None, tuple[str, ...]]:
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
        prompt = client.get_prompt(request.prompt_key, request.version or "", request.label or "")
    except _FATAL:
        raise
    except RemoteError as error:
        return None, (f"variables not checked: {error.message}",)
    check_variables(prompt, request.variable_vals)
    return prompt, ()


def drive(
    client: Client, request: ExecuteRequest, view: View, *, stream: bool = True, timeout: float | None = None
) -> RunState:
    """Run a request from start to end and show it all the way.

    Returns
    -------
    RunState
        The last state. A failed or interrupted run returns, too: its state says so and holds what came.
    """
    run = _Run(view, RunState(request))
    try:
        endpoint = client.connect(lambda text: run.happen(Preparing(text)))
        prompt, notes = look_up(client, request)
        if prompt is not None:
            request = replace(request, version=prompt.version)  # what was checked is what runs
        run.begin(Prepared(endpoint.origin, prompt.version if prompt else None, notes))
        if stream:
            run.follow(client.stream(request, timeout))
        else:
            run.happen(Arrived(run.clock(), client.run(request, timeout)))
            run.end(Finished(run.clock()))
    except LoopError as error:
        run.end(Failed(run.clock(), error))
    except KeyboardInterrupt:
        run.end(Interrupted(run.clock()))
    except BaseException:
        run.end(Interrupted(run.clock()))  # no live view is left behind, whatever happened
        raise
    return run.state


class _Run:
    """A state on its way, and the view that shows it."""

    def __init__(self, view: View, state: RunState) -> None:
        self._view = view
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

    def end(self, event: Event) -> None:
        self.state = fold(self.state, event)
        self._view.finish(self.state)

    def follow(self, reader: StreamReader) -> None:
        pump = _Pump(reader, self.clock)
        try:
            for batch in pump.batches():
                self.happen(Arrived(batch.at, batch.piece))
        except BaseException:
            reader.close()
            self._keep(pump.rest())
            raise
        self.end(Finished(pump.ended_at))

    def _keep(self, batch: _Batch | None) -> None:
        if batch is not None:
            self.state = fold(self.state, Arrived(batch.at, batch.piece))


@dataclass(frozen=True, slots=True)
class _Batch:
    """Pieces that came close together, joined; `at` is when the first did."""

    at: float
    piece: ExecuteResult


class _Pump:
    """Reads a stream in a thread and gives what came in batches, the first at once and then at most 20 a second."""

    def __init__(self, reader: StreamReader, clock: Callable[[], float]) -> None:
        self._queue: SimpleQueue[tuple[float, ExecuteResult | BaseException | None]] = SimpleQueue()
        self._taken: list[tuple[float, ExecuteResult]] = []
        self.ended_at = 0.0
        threading.Thread(target=self._read, args=(reader, clock), name="cozeloop-stream", daemon=True).start()

    def _read(self, reader: StreamReader, clock: Callable[[], float]) -> None:
        end: BaseException | None = None
        try:
            for piece in reader:
                self._queue.put((clock(), piece))
        except BaseException as error:
            end = error
        self._queue.put((clock(), end))

    def batches(self) -> Iterator[_Batch]:
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
            tick = time.monotonic() + _INTERVAL

    def _gather(self, until: float) -> tuple[bool, BaseException | None]:
        """Collect until the tick, and at least one piece; tell whether the end came, and with what error."""
        wait = _FOREVER
        while True:
            try:
                at, item = self._queue.get(timeout=wait)
            except Empty:
                return False, None
            if not isinstance(item, ExecuteResult):
                self.ended_at = at
                return True, item
            self._taken.append((at, item))
            wait = max(until - time.monotonic(), 0.0)

    def _take(self) -> _Batch | None:
        taken, self._taken = self._taken, []
        return _Batch(taken[0][0], join_results(piece for _, piece in taken)) if taken else None

    def rest(self) -> _Batch | None:
        """Give what was read and not yet taken, once the reading has been stopped."""
        while not self._queue.empty():
            at, item = self._queue.get()
            if isinstance(item, ExecuteResult):
                self._taken.append((at, item))
        return self._take()
