"""What a client holds on to, and lets go."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import textwrap
import threading
import time
import zlib
from contextlib import ExitStack
from itertools import chain
from typing import Any

import pytest

from cozeloop_magic import errors
from tests.client.faults import JSON_HEAD
from tests.client.ways import ClientOf, Serve
from tests.conftest import in_a_child
from tests.wire_server import (
    FRAMINGS,
    HEAD,
    PIECES,
    STREAMED,
    WHOLE,
    Script,
    WireServer,
    answer,
    chunk,
    delta,
    framed,
    in_turn,
    last,
    send,
    stay,
    stream,
)


def until_gone(gone: threading.Event) -> Script:
    """Begin an answer, and tell when the client has hung up."""

    def script(request: Any, connection: Any) -> None:
        connection.sendall((HEAD + "Transfer-Encoding: chunked\r\n\r\n").encode() + chunk(delta("Hel")))
        if not connection.recv(1):
            gone.set()

    return script


AT_ONCE = send([b"".join(framed(PIECES, "chunked"))], stay)


class TestLifetime:
    def test_closing_wakes_a_thread_that_reads(self, serve: Serve, client_of: ClientOf) -> None:
        reader = client_of(serve(stream([delta("Hel"), threading.Event()]))).execute_prompt("greet", stream=True)
        next(reader)
        caught: list[BaseException] = []

        def read_on() -> None:
            try:
                next(reader)
            except BaseException as error:
                caught.append(error)

        thread = threading.Thread(target=read_on)
        thread.start()
        time.sleep(0.1)
        reader.close()
        thread.join(5)
        assert not thread.is_alive()
        assert isinstance(caught[0], errors.StreamInterrupted)

    def test_threads_that_read_one_stream_share_its_pieces(self, serve: Serve, client_of: ClientOf) -> None:
        words = [f"{n} " for n in range(2000)]
        reader = client_of(serve(stream([*map(delta, words), last()]))).execute_prompt("greet", stream=True)
        shares: list[list[str]] = [[], [], []]
        threads = [threading.Thread(target=lambda share=share: share.extend(map(str, reader))) for share in shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert sorted(filter(None, chain(*shares))) == sorted(words)
        assert str(reader.partial) == "".join(words)

    def test_a_cancelled_task_closes_its_stream(self, serve: Serve, client_of: ClientOf) -> None:
        gone = threading.Event()
        client = client_of(serve(until_gone(gone)))

        async def cancel() -> None:
            async def read() -> None:
                async for _ in await client.aexecute_prompt("greet", stream=True):
                    pass

            task = asyncio.create_task(read())
            await asyncio.sleep(0.3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(cancel())
        assert gone.wait(60)

    def test_a_stream_closed_between_two_pieces_does_not_end_as_if_complete(
        self, serve: Serve, client_of: ClientOf
    ) -> None:
        reader = client_of(serve(STREAMED)).execute_prompt("greet", stream=True)
        next(reader)
        reader.close()
        with pytest.raises(errors.StreamInterrupted, match="its reader was closed"):
            next(reader)
        assert list(reader) == []

    def test_closing_the_client_ends_async_readers_that_are_half_read(
        self, serve: Serve, client_of: ClientOf
    ) -> None:
        client = client_of(serve(stream([delta("a")] * 5000 + [last()])))

        async def leave_half_read() -> None:
            readers = [await client.aexecute_prompt("greet", stream=True) for _ in range(5)]
            for reader in readers:
                await anext(reader)
            await asyncio.sleep(0.2)
            client.close()
            assert not [each for each in threading.enumerate() if each.name == "cozeloop-call"]

        asyncio.run(leave_half_read())

    def test_a_stream_is_read_in_the_event_loop_it_was_begun_in(self, serve: Serve, client_of: ClientOf) -> None:
        reader = asyncio.run(client_of(serve(STREAMED)).aexecute_prompt("greet", stream=True))

        async def read_on() -> None:
            await anext(reader)

        with pytest.raises(errors.InvalidRequest, match="another event loop"):
            asyncio.run(read_on())
        reader.close()

    def test_two_tasks_that_read_one_stream_both_end(self, serve: Serve, client_of: ClientOf) -> None:
        client = client_of(serve(STREAMED))

        async def read_together() -> list[list[str]]:
            reader = await client.aexecute_prompt("greet", stream=True)

            async def read() -> list[str]:
                return [str(piece) async for piece in reader]

            return await asyncio.wait_for(asyncio.gather(read(), read()), 5)

        one, other = asyncio.run(read_together())
        assert sorted(one + other) == ["", "Hel", "lo ", "world"]

    def test_fifteen_hundred_readers_can_be_left_early(self, serve: Serve, client_of: ClientOf) -> None:
        client = client_of(serve(AT_ONCE))
        for number in range(1_500):  # more than a process may usually have files open
            reader = client.execute_prompt("greet", stream=True)
            assert str(next(reader)) == "Hel"
            if number % 2:  # the others are dropped
                reader.close()

    def test_hundreds_of_async_readers_can_be_left_early(self, serve: Serve, client_of: ClientOf) -> None:
        client = client_of(serve(AT_ONCE))

        async def leave_early() -> None:
            for _ in range(500):
                async for piece in await client.aexecute_prompt("greet", stream=True):
                    assert str(piece) == "Hel"
                    break

        asyncio.run(leave_early())

    def test_a_dropped_async_reader_frees_its_thread_and_connection(self, serve: Serve, client_of: ClientOf) -> None:
        gone = threading.Event()
        client = client_of(serve(until_gone(gone)))

        async def read_one() -> None:
            async for _ in await client.aexecute_prompt("greet", stream=True):
                break

        asyncio.run(read_one())
        gc.collect()
        assert gone.wait(60)

    def test_closing_the_client_ends_what_is_under_way(self, serve: Serve, client_of: ClientOf) -> None:
        client = client_of(serve(lambda request, connection: connection.recv(1)))
        caught: list[BaseException] = []

        def call() -> None:
            try:
                client.execute_prompt("greet")
            except errors.LoopError as error:
                caught.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        time.sleep(0.2)
        client.close()
        thread.join(5)
        assert isinstance(caught[0], errors.ClientClosed)

    @pytest.mark.parametrize("framing", FRAMINGS)
    def test_closing_the_client_ends_an_answer_that_comes_whole(
        self, serve: Serve, client_of: ClientOf, framing: str
    ) -> None:
        start = framed([b'{"data": ', b"{}}"], framing, JSON_HEAD)[:2]
        client = client_of(serve(send(start, lambda connection: connection.recv(1))))
        threading.Timer(0.2, client.close).start()
        with pytest.raises(errors.ClientClosed):
            client.execute_prompt("greet")

    def test_a_closed_client_answers_nothing_from_memory(self, serve: Serve, client_of: ClientOf) -> None:
        prompt = {"prompt_key": "greet", "version": "1.0.0"}
        client = client_of(serve(answer({"code": 0, "data": {"items": [{"prompt": prompt}]}})))
        client.get_prompt("greet", "1.0.0")
        client.close()
        with pytest.raises(errors.ClientClosed):
            client.get_prompt("greet", "1.0.0")

    @pytest.mark.parametrize("streamed", [True, False])
    def test_a_coroutine_that_nobody_goes_on_with_ends_its_call(
        self, serve: Serve, client_of: ClientOf, streamed: bool
    ) -> None:
        gone = threading.Event()
        client = client_of(serve(lambda request, connection: connection.recv(1) or gone.set()))
        waiting = client.aexecute_prompt("greet", stream=streamed)

        async def begin() -> None:
            tasks.append(asyncio.ensure_future(waiting))
            await asyncio.sleep(0.2)

        tasks: list[asyncio.Future[Any]] = []
        loop = asyncio.new_event_loop()
        loop.run_until_complete(begin())
        loop.close()
        waiting.close()
        assert gone.wait(60)

    def test_two_hundred_streams_run_at_once(self, serve: Serve, client_of: ClientOf) -> None:
        barrier = threading.Barrier(200)

        def wait_for_all(request: Any, connection: Any) -> None:
            barrier.wait(20)
            STREAMED(request, connection)

        client = client_of(serve(wait_for_all))

        async def read() -> str:
            return "".join([str(piece) async for piece in await client.aexecute_prompt("greet", stream=True)])

        async def all_at_once() -> list[str]:
            return await asyncio.gather(*(read() for _ in range(200)))

        assert asyncio.run(all_at_once()) == ["Hello world"] * 200

    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_works_on_after_a_fork(self, serve: Serve, client_of: ClientOf) -> None:
        client = client_of(serve(WHOLE))
        client.execute_prompt("greet")
        assert in_a_child(lambda: str(client.execute_prompt("greet"))) == "Hello world"
        assert str(client.execute_prompt("greet")) == "Hello world"

    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_works_after_a_fork_in_the_midst_of_other_threads_calls(self, serve: Serve, client_of: ClientOf) -> None:
        client = client_of(serve(WHOLE))
        locks = (client._caller._lock, client._cache._lock, client._threads._lock, client._transport._lock)
        with ExitStack() as held:  # as other threads may hold them, at that moment
            for lock in locks:
                held.enter_context(lock)

            def call() -> str:
                whole = str(client.execute_prompt("greet")) + str(asyncio.run(client.aexecute_prompt("greet")))
                client.close()
                return whole

            assert in_a_child(call) == "Hello world" * 2

    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_a_stream_stays_with_the_parent(self, serve: Serve, client_of: ClientOf) -> None:
        reader = client_of(serve(STREAMED)).execute_prompt("greet", stream=True)
        with reader._lock:  # as another thread may, at that moment
            assert in_a_child(lambda: next(reader)).startswith("StreamInterrupted")
        assert "".join(map(str, reader)) == "Hello world"


# What another process is needed for: its memory is its own, and an interrupt is for its main thread.

START = """
import sys, time
from cozeloop_magic import new_client

