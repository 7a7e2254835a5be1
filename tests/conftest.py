from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cozeloop_magic import Client, new_client
from tests.wire_server import Script, WireServer

TOKEN = "pat_s3cr3t-t0ken"


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees this machine's set-up, or leaves anything behind in it."""
    for name in list(os.environ):
        if name.startswith("COZELOOP_") and name != "COZELOOP_MAGIC_GGUF":
            monkeypatch.delenv(name)
    monkeypatch.setenv("COZELOOP_MAGIC_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def serve() -> Iterator[Callable[[Script], WireServer]]:
    """Start servers that answer by a script."""
    servers: list[WireServer] = []

    def start(script: Script) -> WireServer:
        servers.append(WireServer(script))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
        assert not server.errors


@pytest.fixture
def client_of(serve: Callable[[Script], WireServer]) -> Iterator[Callable[..., Client]]:
    """Make clients of a server, which try once unless told otherwise; see that they leave no thread behind."""
    clients: list[Client] = []

    def make(server: WireServer, **options: Any) -> Client:
        clients.append(new_client(server.url, "73917", TOKEN, **{"max_retries": 0} | options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("cozeloop")]


@pytest.fixture(scope="session")
def weights() -> Path:
    """The real model's weights, fetched once into the user's own cache."""
    from cozeloop_magic.local.weights import ensure

    return ensure()
