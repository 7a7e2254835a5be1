from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conftest import TOKEN
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
