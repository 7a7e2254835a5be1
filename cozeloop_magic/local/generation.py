"""From a model that works on a thread to pieces of an answer on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Sequence

from cozeloop_magic.entities.prompt import ExecuteResult, Message, Role, TokenUsage
from cozeloop_magic.local.models import Model, Parameters

__all__ = ["generate"]

Item = ExecuteResult | BaseException | None
End = Callable[[BaseException], None]
"""Ends an answer from outside, with what is raised where its pieces are read."""


async def generate(
    model: Model,
    messages: Sequence[Message],
    parameters: Parameters,
    begun: Callable[[End], None] = lambda end: None,
) -> AsyncGenerator[ExecuteResult, None]:
    """Let the model answer, and give the pieces as they come.

    The last piece, and only that one, has the finish reason and the usage. Whoever stops iterating stops the model.
    `begun` is told how to end it also while no piece comes; to be called on the event loop.
    """
    finish_reason: str | None = None
    usage: TokenUsage | None = None
    notes: tuple[str, ...] = ()
    async for piece in _pieces(model, messages, parameters, begun):
        finish_reason = piece.finish_reason or finish_reason
        usage = piece.usage or usage
        if piece.message is not None:
            yield ExecuteResult(piece.message, notes=notes + piece.notes)
            notes = ()
        else:
            notes += piece.notes
    yield ExecuteResult(Message(Role.ASSISTANT, ""), finish_reason, usage, notes=notes)


async def _pieces(
    model: Model, messages: Sequence[Message], parameters: Parameters, begun: Callable[[End], None]
) -> AsyncGenerator[ExecuteResult, None]:
    loop = asyncio.get_running_loop()
    # Unbounded, because the answer is bounded: a slow reader must not hold up a slot of the model.
    queue: asyncio.Queue[Item] = asyncio.Queue()
    begun(queue.put_nowait)
    nobody_listens = threading.Event()

    def put(item: Item) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the server is going
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def emit(piece: ExecuteResult) -> bool:
        put(piece)
        return not nobody_listens.is_set()

    def work() -> None:
        try:
            model.generate(messages, parameters, emit)
        except BaseException as error:  # it is raised where the pieces are read
            put(error)
        else:
            put(None)

    # Not a daemon: the interpreter must not end while llama.cpp is in the middle of a token.
    threading.Thread(target=work, name="generate").start()
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        nobody_listens.set()
