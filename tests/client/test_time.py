"""Time limits."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cozeloop_magic import errors, new_client
from tests.client.network import takes_no_connection
from tests.client.ways import ALL_WAYS, STREAM_WAYS, ClientOf, Serve
from tests.conftest import soon
from tests.wire_server import GOOD, delta, last, send, stream


class TestTime:
    @pytest.mark.parametrize("read", ALL_WAYS)
    @pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"])
    def test_a_silent_server_meets_the_limit(self, serve: Serve, client_of: ClientOf, read: Any, said: bytes) -> None:
        server = serve(send([said], lambda connection: connection.recv(1)))
        with pytest.raises(errors.DeadlineExceeded, match=r"0\.2 s, the call's time limit"):
            read(client_of(server), timeout=0.2)

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
            list(client_of(server, first_token_timeout=0.2).execute_prompt("greet", stream=True, timeout=60))

    def test_the_first_token_is_text_and_not_the_role_that_comes_before(
        self, serve: Serve, client_of: ClientOf
    ) -> None:
        server = serve(stream([delta(""), threading.Event()]))
        with pytest.raises(errors.DeadlineExceeded, match=r"0\.2 s, the limit for the first token"):
            list(client_of(server, first_token_timeout=0.2).execute_prompt("greet", stream=True, timeout=60))

    def test_once_the_first_token_is_there_the_whole_call_counts(self, serve: Serve, client_of: ClientOf) -> None:
        server = serve(stream(make() for make in (lambda: delta("Hel"), lambda: _pause(1.2), last)))
        pieces = client_of(server, first_token_timeout=1.0).execute_prompt("greet", stream=True, timeout=60)
        assert "".join(map(str, pieces)) == "Hel"

    @pytest.mark.parametrize("read", ALL_WAYS)
    @pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n"])
    def test_a_byte_now_and_then_does_not_defeat_the_limit(
        self, serve: Serve, client_of: ClientOf, read: Any, start: bytes
    ) -> None:
        def trickle(request: Any, connection: Any) -> None:
            connection.sendall(start)
            for byte in b"HTTP/1.1 200 OK" + b"K" * 9999 if not start else b"0" * 9999:
                connection.sendall(bytes([byte]))
                time.sleep(0.1)

        with pytest.raises(errors.DeadlineExceeded, match=r"0\.3 s, the call's time limit"):
            read(client_of(serve(trickle)), timeout=0.3)


@pytest.mark.parametrize("read", ALL_WAYS)
def test_a_calls_limit_is_not_the_next_calls(serve: Serve, client_of: ClientOf, read: Any) -> None:
    def pause_after(request: Any, connection: Any) -> None:
        GOOD(request, connection)
        time.sleep(1.2)

    client = client_of(serve(pause_after))
    assert read(client, timeout=1.0) == "Hello world"
    assert read(client, variable_vals={"x": "x" * 10_000_000}, timeout=60) == "Hello world"


@pytest.fixture
def deaf() -> Iterator[str]:
    with takes_no_connection() as url:
        yield url


class TestConnecting:
    @pytest.mark.parametrize("read", ALL_WAYS)
    def test_has_a_limit_of_its_own(self, deaf: str, read: Any) -> None:
        with new_client(deaf, "1", "token", connect_timeout=0.2, max_retries=0) as client:
            with pytest.raises(errors.ConnectFailed, match=r"within 0\.2 s, the limit to connect"):
                read(client)

    @pytest.mark.parametrize("read", ALL_WAYS)
    def test_counts_in_the_whole_calls_limit(self, deaf: str, read: Any) -> None:
        with new_client(deaf, "1", "token") as client:
            with pytest.raises(errors.DeadlineExceeded, match=r"0\.2 s, the call's time limit"):
                read(client, timeout=0.2)

    @pytest.mark.parametrize("read", STREAM_WAYS)
    def test_counts_in_the_limit_for_the_first_token(self, deaf: str, read: Any) -> None:
        with new_client(deaf, "1", "token", first_token_timeout=0.2) as client:
            with pytest.raises(errors.DeadlineExceeded, match=r"0\.2 s, the limit for the first token"):
                read(client)

    @pytest.mark.parametrize("read", ALL_WAYS)
    def test_limits_no_sending(self, read: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as never_reads:
            url = f"http://127.0.0.1:{never_reads.getsockname()[1]}"
            with new_client(url, "1", "token", connect_timeout=0.1, max_retries=0) as client:
                with pytest.raises(errors.DeadlineExceeded, match=r"0\.3 s, the call's time limit"):
                    read(client, variable_vals={"x": "x" * 20_000_000}, timeout=0.3)

    def test_ends_when_its_task_is_cancelled(self, deaf: str) -> None:
        ends_when_cancelled(new_client(deaf, "1", "token"))
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("cozeloop")]


def ends_when_cancelled(client: Any) -> None:
    """Cancel a task that waits for a call, and see that nothing of the call is left a moment later."""

    async def cancel() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.aexecute_prompt("greet"), 0.2)

    asyncio.run(cancel())
    assert soon(lambda: not client._transport._calls)
    client.close()


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose name server is silent: a look-up comes back after everybody has gone."""
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: over.wait(10) and [])
    yield
    over.set()
    assert soon(lambda: not [thread for thread in threading.enumerate() if thread.name == "cozeloop-name"])


@pytest.mark.usefixtures("no_names")
class TestLookingUpAName:
    @pytest.mark.parametrize("read", ALL_WAYS)
    def test_counts_in_the_limit_to_connect(self, read: Any) -> None:
        with new_client("http://loop.invalid", "1", "token", connect_timeout=0.2, max_retries=0) as client:
            with pytest.raises(errors.ConnectFailed, match=r"within 0\.2 s, the limit to connect"):
                read(client)

    @pytest.mark.parametrize("read", ALL_WAYS)
    def test_counts_in_the_whole_calls_limit(self, read: Any) -> None:
        with new_client("http://loop.invalid", "1", "token") as client:
            with pytest.raises(errors.DeadlineExceeded, match=r"0\.2 s, the call's time limit"):
                read(client, timeout=0.2)

    def test_ends_when_its_task_is_cancelled(self) -> None:
        ends_when_cancelled(new_client("http://loop.invalid", "1", "token"))


def _pause(seconds: float) -> bytes:
    time.sleep(seconds)
    return b": keep-alive\n\n"
