"""Driving one run: prepare, check, call, and show what comes at a steady pace.

A thread does what may block and only fills a queue; the caller's thread folds and shows, because a notebook's display
belongs to the thread that runs the cell. That one waits for nothing but the queue, so that a stop is heard at once,
whatever the network does. Where no thread can be started, in a browser, the caller's thread does both.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.prompt import ExecuteRequest, Prompt
from cozeloop_magic.errors import (
    AuthenticationFailed,
    InvalidRequest,
    LabelNotFound,
    PromptNotFound,
    RemoteError,
    VersionNotFound,
)
from cozeloop_magic.run.state import (
    Arrived,
    Event,
    Interrupted,
    Prepared,
    Preparing,
    RunState,
    fold,
)
from cozeloop_magic.run.view import View
from cozeloop_magic.run.work import Clock, Work
from cozeloop_magic.template.check import check_variables
from cozeloop_magic.template.render import remarks_on_tags

__all__ = ["NO_DEFINITION", "Memory", "Stop", "drive", "get_checked_prompt"]

NO_DEFINITION = "the server's answer holds no definition of the prompt"

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
        work = Work(stop, lambda clock, tell: _steps(clock, tell, client, request, stream, timeout, settings, memory))
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


def _steps(
    clock: Clock,
    tell: Callable[[Event], None],
    client: Client,
    request: ExecuteRequest,
    stream: bool,
    timeout: float | None,
    settings: Mapping[str, Any] | None,
    memory: Memory | None,
) -> Iterator[Event]:
    """Do what may block and yield what comes of it; `tell` takes what happens before anything can be yielded."""
    endpoint = client.connect(lambda text: tell(Preparing(text)))
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
    notes: tuple[str, ...] = (f"variables not checked: {unchecked}",) if unchecked is not None else ()
    if prompt is not None and not endpoint.local:  # the embedded Loop tells this itself
        notes += remarks_on_tags(prompt, request.messages)
    if memory is not None and (recalled := memory.recall(request, prompt)) is not None:
        yield from recalled
        return
    clock.restart()
    yield Prepared(endpoint.origin, version, notes, request.custom_model_config, prompt)
    pieces = client.stream(request, timeout, on_waiting=lambda place: tell(Preparing(place))) if stream else None
    for piece in pieces or [client.run(request, timeout)]:
        yield Arrived(clock(), piece)
