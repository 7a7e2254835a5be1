"""Driving one run: prepare, check, call, and show what comes at a steady pace.

A thread does what may block and only fills a queue; the caller's thread folds and shows, because a notebook's display
belongs to the thread that runs the cell. That one waits for nothing but the queue, so that a stop is heard at once,
whatever the network does.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.prompt import ExecuteRequest, Prompt
from cozeloop_magic.errors import (
    AuthenticationFailed,
    InvalidRequest,
    LabelNotFound,
    LoopError,
    PromptNotFound,
    RemoteError,
    VersionNotFound,
)
from cozeloop_magic.run.state import (
    Arrived,
    Event,
    Failed,
    Finished,
    Interrupted,
    Prepared,
    Preparing,
    RunState,
    fold,
    join_arrived,
)
from cozeloop_magic.run.view import View
from cozeloop_magic.template.check import check_variables
from cozeloop_magic.transport.call import Calls

__all__ = ["NO_DEFINITION", "Memory", "Stop", "drive", "get_checked_prompt"]

NO_DEFINITION = "the server's answer holds no definition of the prompt"

_PATIENCE = 0.1  # seconds of one wait: on Windows no signal is heard before it ends
_FATAL = (AuthenticationFailed, PromptNotFound, VersionNotFound, LabelNotFound)


def get_checked_prompt(client: Client, request: ExecuteRequest, timeout: float | None = None) -> Prompt:
    """Get the prompt's definition and check the variables against it.

    Raises
    ------
    InvalidRequest
        If both a version and a label are named: a server would silently ignore the label.
    VariableError
        If a variable is missing, unknown or of another type.
    LoopError
        If the prompt cannot be had.
    """
    if request.version and request.label:
        raise InvalidRequest(
            f"Both a version ({request.version}) and a label ({request.label}) are named.", hint="Name one of them."
        )
    prompt = client.get_prompt(request.prompt_key, request.version or "", request.label or "", timeout=timeout)
    check_variables(prompt, request.variable_vals, chosen=bool(request.version or request.label))
    return prompt


class Memory(Protocol):
    """Remembers runs: one that ended, and one that may stand in for a call."""

    def recall(self, request: ExecuteRequest, prompt: Prompt | None) -> Iterable[Event] | None:
        """Give the events of a kept run, to its end; None if the call is to be made.

        Parameters
        ----------
        request : ExecuteRequest
            What is asked, with its version.
        prompt : Prompt or None
            The prompt's definition; None where the server does not tell it.
        """

    def keep(self, state: RunState) -> tuple[str, ...]:
        """Keep a run that ended, and give remarks on that."""


class Stop:
    """Stops a run, whoever asks: a button, the kernel's interrupt, another cell.

    A signal's handler may call it whatever it interrupts: it waits for no lock that its own thread could hold.
    """

    def __init__(self) -> None:
        self.asked = False
        self._wake: Callable[[], None] = lambda: None

    def __call__(self) -> None:
        """Stop the run; nothing happens if it has ended."""
        self.asked = True
        self._wake()

    def wakes(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when a stop is asked for from now on."""
        self._wake = wake

    @contextmanager
    def on_interrupt(self) -> Iterator[None]:
        """Take an interrupt of this thread as a stop: it must not tear what is just being drawn or cleaned up."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, lambda number, frame: self())
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler if before is None else before)


def drive(
    client: Client,
    request: ExecuteRequest,
    view: View,
    *,
    stream: bool = True,
    timeout: float | None = None,
    interval: float = 0.05,
    stop: Stop | None = None,
    settings: Mapping[str, Any] | None = None,
    notes: tuple[str, ...] = (),
    memory: Memory | None = None,
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
        What stops it from another thread. An interrupt of the main thread is a stop, too.
    settings : Mapping[str, Any], optional
        Of the model: what replaces the version's own, see `Client.model_config_with`.
    notes : tuple of str
        What is known already that the reader should know.
    memory : Memory or None
        What keeps it, and may give a kept run in place of a call.

    Returns
    -------
    RunState
        The last state. A failed or interrupted run returns, too: its state says so and holds what came.
    """
    stop = stop or Stop()
    state = RunState(request, settings=settings or {}, notes=notes)
    with stop.on_interrupt():
        view.update(state)
        work = _Work(lambda work: _work(work, client, request, stream, timeout, settings, memory), stop)
        try:
            for event in work.events(interval):
                state = fold(state, event)
                if not state.ended:
                    view.update(state)
        except BaseException:
            work.cancel()
            view.finish(fold(state, Interrupted(work.clock())))  # no live view is left behind, whatever happened
            raise
        if memory is not None:
            state = replace(state, notes=state.notes + memory.keep(state))
        view.finish(state)
    return state


