"""JWT OAuth as a server and an application have it."""

from __future__ import annotations

import functools
import itertools
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cozeloop_magic import Client, new_client
from tests.wire_server import Script, WireServer, answer


@functools.cache
def a_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem_of(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem_of(key: rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def oauth_client(server: WireServer, pem: str, **options: Any) -> Client:
    return new_client(
        server.url,
        "1",
        jwt_oauth_client_id="app",
        jwt_oauth_private_key=pem,
        jwt_oauth_public_key_id="kid-1",
        **options,
    )


def tokens(*lifetimes: int) -> Script:
    """Give the access tokens at_1, at_2, …, each for its seconds, all further ones for 900."""
    numbers = itertools.count(1)

    def script(request: Any, connection: Any) -> None:
        number = next(numbers)
        lifetime = (*lifetimes, *[900] * number)[number - 1]
        answer({"access_token": f"at_{number}", "expires_in": int(time.time()) + lifetime})(request, connection)

    return script
