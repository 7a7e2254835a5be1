"""Personal tokens and JWT OAuth."""

from __future__ import annotations

import json
import pickle
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from cozeloop_magic import errors, new_client
from cozeloop_magic.auth import PersonalToken, Secret
from tests.wire_server import WHOLE, Script, WireServer, answer, by_path

Serve = Callable[[Script], WireServer]


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def oauth_client(server: WireServer, pem: str) -> Any:
    return new_client(
        server.url,
        "1",
        jwt_oauth_client_id="app",
        jwt_oauth_private_key=pem,
        jwt_oauth_public_key_id="kid-1",
    )


class TestSecret:
    def test_shows_as_dots_and_is_not_pickled(self) -> None:
        secret = Secret("s3cret")
        assert "s3cret" not in repr(secret) + repr([secret]) + repr({"a": secret})
        with pytest.raises(TypeError):
            pickle.dumps(secret)

    @pytest.mark.parametrize(
        ("secret", "text", "shown"),
        [
            ("pat_0123456789", "no xpat_0123456789x", "no x••••••x"),
            (
                "test",
                "the latest test, Bearer test; 令牌test无效",
                "the latest ••••••, Bearer ••••••; 令牌••••••无效",
            ),
            ("", "nothing to hide", "nothing to hide"),
        ],
        ids=["long", "short as a word", "none"],
    )
    def test_is_hidden_in_what_others_say(self, secret: str, text: str, shown: str) -> None:
        assert Secret(f"Bearer {secret}").hidden_in(text) == shown


class TestPersonalToken:
    def test_is_trimmed(self) -> None:
        assert PersonalToken(" pat_x\n")() == "Bearer pat_x"

    @pytest.mark.parametrize("token", ["pat_é", "pat x", "pat\nx", "“pat_x”"])
    def test_is_refused_where_no_header_can_carry_it(self, token: str) -> None:
        with pytest.raises(errors.ConfigurationError, match="Copy it again") as caught:
            PersonalToken(token)
        assert token not in str(caught.value)


class TestJWTOAuth:
    def test_exchanges_a_signed_claim_for_a_token(self, serve: Serve, key: rsa.RSAPrivateKey, pem: str) -> None:
        token = answer({"access_token": "at_1", "expires_in": int(time.time()) + 900})
        server = serve(by_path(token=token, execute=WHOLE))
        client = oauth_client(server, pem.replace("\n", "\\n"))
        client.execute_prompt("greet")
        client.execute_prompt("greet")
        exchange, *calls = server.requests
        assert [call.headers["authorization"] for call in calls] == ["Bearer at_1"] * 2
        assert exchange.path == "/api/permission/oauth2/token"
        assert exchange.body == {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "duration_seconds": 900,
        }
        claim = exchange.headers["authorization"].removeprefix("Bearer ")
        claims = jwt.decode(claim, key.public_key(), algorithms=["RS256"], audience="127.0.0.1")
        assert claims["iss"] == "app" and claims["jti"]
        assert jwt.get_unverified_header(claim)["kid"] == "kid-1"

    def test_is_renewed_ahead_of_its_end_and_once_for_many_threads(self, serve: Serve, pem: str) -> None:
        def token(request: Any, connection: Any) -> None:
            exchanges = sum(request.path.endswith("token") for request in server.requests)
            ends = time.time() + (30 if exchanges == 1 else 900)  # the first ends too soon to be used again
            answer({"access_token": f"at_{exchanges}", "expires_in": int(ends)})(request, connection)

        server = serve(by_path(token=token, execute=WHOLE))
        client = oauth_client(server, pem)
        client.execute_prompt("greet")
        threads = [threading.Thread(target=client.execute_prompt, args=("greet",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        used = [r.headers["authorization"] for r in server.requests if r.path.endswith("execute")]
        assert used == ["Bearer at_1"] + ["Bearer at_2"] * 8

    def test_the_key_may_be_a_file(self, serve: Serve, pem: str, tmp_path: Path) -> None:
        (tmp_path / "key.pem").write_text(pem)
        token = answer({"access_token": "at_1", "expires_in": int(time.time()) + 900})
        client = oauth_client(serve(by_path(token=token, execute=WHOLE)), str(tmp_path / "key.pem"))
        assert str(client.execute_prompt("greet")) == "Hello world"

    def test_a_refusal_is_told(self, serve: Serve, pem: str) -> None:
        body = {"error": "invalid_client", "error_code": "invalid_client", "error_message": "no such app"}
        server = serve(answer(body, "401 Unauthorized", x_tt_logid="log-9"))
        with pytest.raises(errors.AuthenticationFailed, match=r"no such app.*log id log-9"):
            oauth_client(server, pem).execute_prompt("greet")

    @pytest.mark.parametrize(
        "pem", ["no/such/file.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"]
    )
    def test_an_unreadable_key_is_told_and_not_shown(self, serve: Serve, pem: str) -> None:
        with pytest.raises(errors.ConfigurationError, match="private key") as caught:
            oauth_client(serve(WHOLE), pem).execute_prompt("greet")
        assert pem not in str(caught.value)

    def test_odd_answers_are_told(self, serve: Serve, pem: str) -> None:
        for body in ({"access_token": "x"}, {"expires_in": 1}, {"access_token": 5, "expires_in": "soon"}):
            with pytest.raises(errors.AuthenticationFailed, match="no access token"):
                oauth_client(serve(answer(json.dumps(body))), pem).execute_prompt("greet")
