"""What a client costs: ours, the official SDK's and a bare socket, in turn, against one server on loopback.

The server is a process of its own. Each figure is the median of several rounds, and each ratio is one of two figures
of the same run.

    python benchmarks/client.py
"""

from __future__ import annotations

import asyncio
import itertools
import json
import multiprocessing
import socket
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import cozeloop

from cozeloop_magic import new_client

ROUNDS = 5
EVENTS = 20_000
MANY = 200_000
PACED = 400  # events, PAUSE seconds apart
PAUSE = 0.002
CALLS = 1_280
CONCURRENT = (1, 16, 64)
CLIENTS = ("raw", "ours", "sdk")
OTHERS = ("raw", "sdk")
WHOLE = {"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop", "usage": {"input_tokens": 5}}

# The server: what it answers is the prompt's key.


def event(content: str, finish_reason: str = "") -> bytes:
    body = {"message": {"role": "assistant", "content": content}, "finish_reason": finish_reason}
    return b"event: data\ndata: " + json.dumps(body).encode() + b"\n\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Answering(asyncio.Protocol):
    """Just enough HTTP to cost next to nothing."""

    def connection_made(self, transport: Any) -> None:
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transport, self.data = transport, b""
        self.task: asyncio.Task[None] | None = None

    def connection_lost(self, error: Exception | None) -> None:
        if self.task:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, end, body = self.data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        if end and len(body) >= length:
            self.data = b""
            self.answer(json.loads(body)["prompt_identifier"]["prompt_key"])

    def answer(self, key: str) -> None:
        if key == "whole":
            body = json.dumps({"code": 0, "msg": "", "data": WHOLE}).encode()
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            self.transport.write(head + body)
            return
        what, number, framing = key.split("-")
        close = framing == "close"
        head = b"Connection: close\r\n\r\n" if close else b"Transfer-Encoding: chunked\r\n\r\n"
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + head)
        frame = bytes if close else chunk
        self.task = asyncio.ensure_future(self.send(what, int(number), frame, close))

    async def send(self, what: str, number: int, frame: Callable[[bytes], bytes], close: bool) -> None:
        one = frame(event("word "))
        for n in range(number):
            if what == "paced":
                await asyncio.sleep(PAUSE)
                self.transport.write(frame(event(f"{time.perf_counter_ns()}")))
            else:
                self.transport.write(one)
                if n % 500 == 499:
                    await asyncio.sleep(0)
                    while self.transport.get_write_buffer_size() > 1 << 20:
                        await asyncio.sleep(0.001)
        self.transport.write(frame(event("", "stop")) + (b"" if close else chunk(b"")))
        if close:
            self.transport.close()


def serve(ready: Any) -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0, backlog=512)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


# The clients.


def chunks(file: Any) -> Iterator[bytes]:
    """Read chunked framing, head and all, in as few steps as Python can."""
    while file.readline() not in (b"\r\n", b""):
        pass
    while size := int(file.readline(), 16):
        yield file.read(size + 2)[:-2]


class Raw:
    """A bare socket that splits events and reads their JSON: the least that reading can cost."""

    def __init__(self, port: int) -> None:
        self.port = port

    def texts(self, key: str) -> Iterator[str]:
        body = json.dumps({"prompt_identifier": {"prompt_key": key}}).encode()
        with socket.create_connection(("127.0.0.1", self.port)) as sock:
            sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            data = b""
            reads = iter(partial(sock.recv, 65536), b"") if key.endswith("close") else chunks(sock.makefile("rb"))
            for more in reads:
                *events, data = (data + more).split(b"\n\n")
                for each in events:
                    piece = json.loads(each[each.index(b"data: ") + 6 :])
                    yield piece["message"]["content"]
                    if piece["finish_reason"]:
                        return


