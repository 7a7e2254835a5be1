"""The embedded Loop renders as the platform: `render.jsonl` holds the open-source server's own answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cozeloop_magic.entities.prompt import ContentPart, Message, Prompt, PromptTemplate, VariableDef
from cozeloop_magic.entities.variables import VariableVal
from cozeloop_magic.errors import RemoteError
from cozeloop_magic.template.render import render

CASES = [json.loads(line) for line in Path(__file__).with_name("render.jsonl").read_text("utf-8").splitlines()]
TEMPLATES = [case for case in CASES if "template" in case]
CHECKS = [case for case in CASES if "check" in case]


def answer(case: dict[str, Any]) -> dict[str, Any]:
    defs = tuple(VariableDef(key, type=kind) for key, kind in case["variable_defs"].items())
    messages = (Message("user", case["template"]),)
    prompt = Prompt("key", "0.0.1", prompt_template=PromptTemplate(case["template_type"], messages, defs))
    try:
        rendered = render(prompt, [VariableVal(key, value) for key, value in case["variable_vals"].items()], [])
    except RemoteError as error:
        return {"code": error.code}
    return {"text": rendered.messages[0].content}


@pytest.mark.parametrize(
    "case", TEMPLATES, ids=lambda case: f"{case['template'][:40]!r} {case['variable_vals']}"[:90]
)
def test_a_template_gives_what_the_server_gives(case: dict[str, Any]) -> None:
    assert answer(case) == case["expect"]


@pytest.mark.parametrize("case", CHECKS, ids=lambda case: repr(case["value"][:60]))
def test_an_address_passes_where_it_passes_at_the_server(case: dict[str, Any]) -> None:
    part = ContentPart(case["check"], **{case["check"]: case["value"]})
    prompt = Prompt("key", "0.0.1", prompt_template=PromptTemplate("normal", (), ()))
    try:
        accepted = bool(render(prompt, [], [Message("user", parts=(part,))]).messages[0].parts)
    except RemoteError:
        accepted = False
    assert accepted is case["accepted"]
