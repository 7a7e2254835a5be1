"""What a connection does for its calls, one after the other."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from cozeloop_magic import Client, errors, new_client
from cozeloop_magic.transport.call import Call, Calls, Timeouts
from cozeloop_magic.transport.dial import dial
from tests.client.faults import JSON_HEAD
from tests.client.network import ELSEWHERE, Secure, elsewhere, takes_no_connection
from tests.client.ways import ALL_WAYS, ClientOf, Serve, read_stream, read_whole
from tests.conftest import TOKEN, open_connections, soon
from tests.transport.wire import PATIENCE, Socks, exactly, head_of, lead_on, listening, shakes_hands
from tests.wire_server import ANSWER, GOOD, PIECES, WHOLE, delta, framed, in_turn, last, send, stay

WHOLE_BUT_OPEN = send(framed([json.dumps(ANSWER).encode()], "close", JSON_HEAD), stay)


def sockets_of(client: Client) -> list[Any]:
    """Give the connections that wait for the next call."""
    adapter: Any = client._transport._session.get_adapter("http://")
    pools = [adapter.poolmanager.pools[key] for key in adapter.poolmanager.pools.keys()]
    return [each.sock for pool in pools for each in list(pool.pool.queue) if each is not None and each.sock]


class TestConnecting:
    @pytest.fixture
    def found(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        """Let a name stand for these ports of this machine, one after the other."""
        known, kind = socket.getaddrinfo, (socket.AF_INET, socket.SOCK_STREAM, 0, "")

        def find(*ports: int) -> None:
            all_of_them = [(*kind, ("127.0.0.1", port)) for port in ports]
            look_up = lambda host, *args: all_of_them if host == ELSEWHERE else known(host, *args)  # noqa: E731
            monkeypatch.setattr(socket, "getaddrinfo", look_up)

        return find

    def test_leaves_time_for_the_next_address_where_one_is_silent(self, serve: Serve, found: Any) -> None:
        server = serve(GOOD)
        with takes_no_connection() as silent:
            found(int(silent.rpartition(":")[2]), server.port)
            with new_client(f"http://{ELSEWHERE}", "1", TOKEN, max_retries=0, connect_timeout=4) as client:
                assert read_whole(client) == "Hello world"

    def test_leaves_tls_all_of_the_time_whatever_the_share_of_an_address(
        self, serve: Serve, found: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        secure = Secure(tmp_path / "secure")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", secure.bundle)
        server = serve(GOOD, secure.server)

        def slow(connection: socket.socket) -> None:
            time.sleep(0.5)
            lead_on(connection, "127.0.0.1", server.port)

        with listening(slow) as port:
            found(*[port] * 100)
            with new_client(f"https://{ELSEWHERE}", "1", TOKEN, max_retries=0, connect_timeout=20) as client:
                assert read_whole(client) == "Hello world"

    def test_tells_how_long_it_takes(self, serve: Serve) -> None:
        class Far(socket.socket):
            def connect(self, address: Any) -> None:
                time.sleep(0.1)
                super().connect(address)

        call = Call(Timeouts())
        dial("127.0.0.1", serve(GOOD).port, call, Far).close()
        assert call.round_trip >= 0.1

    def test_does_not_hold_small_packets_back(self, serve: Serve, client_of: ClientOf) -> None:
        client = client_of(serve(WHOLE))
        read_whole(client)
        (sock,) = sockets_of(client)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def test_by_a_tunnel_that_is_slow_leaves_tls_what_is_left(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        secure = Secure(tmp_path / "secure")
        server = serve(GOOD, secure.server)

        def slow(connection: socket.socket) -> None:
            head_of(connection)
            time.sleep(1.2)
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            time.sleep(1.2)
            lead_on(connection, "127.0.0.1", server.port)

        with listening(slow) as port:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", secure.bundle)
            with new_client(elsewhere(server), "1", TOKEN, max_retries=0, connect_timeout=2) as client:
                with pytest.raises(errors.ConnectFailed, match="within 2 s, the limit to connect"):
                    read_whole(client)


class TestSending:
    def test_is_done_in_one_go(self) -> None:
        seen: list[bytes] = []

        def see(connection: socket.socket) -> None:
            seen.append(connection.recv(65536))
            WHOLE(None, connection)  # type: ignore[arg-type]  # it answers whatever is asked

        with listening(see) as port, new_client(f"http://127.0.0.1:{port}", "1", TOKEN, max_retries=0) as client:
            assert read_whole(client) == "Hello world"
        head, _, body = seen[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST ") and b'"greet"' in body

    @pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "by TLS"])
    def test_to_a_slow_reader_ends_with_the_calls_limit(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_secure: bool
    ) -> None:
        secure = Secure(tmp_path / "secure")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", secure.bundle)
        over, was_slow = threading.Event(), threading.Event()

        def slow(connection: socket.socket) -> None:
            head_of(connection)
            for _ in range(60):
                exactly(connection, 65536)
                if over.wait(0.15):
                    return
            was_slow.set()
            while connection.recv(65536):
                pass

        talk = shakes_hands(secure.server, slow) if is_secure else slow
        with listening(talk) as port:
            url = f"http{'s' * is_secure}://127.0.0.1:{port}"
            with new_client(url, "1", TOKEN, max_retries=0) as client:
                with pytest.raises(errors.DeadlineExceeded):
                    read_whole(client, variable_vals={"x": "x" * 40_000_000}, timeout=1.5)
                assert not was_slow.is_set()
            over.set()


class TestReading:
    def test_takes_all_chunks_that_are_there_at_once(
        self, serve: Serve, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reads: list[int] = []
        read1 = urllib3.HTTPResponse.read1

        def counted(self: Any, *args: Any, **options: Any) -> bytes:
            reads.append(1)
            return read1(self, *args, **options)

        monkeypatch.setattr(urllib3.HTTPResponse, "read1", counted)
        many = [delta("x")] * 2000
        server = serve(send([b"".join(framed([*many, last()], "chunked"))], stay))
        assert read_stream(client_of(server)) == "x" * 2000
        assert len(reads) < 500

    def test_waits_only_a_moment_for_the_end_of_what_is_complete(self, serve: Serve, client_of: ClientOf) -> None:
        over, was_waited_for = threading.Event(), threading.Event()

        def never_ends(request: Any, connection: socket.socket) -> None:
            WHOLE_BUT_OPEN(request, connection)
            if not over.wait(PATIENCE):
                was_waited_for.set()
                raise ConnectionAbortedError

        assert read_whole(client_of(serve(never_ends))) == "Hello world"
        assert not was_waited_for.is_set()
        over.set()


class TestBeingReused:
    @pytest.mark.parametrize("read", ALL_WAYS)
    def test_is_no_longer_in_the_hand_of_the_call_before(self, serve: Serve, client_of: ClientOf, read: Any) -> None:
        before = Calls()
        asked = threading.Event()

        def cut_the_one_before(request: Any, connection: socket.socket) -> None:
            if asked.is_set():
                before.cancel()
            GOOD(request, connection)

        client = client_of(serve(cut_the_one_before))
        with before:
            assert read(client) == "Hello world"
        asked.set()
        assert read(client) == "Hello world"

    def test_is_cut_with_the_call_that_goes_over_it(self, serve: Serve, client_of: ClientOf) -> None:
        calls, left = Calls(), threading.Event()

        def end_it(request: Any, connection: socket.socket) -> None:
            calls.cancel()
            connection.settimeout(PATIENCE)
            if not connection.recv(1):
                left.set()

        client = client_of(serve(in_turn(WHOLE, end_it)))
        assert read_whole(client) == "Hello world"
        with calls, pytest.raises(errors.ClientClosed):
            read_whole(client)
        assert left.is_set()

    def test_is_tried_again_where_it_ended_before_the_server_far_away_can_have_heard(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("socks")

        def late(request: Any, connection: socket.socket) -> None:
            time.sleep(0.2)
            raise ConnectionAbortedError

        server = serve(in_turn(WHOLE, late, WHOLE))

        def far(connection: socket.socket) -> None:
            time.sleep(2)
            connection.sendall(b"\x05\x00\x00\x01" + bytes(6))
            lead_on(connection, "127.0.0.1", server.port)

        with listening(Socks(answers=far)) as port:
            monkeypatch.setenv("HTTP_PROXY", f"socks5h://127.0.0.1:{port}")
            with new_client(elsewhere(server), "1", TOKEN, max_retries=1) as client:
                assert [read_whole(client) for _ in range(2)] == ["Hello world"] * 2
        assert len(server.requests) == 3


def test_closing_leaves_no_connection_though_an_error_of_its_pool_is_kept(serve: Serve) -> None:
    server = serve(in_turn(send([], lambda connection: connection.recv(1)), WHOLE))
    client = new_client(server.url, "1", TOKEN, max_retries=0)
    with pytest.raises(errors.DeadlineExceeded) as kept:
        read_whole(client, timeout=0.3)
    assert isinstance(kept.value.__cause__, requests.ReadTimeout)
    read_whole(client)
    assert open_connections({server.port}) == 1
    client.close()
    assert soon(lambda: open_connections({server.port}) == 0)


def test_an_answer_may_be_announced_time_and_again(serve: Serve, client_of: ClientOf) -> None:
    said = b"".join(b"HTTP/1.1 %d Wait\r\nX-Y: z\r\n\r\n" % status for status in (100, 102, 103, 199))
    announced = [said, *framed(PIECES, "chunked")]
    assert read_stream(client_of(serve(send(announced, stay)))) == "Hello world"
