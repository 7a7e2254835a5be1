"""Recording real HTTP and playing it: what a client is told from a tape is what it was told by the server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cozeloop_magic import Client
from cozeloop_magic.client.connect import client_for
from cozeloop_magic.client.settings import Settings
from cozeloop_magic.entities.prompt import Message, Role
from cozeloop_magic.errors import (
    ConnectFailed,
    DeadlineExceeded,
    LoopError,
    StreamInterrupted,
    TapeError,
)
from cozeloop_magic.tape import RECORDING, Tape, TapeWriter
from cozeloop_magic.transport import replay
from cozeloop_magic.transport.call import Call
from tests.conftest import TOKEN
from tests.wire_server import (
    ANSWER,
    GOOD,
    PIECES,
    STREAMED,
    WHOLE,
    Script,
    WireServer,
    answer,
    by_path,
    delta,
    event,
    framed,
    in_turn,
    last,
    reset,
    send,
    stream,
)

Serve = Callable[..., WireServer]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lesson.loop"


def recording(url: str, path: Path, **options: Any) -> Client:
    settings = Settings.gather({"api_base_url": url, "workspace_id": "73917", "api_token": TOKEN}, {})
    RECORDING.begin(path)
    try:
        return client_for(settings, **{"max_retries": 0} | options)
    finally:
        RECORDING.end()


def replaying(path: Path, speed: str = "instant", **options: Any) -> Client:
    environ = {"COZELOOP_MAGIC_TAPE": str(path), "COZELOOP_MAGIC_TAPE_SPEED": speed}
    return client_for(Settings.gather(environ=environ), **{"max_retries": 0} | options)


def outcome(client: Client, streamed: bool, text: str = "x") -> Any:
    """Give all that a call tells."""
    try:
        if not streamed:
            result = client.execute_prompt("greet", variable_vals={"text": text})
            return result.message, result.finish_reason, result.usage, result.log_id, result.retries
        pieces = []
        for piece in client.execute_prompt("greet", variable_vals={"text": text}, stream=True):
            pieces.append((piece.message, piece.finish_reason, piece.usage, piece.log_id))
        return pieces
    except LoopError as error:
        details = error.code, error.log_id, error.http_status, error.partial and error.partial.message
        return type(error), str(error), *details


def both(server: WireServer, path: Path, streamed: bool, **options: Any) -> tuple[Any, Any]:
    with recording(server.url, path, **options) as client:
        live = outcome(client, streamed)
    server.stop()
    with replaying(path, **options) as client:
        return live, outcome(client, streamed)


SCRIPTS: dict[str, Script] = {
    "whole and streamed": GOOD,
    "half a character in each piece": stream([delta("é😀"[:1]), delta("😀 中"), last()]),
    "an error before the answer": answer({"code": 600501001, "msg": "no such prompt"}, x_tt_logid="log-9"),
    "an error after a part": stream([PIECES[0], event({"code": 600505014, "msg": "no"}, "error")]),
    "a limit": answer({"code": 600502002, "msg": "slow down"}, "429 Too Many Requests", Retry_After="3"),
    "a page": answer("<html><title>Sign in</title></html>", content_type="text/html"),
    "nothing": answer(b""),
    "no finish reason": stream(PIECES[:2]),
    "refused": answer({"error": "bad token"}, "401 Unauthorized"),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kind", SCRIPTS)
def test_a_tape_tells_what_the_server_told(serve: Serve, path: Path, kind: str, streamed: bool) -> None:
    live, played = both(serve(SCRIPTS[kind]), path, streamed)
    assert played == live


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_that_broke_off_breaks_off_again(serve: Serve, path: Path, streamed: bool) -> None:
    live, played = both(serve(send(framed(PIECES[:2], "length")[:2], reset)), path, streamed)
    assert "broke off: connection reset by peer" in live[1]
    assert "broke off: the recorded answer broke off here" in played[1]
    assert (played[0], *played[2:]) == (live[0], *live[2:])


def test_a_call_that_was_made_again_is_made_again(serve: Serve, path: Path) -> None:
    busy = answer({"code": 600502002, "msg": "slow down"}, "429 Too Many Requests", Retry_After="0")
    live, played = both(serve(in_turn(busy, busy, WHOLE)), path, streamed=False, max_retries=2)
    assert played == live and live[-1] == 2


def test_a_server_that_is_not_there_is_not_there_again(serve: Serve, path: Path) -> None:
    server = serve(GOOD)
    server.stop()
    live, played = both(server, path, streamed=True)
    assert played == live and live[0] is ConnectFailed


def test_repeats_come_in_turn_and_the_order_of_requests_does_not_matter(serve: Serve, path: Path) -> None:
    count = iter(range(100))

    def numbered(request: Any, connection: Any) -> None:
        text = request.body["variable_vals"][0]["value"]
        data = {**ANSWER["data"], "message": {"role": "assistant", "content": f"{text} {next(count)}"}}
        answer({**ANSWER, "data": data})(request, connection)

    def said(client: Client, texts: str) -> list[str]:
        return [str(client.execute_prompt("greet", variable_vals={"text": text})) for text in texts]

    server = serve(numbered)
    with recording(server.url, path) as client:
        assert said(client, "aab") == ["a 0", "a 1", "b 2"]
    with replaying(path) as client:
        assert said(client, "baaaab") == ["b 2", "a 0", "a 1", "a 0", "a 1", "b 2"]


def test_pieces_come_at_the_pace_they_were_recorded_at(
    serve: Serve, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    threading.Timer(0.4, gate.set).start()
    server = serve(stream([PIECES[0], gate, *PIECES[1:]]))
    with recording(server.url, path) as client:
        outcome(client, streamed=True)

    waited = 0.0

    def sleep(call: Call, seconds: float) -> bool:
        nonlocal waited
        waited += seconds
        return True

    monkeypatch.setattr(replay, "time", SimpleNamespace(monotonic=lambda: waited))
    monkeypatch.setattr(Call, "sleep", sleep)

    def times(speed: str) -> list[float]:
        with replaying(path, speed) as client:
            began = waited
            pieces = client.execute_prompt("greet", variable_vals={"text": "x"}, stream=True)
            return [waited - began for _ in pieces]

    chunks = Tape.read(path).exchanges[0].chunks
    gap = chunks[1][0] - chunks[0][0]
    assert gap > 0.2  # it did wait
    first, *_, end = times("1")
    assert first == pytest.approx(chunks[0][0]) and end >= chunks[1][0]
    assert [4 * at for at in times("4")] == pytest.approx(times("1"))
    assert set(times("instant")) == {0.0}


def test_a_wait_of_the_tape_keeps_to_the_calls_limit_and_is_ended_by_a_close(serve: Serve, path: Path) -> None:
    with recording(serve(STREAMED).url, path) as client:
        outcome(client, streamed=True)
    tape = Tape.read(path)
    first, rest = "".join(text for _, text in tape.exchanges[0].chunks).split("\n\n", 1)
    slow = replace(tape.exchanges[0], at=0.0, chunks=((0.0, first + "\n\n"), (60.0, rest)))
    TapeWriter(path, overwrite=True).write(slow, tape.header)
    with replaying(path, "1") as client:
        with pytest.raises(DeadlineExceeded):
            list(client.execute_prompt("greet", variable_vals={"text": "x"}, stream=True, timeout=0.5))
        reader = client.execute_prompt("greet", variable_vals={"text": "x"}, stream=True)
        threading.Timer(0.3, reader.close).start()
        with pytest.raises(StreamInterrupted, match="its reader was closed"):
            list(reader)


def test_what_a_person_stopped_is_not_recorded(serve: Serve, path: Path) -> None:
    gate = threading.Event()
    server = serve(stream([PIECES[0], gate, *PIECES[1:]]))
    with recording(server.url, path) as client:
        with client.execute_prompt("greet", variable_vals={"text": "x"}, stream=True) as reader:
            next(reader)
        gate.set()
        assert client._transport._writer.count == 0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"variable_vals": {"text": "tee"}}, 'the variable text is "tea", here "tee"'),
        ({"variable_vals": {"text": "tea", "more": 1}}, "the variable more is not given, here"),
        ({"version": "2.0.0", "variable_vals": {"text": "tea"}}, 'version is not given, here "2.0.0"'),
        ({"messages": [Message(Role.USER, "Be brief.")], "variable_vals": {"text": "tea"}}, "messages[0].content"),
        ({"variable_vals": {"text": "a" * 500 + "tea"}}, "the variable text is"),
    ],
)
def test_what_is_not_on_the_tape_is_told_with_what_differs(
    serve: Serve, path: Path, asked: dict[str, Any], said: str
) -> None:
    with recording(serve(WHOLE).url, path) as client:
        for text in ("coffee", "tea"):
            client.execute_prompt("greet", variable_vals={"text": text})
    with replaying(path) as client:
        with pytest.raises(TapeError) as caught:
            client.execute_prompt("greet", **asked)
        assert said in str(caught.value) and "%loop replay stop" in caught.value.hint
        with pytest.raises(TapeError, match="has no call of /v1/loop/prompts/list"):
            client.list_prompts()


def test_no_secret_is_on_a_tape_whoever_says_it(serve: Serve, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, word = "sk-another-s3cret-of-mine", 'pass"word-with-quotes'
    monkeypatch.setenv("SOME_API_KEY", key)
    monkeypatch.setenv("SOME_PASSWORD", word)
    echo = [delta(f"your token is {TOKEN[:7]}"), delta(TOKEN[7:] + f" and {key}"), delta(f" or {word}"), last()]
    server = serve(by_path(execute_streaming=stream(echo), execute=answer(ANSWER, x_tt_logid=f"id-{TOKEN}")))
    with recording(server.url, path, headers={"X-Gateway": "header-s3cret-value"}) as client:
        outcome(client, streamed=True, text=f"is {key} good?")
        outcome(client, streamed=False)
    text = path.read_text("utf-8")
    for secret in (TOKEN, TOKEN[4:], key, word, json.dumps(word)[1:-1], "73917", "header-s3cret-value"):
        assert secret not in text and json.dumps(secret) not in text
    with replaying(path) as client:
        assert "••••••" in str(outcome(client, streamed=True, text="is •••••• good?"))


def test_a_secret_in_a_variable_is_looked_for_as_it_is_on_the_tape_and_is_in_no_error(
    serve: Serve, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-another-s3cret-of-mine"
    monkeypatch.setenv("SOME_API_KEY", key)
    with recording(serve(WHOLE).url, path) as client:
        live = outcome(client, streamed=False, text=f"is {key} good?")
    with replaying(path) as client:
        assert outcome(client, streamed=False, text=f"is {key} good?") == live
        refused = outcome(client, streamed=False, text=f"is {key} bad?")
    assert refused[0] is TapeError and "bad?" in refused[1] and key not in refused[1]


def test_what_differs_is_named_however_large_the_values_are(serve: Serve, path: Path) -> None:
    large = "word " * 500_000
    with recording(serve(WHOLE).url, path) as client:
        for text in (large + "one", "two"):
            outcome(client, streamed=False, text=text)
    with replaying(path) as client:
        refused = outcome(client, streamed=False, text=large + "three")
    assert "one" in refused[1] and "three" in refused[1] and len(refused[1]) < 400


def test_the_workspace_is_on_no_tape_though_a_server_names_it(serve: Serve, path: Path) -> None:
    workspace = "7391739173917391739"
    page = {"prompts": [{"id": "1", "workspace_id": workspace, "prompt_key": "greet"}], "total": 1}
    settings = {"api_base_url": serve(answer({"code": 0, "data": page})).url, "workspace_id": workspace}
    RECORDING.begin(path)
    try:
        client = client_for(Settings.gather(settings | {"api_token": TOKEN}, {}))
    finally:
        RECORDING.end()
    with client:
        assert client.list_prompts().prompts[0].prompt_key == "greet"
    assert workspace not in path.read_text("utf-8")
    with replaying(path) as player:
        assert player.list_prompts().prompts[0].prompt_key == "greet"


def test_answers_of_a_tape_are_marked_with_its_day(serve: Serve, path: Path) -> None:
    with recording(serve(GOOD).url, path) as client:
        outcome(client, streamed=True)
        outcome(client, streamed=False)
    day = Tape.read(path).header.date
    with replaying(path) as client:
        assert client.execute_prompt("greet", variable_vals={"text": "x"}).notes == (f"recorded {day}",)
        first = next(iter(client.execute_prompt("greet", variable_vals={"text": "x"}, stream=True)))
        assert first.notes == (f"recorded {day}",)
