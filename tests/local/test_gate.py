"""Who is let in."""

from __future__ import annotations

import http.client
import time

import pytest
import requests

from cozeloop_magic.local.proof import prove
from tests.local.conftest import TOKEN, Parrot, asked


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"bearer{TOKEN}"])
def test_without_the_token_nothing_is_answered_but_401(server, header):
    headers = {} if header is None else {"Authorization": header}
    response = requests.post(f"{server.url}/v1/loop/prompts/list", json={}, headers=headers)
    assert response.status_code == 401 and response.json() == {"code": 4100, "msg": "authentication is invalid"}
    assert response.headers["x-tt-logid"]


def test_health_needs_no_token_and_tells_none(server):
    response = requests.get(f"{server.url}/health")
    assert response.json()["status"] == "ok" and response.json()["model"] == "parrot"
    assert TOKEN not in response.text


def test_health_can_prove_who_it_is(server):
    assert requests.get(f"{server.url}/health?nonce=abc").json()["proof"] == prove(TOKEN, "abc")
    assert prove(TOKEN, "abc") != prove(TOKEN, "abd") != prove("another", "abd")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:1234", 200),
        ("[::1]:80", 200),
        ("LocalHost.:80", 200),
        ("evil.example", 403),
        ("evil.example:80", 403),
    ],
)
def test_a_page_whose_name_points_here_is_turned_away(server, host, status):
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", "/health", headers={"Host": host})
    assert connection.getresponse().status == status
    connection.close()


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000, b'{"a":' * 5000, b'{"a": NaN}', b'{"a": ' + b"9" * 5000 + b"}"],
)
def test_a_body_that_is_no_object_is_a_bad_request(server, body):
    response = server.session.post(f"{server.url}/v1/loop/prompts/list", data=body)
    assert (response.status_code, response.json()["code"]) == (200, 600500201)


def test_an_unknown_call_is_answered_in_json(server):
    response = server.session.get(f"{server.url}/v1/nothing")
    assert response.status_code == 404 and "GET /v1/nothing" in response.json()["msg"]
    assert "POST /v1/loop/prompts/execute;" in response.json()["msg"]


def test_who_only_knows_the_address_is_told_the_calls(server):
    response = requests.get(f"{server.url}/")
    assert response.status_code == 404 and "DELETE /v1/loop/prompts/{id};" in response.json()["msg"]


def test_the_scheme_of_the_token_is_written_in_any_case(server):
    response = requests.get(f"{server.url}/v1/nothing", headers={"Authorization": f"bEARER {TOKEN}"})
    assert response.status_code == 404


def test_a_running_stream_is_no_idleness(start):
    server = start(Parrot(seconds_a_word=0.02))
    long = asked(messages=[{"role": "user", "content": "word " * 2000}])
    with server.post("/execute_streaming", long, stream=True):
        assert server.activity.running == 1 and server.activity.idle_seconds == 0
    deadline = time.monotonic() + 60
    while server.activity.running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.activity.running == 0


def test_no_answer_is_for_other_origins(server):
    response = requests.options(f"{server.url}/v1/loop/prompts/list", headers={"Origin": "https://evil.example"})
    assert response.status_code == 401
    assert not [name for name in response.headers if name.lower().startswith("access-control")]