client = new_client(sys.argv[1], "1", "token", max_retries=0)
"""


def child_of(server: WireServer, script: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", START + script, server.url], stdout=subprocess.PIPE, text=True)


COUNT = """
import zlib, psutil
memory = lambda: psutil.Process().memory_info().rss
list(client.execute_prompt("greet", stream=True))
before = most = memory()
seen = 0
for number, piece in enumerate(client.execute_prompt("greet", stream=True)):
    seen = zlib.crc32(str(piece).encode(), seen)
    if number % 1000 == 0:
        most = max(most, memory())
print(seen, most - before)
"""


def test_fifty_thousand_events_take_no_memory_but_their_text(serve: Serve) -> None:
    words = [f"piece {number:06} " for number in range(50_000)]
    many = [b"".join(map(delta, words[i : i + 100])) for i in range(0, len(words), 100)]
    with child_of(serve(in_turn(STREAMED, stream([*many, last()]))), COUNT) as child:
        assert child.stdout is not None
        seen, grown = map(int, child.stdout.read().split())
    text = "".join(words).encode()
    assert seen == zlib.crc32(text)
    assert grown < 4 * len(text) + 4_000_000  # the reader keeps the text as `partial`; four bytes hold any character


BLOCKED = {
    "in a stream": """
for piece in client.execute_prompt("greet", stream=True):
    print(piece, flush=True)