def _work(
    work: _Work,
    client: Client,
    request: ExecuteRequest,
    stream: bool,
    timeout: float | None,
    settings: Mapping[str, Any] | None,
    memory: Memory | None,
) -> None:
    """Do what may block."""
    endpoint = client.connect(lambda text: work.tell(Preparing(text)))
    unchecked = version = prompt = None
    try:
        prompt = get_checked_prompt(client, request, timeout)
        version = prompt.version
        request = replace(request, version=version)  # what was checked is what runs
        if prompt.prompt_template is None:
            unchecked = NO_DEFINITION
    except _FATAL:
        raise
    except RemoteError as error:
        if settings:
            raise  # of which configuration they replace a part is not known
        unchecked = error.message
    if settings:
        config = client.model_config_with(request.prompt_key, request.version or "", settings)
        request = replace(request, custom_model_config=config)
    notes = (f"variables not checked: {unchecked}",) if unchecked is not None else ()
    if memory is not None and (recalled := memory.recall(request, prompt)) is not None:
        for event in recalled:
            work.tell(event)
        return
    work.begin(Prepared(endpoint.origin, version, notes, request.custom_model_config))
    for piece in client.stream(request, timeout) if stream else [client.run(request, timeout)]:
        work.tell(Arrived(work.clock(), piece))


class _Work:
    """Blocking work in a thread of its own, and what it tells."""

    def __init__(self, work: Callable[[_Work], None], stop: Stop) -> None:
        self._queue: SimpleQueue[Event | BaseException | None] = SimpleQueue()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._calls = Calls()
        self._stop = stop
        self._started = time.monotonic()
        stop.wakes(self._stop_now)
        threading.Thread(target=self._run, args=(work,), name="cozeloop-stream", daemon=True).start()

    # In any thread.

    def _stop_now(self) -> None:
        """End the calls at once, though the caller's thread may be drawing; that thread hears it before their end."""
        self._end(None)
        self.cancel()

    def cancel(self) -> None:
        """End what is under way."""
        self._calls.cancel()

    # In the thread.

    def _run(self, work: Callable[[_Work], None]) -> None:
        end: Event | BaseException
        try:
            with self._calls:
                work(self)
            end = Finished(self.clock())
        except LoopError as error:
            end = Failed(self.clock(), error)
        except BaseException as error:
            end = error
        self._end(end)

    def _end(self, how: Event | BaseException | None) -> None:
        self._queue.put(how)
        self._bell.put(None)

    def tell(self, event: Event) -> None:
        """Tell what happened."""
        self._queue.put(event)

    def begin(self, event: Prepared) -> None:
        """Tell that the call is made now: time counts from here."""
        self._started = time.monotonic()
        self._queue.put(event)

    # In the caller's thread.

    def clock(self) -> float:
        """Give the seconds since the call began."""
        return time.monotonic() - self._started

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
                return self._queue.get(timeout=_PATIENCE)
            except Empty:
                pass
        return None

    def _sleep(self, until: float) -> None:
        """Wait for the tick, or the end; whatever waited for the queue would be woken by each piece."""
        while not self._stop.asked and (left := until - time.monotonic()) > 0:
            try:
                return self._bell.get(timeout=min(left, _PATIENCE))
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
