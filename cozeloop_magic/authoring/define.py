"""From the text of a definition to a version on a Loop server: checked, compared with the last version, committed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cozeloop_magic.authoring.changes import word_changes
from cozeloop_magic.authoring.definition import Definition, format_definition, literal, parse_definition
from cozeloop_magic.authoring.variables import blank_tags, infer_variables
from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.authoring import DraftInfo, PromptRecord
from cozeloop_magic.entities.prompt import TemplateType
from cozeloop_magic.errors import InvalidRequest, PromptNotFound

__all__ = ["Defined", "define", "prompt_text"]

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:[-+].*)?")
_PARTS = ("major", "minor", "patch")


@dataclass(frozen=True)
class Defined:
    """What became of a definition.

    Attributes
    ----------
    prompt_key : str
        The prompt.
    version : str
        The version that was committed; empty for a draft, and where nothing changed.
    base_version : str
        The version it was compared with; empty for a new prompt.
    changes : tuple of (str, str)
        Its text against the last version's, as ``word_changes`` gives it.
    warnings : tuple of str
        What is probably not meant.
    """

    prompt_key: str
    version: str
    base_version: str
    changes: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether it differs from the last version."""
        return any(kind != "same" for kind, _ in self.changes)


def define(
    client: Client,
    prompt_key: str,
    text: str,
    *,
    evaluate: Callable[[str], Any] = literal,
    version: str | None = None,
    bump: str | None = None,
    message: str = "",
    draft: bool = False,
) -> Defined:
    """Write a prompt and commit it as a version.

    Parameters
    ----------
    client : Client
        The server's.
    prompt_key : str
        The prompt; it is made if it is not there.
    text : str
        The definition; see `cozeloop_magic.authoring.definition`.
    evaluate : callable
        Gives the value of the Python in it.
    version, bump : str, optional
        The new version, or which part of the last one to raise: ``major``, ``minor`` or ``patch``. A new prompt
        begins with 0.1.0.
    message : str
        Why it changed.
    draft : bool
        Whether to save without committing.

    Raises
    ------
    CellError
        If the text cannot be read; nothing was sent.
    AlreadyExists
        If there is such a version.
    DraftConflict
        If there is another draft, which is left as it is.
    """
    definition = parse_definition(text, evaluate)
    record = _find(client, prompt_key)
    latest = _latest(record)
    detail = _with_model_of(definition.detail, record)
    before = prompt_text(record) if record is not None and latest else ""
    after = format_definition(_named(definition, detail, record))
    number = "" if draft else _next(version, bump, latest)
    changes = tuple(word_changes(before, after))
    defined = Defined(prompt_key, number, latest, changes, tuple(_warnings(definition)))
    if not defined.changed:
        return Defined(prompt_key, "", latest, changes, defined.warnings)
    if record is not None and record.id:
        prompt_id = record.id
    else:
        prompt_id = client.prompts.create(prompt_key, definition.name or prompt_key, definition.description)
    client.prompts.save_draft(prompt_id, detail, base_version=latest, replaces=_own_draft(record))
    if number:
        client.prompts.commit_draft(prompt_id, number, message)
    return defined


def prompt_text(record: PromptRecord) -> str:
    """Return the text of a prompt's version, as a definition writes it."""
    commit, basic = record.prompt_commit, record.prompt_basic
    detail = commit.detail.to_json() if commit and commit.detail else {}
    name = (basic and basic.display_name) or ""
    return format_definition(Definition(detail, name, (basic and basic.description) or ""))


def _find(client: Client, prompt_key: str) -> PromptRecord | None:
    try:
        found = client.prompts.find(prompt_key)
    except PromptNotFound:
        return None
    return client.prompts.get(found.id or "", found.latest_version or "", with_draft=True)


def _latest(record: PromptRecord | None) -> str:
    return (record.prompt_basic.latest_version or "") if record and record.prompt_basic else ""


def _own_draft(record: PromptRecord | None) -> DraftInfo | None:
    """Return the draft that is there and holds what is committed anyway: nobody's work is lost with it."""
    if record is None or record.prompt_draft is None or record.prompt_commit is None:
        return None
    same = record.prompt_draft.detail == record.prompt_commit.detail
    return record.prompt_draft.draft_info if same else None


def _with_model_of(detail: Mapping[str, Any], record: PromptRecord | None) -> dict[str, Any]:
    """Return a detail whose model settings start from those of the last version, as the model's id is there."""
    commit = record.prompt_commit if record else None
    before = dict(commit.detail.model_config or {}) if commit and commit.detail else {}
    model = {**before, **(detail.get("model_config") or {})}
    return {**detail, **({"model_config": model} if model else {})}


def _named(definition: Definition, detail: dict[str, Any], record: PromptRecord | None) -> Definition:
    basic = record.prompt_basic if record else None
    name = definition.name or (basic and basic.display_name) or ""
    return Definition(detail, name, definition.description or (basic and basic.description) or "")


def _next(version: str | None, bump: str | None, latest: str) -> str:
    """Return the version to commit."""
    if version and bump:
        raise InvalidRequest("Both a version and a part to raise are named.", hint="Name one of them.")
    if version:
        return version
    if not latest:
        return "0.1.0"
    if bump not in _PARTS:
        said = f"{bump!r} is no part of a version." if bump else f"The last version is {latest}."
        raise InvalidRequest(said, hint=f"Name the new one: --version, or --bump {', '.join(_PARTS)}; or --draft.")
    found = _VERSION.fullmatch(latest)
    if found is None:
        raise InvalidRequest(
            f"The last version {latest} cannot be raised.", hint="Name the new one: --version 1.0.0."
        )
    numbers = [int(found[n]) for n in (1, 2, 3)]
    at = _PARTS.index(bump)
    return ".".join(map(str, [*numbers[:at], numbers[at] + 1, *([0] * (2 - at))]))


def _warnings(definition: Definition) -> Iterator[str]:
    """Yield what a server would take without a word, and what is probably not meant."""
    template = definition.detail["prompt_template"]
    messages, kind = template["messages"], template["template_type"]
    used = infer_variables(messages, kind)
    declared = [each["key"] for each in template["variable_defs"]]
    for key in declared:
        if key not in used:
            close = difflib.get_close_matches(key, [name for name in used if name not in declared] or list(used), n=1)
            yield f"no tag uses the variable {key}" + (f"; did you mean {close[0]}?" if close else "")
    if kind == TemplateType.NORMAL:
        for tag in blank_tags(messages):
            yield f"{tag} stays as it is: a normal template takes {tag.replace(' ', '')} without blanks"
