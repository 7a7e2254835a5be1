"""What is wrong before anything is sent: set-ups, requests, cells; and definitions that do not fit."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from cozeloop_magic import new_client
from cozeloop_magic.cli import commands as cli
from cozeloop_magic.entities.prompt import ContentPart, ExecuteRequest, Message, Prompt, PromptTemplate, VariableDef
from cozeloop_magic.entities.variables import encode_all
from cozeloop_magic.run.background import BackgroundAnswer
from cozeloop_magic.run.drive import get_checked_prompt
from cozeloop_magic.run.state import RunState
from cozeloop_magic.template import jinja
from cozeloop_magic.template.render import render
from tests.client.cases.stage import Case, Stage
from tests.conftest import TOKEN
from tests.oauth import a_key, oauth_client, pem_of
from tests.wire_server import WHOLE, answer

# What cannot be sent.


def made_with(*args: Any, **options: Any) -> Case:
    """A client that cannot be made."""
    return lambda stage: new_client(*(args or ("http://loop.example", "1", TOKEN)), **options)


def asked(prompt_key: str = "greet", **options: Any) -> Case:
    return lambda stage: stage.client(stage.serve(WHOLE)).execute_prompt(prompt_key, **options)


def given(value: Any) -> Case:
    """A call with one variable, x."""
    return asked(variable_vals={"x": value})


def given_itself() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def behind(stage: Stage) -> BackgroundAnswer:
    return BackgroundAnswer(ExecuteRequest("greet"), lambda: RunState(ExecuteRequest("greet")), lambda: None)


_HI = Message("user", "Hi")

SET_UP: dict[str, Case] = {
    "half a configuration": made_with(None, None, TOKEN),
    "an address without a scheme": made_with("loop.example", "1", TOKEN),
    "an address with a password": made_with("http://me:pass-w0rd@loop.example", "1", TOKEN),
    "an API token with a line break": made_with("http://loop.example", "1", "pat_1\nX: y"),
    "a timeout of 0": made_with(timeout=0),
    "a limit to connect that has no end": made_with(connect_timeout=float("inf")),
    "a limit for the first token that is text": made_with(first_token_timeout="5"),
    "half a retry": made_with(max_retries=0.5),
    "a header that is the client's own": made_with(headers={"Content-Type": "text/plain"}),
    "a header for the token": made_with(headers={"Authorization": f"Bearer {TOKEN}"}),
    "a header with no name": made_with(headers={"X A": "x"}),
    "a header with a line break": made_with(headers={"X-A": "a\r\nX-B: c"}),
}

UNSENT: dict[str, Case] = {
    "a timeout of 0": asked(timeout=0),
    "no prompt key": asked(""),
    "half a character in a prompt key": asked("gr\ud83d"),
    "half a character in a message": asked(messages=[Message("user", "Hi \ud83d")]),
    "half a character in a variable": given("Hi \ud83d"),
    "half a character in a variable's name": asked(variable_vals={"x\ud83d": "Hi"}),
    "variables that are a list": asked(variable_vals=["Hi"]),
    "messages that are one message": asked(messages=_HI),
    "a message that is text": asked(messages=["Hi"]),
    "a message whose content is a number": asked(messages=[Message("user", 5)]),  # type: ignore[arg-type]
    "a message with a part that is text": asked(messages=[Message("user", parts=["Hi"])]),  # type: ignore[list-item]
    "a variable's message whose content is a number": given([Message("user", 5)]),  # type: ignore[arg-type]
    "a model configuration that is a list": asked(custom_model_config=["gpt"]),
    "a model configuration without a model_id": asked(custom_model_config={"temperature": 0.5}),
    "a model configuration that holds bytes": asked(custom_model_config={"model_id": b"7"}),
    "tools that are one dict": asked(custom_tools={"type": "function"}),
    "a tool that is a dict": asked(custom_tools=[{"type": "function"}]),
    "a choice of tools that is a dict": asked(custom_tool_call_config={"tool_choice": "auto"}),
    "NaN": given(float("nan")),
    "NaN in a list in a dict": given({"a": [1, float("nan")]}),
    "infinity": given(float("inf")),
    "a missing value of pandas": given(pd.NaT),
    "a DataFrame": given(pd.DataFrame({"a": [1]})),
    "a span of numpy's": given(np.timedelta64(1, "s")),
    "bytes": given(b"Hi"),
    "an object": given(object()),
    "a set of objects": given({object()}),
    "a list of messages and text": given([_HI, "Hi"]),
    "a list of content parts and text": given([ContentPart("text", text="Hi"), "Hi"]),
    "an answer behind other cells": lambda stage: given(behind(stage))(stage),
    "a list that holds itself": given(given_itself()),
    "a dict that JSON has no keys for": given({1: "a", "1": "b"}),
}

# Definitions and lists.

_TYPES = {"name": "string", "count": "integer", "chat": "placeholder", "picture": "multi_part"}
_RIGHT = {"name": "Ada", "count": 1, "chat": [], "picture": []}


def defined_as(items: Any) -> Case:
    """Ask for a definition where the server has these."""
    reply = answer({"code": 0, "data": {"items": items}}, x_tt_logid="log-1")
    return lambda stage: stage.client(stage.serve(reply)).get_prompt("greet")


def listed_as(data: Any) -> Case:
    reply = answer({"code": 0, "data": data}, x_tt_logid="log-1")
    return lambda stage: stage.client(stage.serve(reply)).list_prompts()


def checked(without: str = "", version: str = "1.2.0", types: dict[str, str] = _TYPES, **values: Any) -> Case:
    """Check variables: right ones, but for one that is left out and those that are given."""
    right = {name: value for name, value in _RIGHT.items() if name in types and name != without}
    template = {"variable_defs": [{"key": name, "type": kind} for name, kind in types.items()]}
    prompt = {"prompt_key": "greet", "version": "1.2.0", "prompt_template": template}
    reply = answer({"code": 0, "data": {"items": [{"prompt": prompt}]}})
    request = ExecuteRequest("greet", version, variable_vals=right | values)
    return lambda stage: get_checked_prompt(stage.client(stage.serve(reply)), request)


DEFINITIONS: dict[str, Case] = {
    "no prompt": defined_as([]),
    "a definition that is text": defined_as([{"prompt": "greet"}]),
    "a list that is text": listed_as({"prompts": "greet"}),
    "a list that is missing": listed_as(None),
    "a version and a label": lambda stage: get_checked_prompt(
        stage.client(stage.serve(WHOLE)), ExecuteRequest("greet", "1.2.0", "production")
    ),
    "a variable with a slip of the pen": checked(without="name", nmae="Ada"),
    "a variable that there is not": checked(topic="rain"),
    "variables that there are not": checked(topic="rain", tone="dry"),
    "a variable where there is one other": checked(types={"name": "string"}, topic="rain"),
    "a variable where there is none": checked(types={}, topic="rain"),
    "a variable that is missing": checked(without="name"),
    "a variable that is missing in the latest version": checked(without="name", version=""),
    "messages that are missing": checked(without="chat"),
    "text for a number": checked(count="many"),
    "text for messages": checked(chat="Hi"),
    "text for content parts": checked(picture="Hi"),
    "messages for text": checked(name=[_HI]),
    "None for text": checked(name=None),
    "a list for text": checked(name=["Ada"]),
    "everything at once": checked(without="name", count=1.5, topic="rain"),
}

# Rendered here: the embedded Loop and a dry run.


def rendered(*messages: Message, kind: str = "normal", values: dict[str, Any] | None = None, **types: str) -> Case:
    """Render a prompt that holds the first of these messages; the others are appended."""
    declared = [VariableDef(key, type=type_) for key, type_ in types.items()]
    prompt = Prompt("greet", "1.2.0", prompt_template=PromptTemplate(kind, messages[:1], declared))
    return lambda stage: render(prompt, encode_all(values or {}), messages[1:])


def parts(**content: str) -> Message:
    return Message("user", parts=[ContentPart(*content, **content)])


def in_jinja(text: str, value: str = "many", **types: str) -> Case:
    return rendered(Message("user", text), kind="jinja2", values={"n": value}, **types)


def in_too_short_a_time(text: str) -> Case:
    def case(stage: Stage) -> None:
        stage.environ.setattr(jinja, "MAX_SECONDS", 0.1)
        in_jinja(text + "{% endfor %}{% endfor %}")(stage)

    return case


RENDERED: dict[str, Case] = {
    "a placeholder within a placeholder": rendered(
        Message("placeholder", "chat"), values={"chat": [Message("placeholder", "Hi")]}, chat="placeholder"
    ),
    "a picture without an address": rendered(parts(image_url="a")),
    "a picture without a data URI": rendered(parts(base64_data="iVBOR")),
    "a template of an unknown type": rendered(_HI, kind="mustache"),
    "a value that is not of its type": in_jinja("{{ n }}", n="integer"),
    "a template that cannot be parsed": in_jinja("Hi\n{% for x %}"),
    "a template that includes another": in_jinja("{% include 'other' %}"),
    "a template that fails": in_jinja("{{ 1 // 0 }}"),
    "a template with too long a range": in_jinja("{% for i in range(99999) %}{% endfor %}"),
    "a template that takes too long": in_too_short_a_time("{% for i in range(9999) %}{% for j in range(9999) %}x"),
    "a template that is too long": in_jinja("{{ n }}" * 2, n="string", value="x" * 600_000),
    "a template that is nested too deep": in_jinja("{{" + "[" * 3000 + "]" * 3000 + "}}"),
    "a template that makes too much": in_jinja("{{ 'x' * 2000000 }}"),
    "a template that makes too large a number": in_jinja("{{ 9 ** 999999 }}"),
}

# In a cell.


def in_a_cell(line: str, body: str = "", setting: str = "") -> Case:
    """Run a cell, or where it has no body a line, in a shell; the setting is of options for every cell."""

    def case(stage: Stage) -> None:
        for name, value in (("API_BASE_URL", "http://127.0.0.1:1"), ("WORKSPACE_ID", "1"), ("API_TOKEN", TOKEN)):
            stage.environ.setenv(f"COZELOOP_{name}", value)
        magic = f"%%loop_prompt {line}\n{body}" if body else f"%loop_prompt {line}"
        stage.fixture("shell").run_line_magic("config", f"LoopMagics.options = {setting!r}")
        stage.fixture("shell").run_cell(magic).raise_error()

    return case


CELLS: dict[str, Case] = {
    "an option that there is not": in_a_cell("greet --verson 1.2.0"),
    "a word too many": in_a_cell("greet 1.2.0"),
    "an option without its value": in_a_cell("greet --version"),
    "a time that is no number": in_a_cell("greet --timeout soon"),
    "no prompt key": in_a_cell(""),
    "an empty prompt key": in_a_cell('""'),
    "a time limit of 0": in_a_cell("greet --timeout 0"),
    "a setting of an option that there is not": in_a_cell("greet", setting="--lable beta"),
    "a setting of an empty version": in_a_cell("greet", setting='--version ""'),
    "an empty version": in_a_cell('greet --version ""'),
    "a name that Python does not know": in_a_cell("greet --version $newest"),
    "an --out that is no name": in_a_cell("greet --out my-answer"),
    "a --var without =": in_a_cell("greet --var name"),
    "a --var given twice": in_a_cell("greet --var name=Ada --var name=Bob"),
    "a variable in the cell and in --var": in_a_cell("greet --var name=Ada", "name: Ada"),
    "an expression that fails": in_a_cell("greet", "name = 1 / 0"),
    "an expression with a name of this package's": in_a_cell("greet", "chat = [Message('user', 'Hi')]"),
    "a message that is a number": in_a_cell("greet", "---\n@user = 5"),
    "a key given twice": in_a_cell("greet", "note: {a: 1, a: 2}"),
    "an anchor": in_a_cell("greet", "note:\n  a: &x 1"),
    "a comment that would cut a value": in_a_cell("greet", "note:\n  a: issue #5"),
    "YAML with a mistake": in_a_cell("greet", "note:\n  a: [1"),
    "a control character": in_a_cell("greet", "note:\n  a: \x07"),
    "a quote with an unknown escape": in_a_cell("greet", r'note: "C:\q"'),
    "a plain value over two lines": in_a_cell("greet", "note:\n  one\n  two"),
}

# What is not installed.


def without(module: str, case: Case) -> Case:
    def missing(stage: Stage) -> None:
        stage.environ.setitem(sys.modules, module, None)
        case(stage)

    return missing


def demo(*options: str) -> Callable[[Stage], object]:
    return lambda stage: cli._demo(cli._parser().parse_args(["demo", *options]))


MISSING: dict[str, Case] = {
    "PyJWT, for OAuth": without(
        "jwt", lambda stage: oauth_client(stage.serve(WHOLE), pem_of(a_key())).execute_prompt("greet")
    ),
    "Jinja2, for a template": without("jinja2", in_jinja("Hi")),
    "JupyterLab, for the demo": without("jupyterlab", demo()),
    "nbformat and nbclient, for the demo": without("nbformat", demo("--execute")),
}
