"""Cells that are ready to be filled in: one that runs a prompt, and one that writes its next version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from cozeloop_magic.authoring.catalog import find_prompt, get_version
from cozeloop_magic.authoring.plan import prompt_text
from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.prompt import VariableDef, VariableType
from cozeloop_magic.errors import LoopError, PromptNotFound

__all__ = ["define_cell", "describe_variable", "prompt_cell", "variable_line"]

_EMPTY = {
    VariableType.OBJECT: ": {}",
    VariableType.PLACEHOLDER: " = []",
    VariableType.MULTI_PART: " = []",
}
_STARTER = """\
description: What it is for
{model}variables:
  topic: {{type: string, description: What to write about}}
---
@system
You are a careful writer.
@user
Write one sentence about {{{{topic}}}}.
"""
_LOOKED_THROUGH = 5  # prompts, for the model that they use


def prompt_cell(client: Client, prompt_key: str, version: str = "", label: str = "") -> str:
    """Write a ``%%loop_prompt`` cell with every variable of a version: its type, what it is, and its empty value.

    Texts and numbers have none: a cell that was not filled in fails, instead of running without them.
    """
    record = get_version(client, prompt_key, version, label)
    commit = record.prompt_commit
    info, detail = (commit.commit_info, commit.detail) if commit else (None, None)
    template = detail.prompt_template if detail else None
    number = (info.version if info else "") or version
    which = f"--label {label}" if label and not version else f"--version {number}"
    lines = [f"%%loop_prompt {prompt_key} {which} --out answer"]
    return "\n".join([*lines, *_filled((template and template.variable_defs) or ())])


def define_cell(client: Client, prompt_key: str) -> str:
    """Write a ``%%loop_define`` cell: with the latest version's text, or for a new prompt with a beginning."""
    try:
        find_prompt(client, prompt_key)
    except PromptNotFound:
        model = _model_id(client)
        begun = _STARTER.format(model=f"model: {{model_id: {model!r}, temperature: 0.2}}\n" if model else "")
        return f"%%loop_define {prompt_key} --version 0.1.0\n{begun}"
    latest = get_version(client, prompt_key)
    commit = latest.prompt_commit
    base = f" --base {commit.commit_info.version}" if commit and commit.commit_info else ""
    return f"%%loop_define {prompt_key} --bump minor{base}\n{prompt_text(latest)}"


def variable_line(variable: VariableDef) -> str:
    """Write the line of a cell that gives a variable, with nothing of its type as value."""
    kind = str(variable.type)
    return variable.key + (": []" if kind.startswith("array") else _EMPTY.get(kind, ": "))  # type: ignore[call-overload]


def describe_variable(variable: VariableDef) -> str:
    """Say in a line what a variable is: its type, and what it is for."""
    return " ".join(f"{variable.type}: {variable.desc}".split()) if variable.desc else str(variable.type)


def _filled(variables: Iterable[VariableDef]) -> Iterator[str]:
    for variable in variables:
        yield f"# {describe_variable(variable)}"
        yield variable_line(variable)


def _model_id(client: Client) -> str:
    """Give the model of the workspace's newest prompts: a platform runs no prompt without one."""
    try:
        for summary in islice(client.prompts.iterate(page_size=_LOOKED_THROUGH), _LOOKED_THROUGH):
            commit = client.prompts.get(summary.id or "").prompt_commit
            model = (commit and commit.detail and commit.detail.model_config) or {}
            if model.get("model_id"):
                return str(model["model_id"])
    except LoopError:  # then a beginning without a model is what there is
        pass
    return ""
