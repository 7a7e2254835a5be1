"""`BackgroundAnswer`: an answer that is on its way while other cells run."""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
import time
from collections.abc import Callable, Generator
from concurrent import futures
from typing import Any

from cozeloop_magic.entities.prompt import ExecuteRequest
from cozeloop_magic.run.answer import Answer
from cozeloop_magic.run.state import RunState

__all__ = ["BackgroundAnswer"]

_TICK = 0.1  # seconds of one wait: one that has begun hears no interrupt on Windows, nor does an event loop's


class BackgroundAnswer:
    """An answer that is on its way: ``answer.result()`` or ``await answer`` gives it, ``answer.stop()`` ends it.

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
        self._stop = stop
        self._future: futures.Future[Answer] = futures.Future()
        self._future.set_running_or_notify_cancel()  # a task that awaits it and is cancelled must not cancel it
        # ipykernel 7 keeps in the context which cell's output this is.
        follow = contextvars.copy_context().run
        threading.Thread(target=follow, args=(self._run, run), name="cozeloop-run", daemon=True).start()

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self._future.done()

    def result(self, timeout: float | None = None) -> Answer:
        """Wait for the answer; one that was stopped is given as far as it came.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait.

        Raises
        ------
        TimeoutError
            If it has not ended by then; it goes on.
        LoopError
            If it failed; ``partial`` holds what came.
        """
        ends = math.inf if timeout is None else time.monotonic() + timeout
        while not self._future.done():
            left = ends - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{self.request.prompt_key} has not ended within {timeout:g} s; it goes on.")
            futures.wait([self._future], min(left, _TICK))
        return self._future.result().result()

    def stop(self) -> None:
        """Stop it; the text so far is kept."""
        self._stop()

    def __await__(self) -> Generator[Any, None, Answer]:
        return self._wait().__await__()

    async def _wait(self) -> Answer:
        future = asyncio.wrap_future(self._future)
        while not future.done():
            await asyncio.wait([future], timeout=_TICK)
        await future
        return self.result()

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

    def _run(self, run: Callable[[], RunState]) -> None:
        try:
            self._future.set_result(Answer(run()))
        except BaseException as error:
            self._future.set_exception(error)
