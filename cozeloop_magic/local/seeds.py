"""The prompts that come with the package, from ``prompts.yaml`` to what the store keeps."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml

from cozeloop_magic.local.models import MODEL_ID

__all__ = ["read_seeds"]

_TEMPERATURE = 0.2  # small models wander at more
_MAX_TOKENS = 320


def read_seeds() -> dict[str, Any]:
    """Read the seeded prompts: by key, with each version's ``PromptDetail``."""
    written = yaml.safe_load(files(__package__).joinpath("prompts.yaml").read_text(encoding="utf-8"))
    return {key: {**prompt, "versions": _versions(prompt["versions"])} for key, prompt in written.items()}


def _versions(written: dict[str, Any]) -> dict[str, Any]:
    return {
        version: {"description": commit["description"], "detail": _detail(commit)}
        for version, commit in written.items()
    }


def _detail(commit: dict[str, Any]) -> dict[str, Any]:
    return {
        "prompt_template": {
            "template_type": commit["template_type"],
            "messages": commit["messages"],
            "variable_defs": commit["variables"],
        },
        "model_config": {
            "model_id": MODEL_ID,
            "temperature": commit.get("temperature", _TEMPERATURE),
            "max_tokens": commit.get("max_tokens", _MAX_TOKENS),
        },
    }
