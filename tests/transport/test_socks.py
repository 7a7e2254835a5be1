"""By way of a SOCKS proxy, with PySocks."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cozeloop_magic import Client, errors, new_client
from tests.client.network import ELSEWHERE, Secure, elsewhere
from tests.client.ways import ALL_WAYS, Serve, read_whole
from tests.conftest import TOKEN, open_connections, sockets, soon
from tests.transport.wire import Socks, drip, lead_on, listening
from tests.wire_server import GOOD

pytest.importorskip("socks")

Proxied = Callable[..., Client]


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxied]:
    """Make clients that go by way of a proxy."""
    ports: set[int] = set()
    before = sockets()
    with ExitStack() as stack:

        def client(proxy: Socks, url: str, scheme: str = "socks5h", user: str = "", **options: Any) -> Client:
            port = stack.enter_context(listening(proxy))
            ports.add(port)
            monkeypatch.setenv("ALL_PROXY", f"{scheme}://{user}127.0.0.1:{port}")
            return stack.enter_context(new_client(url, "1", TOKEN, max_retries=0, **options))

        yield client
    assert soon(lambda: open_connections(ports, before) == 0)


@pytest.mark.parametrize("read", ALL_WAYS)
class TestProxy:
    @pytest.mark.parametrize("scheme", ["socks5h", "socks4a"])
    def test_is_gone_through_time_and_again(self, serve: Serve, proxied: Proxied, read: Any, scheme: str) -> None:
        server, proxy = serve(GOOD), Socks()
        client = proxied(proxy, elsewhere(server), scheme)
        assert [read(client) for _ in range(3)] == ["Hello world"] * 3
        assert proxy.asked == [(ELSEWHERE.encode(), server.port)]  # the connection is kept

    def test_carries_a_secure_call(
        self, serve: Serve, proxied: Proxied, read: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        secure = Secure(tmp_path / "secure")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", secure.bundle)
        server, proxy = serve(GOOD, secure.server), Socks()
        client = proxied(proxy, elsewhere(server))
        assert [read(client) for _ in range(3)] == ["Hello world"] * 3
        assert len(proxy.asked) == 1

    def test_that_says_no_is_told(self, proxied: Proxied, read: Any) -> None:
        proxy = Socks(answers=lambda connection: connection.sendall(b"\x05\x02\x00\x01" + bytes(6)))
        with pytest.raises(errors.ConnectFailed, match=r"proxy on the way .*: .*not allowed by ruleset.*HTTP_PROXY"):
            read(proxied(proxy, "http://loop.test"))

    def test_that_hangs_up_is_told(self, proxied: Proxied, read: Any) -> None:
        with pytest.raises(errors.ConnectFailed, match=r"proxy on the way .*: Connection closed unexpectedly"):
            read(proxied(Socks(answers=lambda connection: None), "http://loop.test"))


@pytest.mark.parametrize("scheme", ["socks5", "socks4"])
def test_a_name_is_looked_up_here_where_the_proxy_is_not_to(
    serve: Serve, proxied: Proxied, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, proxy, known = serve(GOOD), Socks(), socket.getaddrinfo
    here = {ELSEWHERE: "127.0.0.1"}
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *args: known(here.get(host, host), *args))
    assert read_whole(proxied(proxy, elsewhere(server), scheme)) == "Hello world"
    assert proxy.asked == [(socket.inet_aton("127.0.0.1"), server.port)]


def test_a_name_that_is_not_found_here_is_no_fault_of_the_proxy(proxied: Proxied) -> None:
    proxy = Socks()
    with pytest.raises(errors.ConnectFailed, match=r"No connection to -loop\.test .*: no host has such a name"):
        read_whole(proxied(proxy, "http://-loop.test", "socks5"))
    assert not proxy.asked


def test_a_password_is_given_and_shown_nowhere(serve: Serve, proxied: Proxied) -> None:
    server = serve(GOOD)
    client = proxied(Socks(b"pass-w0rd"), elsewhere(server), user="me:pass-w0rd@")
    assert read_whole(client) == "Hello world"


def test_a_wrong_password_is_told_and_not_shown(proxied: Proxied) -> None:
    client = proxied(Socks(b"pass-w0rd"), "http://loop.test", user="me:s3cret@")
    with pytest.raises(errors.ConnectFailed, match="SOCKS5 authentication failed") as caught:
        read_whole(client)
    assert "s3cret" not in str(caught.value)


def test_one_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "socks5h://me:pass-w0rd@127.0.0.1:1")
    with new_client("http://loop.test", "1", TOKEN, max_retries=0) as client:
        with pytest.raises(errors.ConnectFailed, match=r"The proxy on the way to .* connection refused") as caught:
            read_whole(client)
    assert "pass-w0rd" not in str(caught.value)


def test_a_byte_now_and_then_does_not_defeat_the_limit_to_connect(serve: Serve, proxied: Proxied) -> None:
    """The proxy comes to its end, with a name of 200 characters, long after the limit; all is well from there on."""
    server = serve(GOOD)

    def slowly(connection: socket.socket) -> None:
        drip(connection, b"\x05\x00\x00\x03\xc8" + b"x" * 200, 0.02)
        connection.sendall(b"\x00\x50")
        lead_on(connection, "127.0.0.1", server.port)

    with pytest.raises(errors.ConnectFailed, match="within 1 s, the limit to connect"):
        read_whole(proxied(Socks(answers=slowly), elsewhere(server), connect_timeout=1))
