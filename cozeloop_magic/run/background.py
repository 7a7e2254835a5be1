"""What is on its way while other cells run: an answer, or anything else that takes its time."""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar, cast

from cozeloop_magic.client.threads import tell
from cozeloop_magic.entities.prompt import ExecuteRequest
from cozeloop_magic.run.answer import Answer
from cozeloop_magic.run.state import RunState

__all__ = ["Background", "BackgroundAnswer"]

_TICK = 0.1  # seconds of one wait: one that has begun hears no interrupt on Windows, nor does an event loop's
T = TypeVar("T")


class Background(Generic[T]):
    """Something on its way: ``it.result()`` or ``await it`` gives it, ``it.stop()`` ends it.

    Its end is told by plain attributes and one bare lock, which a waiter that is interrupted at whatever instruction
    cannot leave so that the end is never heard: `threading`'s conditions, which a `Future` is made of, can be.

    Parameters
    ----------
    name : str
        What it is, for a person.
    run : callable
        Does it, in a thread of its own, and gives what comes of it.
    stop : callable
        Stops it; any thread may.
    """

    def __init__(self, name: str, run: Callable[[], T], stop: Callable[[], None]) -> None:
        self._name = name
        self._stop = stop
        self._ended = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._going = threading.Lock()  # held until the end; a waiter that is torn between taking and giving it back
        self._going.acquire()  # costs the others a tick
        self._on_end: list[Callable[[], None]] = []
        # ipykernel 7 keeps in the context which cell's output this is.
        follow = contextvars.copy_context().run
        threading.Thread(target=follow, args=(self._run, run), name="cozeloop-run", daemon=True).start()

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self._ended

    def result(self, timeout: float | None = None) -> T:
        """Wait for what comes of it; one that was stopped is given as far as it came.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait.

        Raises
        ------
        TimeoutError
            If it has not ended by then; it goes on.
        LoopError
            If it failed.
        """
        ends = math.inf if timeout is None else time.monotonic() + timeout
        while not self._ended:
            left = ends - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{self._name} has not ended within {timeout:g} s; it goes on.")
            if self._going.acquire(timeout=min(left, _TICK)):
                self._going.release()
        if self._error is not None:
            raise self._error
        return cast("T", self._value)

    def stop(self) -> None:
        """Stop it; what came is kept."""
        self._stop()

    def __await__(self) -> Generator[Any, None, T]:
        return self._wait().__await__()

    async def _wait(self) -> T:
        ended = asyncio.Event()
        wake = partial(tell, asyncio.get_running_loop(), ended.set)
        self._on_end.append(wake)
        try:
            while not self._ended:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(ended.wait(), _TICK)
        finally:
            self._on_end.remove(wake)
        return self.result()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._name}, {'ended' if self.done else 'on its way'}>"

    def _run(self, run: Callable[[], T]) -> None:
        try:
            self._value = run()
        except BaseException as error:
            self._error = error
        self._ended = True
        self._going.release()
        for wake in list(self._on_end):
            wake()


class BackgroundAnswer(Background[Answer]):
    """An answer that is on its way.

    Parameters
    ----------
    request : ExecuteRequest
        What was asked.
    run : callable
        Does the run, in a thread of its own, and gives its last state.
    stop : callable
        Stops the run; any thread may.
    """

    def __init__(self, request: ExecuteRequest, run: Callable[[], RunState], stop: Callable[[], None]) -> None:
        self.request = request
        super().__init__(request.prompt_key, lambda: Answer(run()), stop)

    def result(self, timeout: float | None = None) -> Answer:
        """Wait for the answer; one that was stopped is given as far as it came.

        Raises
        ------
        TimeoutError
            If it has not ended by then; it goes on.
        LoopError
            If it failed; ``partial`` holds what came.
        """
        return super().result(timeout).result()

    @property
    def answer(self) -> Answer | None:
        """The answer once it has ended, whole or as far as it came; None as long as it is on its way."""
        return self._value

    def __repr__(self) -> str:
        how = "on its way" if self.answer is None else repr(self.answer)
        return f"<BackgroundAnswer to {self.request.prompt_key}: {how}>"

    def __str__(self) -> str:
        return repr(self) if self.answer is None else str(self.answer)

    def __getattr__(self, name: str) -> Any:
        """Give what the answer has, once it is there: its text, usage, times."""
        if name.startswith("_") or self.answer is None:
            raise AttributeError(f"{name}: the answer is on its way; wait for it with .result()")
        return getattr(self.answer, name)
