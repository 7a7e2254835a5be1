"""Reading a streamed answer: pieces as they come, complete or an error."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from cozeloop_magic.entities.prompt import ExecuteResult
from cozeloop_magic.entities.stream import ResultBuilder
from cozeloop_magic.errors import LoopError
from cozeloop_magic.transport import EventStream

__all__ = ["AsyncStreamReader", "StreamReader", "in_thread"]

T = TypeVar("T")


class StreamReader:
    """Iterates over the pieces of one answer (``POST /v1/loop/prompts/execute_streaming``).

    An answer is complete only if a finish reason came; iteration that just ends has given a complete one. A context
    manager; `close` may be called from any thread and wakes one that reads.

    Raises
    ------
    LoopError
        From ``next()``: the server reported an error, or the stream broke off. ``partial`` holds what came.
    """

    def __init__(self, events: EventStream) -> None:
        self._events = events
        self._iterator = iter(events)
        self._builder = ResultBuilder()
        self._done = False

    def __iter__(self) -> Iterator[ExecuteResult]:
        return self

    def __enter__(self) -> StreamReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __next__(self) -> ExecuteResult:
        if self._done:
            raise StopIteration
        try:
            piece = self._read()
        except LoopError as error:
            error.partial = self.partial
            self.close()
            raise
        except BaseException:
            self.close()
            raise
        self._builder.add(piece)
        if piece.finish_reason:
            self._done = True
            self._events.close(complete=True)
        return piece

    @property
    def partial(self) -> ExecuteResult | None:
        """The answer as far as it has come; None before anything did."""
        return self._builder.result() if self._builder else None

    def close(self) -> None:
        """Stop reading and free the connection."""
        self._done = True
        self._events.close()

    def _read(self) -> ExecuteResult:
        for name, data in self._iterator:
            if name == "error":
                raise self._events.refused(data)
            if data.strip() == "[DONE]":
                break
            piece = self._parse(name, data)
            if piece is not None:
                return piece
        raise self._events.interrupted("the stream ended without a finish reason")

    def _parse(self, name: str, data: str) -> ExecuteResult | None:
        """Read an event; None where it is of a kind that carries no piece of an answer."""
        known = name in ("data", "message")
        try:
            body: Any = json.loads(data)
        except ValueError as error:
            if known:
                raise self._events.unreadable("is not JSON") from error
            return None
        if not isinstance(body, dict):
            if known:
                raise self._events.unreadable("is no JSON object")
            return None
        if body.get("code"):
            raise self._events.refused(data)
        piece = ExecuteResult.from_json(body)
        if not (piece.message or piece.finish_reason or piece.usage):
            return None
        return replace(piece, log_id=self._events.log_id, model=self._events.model)


async def in_thread(work: Callable[[], T]) -> T:
    """Run blocking `work` in a thread of its own and wait for it without blocking the event loop.

    A thread of its own, not a pool's: a pool would queue the calls that `asyncio.gather` means to run at once.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)  # type: ignore[arg-type]  # T may itself be Optional

    def run() -> None:
        value, error = None, None
        try:
            value = work()
        except BaseException as caught:
            error = caught
        _tell(loop, settle, value, error)

    threading.Thread(target=run, name="cozeloop-call", daemon=True).start()
    return await future


def _tell(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: object) -> None:
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        pass  # the loop was closed; nobody waits any more


class AsyncStreamReader:
    """`StreamReader` for ``async for``: a thread reads, the event loop never blocks.

    An async context manager; leaving it, or cancelling the task that iterates, closes the stream.
    """

    _AHEAD = 1000  # pieces read but not yet taken, before the thread waits and the server feels it

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader
        self._loop = asyncio.get_running_loop()
        self._pieces: deque[ExecuteResult | BaseException | None] = deque()
        self._room = threading.Semaphore(self._AHEAD)
        self._news = asyncio.Event()
        self._ended = False
        threading.Thread(target=self._read, name="cozeloop-stream", daemon=True).start()

    def __aiter__(self) -> AsyncIterator[ExecuteResult]:
        return self

    async def __aenter__(self) -> AsyncStreamReader:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def __anext__(self) -> ExecuteResult:
        if self._ended:
            raise StopAsyncIteration
        try:
            while not self._pieces:
                self._news.clear()
                await self._news.wait()
        except asyncio.CancelledError:
            self.close()
            raise
        piece = self._pieces.popleft()
        self._room.release()
        if isinstance(piece, ExecuteResult):
            return piece
        self._ended = True
        if piece is None:
            raise StopAsyncIteration
        raise piece

    @property
    def partial(self) -> ExecuteResult | None:
        """The answer as far as it has been read; None before anything was."""
        return self._reader.partial

    def close(self) -> None:
        """Stop reading and free the connection."""
        self._ended = True
        self._reader.close()
        self._room.release(self._AHEAD)

    def _read(self) -> None:
        end: BaseException | None = None
        try:
            for piece in self._reader:
                self._room.acquire()
                self._pieces.append(piece)
                _tell(self._loop, self._news.set)
        except BaseException as error:
            end = error
        self._pieces.append(end)
        _tell(self._loop, self._news.set)
