"""Threads for blocking work, kept a moment for the next."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from cozeloop_magic.forks import register_after_fork

__all__ = ["Threads", "tell"]

T = TypeVar("T")
Work = Callable[[], object]

_IDLE = 1.0  # seconds a thread waits for more work


class Threads:
    """As many threads as there is work at once: a bounded pool would queue what is meant to run together.

    They are daemons, end by themselves when idle, and hold on to nothing but their work.
    """

    def __init__(self) -> None:
        self._closed = False
        self.after_fork()
        register_after_fork(self)

    def after_fork(self) -> None:
        """Forget the threads: a fork copies none."""
        self._lock = threading.Lock()
        self._idle: deque[SimpleQueue[Work | None]] = deque()
        self._all: set[threading.Thread] = set()

    def start(self, work: Work) -> None:
        """Run `work`, which raises nothing, in a thread."""
        with self._lock:
            if self._idle:
                self._idle.pop().put(work)
                return
            thread = threading.Thread(target=self._run, args=(work,), name="cozeloop-call", daemon=True)
            thread.start()
            self._all.add(thread)

    def close(self, timeout: float) -> None:
        """End the idle threads and wait a little for those whose work has been ended."""
        with self._lock:
            self._closed = True
            while self._idle:
                self._idle.pop().put(None)
            running = self._all - {threading.current_thread()}
        ends = time.monotonic() + timeout
        for thread in running:
            thread.join(max(ends - time.monotonic(), 0.0))

    def _run(self, work: Work | None) -> None:
        queue: SimpleQueue[Work | None] = SimpleQueue()
        while work is not None:
            work()
            work = None  # what it held must not wait with the thread
            with self._lock:
                if self._closed:
                    break
                self._idle.append(queue)
            work = self._next(queue)
        with self._lock:
            self._all.discard(threading.current_thread())

    def _next(self, queue: SimpleQueue[Work | None]) -> Work | None:
        try:
            return queue.get(timeout=_IDLE)
        except Empty:
            pass
        with self._lock:
            if queue in self._idle:
                self._idle.remove(queue)
                return None
        return queue.get()  # it was given work in the last moment

    async def run(self, work: Callable[[], T], cancel: Callable[[], object]) -> T:
        """Run blocking `work` and wait for it without blocking the event loop; `cancel` is called to end it early."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(value: Any, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(value)

        def run() -> None:
            value, error = None, None
            try:
                value = work()
            except BaseException as caught:
                error = caught
            tell(loop, settle, value, error)

        self.start(run)
        try:
            return await future
        except (asyncio.CancelledError, GeneratorExit):  # the latter: nobody goes on with the coroutine
            cancel()
            raise


def tell(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: object) -> None:
    """Call back in an event loop, if it still runs."""
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        pass  # it was closed; nobody waits any more
