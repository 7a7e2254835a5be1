"""What a client holds on to, and lets go."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from cozeloop_magic import errors
from tests.client.ways import ClientOf, Serve
from tests.wire_server import (
    HEAD,
    STREAMED,
    chunk,
    delta,
    stream,
)


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
