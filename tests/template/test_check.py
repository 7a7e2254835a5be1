"""Variables are checked against the prompt before anything is sent."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from cozeloop_magic.entities.prompt import ContentPart, Message, Prompt, PromptTemplate, Role, VariableDef
from cozeloop_magic.errors import VariableError
from cozeloop_magic.template.check import check_variables


def prompt(**types: str) -> Prompt:
    definitions = tuple(VariableDef(key, type=kind) for key, kind in types.items())
    return Prompt("greet", "1.0.0", prompt_template=PromptTemplate(variable_defs=definitions))


def complaint(definition: Prompt, values: dict[str, Any]) -> str:
    with pytest.raises(VariableError) as caught:
        check_variables(definition, values)
    return str(caught.value)


def test_a_slip_of_the_pen_is_met_with_the_name_that_was_meant() -> None:
    text = complaint(prompt(topic="string", user_request="string"), {"topic": "x", "user_reqest": "y"})
    assert text == "greet @ 1.0.0: there is no variable user_reqest (did you mean user_request?)."


def test_everything_wrong_is_told_at_once() -> None:
    text = complaint(prompt(topic="string", n="integer", history="placeholder"), {"n": "many", "zzz": 1})
    assert "there is no variable zzz; its variables are topic, n, history" in text
    assert 'topic is missing; write `topic: ...`, or `topic: ""` (or `--var topic=`) to leave it empty' in text
    assert "history is missing; write `history = ...` with a list of messages, or `history = []` for none" in text
    assert "n must be integer, not 'many'; write a whole number" in text


@pytest.mark.parametrize(
    ("purpose", "told"),
    [
        ("What it is about", "topic is missing (What it is about); write"),
        ("  What it\nis about. ", "topic is missing (What it is about); write"),
        ("\x1b[31m\u202e", "topic is missing (␛[31m‹U+202E›); write"),
        ("w" * 200, f"topic is missing ({'w' * 120}…); write"),
        ("", "topic is missing; write"),
        (None, "topic is missing; write"),
    ],
)
def test_what_is_missing_is_told_with_what_it_is_for(purpose: str | None, told: str) -> None:
    definitions = (VariableDef("topic", purpose),)
    assert told in complaint(Prompt("p", "1", prompt_template=PromptTemplate(variable_defs=definitions)), {})


HELLO = [Message(Role.USER, "hi")]
PART = ContentPart("text", text="hi")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", "x"), ("string", ""), ("string", 5), ("string", 1.5), ("string", True),
        ("string", date(2026, 1, 2)),
        ("integer", "12"), ("integer", 12), ("integer", "-3"), ("integer", ""),
        ("float", "1.5"), ("float", 2), ("boolean", "true"), ("boolean", False),
        ("object", {"a": 1}), ("object", '{"a": 1}'),
        ("array<string>", ["a"]), ("array<string>", '["a"]'), ("array<string>", {"a"}), ("array<integer>", [1, 2]),
        ("array<float>", [1, 2.5]), ("array<boolean>", [True]), ("array<object>", [{"a": 1}]),
        ("placeholder", HELLO), ("placeholder", HELLO[0]), ("placeholder", []),
        ("multi_part", PART), ("multi_part", [PART]), ("multi_part", []),
        ("something new", "anything"),
    ],
)  # fmt: skip
def test_fits(kind: str, value: Any) -> None:
    check_variables(prompt(x=kind), {"x": value})


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        ("string", None, "the word null"),
        ("string", ["a"], 'put it in quotes, or write `x = "\\n".join('),
        ("string", {"a": 1}, "json.dumps"),
        ("string", HELLO, "must be string, not messages"),
        ("string", ("a",), "not a tuple"),
        ("string", {"a"}, "not a set"),
        ("object", [1], "write JSON"),
        ("object", '{"a": NaN}', "write JSON"),
        ("array<object>", ["a"], "write a list"),
        ("array<object>", {"a": 1}, "write a list"),
        ("float", "1_000", "write a number"),
        ("float", "nan", "write a number"),
        ("integer", 10**30, "whole number"),
        ("integer", "1.5", "whole number"),
        ("integer", True, "whole number"),
        ("integer", "１２", "whole number"),
        ("float", "much", "write a number"),
        ("boolean", "True", "true or false"),
        ("boolean", "yes", "true or false"),
        ("object", "hello", "write JSON"),
        ("array<string>", [1], "write a list"),
        ("array<integer>", [1.5], "write a list"),
        ("array<string>", "a, b", "write a list"),
        ("placeholder", "hello", "must be messages"),
        ("multi_part", "hello", "must be content parts"),
        ("multi_part", HELLO, "must be content parts"),
    ],
)
def test_does_not_fit(kind: str, value: Any, says: str) -> None:
    assert says in complaint(prompt(x=kind), {"x": value})


def test_strange_variables_are_told_together_and_the_latest_version_as_such() -> None:
    definition = prompt(example="string")
    with pytest.raises(VariableError) as caught:
        check_variables(definition, {"a1": "x", "b2": "y", "example": "z"}, chosen=False)
    assert str(caught.value) == (
        "greet @ 1.0.0 (the latest; --version or --label chooses another): "
        "there are no variables a1, b2; its only variable is example."
    )


def test_a_prompt_without_variables_takes_none() -> None:
    check_variables(prompt(), {})
    assert "it has none" in complaint(prompt(), {"x": 1})


def test_a_prompt_whose_template_is_not_told_cannot_be_checked() -> None:
    check_variables(Prompt("greet", "1.0.0"), {"x": 1})


def test_names_that_a_server_gives_move_no_terminal() -> None:
    definition = VariableDef("topic\x1b[31m", type="integer")
    strange = Prompt("greet", "1.0\x1b[2J", prompt_template=PromptTemplate(variable_defs=(definition,)))
    for values in ({}, {"topic": "x"}, {"zzz": "x"}):
        text = complaint(strange, values)
        assert "\x1b" not in text and "greet @ 1.0␛[2J" in text and "topic␛[31m" in text
