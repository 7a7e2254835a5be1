"""The ways between: proxies and certificates, taken from the environment as requests does."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from cozeloop_magic import Client, errors, new_client
from cozeloop_magic.transport.call import Call, Timeouts
from tests.client.network import ELSEWHERE, Plain, Secure, elsewhere, forward
from tests.client.ways import ALL_WAYS, ClientOf, Serve
from tests.conftest import TOKEN
from tests.wire_server import GOOD, Request, answer, delta, send, stream


def ends_when_closed(client: Client, read: Any) -> None:
    """Read what never comes, close the client meanwhile, and see that this ends it."""
    threading.Timer(0.2, client.close).start()
    with pytest.raises(errors.ClientClosed):
        read(client)


@pytest.mark.parametrize("read", ALL_WAYS)
class TestProxy:
    @pytest.fixture
    def client_of(self) -> Iterator[ClientOf]:
        """Make clients whose connections are not counted: the proxy, in the same process, has some to the server."""
        with ExitStack() as stack:
            yield lambda server: stack.enter_context(new_client(elsewhere(server), "73917", TOKEN, max_retries=0))

    def test_is_gone_through(
        self, serve: Serve, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, read: Any
    ) -> None:
        server, proxy = serve(GOOD), serve(forward)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert read(client_of(server)) == "Hello world"
        assert proxy.requests[0].path == elsewhere(server) + server.requests[0].path

    def test_is_not_gone_through_where_no_proxy_says_so(
        self, serve: Serve, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, read: Any
    ) -> None:
        proxy = serve(forward)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", ELSEWHERE)
        with pytest.raises(errors.ConnectFailed, match="name"):  # which this machine does not know
            read(client_of(serve(GOOD)))
        assert not proxy.requests

    @pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
    @pytest.mark.parametrize("address", ["http://127.0.0.1:9", "socks5://127.0.0.1:9", "socks5h://proxy.example:1"])
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_is_not_gone_through_to_this_machine(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, read: Any, name: str, address: str, host: str
    ) -> None:
        monkeypatch.setenv(name, address)
        url = serve(GOOD).url.replace("127.0.0.1", host)
        with new_client(url, "73917", TOKEN, max_retries=0) as client:
            assert read(client) == "Hello world"

    def test_may_be_set_after_the_first_call(
        self, serve: Serve, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, read: Any
    ) -> None:
        proxy = serve(forward)
        client = client_of(serve(GOOD))

        def is_not_found() -> bool:
            with pytest.raises(errors.ConnectFailed, match="name"):
                read(client)
            return True

        assert is_not_found()
        monkeypatch.setenv("http_proxy", proxy.url)
        assert read(client) == "Hello world" and len(proxy.requests) == 1
        monkeypatch.delenv("http_proxy")
        assert is_not_found() and len(proxy.requests) == 1

    def test_that_is_not_there_is_told(
        self, serve: Serve, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, read: Any
    ) -> None:
        server = serve(GOOD)
        monkeypatch.setenv("HTTP_PROXY", "http://me:pass-w0rd@127.0.0.1:1")
        with pytest.raises(errors.ConnectFailed, match=r"The proxy on the way to .* connection refused") as caught:
            read(client_of(server))
        assert not server.requests and "pass-w0rd" not in str(caught.value)

    @pytest.mark.parametrize("address", ["http://me:pass-w0rd@", "http://proxy:x", "socks6://127.0.0.1:1"])
    def test_address_that_cannot_be_used_is_told(
        self, serve: Serve, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, read: Any, address: str
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", address)
        with pytest.raises(errors.ConfigurationError, match=r"HTTP_PROXY|requests\[socks\]") as caught:
            read(client_of(serve(GOOD)))
        assert "pass-w0rd" not in str(caught.value)

    @pytest.mark.parametrize("tunnels", [False, True], ids=["silent", "a tunnel to what is silent"])
    def test_counts_in_the_limit_to_connect_and_can_be_left(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, read: Any, tunnels: bool
    ) -> None:
        def proxy(request: Request, connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n" if tunnels else b"")
            while connection.recv(65536):
                pass

        monkeypatch.setenv("HTTPS_PROXY", serve(proxy).url)
        with new_client("https://loop.test", "1", TOKEN, connect_timeout=0.2, max_retries=0) as client:
            with pytest.raises(errors.ConnectFailed, match=r"within 0\.2 s, the limit to connect"):
                read(client)
        client = new_client("https://loop.test", "1", TOKEN, connect_timeout=9, max_retries=0)
        ends_when_closed(client, read)

    def test_that_hangs_up_is_named(
        self, serve: Serve, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, read: Any, secure: Secure
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", serve(send([])).url)
        with pytest.raises(errors.ConnectFailed, match=r"The proxy on the way to .* hung up"):
            read(client_of(serve(GOOD, secure.server)))

    def test_that_refuses_a_tunnel_is_told(
        self, serve: Serve, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, read: Any, secure: Secure
    ) -> None:
        proxy = serve(answer("", "407 Proxy Authentication Required"))
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(errors.ConnectFailed, match=r"did not let the call through: .*407"):
            read(client_of(serve(GOOD, secure.server)))
        assert TOKEN not in str(proxy.requests)

    def test_carries_a_secure_call_and_cannot_read_it(
        self, serve: Serve, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, read: Any, secure: Secure
    ) -> None:
        server, proxy = serve(GOOD, secure.server), serve(forward)
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", secure.bundle)
        assert read(client_of(server)) == "Hello world"
        assert [request.method for request in proxy.requests] == ["CONNECT"]
        assert TOKEN not in str(proxy.requests)


@pytest.fixture(scope="module")
def new_secure(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Secure]:
    folder = tmp_path_factory.mktemp("certificates")
    return lambda name: Secure(folder / name)


@pytest.fixture(scope="module")
def secure(new_secure: Callable[[str], Secure]) -> Secure:
    return new_secure("trusted")


@pytest.fixture(scope="module")
def stranger(new_secure: Callable[[str], Secure]) -> Secure:
    return new_secure("stranger")


@pytest.mark.parametrize("read", ALL_WAYS)
class TestCertificate:
    def test_of_the_bundle_in_the_environment_is_trusted(
        self, serve: Serve, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, read: Any, secure: Secure
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", secure.bundle)
        client = client_of(serve(GOOD, secure.server))
        assert read(client) == read(client) == "Hello world"

    def test_of_another_authority_is_refused(
        self,
        serve: Serve,
        client_of: ClientOf,
        monkeypatch: pytest.MonkeyPatch,
        read: Any,
        secure: Secure,
        stranger: Secure,
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", secure.bundle)
        server = serve(GOOD, stranger.server)
        with pytest.raises(errors.ConnectFailed, match=r"certificate of .* not accepted: self.signed"):
            read(client_of(server))
        assert not server.requests

    def test_that_is_not_there_at_all_is_told(self, serve: Serve, client_of: ClientOf, read: Any) -> None:
        with pytest.raises(errors.ConnectFailed, match=r"No secure connection to .* http:// and https://"):
            read(client_of(serve(GOOD, Plain(b"HTTP/1.1 400 Bad Request\r\n\r\n"))))

    def test_is_waited_for_as_long_as_for_a_connection(self, serve: Serve, client_of: ClientOf, read: Any) -> None:
        with pytest.raises(errors.ConnectFailed, match=r"within 0\.2 s, the limit to connect"):
            read(client_of(serve(GOOD, Plain(b"")), connect_timeout=0.2))

    def test_is_not_waited_for_when_the_client_is_closed(self, serve: Serve, client_of: ClientOf, read: Any) -> None:
        client = client_of(serve(GOOD, Plain(b"")), connect_timeout=9)
        ends_when_closed(client, read)

    def test_bundle_that_is_not_there_is_told(
        self, serve: Serve, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, read: Any, secure: Secure
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
        with pytest.raises(errors.ConfigurationError, match=r"/nowhere/ca\.pem"):
            read(client_of(serve(GOOD, secure.server)))


def test_cutting_a_secure_connection_leaves_it_secure(serve: Serve, secure: Secure) -> None:
    server = serve(GOOD, secure.server)
    trusting = ssl.create_default_context(cafile=secure.bundle)
    with socket.create_connection(("127.0.0.1", server.port)) as plain:
        with trusting.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            call = Call(Timeouts())
            call.attach(connection)
            call.close_socket()
            assert connection.cipher() is not None  # else what a thread is about to send would go out as it is
            with pytest.raises(OSError):
                connection.sendall(b"Authorization: Bearer secret")


@pytest.mark.parametrize("url", ["http://*x.example", "http://.example.com", "http://foo%zz"])
def test_an_address_that_cannot_be_used_is_told(url: str) -> None:
    with (
        new_client(url, "1", TOKEN) as client,
        pytest.raises(errors.ConfigurationError, match="COZELOOP_API_BASE_URL"),
    ):
        client.execute_prompt("greet")


def test_closing_wakes_a_thread_that_reads_a_secure_stream(
    serve: Serve, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, secure: Secure
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", secure.bundle)
    server = serve(stream([delta("Hel"), threading.Event()]), secure.server)
    reader = client_of(server).execute_prompt("greet", stream=True)
    next(reader)
    threading.Timer(0.1, reader.close).start()
    with pytest.raises(errors.StreamInterrupted, match="its reader was closed"):
        next(reader)  # else it would wait for the call's ten minutes
