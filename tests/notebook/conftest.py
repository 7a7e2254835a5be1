from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from IPython.core.interactiveshell import InteractiveShell

from cozeloop_magic.local.seeds import read_seeds
from cozeloop_magic.local.store import Store
from tests.conftest import TOKEN
from tests.local.conftest import TOKEN as LOCAL_TOKEN
from tests.local.conftest import Parrot, Server
from tests.wire_server import Script, WireServer


@pytest.fixture
def configured(
    serve: Callable[[Script], WireServer], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Script], WireServer]:
    """Start a server and set the three variables to it."""

    def start(script: Script) -> WireServer:
        server = serve(script)
        monkeypatch.setenv("COZELOOP_API_BASE_URL", server.url)
        monkeypatch.setenv("COZELOOP_WORKSPACE_ID", "73917")
        monkeypatch.setenv("COZELOOP_API_TOKEN", TOKEN)
        return server

    return start


@pytest.fixture(scope="module")
def parrot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An embedded Loop with the prompts that it brings, and a model that repeats what it hears."""
    with closing(Store(tmp_path_factory.mktemp("store") / "prompts.db")) as store:
        store.seed(read_seeds())
        server = Server(store, Parrot())
        yield server
        server.stop()


@pytest.fixture
def seeded(parrot: Server, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> InteractiveShell:
    """A shell whose calls go there."""
    monkeypatch.setenv("COZELOOP_API_BASE_URL", parrot.url)
    monkeypatch.setenv("COZELOOP_WORKSPACE_ID", parrot.workspace_id)
    monkeypatch.setenv("COZELOOP_API_TOKEN", LOCAL_TOKEN)
    return shell
