"""``%%loop_define`` against the embedded Loop's API: a cell is a prompt, and its next version."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cozeloop_magic import Client, new_client
from cozeloop_magic.authoring.changes import word_changes
from cozeloop_magic.authoring.define import define
from cozeloop_magic.errors import AlreadyExists, CellError, DraftConflict, InvalidRequest
from cozeloop_magic.local.store import Store
from tests.local.conftest import TOKEN as LOCAL_TOKEN
from tests.local.conftest import Parrot, Server

FIRST = "model: {temperature: 0.2}\n---\n@system\nYou greet.\n@user\nGreet {{name}}.\n"
SECOND = FIRST.replace("You greet.", "You greet warmly.")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with closing(Store(tmp_path / "prompts.db")) as store:
        running = Server(store, Parrot())
        yield running
        running.stop()


@pytest.fixture
def client(server: Server) -> Any:
    with new_client(server.url, server.workspace_id, LOCAL_TOKEN) as made:
        yield made


def test_a_cell_becomes_a_prompt_and_then_its_next_version(client: Client) -> None:
    first = define(client, "greeting", FIRST, message="the first one")
    assert (first.version, first.base_version, first.changed) == ("0.1.0", "", True)
    second = define(client, "greeting", SECOND, bump="minor")
    assert (second.version, second.base_version) == ("0.2.0", "0.1.0")
    assert ("added", " warmly") in second.changes or ("added", "warmly ") in second.changes
    prompt = client.get_prompt("greeting", "0.2.0")
    assert [message.content for message in prompt.prompt_template.messages] == [
        "You greet warmly.",
        "Greet {{name}}.",
    ]
    assert [(each.key, each.type) for each in prompt.variable_defs] == [("name", "string")]
    assert prompt.llm_config is not None and prompt.llm_config.temperature == 0.2


def test_what_did_not_change_is_not_saved(client: Client) -> None:
    define(client, "greeting", FIRST)
    again = define(client, "greeting", FIRST, bump="patch")
    assert not again.changed and again.version == ""
    assert client.get_prompt("greeting").version == "0.1.0"


def test_a_version_is_never_overwritten_and_must_be_named(client: Client) -> None:
    define(client, "greeting", FIRST)
    with pytest.raises(InvalidRequest, match=r"The last version is 0\.1\.0"):
        define(client, "greeting", SECOND)
    with pytest.raises(AlreadyExists):
        define(client, "greeting", SECOND, version="0.1.0")


def test_another_draft_is_left_as_it_is(client: Client) -> None:
    define(client, "greeting", FIRST)
    define(client, "greeting", SECOND, draft=True)
    with pytest.raises(DraftConflict):
        define(client, "greeting", FIRST.replace("greet.", "wave."), bump="minor")


def test_what_is_probably_not_meant_is_told(client: Client) -> None:
    text = "variables: {nmae: string}\n---\n@user\nGreet {{name}} and {{ friend }}.\n"
    warnings = define(client, "greeting", text).warnings
    assert warnings[0] == "no tag uses the variable nmae; did you mean name?"
    assert warnings[1].startswith("{{ friend }} stays as it is")


def test_what_cannot_be_read_sends_nothing(client: Client, server: Server) -> None:
    with pytest.raises(CellError):
        define(client, "greeting", "no message here")
    assert "greeting" not in [prompt.prompt_key for prompt in client.prompts.iterate()]


def test_changes_are_told_word_by_word() -> None:
    assert list(word_changes("a b c", "a x c")) == [("same", "a "), ("removed", "b"), ("added", "x"), ("same", " c")]


def test_the_magic_shows_the_change_and_nothing_becomes_markup(
    shell: Any, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("COZELOOP_API_BASE_URL", server.url)
    monkeypatch.setenv("COZELOOP_WORKSPACE_ID", server.workspace_id)
    monkeypatch.setenv("COZELOOP_API_TOKEN", LOCAL_TOKEN)
    cell = f"%%loop_define greeting --message 'the first one'\n{FIRST.replace('You greet', '<b>You greet')}"
    assert shell.run_cell(cell).success
    assert "greeting @ 0.1.0 is committed" in capsys.readouterr().out
    assert not shell.run_cell("%%loop_define greeting\n@user\nHi").success
    assert "Name the new one" in capsys.readouterr().out
