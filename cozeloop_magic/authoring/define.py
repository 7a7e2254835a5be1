"""From the text of a definition to a version on a Loop server: checked, compared with the last version, committed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cozeloop_magic.authoring.changes import Change, word_changes
from cozeloop_magic.authoring.definition import Definition, format_definition, literal, parse_definition
from cozeloop_magic.authoring.slips import find_slips
from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.authoring import DraftInfo, PromptDetail, PromptRecord
from cozeloop_magic.errors import AlreadyExists, DraftConflict, InvalidRequest, PromptNotFound, VersionNotFound

__all__ = ["Defined", "Drafts", "Plan", "commit", "plan", "prompt_text", "save"]

_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)  # as https://semver.org has it
_PARTS = ("major", "minor", "patch")


@dataclass
class Drafts:
    """The drafts that were saved from here: these may be written over, others are somebody's work.

    Attributes
    ----------
    saved : dict
        By the key of a prompt: its id, and the draft as it was when it was saved.
    """

    saved: dict[str, tuple[str, DraftInfo]] = field(default_factory=dict)


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


@dataclass(frozen=True)
class Defined:
    """What became of a definition.

    Attributes
    ----------
    prompt_key : str
        The prompt.
    version : str
        The version that was committed; empty where none was.
    draft : bool
        Whether a draft was saved and not committed.
    plan : Plan
        What it was made from.
    """

    prompt_key: str
    version: str
    draft: bool
    plan: Plan


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


def commit(
    client: Client,
    planned: Plan,
    drafts: Drafts,
    *,
    version: str = "",
    bump: str = "",
    message: str = "",
    as_is: bool = False,
    replace_draft: bool = False,
) -> Defined:
    """Commit a version, if anything changed.

    Parameters
    ----------
    version, bump : str
        The new version, or which part of the last one to raise: ``major``, ``minor`` or ``patch``. A new prompt
        begins with 0.1.0.
    message : str
        Why it changed.
    as_is : bool
        Whether to commit it with its slips.
    replace_draft : bool
        Whether to write over a draft that was not saved from here.

    Raises
    ------
    InvalidRequest
        If there are slips, or the version is none; nothing was saved.
    AlreadyExists
        If there is such a version; nothing was saved.
    DraftConflict
        If there is another draft, which is left as it is.
    """
    number = _next(version, bump, planned.base_version)
    _refuse_taken(client, planned.record, number)
    if planned.slips and not as_is:
        told = "; ".join(planned.slips)
        raise InvalidRequest(f"Nothing was saved: {told}.", hint="Mend it, or add --as-is to commit it like this.")
    if not planned.changed:
        return Defined(planned.prompt_key, "", False, planned)
    prompt_id = save(client, planned, drafts, replace_draft=replace_draft)
    client.prompts.commit_draft(prompt_id, number, message)
    drafts.saved.pop(planned.prompt_key, None)
    return Defined(planned.prompt_key, number, False, planned)


def save(client: Client, planned: Plan, drafts: Drafts, *, replace_draft: bool = False) -> str:
    """Save the draft, and give the prompt's id; the prompt is made if it is not there.

    Raises
    ------
    DraftConflict
        If there is another draft, which is left as it is.
    """
    key, record, definition = planned.prompt_key, planned.record, planned.definition
    known_id, known = drafts.saved.get(key, ("", None))
    prompt_id = (record.id if record else "") or known_id
    if not prompt_id:
        prompt_id = _created(client, key, definition)
    replaces = _replaceable(record, planned.detail, known, replace_draft)
    try:
        info = client.prompts.save_draft(
            prompt_id, planned.detail, base_version=planned.base_version, replaces=replaces
        )
    except DraftConflict as error:
        error.hint = f"%loop diff {key} {planned.base_version or 'draft'} draft shows it; --replace-draft drops it."
        raise
    drafts.saved[key] = prompt_id, info
    return prompt_id


def _created(client: Client, key: str, definition: Definition) -> str:
    try:
        return client.prompts.create(key, definition.name or key, definition.description)
    except AlreadyExists as error:
        error.hint = (
            "It has no version yet, so the API does not find it: commit it on its page, or choose another key."
        )
        raise


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


def _replaceable(
    record: PromptRecord | None, detail: Mapping[str, Any], known: DraftInfo | None, any_draft: bool
) -> DraftInfo | None:
    """Return the draft that may be written over: one saved from here, or one whose content is kept anyway."""
    draft = record.prompt_draft if record else None
    if draft is None:
        return known
    committed = record.prompt_commit.detail if record and record.prompt_commit else None
    kept = draft.detail in (committed, PromptDetail.from_json(detail))
    return draft.draft_info if any_draft or kept else known


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


def _next(version: str, bump: str, latest: str) -> str:
    """Return the version to commit."""
    if version and bump:
        raise InvalidRequest("Both a version and a part to raise are named.", hint="Name one of them.")
    if version:
        if not _SEMVER.fullmatch(version):
            raise InvalidRequest(f"{version} is no version.", hint="Write three numbers, such as 1.0.0.")
        return version
    if not latest:
        return "0.1.0"
    if bump not in _PARTS:
        said = f"{bump} is no part of a version." if bump else f"The last version is {latest}."
        raise InvalidRequest(said, hint=f"Name the new one: --version, or --bump {', '.join(_PARTS)}; or --draft.")
    found = _SEMVER.fullmatch(latest)
    if found is None:
        raise InvalidRequest(
            f"The last version {latest} cannot be raised.", hint="Name the new one: --version 1.0.0."
        )
    numbers = [int(found[n]) for n in (1, 2, 3)]
    at = _PARTS.index(bump)
    return ".".join(map(str, [*numbers[:at], numbers[at] + 1, *([0] * (2 - at))]))


def _refuse_taken(client: Client, record: PromptRecord | None, version: str) -> None:
    """Refuse a version that is there before a draft is saved: a commit that fails would leave one behind."""
    if record is None or not record.id:
        return
    try:
        there = client.prompts.get(record.id, version).prompt_commit
    except VersionNotFound:
        return
    if there is not None and there.commit_info is not None and there.commit_info.version == version:
        raise AlreadyExists(f"{record.prompt_key} has a version {version} already, which never changes.")