""",
    "before the headers": """client.execute_prompt("greet", stream=True)""",
    "in a whole answer": """client.execute_prompt("greet")""",
    "in an event loop": """
import asyncio
asyncio.run(client.aexecute_prompt("greet"))
""",
}

UNTIL_INTERRUPTED = """
try:
{}
except KeyboardInterrupt:
    print(time.monotonic())
"""


@pytest.mark.parametrize("case", BLOCKED)
def test_an_interrupt_ends_a_read_that_blocks_at_once(serve: Serve, case: str) -> None:
    waiting, gone = threading.Event(), threading.Event()

    def block(request: Any, connection: Any) -> None:
        if case == "in a stream":
            connection.sendall(framed([], "chunked")[0] + chunk(delta("Hel")))
        elif case == "in a whole answer":
            connection.sendall(framed([b'{"code": 0'], "close", JSON_HEAD)[0])
        waiting.set()
        if not connection.recv(1):
            gone.set()

    script = (
        "try:\n" + textwrap.indent(BLOCKED[case], "    ") + "\nexcept KeyboardInterrupt:\n    print(time.monotonic())"
    )
    with child_of(serve(block), script) as child:
        assert waiting.wait(60) and not gone.wait(0.2)
        interrupted_at = time.monotonic()
        child.send_signal(signal.SIGINT)
        assert child.stdout is not None
        caught_at = float(child.stdout.read().split()[-1])
        assert gone.wait(60)
    assert caught_at - interrupted_at < 0.1
