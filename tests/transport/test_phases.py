"""A call may stall at any step of its way: its limit ends it there, and so does whoever ends it; no socket stays."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from cozeloop_magic import Client, errors, new_client
from tests.client.network import ELSEWHERE, Secure, takes_no_connection
from tests.client.ways import read_stream, read_whole
from tests.conftest import TOKEN, open_connections, sockets, soon
from tests.transport.wire import PATIENCE, Socks, Stall, Talk, head_of, listening, shakes_hands
from tests.wire_server import HEAD, chunk, delta

LARGE = {"x": "x" * 20_000_000}
TUNNEL = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Way:
    """A way to a server, and where on it somebody stalls."""

    def __init__(self, stack: ExitStack, environ: pytest.MonkeyPatch, folder: Path) -> None:
        self.stall = Stall()
        self.over = threading.Event()
        self.ports: set[int] = set()
        self.before = sockets()
        self._stack, self._environ, self._folder = stack, environ, folder

    def to(self, talk: Talk, scheme: str = "http") -> str:
        port = self._stack.enter_context(listening(talk))
        self.ports.add(port)
        return f"{scheme}://127.0.0.1:{port}"

    def secure(self, then: Talk) -> str:
        secure = Secure(self._folder / "secure")
        self._environ.setenv("REQUESTS_CA_BUNDLE", secure.bundle)
        return self.to(shakes_hands(secure.server, then), "https")

    def by(self, proxy: str, scheme: str) -> str:
        self._environ.setenv(f"{scheme.upper()}_PROXY", proxy)
        return f"{scheme}://{ELSEWHERE}"

    def after(self, *said: bytes) -> Talk:
        """Say something when a request came, and stall."""

        def talk(connection: socket.socket) -> None:
            head_of(connection)
            connection.sendall(b"".join(said))
            self.stall(connection)

        return talk

    def hear(self, connection: socket.socket) -> None:
        """Let the other side begin, and stall."""
        if connection.recv(65536):
            self.stall(connection)

    def unread(self, connection: socket.socket) -> None:
        """Begin to read a request, and no more of it until the call is over: no hanging up overtakes what is sent."""
        head_of(connection)
        self.stall.reached.set()
        if self.over.wait(PATIENCE):
            self.stall.left.set()


STALLS: dict[str, Callable[[Way], str]] = {
    "a SOCKS proxy's greeting": lambda way: way.by(way.to(way.hear, "socks5h"), "http"),
    "a SOCKS proxy's greeting, to TLS": lambda way: way.by(way.to(way.hear, "socks5h"), "https"),
    "a SOCKS proxy's answer": lambda way: way.by(way.to(Socks(answers=way.stall), "socks5h"), "http"),
    "TLS behind a SOCKS proxy": lambda way: way.by(way.to(Socks(answers=_lets_through(way)), "socks5h"), "https"),
    "a proxy's answer": lambda way: way.by(way.to(way.after()), "https"),
    "half of a proxy's answer": lambda way: way.by(way.to(way.after(TUNNEL[:20])), "https"),
    "TLS behind a proxy": lambda way: way.by(way.to(_leads_on(way)), "https"),
    "TLS": lambda way: way.to(way.hear, "https"),
    "sending": lambda way: way.to(way.unread),
    "sending by TLS": lambda way: way.secure(way.unread),
    "the headers": lambda way: way.to(way.after()),
    "half of the headers": lambda way: way.to(way.after(HEAD.encode())),
    "the headers by TLS": lambda way: way.secure(way.after()),
    "what is said ahead of them": lambda way: way.to(way.after(b"HTTP/1.1 102 Processing\r\n\r\n")),
    "the body": lambda way: way.to(way.after(HEAD.encode() + b"Connection: close\r\n\r\n")),
    "a chunk": lambda way: way.to(way.after(CHUNKED, chunk(delta("Hel"))[:9])),
    "a chunk's size": lambda way: way.to(way.after(CHUNKED, chunk(delta("Hel")), b"1")),
    "the body by TLS": lambda way: way.secure(way.after(CHUNKED, chunk(delta("Hel")))),
}
CHUNKED = HEAD.encode() + b"Transfer-Encoding: chunked\r\n\r\n"


def _leads_on(way: Way) -> Talk:
    def proxy(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(TUNNEL)
        way.hear(connection)

    return proxy


def _lets_through(way: Way) -> Talk:
    def answers(connection: socket.socket) -> None:
        connection.sendall(b"\x05\x00\x00\x01" + bytes(6))
        way.hear(connection)

    return answers


@pytest.fixture
def way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Way]:
    with ExitStack() as stack:
        yield Way(stack, monkeypatch, tmp_path)


def needed_for(case: str) -> dict[str, str]:
    """Give the variables of a call, and skip where there is no way."""
    if "SOCKS" in case:
        pytest.importorskip("socks")
    return LARGE if "sending" in case else {}


@contextmanager
def client_of(url: str, **options: Any) -> Iterator[Client]:
    with new_client(url, "1", TOKEN, max_retries=0, **options) as client:
        yield client


class Caller(threading.Thread):
    """Calls in a thread, and keeps the error."""

    error: BaseException | None = None

    def __init__(self, read: Any, client: Client, variables: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self._call = lambda: read(client, variable_vals=variables)
        self.start()

    def run(self) -> None:
        try:
            self._call()
        except BaseException as error:
            self.error = error


@pytest.mark.parametrize("read", [read_whole, read_stream])
@pytest.mark.parametrize("case", STALLS)
class TestStall:
    def test_ends_with_the_calls_limit(self, way: Way, case: str, read: Any) -> None:
        variables = needed_for(case)
        with client_of(STALLS[case](way)) as client:
            with pytest.raises(errors.DeadlineExceeded, match=r"0\.5 s, the call's time limit"):
                read(client, variable_vals=variables, timeout=0.5)
            way.over.set()
            assert way.stall.was_left()
        assert soon(lambda: open_connections(way.ports, way.before) == 0)

    def test_ends_when_the_client_is_closed(self, way: Way, case: str, read: Any) -> None:
        variables = needed_for(case)
        with client_of(STALLS[case](way), connect_timeout=500) as client:
            caller = Caller(read, client, variables)
            assert way.stall.reached.wait(PATIENCE)
            client.close()
            caller.join(2 * PATIENCE)
            assert isinstance(caller.error, (errors.ClientClosed, errors.StreamInterrupted))
            assert re.search("the client was closed|call was ended before", str(caller.error))
            way.over.set()
            assert way.stall.left.wait(2 * PATIENCE)
        assert soon(lambda: open_connections(way.ports, way.before) == 0)


BEFORE_A_REQUEST = [case for case in STALLS if "SOCKS" in case or "proxy" in case or case == "TLS"]


@pytest.mark.parametrize("case", BEFORE_A_REQUEST)
def test_what_comes_before_a_request_counts_in_the_limit_to_connect(way: Way, case: str) -> None:
    needed_for(case)
    with client_of(STALLS[case](way), connect_timeout=0.5) as client:
        with pytest.raises(errors.ConnectFailed, match=r"within 0\.5 s, the limit to connect"):
            read_whole(client)
        assert way.stall.was_left()


def test_a_call_is_ended_while_it_connects() -> None:
    with takes_no_connection() as url, client_of(url, connect_timeout=500) as client:
        caller = Caller(read_whole, client, {})
        assert soon(lambda: [call for call in client._transport._calls if call._socket is not None])
        client.close()
        caller.join(2 * PATIENCE)
        assert isinstance(caller.error, errors.ClientClosed)
