"""Credentials are in no repr, log, pickle or traceback, with its variables shown."""

from __future__ import annotations

import logging
import pickle
import traceback
from typing import Any

import pytest

from cozeloop_magic import errors, new_client
from tests.client.ways import ALL_WAYS, ClientOf, Serve
from tests.conftest import TOKEN
from tests.wire_server import ANSWER, HEAD, PIECES, Script, answer, delta, either, event, framed, send, stream


def reset(request: Any, connection: Any) -> None:
    connection.close()


FAULTS: dict[str, Script] = {
    "a refusal that echoes it": answer({"code": 600502002, "msg": f"slow down, {TOKEN}"}),
    "a code that echoes it": answer({"code": f"Bearer {TOKEN}\x1b[31m", "msg": "x"}),
    "codes that echo it": answer({"code": [f"Bearer {TOKEN}"], "msg": "x"}),
    "a closed connection": reset,
    "a web page": answer("<html>no</html>", content_type="text/html"),
    "a length not reached": lambda request, connection: (
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"),
        connection.close(),
    )[0],
    "a broken stream": stream([delta("Hel"), event("no json")]),
    "an oversized header": lambda request, connection: connection.sendall(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 99999),
}


def everything(error: BaseException) -> str:
    """Give all that a person could be shown of an error and of its causes."""
    seen, todo = [], [error]
    while todo:
        current = todo.pop()
        seen.append(current)
        assert getattr(current, "request", None) is None, "requests keeps what it sent on its errors"
        inner = (current.__cause__, current.__context__, *current.args)
        todo += [e for e in inner if isinstance(e, BaseException) and e not in seen]
    shown = []
    for each in seen:
        summary = traceback.TracebackException.from_exception(each, capture_locals=True)
        frames = [frame for frame in summary.stack if "/tests/" not in frame.filename]
        shown += [str(each), repr(each), *(repr(frame.locals) for frame in frames)]
    return "\n".join(shown)


@pytest.mark.parametrize("read", ALL_WAYS)
@pytest.mark.parametrize("case", FAULTS)
def test_no_error_shows_the_token(
    serve: Serve, client_of: ClientOf, caplog: pytest.LogCaptureFixture, capfd: Any, read: Any, case: str
) -> None:
    caplog.set_level(logging.DEBUG)
    client = client_of(serve(FAULTS[case]))
    with pytest.raises(errors.LoopError) as caught:
        read(client)
    assert TOKEN not in everything(caught.value)
    assert TOKEN not in caplog.text + repr(client) + repr(client.connect())
    assert capfd.readouterr() == ("", "")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value) and copy.code == caught.value.code
    assert TOKEN.encode() not in pickle.dumps(caught.value)


@pytest.mark.parametrize("ask", [lambda client: client.get_prompt("greet"), lambda client: client.list_prompts()])
@pytest.mark.parametrize("data", [{"items": [], "token": TOKEN}, {"message": TOKEN, "items": 5, "prompts": 5}])
def test_no_error_about_a_definition_shows_the_token(
    serve: Serve, client_of: ClientOf, ask: Any, data: dict[str, Any]
) -> None:
    client = client_of(serve(answer({"code": 0, "data": {**data, "prompts": 5}})))
    with pytest.raises(errors.LoopError) as caught:
        ask(client)
    assert TOKEN not in everything(caught.value)


@pytest.mark.parametrize("stream", [False, True])
def test_no_result_shows_the_token(serve: Serve, client_of: ClientOf, stream: bool) -> None:
    server = serve(
        either(send(framed(PIECES, "close", f"{HEAD}X-Loop-Model: {TOKEN}\r\n")), answer(ANSWER, X_Loop_Model=TOKEN))
    )
    result = client_of(server).execute_prompt("greet", stream=stream)
    assert TOKEN not in repr(list(result) if stream else result)


def test_no_connection_shows_the_token(serve: Serve, client_of: ClientOf) -> None:
    server = serve(reset)
    server.stop()
    with pytest.raises(errors.ConnectFailed) as caught:
        client_of(server).execute_prompt("greet")
    assert TOKEN not in everything(caught.value)


def test_a_configuration_error_shows_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.ConfigurationError) as caught:
        new_client(api_token=TOKEN)
    assert TOKEN not in everything(caught.value)
    monkeypatch.setenv("COZELOOP_API_TOKEN", TOKEN + "é")
    with pytest.raises(errors.ConfigurationError) as caught:
        new_client(workspace_id="1")
    assert TOKEN not in everything(caught.value)


class TestHeaders:
    def test_are_sent(self, serve: Serve, client_of: ClientOf) -> None:
        server = serve(FAULTS["a web page"])
        with pytest.raises(errors.LoopError):
            client_of(server, headers={"X-Env": "ppe"}).execute_prompt("greet")
        assert server.requests[0].headers["x-env"] == "ppe"

    @pytest.mark.parametrize(
        "headers",
        [
            {"authorization": "x"},
            {"Host": "x"},
            {"Content-Length": "0"},
            {"X-A": "a\r\nB: c"},
            {"X-A": " a"},
            {"X-A": "é"},
            {"X A": "x"},
            [("X-A", "a")],
        ],
    )
    def test_that_are_the_clients_own_or_no_headers_are_refused(self, headers: Any) -> None:
        with pytest.raises(errors.ConfigurationError, match=r"header"):
            new_client("http://127.0.0.1:9", "1", TOKEN, headers=headers)
