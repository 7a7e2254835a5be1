"""Prompts as one looks them up: by key, with a version or a label, and with near keys where there is none."""

from __future__ import annotations

import difflib
from dataclasses import replace
from itertools import islice

from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.authoring import CommitInfo, DraftInfo, PromptCommit, PromptRecord
from cozeloop_magic.entities.prompt import PromptSummary
from cozeloop_magic.errors import InvalidRequest, LabelNotFound, LoopError, PromptNotFound, VersionNotFound

__all__ = ["DRAFT", "LABELS", "find_prompt", "get_version", "label_version", "list_commits", "read_labels"]

LABELS = ("production", "beta", "test")
"""The labels that every workspace has; others cannot be listed through the platform's API."""

DRAFT = "draft"
"""What stands for the draft where a version is named."""

_NEAR_AMONG = 1000  # prompts


def find_prompt(client: Client, prompt_key: str) -> PromptSummary:
    """Find a committed prompt.

    Raises
    ------
    PromptNotFound
        If there is none; a near key is named.
    """
    try:
        return client.prompts.find(prompt_key)
    except PromptNotFound as error:
        keys = [each.prompt_key for each in islice(client.prompts.iterate(), _NEAR_AMONG)]
        close = difflib.get_close_matches(prompt_key, keys, n=1)
        error.message = f"There is no prompt {prompt_key}" + (f" (did you mean {close[0]}?)." if close else ".")
        error.hint = "%loop prompts lists them; one without a version is not among them."
        raise


def get_version(client: Client, prompt_key: str, version: str = "", label: str = "") -> PromptRecord:
    """Get a prompt with one of its versions: by number, else by label, else the latest; ``draft`` is your draft.

    Raises
    ------
    PromptNotFound, VersionNotFound, LabelNotFound
        If there is none.
    """
    found = find_prompt(client, prompt_key)
    if version == DRAFT:
        return _draft_of(client, found)
    try:
        if label and not version:
            version = client.get_prompt(prompt_key, label=label).version or ""
        record = client.prompts.get(found.id or "", version or found.latest_version or "")
    except (VersionNotFound, LabelNotFound) as error:
        wanted = version or label
        if wanted not in error.message:  # a platform does not say what it was asked for
            error.message = f"{prompt_key} has no {'version' if version else 'label'} {wanted}."
            error.hint = f"Its latest version is {found.latest_version}; %loop versions {prompt_key} lists all."
        raise
    if record.prompt_commit is None or record.prompt_commit.detail is None:
        raise VersionNotFound(f"The server shows no version {version or '(the latest)'} of {prompt_key}.")
    return record


def _draft_of(client: Client, found: PromptSummary) -> PromptRecord:
    """Give a prompt with its draft in the place of a version."""
    record = client.prompts.get(found.id or "", with_draft=True)
    draft = record.prompt_draft
    if draft is None or draft.detail is None:
        raise VersionNotFound(f"There is no draft of {found.prompt_key}.", hint="")
    info = draft.draft_info or DraftInfo()
    commit = CommitInfo(DRAFT, info.base_version, "not committed", info.user_id, info.updated_at)
    return replace(record, prompt_commit=PromptCommit(commit, draft.detail))


def read_labels(client: Client, record: PromptRecord, also: str = "") -> dict[str, str]:
    """Give the version that each label marks; of a platform, those that every workspace has, and `also` this one."""
    if record.labels is not None:
        return dict(record.labels)
    found = {}
    for label in dict.fromkeys((*LABELS, *filter(None, [also]))):
        try:
            found[label] = client.get_prompt(record.prompt_key, label=label).version or ""
        except LabelNotFound:
            continue
        except LoopError:  # the token may not read this way; what else there is to show is shown
            break
    return found


def label_version(client: Client, prompt_key: str, version: str, label: str) -> dict[str, str]:
    """Have a label mark a version, where the server can; give all labels.

    Raises
    ------
    InvalidRequest
        If the server reads labels and does not set them; the page where it is done is named.
    """
    return client.prompts.set_label(find_prompt(client, prompt_key).id or "", label, version)


def list_commits(client: Client, prompt_key: str, most: int | None = None) -> tuple[list[PromptCommit], bool]:
    """Give a prompt's versions, latest first, and whether there are more than `most`."""
    found = find_prompt(client, prompt_key)
    if most is None:
        return list(client.prompts.iterate_commits(found.id or "")), False
    if most < 1:
        raise InvalidRequest(f"{most} is no number of versions.", hint="Write 1 or more.")
    commits = list(islice(client.prompts.iterate_commits(found.id or "", page_size=min(most + 1, 100)), most + 1))
    return commits[:most], len(commits) > most
