"""Looking at prompts and changing them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import semver

from cozeloop_magic.local.calls import Call, invalid
from cozeloop_magic.local.rows import SNIPPET, Commit, Draft, PromptRow
from cozeloop_magic.local.shapes import check_draft
from cozeloop_magic.local.snippets import check_references
from cozeloop_magic.local.versions import find_version

__all__ = [
    "commit_draft",
    "create_prompt",
    "delete_prompt",
    "get_prompt",
    "list_commits",
    "list_prompts",
    "mget_prompts",
    "save_draft",
    "set_label",
]

USER = "local"
MOST_PROMPTS = 200
MOST_QUERIES = 100  # of one call; the official SDK asks for 25
MOST_COMMITS = 100
LONGEST_KEY = 100
LONGEST_NAME = 500
PROMPT_TYPES = ("normal", SNIPPET)
SECURITY_LEVELS = ("undefined", "L1", "L2", "L3", "L4")

Fields = dict[str, Any]


def mget_prompts(call: Call) -> Fields:
    """Give the versions asked for, in the order of the queries."""
    call.check_workspace()
    queries = call.body.get("queries") or []
    if not isinstance(queries, list) or not all(isinstance(query, (dict, type(None))) for query in queries):
        raise invalid("queries must be a list of objects.")
    if len(queries) > MOST_QUERIES:
        raise invalid(f"queries must be at most {MOST_QUERIES}.")
    return {"data": {"items": [_found(call, query) for query in queries if query is not None]}}


def _found(call: Call, query: Mapping[str, Any]) -> Fields:
    version = find_version(call.loop, query, "query")
    return {"query": query, "prompt": version.as_prompt(call.loop.workspace_id).to_json()}


def list_prompts(call: Call) -> Fields:
    """Give a page of the committed prompts, newest first."""
    call.check_workspace()
    size = call.number("page_size", default=20, most=MOST_PROMPTS)
    page = call.number("page_number", default=1, most=10**9)
    rows, total = call.loop.store.list_prompts(page=page, size=size, prefix=call.text("key_word"))
    if call.text("creator") not in ("", USER):
        rows, total = [], 0
    return {"data": {"prompts": [_basic(call, row) for row in rows], "total": total}}


def create_prompt(call: Call) -> Fields:
    """Make a prompt without a version."""
    call.check_workspace()
    key, name = call.text("prompt_key"), call.text("prompt_name", most=LONGEST_NAME)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.]*", key) or len(key) > LONGEST_KEY:
        raise invalid(
            f"prompt_key must begin with a letter and hold letters, digits, _ and . only, at most {LONGEST_KEY}."
        )
    if not name:
        raise invalid("prompt_name is missing.")
    kind, level = (
        call.choice("prompt_type", PROMPT_TYPES, "normal"),
        call.choice("security_level", SECURITY_LEVELS, "L3"),
    )
    description = call.text("prompt_description")
    prompt_id = call.loop.store.create_prompt(key, name, description, prompt_type=kind, security_level=level)
    return {"prompt_id": str(prompt_id)}


def get_prompt(call: Call) -> Fields:
    """Give a prompt by its id, with a version and the draft if they are asked for, snippets as they are written."""
    if call.query.get("workspace_id", "") not in ("", "0"):
        call.check_workspace()
    row = call.loop.store.prompt(call.path["id"])
    fields: Fields = {
        "id": str(row.id),
        "workspace_id": call.loop.workspace_id,
        "prompt_key": row.prompt_key,
        "prompt_basic": _basic(call, row),
        "labels": call.loop.store.labels(row.id),
    }
    version = call.query.get("commit_version", "")
    if version or (call.flag("with_commit") and row.latest_version):
        commit = call.loop.store.commit_of(row, version=version)
        fields["prompt_commit"] = {"detail": commit.detail, "commit_info": _commit_info(commit)}
    draft = call.loop.store.draft(row.id) if call.flag("with_draft") else None
    if draft:
        fields["prompt_draft"] = {"detail": draft.detail, "draft_info": _draft_info(draft)}
    return {"prompt": fields}


def delete_prompt(call: Call) -> Fields:
    """Delete a prompt; a snippet may stand in others, and stays."""
    call.check_workspace()
    row = call.loop.store.prompt(call.path["id"])
    if row.prompt_type == SNIPPET:
        raise invalid(f"Prompt {row.prompt_key} is a snippet, and snippets cannot be deleted through this API.")
    call.loop.store.delete_prompt(call.path["id"])
    return {}


def save_draft(call: Call) -> Fields:
    """Write a prompt's draft."""
    detail, info = check_draft(call.object("prompt_draft"))
    check_references(call.loop.store, detail)
    saved = call.loop.store.save_draft(call.path["id"], detail, str(info.get("base_version") or ""))
    return {"draft_info": _draft_info(saved)}


def commit_draft(call: Call) -> Fields:
    """Make a version of a prompt's draft."""
    version = call.text("commit_version", most=LONGEST_KEY)
    if not semver.Version.is_valid(version):
        raise invalid(f"commit_version must be a semantic version such as 1.0.0, not {version!r}.")
    call.loop.store.commit_draft(call.path["id"], version, call.text("commit_description"))
    return {}


def set_label(call: Call) -> Fields:
    """Have a label mark a version. The platform's API has no such call."""
    call.check_workspace()
    label = call.text("label")
    if not re.fullmatch(r"[\w.-]{1,50}", label):
        raise invalid("label must be one word of letters, digits, _, . and -, at most 50.")
    return {"labels": call.loop.store.set_label(call.path["id"], label, call.text("version"))}


def list_commits(call: Call) -> Fields:
    """Give a page of a prompt's versions, latest first."""
    size = call.number("page_size", default=20, most=MOST_COMMITS)
    token = call.text("page_token")
    if token and not re.fullmatch(r"[0-9]{1,18}", token):
        raise invalid("page_token is not one that this Loop gave out.")
    commits = call.loop.store.commits(call.path["id"], size=size + 1, before=int(token) if token else None)
    page, has_more = commits[:size], len(commits) > size
    fields: Fields = {"prompt_commit_infos": [_commit_info(commit) for commit in page], "has_more": has_more}
    if has_more:
        fields["next_page_token"] = str(page[-1].sequence)
    if call.flag("with_commit_detail"):
        fields["prompt_commit_detail_mapping"] = {commit.version: commit.detail for commit in page}
    return fields


def _basic(call: Call, row: PromptRow) -> Fields:
    fields = {
        "id": str(row.id),
        "workspace_id": call.loop.workspace_id,
        "prompt_key": row.prompt_key,
        "display_name": row.display_name,
        "description": row.description,
        "latest_version": row.latest_version,
        "prompt_type": row.prompt_type,
        "security_level": row.security_level,
        "created_by": USER,
        "updated_by": USER,
        "created_at": str(row.created_at),
        "updated_at": str(row.updated_at),
        "latest_committed_at": row.latest_committed_at and str(row.latest_committed_at),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _commit_info(commit: Commit) -> Fields:
    return {
        "version": commit.version,
        "base_version": commit.base_version,
        "description": commit.description,
        "committed_by": USER,
        "committed_at": str(commit.committed_at),
    }


def _draft_info(draft: Draft) -> Fields:
    return {
        "user_id": USER,
        "base_version": draft.base_version,
        "is_modified": True,
        "created_at": str(draft.created_at),
        "updated_at": str(draft.updated_at),
    }
