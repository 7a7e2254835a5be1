"""What the store keeps, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["SNIPPET", "Commit", "Draft", "PromptRow"]

SNIPPET = "snippet"
"""The type of a prompt that stands in others."""


@dataclass(frozen=True, slots=True)
class PromptRow:
    """A prompt without its versions. Times are milliseconds since 1970."""

    id: int
    prompt_key: str
    display_name: str
    description: str
    created_at: int
    updated_at: int
    prompt_type: str
    security_level: str
    latest_version: str | None
    latest_committed_at: int | None


@dataclass(frozen=True, slots=True)
class Commit:
    """One committed version; `detail` is the open API's ``PromptDetail``."""

    sequence: int
    prompt_id: int
    version: str
    base_version: str
    description: str
    committed_at: int
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Draft:
    """What will become the next version."""

    prompt_id: int
    base_version: str
    detail: Mapping[str, Any]
    created_at: int
    updated_at: int
