"""Certificates and keys of the tests' own."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


class Secure:
    """A certificate authority of the tests' own, and a server's side that it vouches for."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        key, self.bundle = ec.generate_private_key(ec.SECP256R1()), str(folder / "ca.pem")
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tests")])
        today = datetime.datetime.now(datetime.timezone.utc)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(today - datetime.timedelta(days=1))
            .not_valid_after(today + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
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


@lru_cache(maxsize=1)
def _rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def rsa_key() -> str:
    """Give the private key of a JWT OAuth application, as PEM text."""
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return _rsa().private_bytes(serialization.Encoding.PEM, *form).decode()


def rsa_public_key() -> str:
    """Give the public key to it."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return _rsa().public_key().public_bytes(serialization.Encoding.PEM, form).decode()
