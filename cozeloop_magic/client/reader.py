"""Reading a streamed answer: pieces as they come, complete or an error."""

from __future__ import annotations

import asyncio
import json
import threading
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from queue import Empty, SimpleQueue
from typing import Any, cast

from cozeloop_magic.client.threads import Threads, tell
from cozeloop_magic.entities.prompt import ExecuteResult
from cozeloop_magic.entities.stream import PieceReader, ResultBuilder, join_results
from cozeloop_magic.errors import InvalidRequest, LoopError, RemoteError
from cozeloop_magic.forks import register_after_fork
from cozeloop_magic.printable import replace_surrogates
from cozeloop_magic.transport import LINGER, EventStream
from cozeloop_magic.transport.call import POLL_INTERVAL
from cozeloop_magic.transport.error_responses import SURROGATE_ESCAPE, error_code, error_message

__all__ = ["AsyncStreamReader", "Reopen", "StreamReader"]

_JSON = json.JSONDecoder(strict=False)
_PARTS = {"message", "finish_reason", "usage"}  # of a piece of an answer
_USUAL = ("data", "message")  # kinds of event that hold a piece of an answer
_USAGE_TIMEOUT = 0.5  # seconds that usage may come after the finish reason

Reopen = Callable[[LoopError], EventStream]
"""Makes the call again after a fault, or raises the fault."""


class StreamReader:
    """Iterates over the pieces of one answer (``POST /v1/loop/prompts/execute_streaming``).

    An answer is complete only if a finish reason came; iteration that just ends has given a complete one. A context
    manager; `close` may be called from any thread and wakes one that reads. A reader that is dropped closes itself.

    Raises
    ------
    LoopError
        From ``next()``: the server reported an error, or the stream broke off. ``partial`` holds what came.
    """

    def __init__(self, events: EventStream, reopen: Reopen) -> None:
        self._reopen = reopen
        self._builder = ResultBuilder()
        self._lock = threading.Lock()
        self._done = self._closed = False
        self._attach(events)
        register_after_fork(self)

    def after_fork(self) -> None:
        """Leave the stream to the parent."""
        self._lock = threading.Lock()
        self._closed = True

    def __iter__(self) -> Iterator[ExecuteResult]:
        return self

    def __enter__(self) -> StreamReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __next__(self) -> ExecuteResult:
        with self._lock:  # threads that read one stream share its pieces
            return self._read()

    def _read(self) -> ExecuteResult:
        if self._done:
            raise StopIteration
        try:
            piece = self._next()
            self._builder.add(piece)
            if piece.finish_reason:
                piece = self._finished(piece)
        except LoopError as error:
            self._done = self._closed = True
            error.partial = self.partial
            self._finalizer()
            raise error.with_traceback(None) from error.__cause__  # inner frames hold what may echo credentials
        except BaseException:
            self.close()
            raise
        return piece

    @property
    def closed(self) -> bool:
        """Whether it was closed, or its call ended, from outside."""
        return self._closed or self._events.call.cancelled

    @property
    def partial(self) -> ExecuteResult | None:
        """The answer as far as it has come; None before anything did."""
        return self._builder.result() if self._builder else None

    def close(self) -> None:
        """Stop reading and free the connection. Who goes on iterating is told that the answer is not complete."""
        self._closed = True
        self._events.call.cancel()
        self._finalizer()

    def _attach(self, events: EventStream) -> None:
        self._events = events
        self._pieces = _pieces(events)
        self._finalizer = weakref.finalize(self, events.close)
        self._finalizer.atexit = False
        if self._closed:  # meanwhile
            self._finalizer()

    def _next(self) -> ExecuteResult:
        if self._closed:
            raise self._events.incomplete_error()
        try:
            return next(self._pieces)
        except LoopError as error:
            if self._builder or not error.repeatable:
                raise
            self._finalizer()
            self._attach(self._reopen(error))
            return self._next()

    def _finished(self, last: ExecuteResult) -> ExecuteResult:
        """Add what follows the finish reason, as some servers' usage does, and give the connection back.

        Raises
        ------
        RemoteError
            If the server takes the answer back.
        """
        rest = []
        try:
            with self._events.call.fail_after(LINGER if last.usage else _USAGE_TIMEOUT):
                for piece in self._pieces:
                    rest.append(piece)
                    self._builder.add(piece)
        except RemoteError:
            raise
        except LoopError:
            pass  # the stream's end, or none in time: the answer is complete
        self._done = True
        self._finalizer.detach()
        self._events.close(complete=True)
        return join_results([last, *rest]) if rest else last


def _pieces(events: EventStream) -> Iterator[ExecuteResult]:
    """Read events as pieces of an answer. It ends by an error: whoever iterates stops at the finish reason."""
    read = PieceReader(
        log_id=events.log_id,
        model=events.model,
        retries=events.call.retries,
        notes=events.notes,
        read_notes=events.read_notes,
    ).read
    strange = ""
    for name, data in events:
        body = _object(events, name, data)
        if name.lower() == "error" or (body and _is_error_event(name, body)):
            raise events.error_event(data)
        piece = read(body) if body else None
        if (piece is None or piece.message is None) and body and body.get("message"):
            raise events.unreadable("holds a message that cannot be read", body["message"])
        if body and body.get("finish_reason") and not isinstance(body["finish_reason"], str):
            events.unreadable_finish_reason = body["finish_reason"]
        if piece is not None:
            if not events.has_content and _has_content(piece):
                events.call.got_first_token()
                events.has_content = True
            if piece.finish_reason and strange and not events.has_content:
                raise events.unreadable("ends it without text, after one that is no piece of an answer", strange)
            yield piece
        elif data.strip() == "[DONE]":
            break
        elif name in _USUAL:
            strange = data if body else strange
        else:
            events.last_unknown = data
    raise events.incomplete_error()


