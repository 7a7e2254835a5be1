"""A Loop server that costs next to nothing, in a process of its own: what a client does is what is measured.

It knows any version of any prompt with one variable, ``text``, and answers all alike, in pieces as a Loop server does
or as a whole, once its delay is over.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = ["TOKEN", "WORKSPACE", "stub"]

TOKEN, WORKSPACE = "pat_for_the_benchmark", "73917"

_VARIABLES = [{"key": "text", "type": "string"}]
_MESSAGES = [{"role": "user", "content": "{{text}}"}]
_TEMPLATE = {"template_type": "normal", "messages": _MESSAGES, "variable_defs": _VARIABLES}


@contextmanager
def stub(delay: float, pieces: Sequence[str] = ("a short answer",)) -> Iterator[tuple[str, Any]]:
    """Serve, and give the address and the number of calls, which goes on counting.

    Parameters
    ----------
    delay : float
        Seconds before an answer.
    pieces : sequence of str
        What it says.
    """
    spawn = multiprocessing.get_context("spawn")
    receive, send = spawn.Pipe(duplex=False)
    calls = spawn.Value("q", 0, lock=False)
    process = spawn.Process(target=_serve, args=(send, delay, tuple(pieces), calls), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{receive.recv()}", calls
    finally:
        process.terminate()
        process.join()


def _serve(ready: Any, delay: float, pieces: Sequence[str], calls: Any) -> None:
    async def run() -> None:
        streamed, whole = _streamed(pieces), _whole({**_said("".join(pieces)), **_end(pieces)})
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: _Answering(delay, streamed, whole, calls), "127.0.0.1", 0, backlog=512
        )
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


class _Answering(asyncio.Protocol):
    """Just enough HTTP."""

    def __init__(self, delay: float, streamed: bytes, whole: bytes, calls: Any) -> None:
        self.delay, self.streamed, self.whole, self.calls, self.data = delay, streamed, whole, calls, b""

    def connection_made(self, transport: Any) -> None:
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, end, body = self.data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        if not end or len(body) < length:
            return
        self.data = b""
        path = head.partition(b"\r\n")[0]
        if b"mget" in path:
            self.transport.write(_whole({"items": [_prompt(json.loads(body)["queries"][0])]}))
            return
        self.calls.value += 1
        answer = self.streamed if b"streaming" in path else self.whole
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, self.transport.write, answer)
        else:
            self.transport.write(answer)


def _prompt(query: Any) -> Any:
    version = query.get("version") or "1.0.0"
    return {"query": query, "prompt": {**query, "version": version, "prompt_template": _TEMPLATE}}


def _said(content: str) -> Any:
    return {"message": {"role": "assistant", "content": content}, "finish_reason": ""}


def _end(pieces: Sequence[str]) -> Any:
    return {"finish_reason": "stop", "usage": {"input_tokens": 5, "output_tokens": len(pieces)}}


def _whole(value: Any) -> bytes:
    body = json.dumps({"code": 0, "msg": "", "data": value}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def _streamed(pieces: Sequence[str]) -> bytes:
    said = [*map(_said, pieces), {"message": {"role": "assistant"}, **_end(pieces)}]
    events = [b"event: data\ndata: %s\n\n" % json.dumps(each).encode() for each in said]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in [*events, b""])
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
