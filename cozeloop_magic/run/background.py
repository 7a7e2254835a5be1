"""What is on its way while other cells run: an answer, or anything else that takes its time."""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
import time
from collections.abc import Callable, Generator
from concurrent import futures
from typing import Any, Generic, TypeVar

from cozeloop_magic.entities.prompt import ExecuteRequest
from cozeloop_magic.run.answer import Answer
from cozeloop_magic.run.state import RunState

__all__ = ["Background", "BackgroundAnswer"]

_TICK = 0.1  # seconds of one wait: one that has begun hears no interrupt on Windows, nor does an event loop's
T = TypeVar("T")


class Background(Generic[T]):
    """Something on its way: ``it.result()`` or ``await it`` gives it, ``it.stop()`` ends it.

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
        self._future: futures.Future[T] = futures.Future()
        self._future.set_running_or_notify_cancel()  # a task that awaits it and is cancelled must not cancel it
        # ipykernel 7 keeps in the context which cell's output this is.
        follow = contextvars.copy_context().run
        threading.Thread(target=follow, args=(self._run, run), name="cozeloop-run", daemon=True).start()

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self._future.done()

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
        while not self._future.done():
            left = ends - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{self._name} has not ended within {timeout:g} s; it goes on.")
            futures.wait([self._future], min(left, _TICK))
        return self._future.result()

    def stop(self) -> None:
        """Stop it; what came is kept."""
        self._stop()

    def __await__(self) -> Generator[Any, None, T]:
        return self._wait().__await__()

    async def _wait(self) -> T:
        future = asyncio.wrap_future(self._future)
        while not future.done():
            await asyncio.wait([future], timeout=_TICK)
        await future
        return self.result()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._name}, {'ended' if self.done else 'on its way'}>"

    def _run(self, run: Callable[[], T]) -> None:
        try:
            self._future.set_result(run())
        except BaseException as error:
            self._future.set_exception(error)


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
        return self._future.result() if self.done and not self._future.exception() else None

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
