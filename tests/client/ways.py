"""The four ways to run a prompt, as functions of a client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from cozeloop_magic import Client
from tests.wire_server import WireServer

Serve = Callable[..., WireServer]
ClientOf = Callable[..., Client]


def read_stream(client: Client, **options: Any) -> str:
    return "".join(map(str, client.execute_prompt("greet", stream=True, **options)))


def read_stream_async(client: Client, **options: Any) -> str:
    async def read() -> str:
        reader = await client.aexecute_prompt("greet", stream=True, **options)
        return "".join([str(piece) async for piece in reader])

    return asyncio.run(read())


def read_whole(client: Client, **options: Any) -> str:
    return str(client.execute_prompt("greet", **options))


def read_whole_async(client: Client, **options: Any) -> str:
    return str(asyncio.run(client.aexecute_prompt("greet", **options)))


STREAM_WAYS = [read_stream, read_stream_async]
WHOLE_WAYS = [read_whole, read_whole_async]
ALL_WAYS = [*STREAM_WAYS, *WHOLE_WAYS]
