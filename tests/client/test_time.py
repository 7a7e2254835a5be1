"""Time limits."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from cozeloop_magic import errors
from tests.client.ways import ClientOf, Serve
from tests.wire_server import delta, last, stream


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

    def test_the_first_token_has_a_limit_of_its_own(self, serve: Serve, client_of: ClientOf) -> None:
        server = serve(stream([b": keep-alive\n\n", threading.Event()]))
        with pytest.raises(errors.DeadlineExceeded, match=r"0\.2 s, the limit for the first token"):
            list(client_of(server, first_token_timeout=0.2).execute_prompt("greet", stream=True, timeout=9))

    def test_once_the_first_token_is_there_the_whole_call_counts(self, serve: Serve, client_of: ClientOf) -> None:
        server = serve(stream(make() for make in (lambda: delta("Hel"), lambda: _pause(0.4), last)))
        pieces = client_of(server, first_token_timeout=0.3).execute_prompt("greet", stream=True, timeout=9)
        assert "".join(map(str, pieces)) == "Hel"

    @pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n"])
    def test_a_byte_now_and_then_does_not_defeat_the_limit(
        self, serve: Serve, client_of: ClientOf, start: bytes
    ) -> None:
        def trickle(request: Any, connection: Any) -> None:
            connection.sendall(start)
            for byte in b"HTTP/1.1 200 OK" if not start else b"000000000000000000000000":
                connection.sendall(bytes([byte]))
                time.sleep(0.1)

        started = time.monotonic()
        with pytest.raises(errors.DeadlineExceeded, match=r"0\.3 s, the call's time limit"):
            client_of(serve(trickle)).execute_prompt("greet", timeout=0.3)
        assert time.monotonic() - started < 0.5


def _pause(seconds: float) -> bytes:
    time.sleep(seconds)
    return b": keep-alive\n\n"