class Client:
    """Ours and the SDK's: the names are the same."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def texts(self, key: str) -> Iterator[str]:
        for piece in self.client.execute_prompt(key, stream=True):
            yield piece.message.content if piece.message and piece.message.content else ""

    def call(self, _: object = None) -> None:
        self.client.execute_prompt("whole")

    async def acall(self) -> None:
        await self.client.aexecute_prompt("whole")


_numbers = itertools.count()


def client(name: str, port: int) -> Any:
    if name == "raw":
        return Raw(port)
    make = new_client if name == "ours" else cozeloop.new_client
    token = f"pat_{next(_numbers)}"  # the SDK keeps a client for each token, and none survives its event loop
    return Client(make(api_base_url=f"http://127.0.0.1:{port}", workspace_id="1", api_token=token))


# The figures.


def cpu_per_event(name: str, port: int, framing: str) -> float:
    """Microseconds of this process for one event of many."""
    texts = client(name, port).texts(f"fast-{EVENTS}-{framing}")
    started = time.process_time()
    assert sum(map(len, texts)) == EVENTS * 5
    return (time.process_time() - started) / EVENTS * 1e6


def latencies(name: str, port: int, framing: str) -> list[float]:
    """Milliseconds from the server's write to the client's hands, sorted."""
    texts = client(name, port).texts(f"paced-{PACED}-{framing}")
    return sorted((time.perf_counter_ns() - int(text)) / 1e6 for text in texts if text)


def calls_per_second(name: str, port: int, concurrent: int, kind: str) -> float:
    calling = client(name, port)
    if kind == "threads":
        with ThreadPoolExecutor(concurrent) as pool:
            list(pool.map(calling.call, range(concurrent)))  # warm
            started = time.perf_counter()
            list(pool.map(calling.call, range(CALLS)))
            return CALLS / (time.perf_counter() - started)
    return asyncio.run(_asyncio_calls(calling, concurrent))


async def _asyncio_calls(calling: Client, concurrent: int) -> float:
    async def worker(number: int) -> None:
        for _ in range(number):
            await calling.acall()

    await asyncio.gather(*(worker(1) for _ in range(concurrent)))
    started = time.perf_counter()
    await asyncio.gather(*(worker(CALLS // concurrent) for _ in range(concurrent)))
    return CALLS // concurrent * concurrent / (time.perf_counter() - started)


def memory(name: str, port: int) -> float:
    """Megabytes that reading many events takes at its peak; their text is one of them."""
    code = f"from benchmarks.client import grown; grown({name!r}, {port})"
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def grown(name: str, port: int) -> None:
    reading = client(name, port)
    for _ in reading.texts("fast-1000-chunked"):
        pass
    tracemalloc.start()
    for _ in reading.texts(f"fast-{MANY}-chunked"):
        pass
    print(tracemalloc.get_traced_memory()[1] / 1e6)


def start_up(name: str) -> float:
    """Milliseconds of a fresh Python that imports a client, or nothing."""
    code = {"raw": "pass", "ours": "import cozeloop_magic", "sdk": "import cozeloop"}[name]
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - started) * 1000


def compare(
    title: str, measure: Callable[[str], float], names: tuple[str, ...] = CLIENTS, rounds: int = ROUNDS
) -> None:
    """Measure each client in turn, several times, and print the medians and how ours compares."""
    taken: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            taken[name].append(measure(name))
    median = {name: statistics.median(values) for name, values in taken.items()}
    cells = "".join(f"{median[name]:10.2f}" if name in median else f"{'':10}" for name in CLIENTS)
    ratios = "".join(f"{median['ours'] / median[name]:10.2f}" if median.get(name) else f"{'':10}" for name in OTHERS)
    print(f"{title:<44}{cells}{ratios}", flush=True)


def main() -> None:
    receiving, sending = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(sending,), daemon=True)
    server.start()
    port = receiving.recv()
    print(f"{'':44}{'raw':>10}{'ours':>10}{'sdk':>10}{'ours/raw':>10}{'ours/sdk':>10}")
    for framing in ("chunked", "close"):
        compare(f"CPU per event, µs, {framing}", partial(cpu_per_event, port=port, framing=framing))
    for framing in ("chunked", "close"):
        taken = {name: [latencies(name, port, framing) for _ in range(3)] for name in CLIENTS}
        for percent in (50, 99):
            found = {name: statistics.median(row[PACED * percent // 100] for row in taken[name]) for name in CLIENTS}
            compare(f"latency p{percent}, ms, {framing}", found.__getitem__, rounds=1)
    for kind in ("threads", "asyncio"):
        for concurrent in CONCURRENT:
            measure = partial(calls_per_second, port=port, concurrent=concurrent, kind=kind)
            compare(f"calls/s, {concurrent} at once, {kind}", measure, ("ours", "sdk"), rounds=3)
    compare(f"memory for {MANY:,} events, MB", partial(memory, port=port), rounds=1)
    compare("start and import, ms", start_up, rounds=15)
    server.terminate()


if __name__ == "__main__":
    main()
