"""Servers for a shell: one that answers by a script, and a real embedded one with the seeded prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cozeloop_magic.local.choice import chosen_model
from cozeloop_magic.local.process import LocalLoop, RuntimeFile
from cozeloop_magic.local.seeds import read_seeds
from cozeloop_magic.local.store import Store
from tests.conftest import TOKEN
from tests.local.conftest import TOKEN as LOCAL_TOKEN
from tests.local.conftest import Parrot, Server
from tests.wire_server import Script, WireServer


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentences stand on one line, as wide as this terminal is."""
    monkeypatch.setenv("COLUMNS", "500")


@pytest.fixture
def configured(
    serve: Callable[[Script], WireServer], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Script], WireServer]:
    """Start a server and set the three variables to it."""

    def start(script: Script) -> WireServer:
        server = serve(script)
        configure(monkeypatch, server.url, "73917", TOKEN)
        return server

    return start


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Server]:
    """The same as the embedded Loop that is found where nothing is configured."""
    with closing(Store(tmp_path / "prompts.db")) as store:
        store.seed(read_seeds())
        server = Server(store, Parrot())
        RuntimeFile.of(chosen_model()).write(LocalLoop(server.url, server.workspace_id, LOCAL_TOKEN, "parrot"))
        yield server
        server.stop()


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An embedded Loop with the prompts that it brings, and a model that repeats what it hears."""
    with closing(Store(tmp_path / "prompts.db")) as store:
        store.seed(read_seeds())
        server = Server(store, Parrot())
        configure(monkeypatch, server.url, server.workspace_id, LOCAL_TOKEN)
        yield server
        server.stop()


def configure(monkeypatch: pytest.MonkeyPatch, url: str, workspace_id: str, token: str) -> None:
    monkeypatch.setenv("COZELOOP_API_BASE_URL", url)
    monkeypatch.setenv("COZELOOP_WORKSPACE_ID", workspace_id)
    monkeypatch.setenv("COZELOOP_API_TOKEN", token)
