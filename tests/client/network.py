"""The ways between a client and a server: a proxy, certificates, and what takes their place."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.wire_server import Request, WireServer

ELSEWHERE = "loop.test"
"""A name that only the tests' proxy knows, for this machine: its loopback addresses are reached without a proxy."""


def elsewhere(server: WireServer) -> str:
    """Give a server's address as a proxy has to reach it."""
    return server.url.replace("127.0.0.1", ELSEWHERE)


def forward(request: Request, connection: socket.socket) -> None:
    """Be a proxy: a tunnel where one is asked for, else send the request on and its answer back."""
    secure = request.method == "CONNECT"
    host, _, port = (request.path if secure else urlsplit(request.path).netloc).partition(":")
    with socket.create_connection((host.replace(ELSEWHERE, "127.0.0.1"), int(port))) as onward:
        if secure:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            kept = (f"{name}: {value}\r\n" for name, value in request.headers.items())
            path = urlsplit(request.path).path
            onward.sendall(f"{request.method} {path} HTTP/1.1\r\n{''.join(kept)}\r\n".encode() + request.raw_body)
        back = threading.Thread(target=relay, args=(onward, connection))
        back.start()
        relay(connection, onward)
        back.join(10)


def relay(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one of them is gone


class Secure:
    """A certificate authority of the tests' own, and a server's side that it vouches for."""

    def __init__(self, folder: Path, address: str = "127.0.0.1", until: int = 1) -> None:
        folder.mkdir()
        key, self.bundle = ec.generate_private_key(ec.SECP256R1()), str(folder / "ca.pem")
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tests")])
        names = [x509.IPAddress(ipaddress.ip_address(address)), x509.DNSName(ELSEWHERE)]
        today = datetime.datetime.now(datetime.timezone.utc)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(today - datetime.timedelta(days=2))
            .not_valid_after(today + datetime.timedelta(days=until))
            .add_extension(x509.SubjectAlternativeName(names), False)
            .sign(key, hashes.SHA256())
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        Path(self.bundle).write_bytes(pem)
        private = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / "server.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *private) + pem)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(folder / "server.pem")


class Plain:
    """In the place of a server's side of TLS, one that does not know it."""

    def __init__(self, says: bytes) -> None:
        self._says = says

    def wrap_socket(self, connection: socket.socket, server_side: bool) -> socket.socket:
        with connection:
            connection.recv(65536)
            connection.sendall(self._says)
            connection.recv(1)
        raise OSError("no TLS")


@contextmanager
def takes_no_connection() -> Iterator[str]:
    """Give the address of a server that does not accept, and whose queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for each in waiting:
            each.close()
