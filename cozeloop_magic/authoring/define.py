"""From a plan to a version on a Loop server: the draft is saved and committed, and nothing of others is lost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from cozeloop_magic.authoring.definition import Definition
from cozeloop_magic.authoring.plan import Plan
from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.authoring import DraftInfo, PromptDetail, PromptRecord
from cozeloop_magic.errors import (
    AlreadyExists,
    BadRequest,
    DraftConflict,
    InvalidRequest,
    LoopError,
    PromptNotFound,
    VersionNotFound,
)
from cozeloop_magic.printable import printable

__all__ = ["Defined", "Drafts", "commit", "save"]

_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)  # as https://semver.org has it
_PARTS = ("major", "minor", "patch")

Place = tuple[str, str, str]
"""Where a prompt is: the server, the workspace and the key. The embedded Loop is one server, whatever its port."""


@dataclass
class Drafts:
    """What was saved from here: these drafts may be written over, others are somebody's work.

    Attributes
    ----------
    saved : dict
        By where a prompt is: its id, and the draft as it was when it was saved.
    committed : dict
        By where a prompt is: the last version that was committed from here.
    """

    saved: dict[Place, tuple[str, DraftInfo]] = field(default_factory=dict)
    committed: dict[Place, str] = field(default_factory=dict)


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


def commit(
    client: Client,
    planned: Plan,
    drafts: Drafts,
    *,
    version: str = "",
    bump: str = "",
    message: str = "",
    base: str = "",
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
    base : str
        The version that the text was begun from; where another is the latest, nothing is saved.
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
        If there is another draft, which is left as it is, or a newer version.
    """
    number = _next(version, bump, planned.base_version)
    _refuse_taken(client, planned.record, number)
    if planned.slips and not as_is:
        told = "; ".join(planned.slips)
        end = "" if told.endswith("?") else "."
        raise InvalidRequest(
            f"Nothing was saved: {told}{end}", hint="Mend it, or add --as-is to commit it like this."
        )
    if not planned.changed:
        return Defined(planned.prompt_key, "", False, planned)
    prompt_id = save(client, planned, drafts, base=base, replace_draft=replace_draft)
    client.prompts.commit_draft(prompt_id, number, message)
    place = _place(client, planned.prompt_key)
    drafts.saved.pop(place, None)
    drafts.committed[place] = number
    return Defined(planned.prompt_key, number, False, planned)


def save(client: Client, planned: Plan, drafts: Drafts, *, base: str = "", replace_draft: bool = False) -> str:
    """Save the draft, and give the prompt's id; the prompt is made if it is not there.

    Raises
    ------
    DraftConflict
        If there is another draft, which is left as it is, or a version that the text was not begun from.
    """
    key, record, place = planned.prompt_key, planned.record, _place(client, planned.prompt_key)
    _refuse_moved(client, planned, base, drafts.committed.get(place, ""))
    known_id, known = _still_there(client, drafts, place) if record is None else drafts.saved.get(place, ("", None))
    prompt_id = (record.id if record else "") or known_id or _created(client, key, planned.definition)
    replaces = _replaceable(record, planned.detail, known, replace_draft)
    try:
        info = client.prompts.save_draft(
            prompt_id, planned.detail, base_version=planned.base_version, replaces=replaces
        )
    except DraftConflict as error:
        error.hint = f"%loop diff {key} {planned.base_version or 'draft'} draft shows it; --replace-draft drops it."
        raise
    except LoopError as error:
        if record is None and not known_id:
            _take_back(client, prompt_id)
        if isinstance(error, BadRequest):
            error.hint = "Mend the text; nothing was saved."
        raise
    drafts.saved[place] = prompt_id, info
    return prompt_id


def _place(client: Client, key: str) -> Place:
    endpoint = client.connect()
    return "" if endpoint.local else endpoint.base_url, endpoint.workspace_id, key


def _refuse_moved(client: Client, planned: Plan, base: str, own: str) -> None:
    """Refuse to save over a version that the text was not begun from.

    That is the latest one where it is neither `base` nor the last that was committed from here, or where it was
    committed since the text was compared.
    """
    key, seen = planned.prompt_key, planned.base_version
    record = client.prompts.get(planned.record.id or "") if planned.record else None
    now = (record.prompt_basic.latest_version or "") if record and record.prompt_basic else ""
    known = {base, own if now else ""} - {""}  # one that was deleted may be made anew
    if now == seen and seen in (known or {seen}):
        return
    begun = (base or own) if now == seen else seen
    if not now:
        raise DraftConflict(
            f"{key} has no version, and this text was begun from {begun}; nothing was saved.",
            hint="Without --base it is a new prompt.",
        )
    commit = record.prompt_commit if record else None
    whose = _in_one_line(commit.commit_info.committed_by) if commit and commit.commit_info else ""
    raise DraftConflict(
        f"{key} @ {now} was committed{whose and f' by {whose}'}, and this text was begun from {begun or 'nothing'}; "
        "nothing was saved.",
        hint=f"%loop diff {key} {begun or now} {now} shows it; --base {now} saves this text all the same.",
    )


def _in_one_line(text: str | None) -> str:
    return printable(" ".join((text or "").split()))[:80]


def _still_there(client: Client, drafts: Drafts, place: Place) -> tuple[str, DraftInfo | None]:
    """Give the draft that was saved from here of a prompt without a version, unless it was deleted since."""
    prompt_id, draft = drafts.saved.get(place, ("", None))
    try:
        if prompt_id:
            client.prompts.get(prompt_id)
    except PromptNotFound:
        del drafts.saved[place]
        return "", None
    return prompt_id, draft


def _created(client: Client, key: str, definition: Definition) -> str:
    try:
        return client.prompts.create(key, definition.name or key, definition.description)
    except AlreadyExists as error:
        error.hint = (
            "It has no version yet, so the API does not find it: commit it on its page, or choose another key."
        )
        raise
    except BadRequest as error:
        error.hint = "Choose another key, name or description; nothing was saved."
        raise


def _take_back(client: Client, prompt_id: str) -> None:
    """Delete a prompt that was made a moment ago and could not be written: nobody would find it."""
    with suppress(LoopError):
        client.prompts.delete(prompt_id)


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


def _next(version: str, bump: str, latest: str) -> str:
    """Return the version to commit."""
    version, bump = version.strip(), bump.strip()
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
