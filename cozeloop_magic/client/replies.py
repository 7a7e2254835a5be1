"""Reading what a server answers about prompts.

These give an error instead of raising it: no frame of one holds the reply, which may echo credentials.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from cozeloop_magic.entities.authoring import CommitPage, DraftInfo, PromptRecord
from cozeloop_magic.entities.prompt import Prompt, PromptPage
from cozeloop_magic.entities.trace import SpanPage
from cozeloop_magic.entities.wire import Wire
from cozeloop_magic.errors import LoopError, PromptNotFound, UnexpectedContent
from cozeloop_magic.transport import Reply
from cozeloop_magic.transport.error_responses import as_sentence

__all__ = [
    "checked",
    "read_commits",
    "read_draft_info",
    "read_page",
    "read_prompt",
    "read_prompt_id",
    "read_record",
    "read_spans",
    "unreadable",
]

_AGAIN = "Run it again; if it stays, ask whoever runs the server."
_LOOK = "Look whether it is there before it is tried again."

T = TypeVar("T")
W = TypeVar("W", bound=Wire)


def checked(value: T | LoopError) -> T:
    """Give the value that was read, or raise the error in its place."""
    if isinstance(value, LoopError):
        raise value
    return value


def read_prompt(reply: Reply, prompt_key: str) -> Prompt | LoopError:
    """Read the definition that one query asked for (``POST /v1/loop/prompts/mget``)."""
    try:
        items = (reply.body.get("data") or {}).get("items") or [{}]
        found = items[0].get("prompt")
        prompt = Prompt.from_json(found) if found else None
    except (AttributeError, KeyError, TypeError):
        return unreadable("definition of the prompt", reply)
    return prompt or PromptNotFound(f"There is no prompt {prompt_key!r}.", log_id=reply.log_id)


def read_page(reply: Reply) -> PromptPage | LoopError:
    """Read a page of prompts (``POST /v1/loop/prompts/list``)."""
    return _read(PromptPage, reply.body.get("data"), "prompts") or unreadable("list of prompts", reply)


def read_record(reply: Reply) -> PromptRecord | LoopError:
    """Read a prompt with its versions (``GET /v1/loop/prompts/:id``)."""
    return _read(PromptRecord, _data(reply).get("prompt"), "id") or unreadable("prompt", reply)


def read_commits(reply: Reply) -> CommitPage | LoopError:
    """Read a page of versions (``POST /v1/loop/prompts/:id/commits/list``)."""
    return _read(CommitPage, _data(reply), "prompt_commit_infos") or unreadable("list of versions", reply)


def read_prompt_id(reply: Reply) -> str | LoopError:
    """Read the id of a prompt that was made (``POST /v1/loop/prompts``)."""
    prompt_id = str(_data(reply).get("prompt_id") or "")
    return prompt_id if prompt_id.isdecimal() else unreadable("id of the new prompt", reply, _LOOK)


def read_draft_info(reply: Reply) -> DraftInfo | LoopError:
    """Read what became of a draft (``POST /v1/loop/prompts/:id/drafts/save``)."""
    return _read(DraftInfo, _data(reply).get("draft_info"), "") or unreadable("record of the draft", reply, _LOOK)


def read_spans(reply: Reply) -> SpanPage | LoopError:
    """Read some spans of a run (``POST /v1/loop/traces/search``)."""
    return _read(SpanPage, reply.body.get("data"), "spans") or unreadable("list of spans", reply)


def _data(reply: Reply) -> Mapping[str, Any]:
    """Give the fields of an answer: some calls have them in ``data``, some beside the code."""
    data = reply.body.get("data")
    return data if isinstance(data, dict) else reply.body


def _read(kind: type[W], data: object, essential: str) -> W | None:
    """Read an object; None where it is none, or its essential field cannot be read."""
    value = kind.from_json(data) if isinstance(data, Mapping) else None
    return None if value is None or essential in value.extra else value


def unreadable(what: str, reply: Reply, hint: str = _AGAIN) -> UnexpectedContent:
    """Make the error for an answer that does not hold what was asked for."""
    return UnexpectedContent(
        as_sentence(f"The {what} from {reply.endpoint.name} cannot be read: {reply.excerpt}"),
        hint=hint,
        log_id=reply.log_id,
    )
