"""What a table costs: `batch` beside the official SDK, and what its promises cost.

A local server answers each call after 100 ms, in a process of its own. Each ratio is one of two figures of one run.

    python benchmarks/batch.py
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

DELAY = 0.1  # seconds the server takes for an answer
CONCURRENT = (16, 64)
SECONDS = 6  # of each arm
DRILL = 10_000
TOKEN = "pat_for_the_benchmark"
KEY = "greet"

VARIABLES = [{"key": "text", "type": "string"}]
MESSAGES = [{"role": "user", "content": "{{text}}"}]
PROMPT = {
    "prompt_key": KEY,
    "version": "1.0.0",
    "prompt_template": {"template_type": "normal", "messages": MESSAGES, "variable_defs": VARIABLES},
}
USAGE = {"input_tokens": 5, "output_tokens": 3}


# The server.


def whole(value: Any) -> bytes:
    body = json.dumps({"code": 0, "msg": "", "data": value}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def streamed() -> bytes:
    pieces = [
        {"message": {"role": "assistant", "content": "a short answer"}, "finish_reason": ""},
        {"message": {"role": "assistant"}, "finish_reason": "stop", "usage": USAGE},
    ]
    events = [b"event: data\ndata: %s\n\n" % json.dumps(piece).encode() for piece in pieces]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in [*events, b""])
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks


DEFINITION = whole({"items": [{"query": {}, "prompt": PROMPT}]})
STREAMED = streamed()
ANSWER = whole(
    {"message": {"role": "assistant", "content": "a short answer"}, "finish_reason": "stop", "usage": USAGE}
)


class Answering(asyncio.Protocol):
    """Just enough HTTP to cost next to nothing."""

    def __init__(self, delay: float, calls: Any) -> None:
        self.delay, self.calls, self.data = delay, calls, b""

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
        if b"mget" in head.partition(b"\r\n")[0]:
            self.transport.write(DEFINITION)
            return
        self.calls.value += 1
        answer = STREAMED if b"streaming" in head.partition(b"\r\n")[0] else ANSWER
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, self.transport.write, answer)
        else:
            self.transport.write(answer)


def serve(ready: Any, delay: float, calls: Any) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Answering(delay, calls), "127.0.0.1", 0, backlog=512)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


@contextmanager
def server(delay: float) -> Iterator[tuple[str, Any]]:
    """Serve in a process of its own; give the address and the number of calls."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe()
    calls = context.Value("q", 0, lock=False)
    process = context.Process(target=serve, args=(send, delay, calls), daemon=True)
    process.start()
    yield f"http://127.0.0.1:{receive.recv()}", calls
    process.terminate()
    process.join()


# Who calls.


def ours(url: str, rows: int, concurrency: int, store: Any) -> None:
    from cozeloop_magic import batch, new_client

    table = [{"text": f"row {next(NUMBERS)}"} for _ in range(rows)]
    with new_client(url, "73917", TOKEN) as client:
        answers = batch(client, table, KEY, version="1.0.0", concurrency=concurrency, store=store)
    assert all(row["answer"] == "a short answer" for row in answers)


NUMBERS = count()


@cache
def sdk_client(url: str) -> Any:
    import cozeloop

    return cozeloop.new_client(api_base_url=url, workspace_id="73917", api_token=TOKEN)


def sdk_threads(url: str, rows: int, concurrency: int, store: Any) -> None:
    client = sdk_client(url)

    def one(number: int) -> str:
        *_, last = client.execute_prompt(KEY, version="1.0.0", variable_vals={"text": f"row {number}"}, stream=True)
        return str(last.finish_reason)

    with ThreadPoolExecutor(concurrency) as pool:
        assert set(pool.map(one, range(rows))) == {"stop"}


def sdk_asyncio(url: str, rows: int, concurrency: int, store: Any) -> None:
    client = sdk_client(url)

    async def run() -> None:
        semaphore = asyncio.Semaphore(concurrency)

        async def one(number: int) -> None:
            async with semaphore:
                reader = await client.aexecute_prompt(
                    KEY, version="1.0.0", variable_vals={"text": f"row {number}"}, stream=True
                )
                async for _ in reader:
                    pass

        await asyncio.gather(*map(one, range(rows)))

    asyncio.run(run())


def rate(run: Callable[..., None], url: str, concurrency: int, store: Any = False) -> float:
    rows = int(concurrency / DELAY * SECONDS)
    began = time.perf_counter()
    run(url, rows, concurrency, store)
    return rows / (time.perf_counter() - began)


def speed() -> None:
    from cozeloop_magic.store.runs import RunStore

    print(f"rows a second, {DELAY * 1000:.0f} ms a call")
    with server(DELAY) as (url, _), tempfile.TemporaryDirectory() as home:
        ours(url, 64, 64, False)  # imports, and a server that has seen a call
        for concurrency in CONCURRENT:
            ideal = concurrency / DELAY
            with RunStore.open(Path(home) / f"{concurrency}.db") as store:
                kept = rate(ours, url, concurrency, store)
            bare = rate(ours, url, concurrency)
            threads, tasks = rate(sdk_threads, url, concurrency), rate(sdk_asyncio, url, concurrency)
            print(
                f"  {concurrency:>3} at once: ideal {ideal:,.0f} · batch {kept:,.0f} ({kept / ideal:.2f} of ideal)"
                f" · without store {bare:,.0f} (store costs {bare / kept:.2f} x)"
                f" · SDK, threads {threads:,.0f} · SDK, asyncio {tasks:,.0f}"
            )


if __name__ == "__main__":
    speed()
