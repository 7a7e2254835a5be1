"""What makes two runs the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cozeloop_magic.entities.prompt import ExecuteRequest, Message, Prompt, PromptTemplate, Role
from cozeloop_magic.store.key import Place, definition_digest, place_of, run_key
from cozeloop_magic.transport.auth import PersonalToken
from cozeloop_magic.transport.endpoint import Endpoint

PLACE = Place("https://loop.example:443", "7")
REQUEST = ExecuteRequest("greet", "1.0.0", variable_vals={"x": "1", "y": [1]})
KEY = run_key(PLACE, REQUEST, "definition")


def test_the_same_asked_again_has_the_same_key() -> None:
    again = replace(REQUEST, variable_vals={"y": (1,), "x": 1})  # on the wire they are the same
    assert run_key(Place("https://loop.example:443", "7"), again, "definition") == KEY


def test_models_of_one_endpoint_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    local = Endpoint("http://127.0.0.1:1", "7", PersonalToken("t"), "here", local=True)
    monkeypatch.setenv("COZELOOP_MAGIC_OPENAI_BASE_URL", "http://models.example/v1")
    keys = set()
    for models in ("a", "b", "a,b"):
        monkeypatch.setenv("COZELOOP_MAGIC_OPENAI_MODEL", models)
        for model_id in (None, "a", "b"):
            config = {"model_id": model_id} if model_id else None
            keys.add(run_key(place_of(local), replace(REQUEST, custom_model_config=config), "definition"))
    assert len(keys) == 9


@pytest.mark.parametrize(
    "change",
    [
        {"version": "1.0.1"},
        {"prompt_key": "meet"},
        {"variable_vals": {"x": "1", "y": [2]}},
        {"variable_vals": {"x": "1"}},
        {"messages": (Message(Role.USER, "more"),)},
        {"custom_model_config": {"model_id": "1"}},
    ],
)
def test_anything_else_asked_has_another_key(change: dict[str, Any]) -> None:
    assert run_key(PLACE, replace(REQUEST, **change), "definition") != KEY


@pytest.mark.parametrize(
    "place", [Place("embedded", "7"), replace(PLACE, workspace_id="8"), replace(PLACE, model="m")]
)
def test_one_places_answers_never_stand_in_for_anothers(place: Place) -> None:
    assert run_key(place, REQUEST, "definition") != KEY


def test_a_repeat_and_another_definition_are_other_runs() -> None:
    assert len({KEY, run_key(PLACE, REQUEST, "definition", 1), run_key(PLACE, REQUEST, "another")}) == 3


def test_a_definition_is_known_by_what_it_says() -> None:
    prompt = Prompt("greet", "1.0.0", prompt_template=PromptTemplate(messages=(Message(Role.USER, "Hi"),)))
    other = replace(prompt, prompt_template=PromptTemplate(messages=(Message(Role.USER, "Hello"),)))
    assert definition_digest(prompt) == definition_digest(replace(prompt)) != definition_digest(other)
    assert definition_digest(None) == definition_digest(Prompt("greet", "1.0.0")) == ""


def endpoint(url: str, *, local: bool = False) -> Endpoint:
    return Endpoint(url, "7", PersonalToken("t"), "here", local)


def test_a_place_is_its_origin_and_workspace() -> None:
    assert place_of(endpoint("https://loop.example")) == PLACE
    assert place_of(endpoint("https://LOOP.example:443")) == PLACE
    assert place_of(endpoint("http://loop.example")).origin == "http://loop.example:80"


def test_the_embedded_loop_is_one_place_wherever_its_port_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"1")
    monkeypatch.setenv("COZELOOP_MAGIC_GGUF", str(file))
    before = place_of(endpoint("http://127.0.0.1:1", local=True))
    assert before == place_of(endpoint("http://127.0.0.1:2", local=True))
    file.write_bytes(b"12")
    assert place_of(endpoint("http://127.0.0.1:1", local=True)) != before


def test_a_key_tells_nothing_of_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COZELOOP_MAGIC_GGUF", raising=False)
    monkeypatch.setenv("COZELOOP_MAGIC_OPENAI_BASE_URL", "http://models.example/v1")
    monkeypatch.setenv("COZELOOP_MAGIC_OPENAI_MODEL", "m")
    monkeypatch.setenv("COZELOOP_MAGIC_OPENAI_API_KEY", "k3y")
    assert place_of(endpoint("http://127.0.0.1:1", local=True)) == Place(
        "embedded", "7", "m at http://models.example/v1"
    )
