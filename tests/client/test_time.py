"""Time limits."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from cozeloop_magic import errors
from tests.client.ways import ClientOf, Serve
from tests.wire_server import (
    delta,
    stream,
)


class TestTime:
    def test_a_silent_server_meets_the_limit(self, serve: Serve, client_of: ClientOf) -> None:
        server = serve(stream([threading.Event()]))
        with pytest.raises(errors.DeadlineExceeded, match=r"0\.3 s"):
            list(client_of(server).execute_prompt("greet", stream=True, timeout=0.3))

    def test_keep_alives_do_not_defeat_the_limit(self, serve: Serve, client_of: ClientOf) -> None:
        def keep_alive() -> Any:
            yield delta("Hel")
            while True:
                time.sleep(0.05)
                yield b": keep-alive\n\n"

        with pytest.raises(errors.DeadlineExceeded) as caught:
            list(client_of(serve(stream(keep_alive()))).execute_prompt("greet", stream=True, timeout=0.3))
        assert str(caught.value.partial) == "Hel"
