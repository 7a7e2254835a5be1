"""What a client holds on to, and lets go."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from typing import Any

import pytest

from cozeloop_magic import errors
from tests.client.ways import ClientOf, Serve
from tests.wire_server import HEAD, STREAMED, WHOLE, chunk, delta, stream


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

    def test_a_reader_can_be_left_early(self, serve: Serve, client_of: ClientOf) -> None:
        client = client_of(serve(STREAMED))
        for _ in range(200):
            with client.execute_prompt("greet", stream=True) as reader:
                next(reader)

    def test_a_cancelled_task_closes_its_stream(self, serve: Serve, client_of: ClientOf) -> None:
        gone = threading.Event()

        def until_gone(request: Any, connection: Any) -> None:
            connection.sendall((HEAD + "Transfer-Encoding: chunked\r\n\r\n").encode() + chunk(delta("Hel")))
            if not connection.recv(1):
                gone.set()

        client = client_of(serve(until_gone))

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
        assert gone.wait(5)

    @pytest.mark.parametrize("closed", [True, False])
    def test_very_many_readers_can_be_left_early(self, serve: Serve, client_of: ClientOf, closed: bool) -> None:
        client = client_of(serve(STREAMED))
        for _ in range(1100):  # more than a process may have files open
            reader = client.execute_prompt("greet", stream=True)
            next(reader)
            if closed:
                reader.close()

    def test_a_dropped_async_reader_frees_its_thread_and_connection(self, serve: Serve, client_of: ClientOf) -> None:
        gone = threading.Event()

        def until_gone(request: Any, connection: Any) -> None:
            connection.sendall((HEAD + "Transfer-Encoding: chunked\r\n\r\n").encode() + chunk(delta("Hel")))
            if not connection.recv(1):
                gone.set()

        client = client_of(serve(until_gone))

        async def read_one() -> None:
            async for _ in await client.aexecute_prompt("greet", stream=True):
                break

        asyncio.run(read_one())
        gc.collect()
        assert gone.wait(5)

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
        if (child := os.fork()) == 0:
            os._exit(0 if str(client.execute_prompt("greet")) == "Hello world" else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert str(client.execute_prompt("greet")) == "Hello world"
