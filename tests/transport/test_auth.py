"""Personal tokens and JWT OAuth."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from cozeloop_magic import errors
from cozeloop_magic.transport.auth import PersonalToken
from cozeloop_magic.transport.secret import Secret
from tests.oauth import a_key, oauth_client, pem_of, public_pem_of, tokens
from tests.wire_server import WHOLE, Script, WireServer, answer, by_path, in_turn, send

Serve = Callable[[Script], WireServer]


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return a_key()


@pytest.fixture(scope="module")
def pem(key: rsa.RSAPrivateKey) -> str:
    return pem_of(key)


def accepts(*accepted: str) -> Script:
    """Answer calls that come with one of these access tokens, and no others."""
    refusal = answer({"code": 4101, "msg": "token is revoked"}, "401 Unauthorized")

    def script(request: Any, connection: Any) -> None:
        known = request.headers["authorization"].removeprefix("Bearer ") in accepted
        (WHOLE if known else refusal)(request, connection)

    return script


def used(server: WireServer) -> list[str]:
    """Give the access tokens that calls came with."""
    calls = [request for request in server.requests if request.path.endswith("execute")]
    return [call.headers["authorization"].removeprefix("Bearer ") for call in calls]


def at_once(*works: Callable[[], object]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


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
        server = serve(by_path(token=tokens(), execute=WHOLE))
        client = oauth_client(server, pem.replace("\n", "\\n"))
        client.execute_prompt("greet")
        client.execute_prompt("greet")
        exchange, *calls = server.requests
        assert len(calls) == 2 and used(server) == ["at_1"] * 2
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
        server = serve(by_path(token=tokens(30), execute=WHOLE))  # the first ends too soon to be used again
        client = oauth_client(server, pem)
        client.execute_prompt("greet")
        at_once(*[lambda: client.execute_prompt("greet")] * 8)
        assert used(server) == ["at_1"] + ["at_2"] * 8

    def test_one_that_the_server_refuses_is_renewed_and_the_call_made_again(self, serve: Serve, pem: str) -> None:
        server, client = self.revoked(serve, pem)
        result = client.execute_prompt("greet")
        assert str(result) == "Hello world" and result.retries == 1
        assert used(server) == ["at_1", "at_1", "at_2"]

    def test_one_that_is_refused_is_renewed_once_for_many_threads(self, serve: Serve, pem: str) -> None:
        server, client = self.revoked(serve, pem)
        at_once(*[lambda: client.execute_prompt("greet")] * 8)
        assert used(server).count("at_2") == 8 and set(used(server)) == {"at_1", "at_2"}

    def test_where_nothing_is_retried_the_next_call_has_a_new_one(self, serve: Serve, pem: str) -> None:
        _, client = self.revoked(serve, pem, max_retries=0)
        with pytest.raises(errors.AuthenticationFailed):
            client.execute_prompt("greet")
        assert str(client.execute_prompt("greet")) == "Hello world"

    def test_a_new_one_that_is_refused_is_told(self, serve: Serve, pem: str) -> None:
        server = serve(by_path(token=tokens(), execute=accepts()))
        with pytest.raises(errors.AuthenticationFailed, match=r"token is revoked.*COZELOOP_JWT_OAUTH"):
            oauth_client(server, pem).execute_prompt("greet")
        assert used(server) == ["at_1"]

    @staticmethod
    def revoked(serve: Serve, pem: str, **options: Any) -> tuple[WireServer, Any]:
        """Give a client with a token that its server accepted, and accepts no more."""
        exchange = tokens()
        server = serve(by_path(token=exchange, execute=WHOLE))
        client = oauth_client(server, pem, **options)
        client.execute_prompt("greet")
        server.script = by_path(token=exchange, execute=accepts("at_2"))
        return server, client

    def test_exchanging_keeps_to_the_limits_of_each_call_that_waits_for_it(self, serve: Serve, pem: str) -> None:
        asked, go_on = threading.Event(), threading.Event()
        exchange = tokens()

        def late(request: Any, connection: Any) -> None:
            asked.set()
            go_on.wait(10)
            exchange(request, connection)

        client = oauth_client(serve(by_path(token=late, execute=WHOLE)), pem)
        results: list[Any] = []
        patient = threading.Thread(target=lambda: results.append(client.execute_prompt("greet")))
        patient.start()
        asked.wait(10)
        with pytest.raises(errors.DeadlineExceeded, match=r"0\.2 s, the call's time limit"):
            client.execute_prompt("greet", timeout=0.2)  # waits for the other's
        go_on.set()
        patient.join()
        assert [str(result) for result in results] == ["Hello world"]

    def test_a_silent_exchange_ends_with_its_call(self, serve: Serve, pem: str) -> None:
        server = serve(lambda request, connection: connection.recv(1) and None)
        with pytest.raises(errors.DeadlineExceeded, match=r"0\.2 s, the call's time limit"):
            oauth_client(server, pem).execute_prompt("greet", timeout=0.2)

    def test_a_cancelled_call_leaves_the_exchange_at_once(self, serve: Serve, pem: str) -> None:
        gone = threading.Event()

        def silent(request: Any, connection: Any) -> None:
            connection.recv(1)  # until the client is gone
            gone.set()

        client = oauth_client(serve(silent), pem)

        async def ask_and_leave() -> None:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.aexecute_prompt("greet"), 0.3)

        asyncio.run(ask_and_leave())
        assert gone.wait(60)

    def test_the_key_may_be_a_file(self, serve: Serve, pem: str, tmp_path: Path) -> None:
        (tmp_path / "key.pem").write_text(pem)
        client = oauth_client(serve(by_path(token=tokens(), execute=WHOLE)), str(tmp_path / "key.pem"))
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

    @pytest.mark.parametrize(
        "body",
        [
            {"access_token": "at_s3cret"},
            {"access_token": "", "expires_in": 1},
            {"access_token": 5, "expires_in": 1},
            {"access_token": "at_s3cret", "expires_in": "soon"},
            {"access_token": "at_s3cret", "expires_in": 10**400},
            {"access_token": "at_s3cret\nX: y", "expires_in": 1},
            {"access_token": "at_s3crét", "expires_in": 1},
        ],
    )
    def test_one_that_cannot_be_used_is_told(self, serve: Serve, pem: str, body: dict[str, Any]) -> None:
        with pytest.raises(errors.AuthenticationFailed, match=r"no access token that can be used.*log-9") as caught:
            oauth_client(serve(answer(json.dumps(body), x_tt_logid="log-9")), pem).execute_prompt("greet")
        assert "s3cr" not in str(caught.value)

    def test_what_the_exchange_says_is_told(self, serve: Serve, pem: str) -> None:
        body = {"error": "invalid_client", "error_message": "no such app"}
        with pytest.raises(errors.RemoteError, match=r"no such app.*log-9"):
            oauth_client(serve(answer(body, x_tt_logid="log-9")), pem).execute_prompt("greet")

    def test_an_exchange_that_breaks_off_is_made_again(self, serve: Serve, pem: str) -> None:
        server = serve(by_path(token=in_turn(send([]), tokens()), execute=WHOLE))
        assert str(oauth_client(server, pem).execute_prompt("greet")) == "Hello world"

    def test_the_time_it_ends_at_may_be_text(self, serve: Serve, pem: str) -> None:
        token = answer({"access_token": "at_1", "expires_in": str(int(time.time()) + 900)})
        assert str(oauth_client(serve(by_path(token=token, execute=WHOLE)), pem).execute_prompt("greet"))

    def test_a_public_key_is_told_and_not_shown(self, serve: Serve, key: rsa.RSAPrivateKey) -> None:
        with pytest.raises(errors.ConfigurationError, match="must be an RSA private key"):
            oauth_client(serve(WHOLE), public_pem_of(key)).execute_prompt("greet")
