"""What a definition would do to a prompt: checked, and compared with the last version; nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cozeloop_magic.authoring.changes import Change, word_changes
from cozeloop_magic.authoring.definition import Definition, format_definition, literal, parse_definition
from cozeloop_magic.authoring.slips import find_slips
from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.authoring import PromptRecord
from cozeloop_magic.errors import PromptNotFound

__all__ = ["Plan", "plan", "prompt_text"]


@dataclass(frozen=True)
class Plan:
    """What a definition would do to a prompt; nothing is done yet.

    Attributes
    ----------
    prompt_key : str
        The prompt.
    definition : Definition
        What the text says.
    detail : dict
        What would be saved: with the last version's model settings where the text names none.
    record : PromptRecord or None
        The prompt as it is; None for a new one.
    base_version : str
        The version it is compared with; empty for a new prompt.
    changes : tuple of (str, str)
        Its text against that version's, as ``word_changes`` gives it.
    slips : tuple of str
        What is probably not meant.
    notes : tuple of str
        What of the text will have no effect.
    """

    prompt_key: str
    definition: Definition
    detail: Mapping[str, Any]
    record: PromptRecord | None
    base_version: str
    changes: tuple[Change, ...]
    slips: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether it differs from the last version."""
        return any(kind != "same" for kind, _ in self.changes)

    @property
    def variables(self) -> list[dict[str, Any]]:
        """The variables with their types."""
        declared: list[dict[str, Any]] = self.detail["prompt_template"]["variable_defs"]
        return declared


def plan(client: Client, prompt_key: str, text: str, evaluate: Callable[[str], Any] = literal) -> Plan:
    """Read a definition and compare it with what the server has.

    Raises
    ------
    CellError
        If the text cannot be read.
    """
    definition = parse_definition(text, evaluate)
    if definition.name == prompt_key:  # what a prompt is called that has no other name
        definition = replace(definition, name="")
    record = _find(client, prompt_key)
    latest = (record.prompt_basic.latest_version or "") if record and record.prompt_basic else ""
    detail = _with_model_of(definition.detail, record)
    named = _named(definition, detail, record)
    before = prompt_text(record) if record is not None and latest else ""
    changes = tuple(word_changes(before, format_definition(named)))
    slips, notes = tuple(find_slips(definition)), tuple(_notes(definition, named))
    return Plan(prompt_key, definition, detail, record, latest, changes, slips, notes)


def prompt_text(record: PromptRecord) -> str:
    """Return the text of a prompt's version, as a definition writes it."""
    commit = record.prompt_commit
    return format_definition(
        _named(Definition(), commit.detail.to_json() if commit and commit.detail else {}, record)
    )


def _find(client: Client, prompt_key: str) -> PromptRecord | None:
    try:
        found = client.prompts.find(prompt_key)
    except PromptNotFound:
        return None
    return client.prompts.get(found.id or "", found.latest_version or "", with_draft=True)


def _with_model_of(detail: Mapping[str, Any], record: PromptRecord | None) -> dict[str, Any]:
    """Return a detail with the last version's model where the text names none: its id is not for people to know."""
    commit = record.prompt_commit if record else None
    last = dict(commit.detail.model_config or {}) if commit and commit.detail else {}
    model = detail.get("model_config")
    if model is None:
        return {**detail, "model_config": last} if last else dict(detail)
    named = {"model_id": last["model_id"]} if "model_id" in last and "model_id" not in model else {}
    return {**detail, "model_config": {**named, **model}}


def _named(definition: Definition, detail: Mapping[str, Any], record: PromptRecord | None) -> Definition:
    """Return a definition as the server will tell it: the name and description of a prompt that is there stay."""
    basic = record.prompt_basic if record else None
    if record is None or basic is None:
        return replace(definition, detail=dict(detail))
    name = basic.display_name or ""
    return Definition(dict(detail), "" if name == record.prompt_key else name, basic.description or "")


def _notes(definition: Definition, named: Definition) -> list[str]:
    fields = [name for name in ("name", "description") if getattr(definition, name) not in ("", getattr(named, name))]
    stay = "stays as it is: it is" if len(fields) == 1 else "stay as they are: they are"
    return [f"the {' and '.join(fields)} {stay} changed on the prompt's page"] if fields else []
