"""Driving a run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.prompt import ExecuteRequest
from cozeloop_magic.run.drive import Stop, drive
from cozeloop_magic.run.state import Phase, RunState
from tests.browser.server import Loop


@pytest.fixture
def server() -> Iterator[Loop]:
    server = Loop()
    server.says("endless", [f"word{n} " for n in range(9999)], pause=0.01)
    yield server
    server.stop()
    assert not server.errors


def test_a_stop_reaches_the_server_while_the_answer_is_drawn(server: Loop, client_of: Callable[..., Client]) -> None:
    stop = Stop()
    gone: list[float] = []

    class SlowView:
        def update(self, state: RunState) -> None:
            if state.pieces and not gone:
                threading.Thread(target=stop).start()
                gone.append(server.gone.get(timeout=60))

        def finish(self, state: RunState) -> None:
            pass

    request = ExecuteRequest("greet", variable_vals={"x": "endless"})
    state = drive(client_of(server), request, SlowView(), stop=stop)
    assert state.phase is Phase.INTERRUPTED and state.error is None