def _is_error_event(name: str, body: Mapping[str, Any]) -> bool:
    """Tell whether an event says no: by a code, which one of an unknown kind may have without words, or in words."""
    if body.get("error"):
        return True
    if name in _USUAL:
        return bool(error_code(body) or (not _PARTS & body.keys() and error_message(body)))
    return bool(error_code(body) and error_message(body))


def _has_content(piece: ExecuteResult) -> bool:
    """Tell whether a piece holds something of an answer; the first often names the role alone."""
    message = piece.message
    return bool(message and (message.content or message.reasoning_content or message.tool_calls or message.parts))


def _object(events: EventStream, name: str, data: str) -> dict[str, Any] | None:
    """Read an event's JSON object; None where it is of a kind that carries no piece of an answer."""
    text = data.strip()
    try:
        body, end = _JSON.raw_decode(text)
    except (ValueError, RecursionError):
        body, end = None, -1
    whole = end == len(text)
    if whole and type(body) is dict:
        return _replace_surrogates(body) if SURROGATE_ESCAPE.search(text.encode("utf-8", "replace")) else body
    if name in _USUAL and text not in ("", "null", "[DONE]"):
        raise events.unreadable("is not a JSON object" if whole else "cannot be read as JSON", text)
    return None


def _replace_surrogates(body: dict[str, Any]) -> dict[str, Any]:
    """Replace lone surrogates but in the texts that are joined: their other halves may come with the next event."""
    replaced = replace_surrogates(body)
    before, after = body.get("message"), replaced.get("message")
    if isinstance(before, dict) and isinstance(after, dict):
        _keep(("content", "reasoning_content"), before, after)
        calls = zip(before.get("tool_calls") or (), after.get("tool_calls") or (), strict=False)
        for call_before, call_after in calls if isinstance(before.get("tool_calls"), list) else ():
            if isinstance(call_before, dict) and isinstance(call_before.get("function_call"), dict):
                _keep(("arguments",), call_before["function_call"], call_after["function_call"])
    return cast("dict[str, Any]", replaced)


def _keep(names: Iterable[str], before: Mapping[str, Any], after: dict[str, Any]) -> None:
    after |= {name: before[name] for name in names if name in before}


class AsyncStreamReader:
    """`StreamReader` for ``async for``: a thread reads, the event loop never blocks.

    An async context manager; leaving it, cancelling the task that iterates, or dropping it closes the stream.
    """

    def __init__(self, reader: StreamReader, threads: Threads) -> None:
        self._pump = _Pump(reader, asyncio.get_running_loop())
        self._ended = False
        self._finalizer = weakref.finalize(self, self._pump.close)
        self._finalizer.atexit = False
        threads.start(self._pump.run)

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
            piece = await self._pump.take()
        except (asyncio.CancelledError, GeneratorExit):
            self.close()
            raise
        if isinstance(piece, ExecuteResult):
            return piece
        self._ended = True
        if piece is None:
            raise StopAsyncIteration
        raise piece

    @property
    def partial(self) -> ExecuteResult | None:
        """The answer as far as it has been read; None before anything was."""
        return self._pump.reader.partial

    def close(self) -> None:
        """Stop reading and free the connection. Who goes on iterating is told that the answer is not complete."""
        self._finalizer()


class _Pump:
    """Carries pieces from the thread that reads to the event loop; knows nothing of who takes them."""

    _AHEAD = 1000  # pieces read but not yet taken, before the thread waits and the server feels it

    def __init__(self, reader: StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        self.reader = reader
        self._loop = loop
        self._pieces: deque[ExecuteResult | BaseException | None] = deque()
        self._taken: SimpleQueue[None] = SimpleQueue()  # takes no lock: a finalizer may run in any thread, anywhere
        self._news = asyncio.Event()

    def run(self) -> None:
        end: BaseException | None = None
        try:
            for ahead, piece in enumerate(self.reader, 1 - self._AHEAD):
                if ahead > 0:
                    self._wait()
                self._put(piece)
        except BaseException as error:
            end = error
        self._put(end)

    def _wait(self) -> None:
        """Wait until one more piece has been taken, unless nobody will."""
        while not self.reader.closed:
            try:
                return self._taken.get(timeout=POLL_INTERVAL)
            except Empty:
                pass

    def _put(self, item: ExecuteResult | BaseException | None) -> None:
        self._pieces.append(item)
        if len(self._pieces) == 1:  # else the loop has been told
            tell(self._loop, self._news.set)

    async def take(self) -> ExecuteResult | BaseException | None:
        if asyncio.get_running_loop() is not self._loop:
            raise InvalidRequest(
                "This stream belongs to another event loop, which ran when it was begun.",
                hint="Begin and read a stream in one asyncio.run().",
            )
        while not self._pieces:
            self._news.clear()
            await self._news.wait()
        if not isinstance(self._pieces[0], ExecuteResult):
            return self._pieces[0]  # it stays, for whoever else waits
        self._taken.put(None)
        return self._pieces.popleft()

    def close(self) -> None:
        self.reader.close()
