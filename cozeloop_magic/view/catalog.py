"""Prompts and their versions as listings."""

from __future__ import annotations

from collections.abc import Sequence

from cozeloop_magic.authoring.catalog import get_version, list_commits
from cozeloop_magic.authoring.changes import word_changes
from cozeloop_magic.authoring.plan import prompt_text
from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.authoring import CommitInfo, moment
from cozeloop_magic.entities.prompt import PromptPage
from cozeloop_magic.errors import InvalidRequest, LabelNotFound, VersionNotFound
from cozeloop_magic.view.changes import Changes
from cozeloop_magic.view.listing import Listing

__all__ = ["PAGE", "changes_of", "prompts_of", "versions_of"]

PAGE = 50
"""How many rows are shown unless more are asked for."""

_LONGEST = 90  # characters of a description in a row


def prompts_of(client: Client, text: str = "", *, page: int = 1, everything: bool = False) -> Listing:
    """List a page of a workspace's prompts, or all of them; the rows hold their ids, too.

    Parameters
    ----------
    text : str
        What a key or name begins with; where none does, what it holds anywhere.
    """
    if page < 1:
        raise InvalidRequest(f"There is no page {page}.", hint="Pages are counted from 1.")
    found = client.prompts.page(text, page_number=page, page_size=PAGE)
    note = ""
    if everything and page * PAGE < found.total:
        prompts = list(client.prompts.iterate(text))
        found = PromptPage(prompts=prompts, total=len(prompts))
    if text and not found.total:
        prompts = [each for each in client.prompts.iterate() if _holds(each, text)]
        note = f"No key or name begins with {text}." + (" These hold it." if prompts else "")
        found = PromptPage(prompts=prompts, total=len(prompts))
    elif found.total > len(found.prompts):
        last = -(-found.total // PAGE)
        note = f"Page {page} of {last}, {found.total:,} prompts; --page or --all shows the others."
    rows = [
        {
            "key": each.prompt_key,
            "name": each.display_name,
            "version": each.latest_version,
            "committed": moment(each.latest_committed_at),
            "what it is for": _short(each.description),
            "id": each.id,
        }
        for each in found.prompts
    ]
    return Listing(rows, ("key", "name", "version", "committed", "what it is for"), note=note or _none(rows))


def versions_of(client: Client, prompt_key: str, *, everything: bool = False) -> Listing:
    """List a prompt's versions, latest first: who made them, when and why, and from which."""
    commits, more = list_commits(client, prompt_key, None if everything else PAGE)
    rows = [_version(each.commit_info or CommitInfo("")) for each in commits]
    note = f"The latest {PAGE}; --all shows the others." if more else ""
    return Listing(rows, ("version", "committed", "by", "why", "from"), note=note)


def changes_of(client: Client, prompt_key: str, before: str, after: str) -> Changes:
    """Compare two of a prompt's versions, by number or by label: settings, variables and the words of messages."""
    old, new = (_named(client, prompt_key, each) for each in (before, after))
    changes = Changes(word_changes(old[1], new[1]), f"{prompt_key}: {old[0]} → {new[0]}")
    return changes if changes else Changes((), changes.title, ["Nothing differs."])


def _named(client: Client, prompt_key: str, which: str) -> tuple[str, str]:
    """Give a version's name and text; what is no version may be a label."""
    try:
        record = get_version(client, prompt_key, which)
        shown = which
    except VersionNotFound as error:
        try:
            record = get_version(client, prompt_key, label=which)
        except LabelNotFound:
            raise error from None
        version = (
            record.prompt_commit and record.prompt_commit.commit_info and record.prompt_commit.commit_info.version
        )
        shown = f"{version} ({which})"
    return shown, prompt_text(record)


def _version(info: CommitInfo) -> dict[str, object]:
    return {
        "version": info.version,
        "committed": moment(info.committed_at),
        "by": info.committed_by,
        "why": info.description,
        "from": info.base_version,
    }


def _holds(each: object, text: str) -> bool:
    said = (getattr(each, name) or "" for name in ("prompt_key", "display_name", "description"))
    return any(text.lower() in one.lower() for one in said)


def _short(text: str | None) -> str:
    line = " ".join((text or "").split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1].rstrip() + "…"


def _none(rows: Sequence[object]) -> str:
    return "" if rows else "There is no committed prompt yet; %loop new KEY --define begins one."
