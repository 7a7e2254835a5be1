"""Prompts as their authors see them: drafts, commits and what is in them.

Named as in the open API of the Coze Loop server (``coze/loop/prompt/domain_openapi``); the official SDK has none of
these. Times are milliseconds since 1970, as on the wire; `moment` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from cozeloop_magic.entities import wire
from cozeloop_magic.entities.prompt import PromptTemplate, Tool, ToolCallConfig
from cozeloop_magic.entities.wire import Wire

__all__ = [
    "CommitInfo",
    "CommitPage",
    "DraftInfo",
    "PromptBasic",
    "PromptCommit",
    "PromptDetail",
    "PromptDraft",
    "PromptRecord",
    "moment",
]


def moment(milliseconds: int | None) -> datetime | None:
    """Give a time of the wire as one with its zone (UTC); None where there is none, or none that can be read."""
    try:
        return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None


@dataclass(frozen=True, repr=False)
class PromptDetail(Wire):
    """What a version or a draft holds.

    Attributes
    ----------
    model_config : Mapping[str, Any] or None
        ``model_id``, and how the model is asked to sample; what ``custom_model_config`` of a call replaces.
    """

    prompt_template: PromptTemplate | None = wire.of(PromptTemplate)
    tools: Sequence[Tool] | None = wire.many(Tool)
    tool_call_config: ToolCallConfig | None = wire.of(ToolCallConfig)
    model_config: Mapping[str, Any] | None = wire.kept()


@dataclass(frozen=True, repr=False)
class CommitInfo(Wire):
    """Which version it is, and who made it, when and why."""

    version: str = wire.absent(wire.as_text, "")
    base_version: str | None = wire.text()
    description: str | None = wire.text()
    committed_by: str | None = wire.text()
    committed_at: int | None = wire.count()


@dataclass(frozen=True, repr=False)
class PromptCommit(Wire):
    """One version; ``detail`` is None where a list was asked for without details."""

    commit_info: CommitInfo | None = wire.of(CommitInfo)
    detail: PromptDetail | None = wire.of(PromptDetail)


@dataclass(frozen=True, repr=False)
class DraftInfo(Wire):
    """Whose a draft is, which version it was begun from, and when it was last written."""

    user_id: str | None = wire.text()
    base_version: str | None = wire.text()
    is_modified: bool | None = wire.flag()
    created_at: int | None = wire.count()
    updated_at: int | None = wire.count()


@dataclass(frozen=True, repr=False)
class PromptDraft(Wire):
    """What will be the next version."""

    detail: PromptDetail | None = wire.of(PromptDetail)
    draft_info: DraftInfo | None = wire.of(DraftInfo)


@dataclass(frozen=True, repr=False)
class PromptBasic(Wire):
    """What a prompt is called, and what became of it."""

    display_name: str | None = wire.text()
    description: str | None = wire.text()
    latest_version: str | None = wire.text()
    created_by: str | None = wire.text()
    updated_by: str | None = wire.text()
    created_at: int | None = wire.count()
    updated_at: int | None = wire.count()
    latest_committed_at: int | None = wire.count()


@dataclass(frozen=True, repr=False)
class PromptRecord(Wire):
    """A prompt with a version, and the draft where it was asked for (``GET /v1/loop/prompts/:id``).

    Attributes
    ----------
    labels : Mapping[str, str] or None
        The version that each label marks; only the embedded Loop tells, whose labels can be set.
    """

    prompt_key: str = wire.absent(wire.as_text, "")
    id: str | None = wire.text()
    workspace_id: str | None = wire.text()
    prompt_basic: PromptBasic | None = wire.of(PromptBasic)
    prompt_commit: PromptCommit | None = wire.of(PromptCommit)
    prompt_draft: PromptDraft | None = wire.of(PromptDraft)
    labels: Mapping[str, str] | None = wire.kept()


@dataclass(frozen=True, repr=False)
class CommitPage(Wire):
    """A page of versions, latest first, and what asks for the next page."""

    prompt_commit_infos: Sequence[CommitInfo] = wire.many(CommitInfo, ())
    prompt_commit_detail_mapping: Mapping[str, Any] | None = wire.kept()
    has_more: bool = wire.flag(False)
    next_page_token: str = wire.text("")

    @property
    def commits(self) -> list[PromptCommit]:
        """The versions, each with its detail where details were asked for."""
        details = self.prompt_commit_detail_mapping or {}
        return [PromptCommit(info, _detail(details.get(info.version))) for info in self.prompt_commit_infos]


def _detail(data: object) -> PromptDetail | None:
    return PromptDetail.from_json(data) if isinstance(data, Mapping) else None
