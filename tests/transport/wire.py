"""Servers on bare sockets: what goes on before HTTP is spoken, and how far it comes."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.client.network import ELSEWHERE, relay

Talk = Callable[[socket.socket], None]

PATIENCE = 30.0
"""Seconds that a side which stalls does so, if nobody hangs up."""


@contextmanager
def listening(talk: Talk) -> Iterator[int]:
    """Let every connection to a port be talked to, in a thread of its own; give the port."""
    connections: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connections.append(connection)
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                talk(connection)
            except OSError:
                pass  # the client is gone

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 19
        )  # of what is not read, not much is under way
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
    for connection in connections:
        connection.close()


class Stall:
    """Says no more, and sees whether the other side hangs up of its own accord.

    Attributes
    ----------
    reached, left : threading.Event
        Whether it has come to that, and whether the other side has hung up since.
    """

    def __init__(self) -> None:
        self.reached, self.left = threading.Event(), threading.Event()

    def __call__(self, connection: socket.socket) -> None:
        self.reached.set()
        connection.settimeout(PATIENCE)
        try:
            while connection.recv(65536):
                pass
        except TimeoutError:
            return
        except OSError:
            pass
        self.left.set()

    def was_left(self) -> bool:
        """Wait until the other side has hung up, if this was reached: on a slow machine, a limit may come before."""
        return not self.reached.is_set() or self.left.wait(2 * PATIENCE)


def head_of(connection: socket.socket) -> bytes:
    """Read to the end of a request's headers."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            raise ConnectionAbortedError
        head += byte
    return head


def drip(connection: socket.socket, data: bytes, pause: float) -> None:
    """Send byte for byte."""
    for byte in data:
        connection.sendall(bytes([byte]))
        time.sleep(pause)


def exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionAbortedError
        data += more
    return data


class Socks:
    """A SOCKS proxy of versions 4 and 5 (RFC 1928, 1929).

    Parameters
    ----------
    password : bytes
        Asked for, where there is one.
    answers : callable or None
        What it does in place of connecting.

    Attributes
    ----------
    asked : list of (bytes, int)
        The hosts and ports it was asked for, names and addresses as they came.
    """

    def __init__(self, password: bytes = b"", answers: Talk | None = None) -> None:
        self.asked: list[tuple[bytes, int]] = []
        self._password = password
        self._answers = answers

    def __call__(self, connection: socket.socket) -> None:
        version = exactly(connection, 1)[0]
        host, port = self._version4(connection) if version == 4 else self._version5(connection)
        self.asked.append((host, port))
        if self._answers is not None:
            self._answers(connection)
            return
        connection.sendall(b"\x00\x5a" + bytes(6) if version == 4 else b"\x05\x00\x00\x01" + bytes(6))
        lead_on(connection, socket.inet_ntoa(host) if len(host) == 4 else host.decode(), port)

    def _version5(self, connection: socket.socket) -> tuple[bytes, int]:
        exactly(connection, exactly(connection, 1)[0])
        if self._password:
            connection.sendall(b"\x05\x02")
            exactly(connection, 1)
            _, password = (exactly(connection, exactly(connection, 1)[0]) for _ in range(2))
            connection.sendall(b"\x01" + (b"\x00" if password == self._password else b"\x01"))
        else:
            connection.sendall(b"\x05\x00")
        kind = exactly(connection, 4)[3]
        host = exactly(connection, {1: 4, 4: 16}.get(kind) or exactly(connection, 1)[0])
        return host, struct.unpack(">H", exactly(connection, 2))[0]

    @staticmethod
    def _version4(connection: socket.socket) -> tuple[bytes, int]:
        _, port, host = struct.unpack(">BH4s", exactly(connection, 7))
        text(connection)
        return (text(connection) if host[:3] == bytes(3) else host), port


def text(connection: socket.socket) -> bytes:
    """Read what a zero ends."""
    found = b""
    while (byte := exactly(connection, 1)) != b"\x00":
        found += byte
    return found


def lead_on(connection: socket.socket, host: str, port: int) -> None:
    with socket.create_connection((host.replace(ELSEWHERE, "127.0.0.1"), port)) as onward:
        back = threading.Thread(target=relay, args=(onward, connection))
        back.start()
        relay(connection, onward)
        back.join(PATIENCE)


def shakes_hands(context: ssl.SSLContext, then: Talk) -> Talk:
    """Speak TLS, as a server."""

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            then(secure)

    return talk
