"""From a request to a cell that asks it again, and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cozeloop_magic.cell.bind import bind_messages, bind_variables
from cozeloop_magic.cell.parse import parse_cell
from cozeloop_magic.cell.write import write_cell
from cozeloop_magic.client.request import execute_body
from cozeloop_magic.entities.prompt import ContentPart, ExecuteRequest, FunctionCall, Message, Role, ToolCall


def read(cell: str) -> tuple[dict[str, Any], tuple[Message, ...]]:
    line, _, body = cell.partition("\n")
    assert line.startswith("%%loop_prompt greet") or not body
    names = {"Message": Message, "ContentPart": ContentPart}
    spec = parse_cell(body + "\n")
    return bind_variables(spec, names, {}), tuple(bind_messages(spec, names))


def same(request: ExecuteRequest) -> bool:
    values, messages = read(write_cell(request))
    again = ExecuteRequest("greet", variable_vals=values, messages=messages)
    asked = ExecuteRequest("greet", variable_vals=request.variable_vals, messages=request.messages)
    return execute_body(again) == execute_body(asked)


def test_it_reads_as_somebody_would_write_it() -> None:
    request = ExecuteRequest(
        "greet", "1.0.0",
        variable_vals={"topic": "tea: $5 #1 {{x}}", "talk": "one\n\n  two", "count": "[1, 2]", "odd": "[a]: 'b'\t"},
        messages=(Message(Role.USER, "Keep it brief."),),
    )  # fmt: skip
    assert write_cell(request) == (
        "%%loop_prompt greet --version 1.0.0\ntopic: tea: $5 #1 {{x}}\ntalk: |-\n  one\n\n    two\n"
        "count: [1, 2]\nodd = \"[a]: 'b'\\t\"\n---\nKeep it brief."
    )


def test_without_a_body_it_is_one_line() -> None:
    assert write_cell(ExecuteRequest("greet", "1.0.0")) == "%loop_prompt greet --version 1.0.0"
    assert write_cell(ExecuteRequest("greet", "1.0.0"), "production") == "%loop_prompt greet --label production"


@given(st.dictionaries(st.sampled_from(["a", "topic", "x1"]), st.text()), st.lists(st.text(min_size=1), max_size=3))
def test_any_text_is_asked_again_to_the_letter(variables: dict[str, str], said: list[str]) -> None:
    messages = tuple(Message(Role.USER, each) for each in said if each.strip())
    assert same(ExecuteRequest("greet", "1.0.0", variable_vals=variables, messages=messages))


@pytest.mark.parametrize(
    "text",
    [
        "---",
        "@user",
        "@user = x",
        "# a",
        "",
        " ",
        "null",
        '"q"',
        "'q'",
        "|",
        "a\n---\nb",
        "\n",
        "a\n",
        "\ta\n b",
        "{}",
    ],
)
def test_text_that_looks_like_grammar_is_text(text: str) -> None:
    messages = (Message(Role.USER, text), Message(Role.ASSISTANT, "y")) if text.strip() else ()
    assert same(ExecuteRequest("greet", "1.0.0", variable_vals={"a": text}, messages=messages))


def test_messages_and_pictures_come_from_python() -> None:
    call = ToolCall(0, "c1", "function", FunctionCall("f", '{"a": 1}'))
    asks = Message(Role.ASSISTANT, tool_calls=(call,))
    request = ExecuteRequest(
        "greet", "1.0.0",
        variable_vals={"talk": [asks], "seen": [ContentPart("text", "hi")], "no": []},
        messages=(Message(Role.TOOL, "42", tool_call_id="c1"), Message(Role.USER, "so?"), asks),
    )  # fmt: skip
    assert "# First: from cozeloop_magic.entities.prompt import" in write_cell(request) and same(request)


def test_settings_that_no_cell_can_ask_for_are_named() -> None:
    request = ExecuteRequest("greet", "1.0.0", variable_vals={"a": "b"}, custom_model_config={"temperature": 0.7})
    assert "# The version's own settings were overridden: {'temperature': 0.7}" in write_cell(request)
