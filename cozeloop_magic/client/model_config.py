"""Changing some settings of a version's model, as the platform takes it: by a whole configuration with its model.

``custom_model_config`` replaces all of the prompt's, and is silently ignored without a ``model_id``, which only
``GET /v1/loop/prompts/:id`` tells. On the embedded Loop a model's name is an id of it, too.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any

from cozeloop_magic.client.prompts import Prompts
from cozeloop_magic.errors import InvalidRequest, VersionNotFound

__all__ = ["SETTINGS", "override_model_config"]

_NUMBERS = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
_COUNTS = ("max_tokens", "top_k")
_FLAGS = ("json_mode",)
SETTINGS = (*_NUMBERS, *_COUNTS, *_FLAGS)
"""How a model is asked to sample."""

_NAME = "model"
_OTHERS = ("model_id", _NAME, "thinking", "extra", "param_config_values")


def override_model_config(
    prompts: Prompts, prompt_key: str, version: str, overrides: Mapping[str, Any], *, embedded: bool
) -> dict[str, Any]:
    """Give a version's model configuration with some settings changed; see `Client.model_config_with`.

    Parameters
    ----------
    embedded : bool
        Whether the embedded Loop is asked, where ``model`` chooses a model by its name.
    """
    if not overrides:
        raise InvalidRequest("There is no setting to change.", hint='Name one: {"temperature": 0.7}.')
    committed = _committed(prompts, prompt_key, version)
    known = {*SETTINGS, *_OTHERS, *committed}
    for name, value in overrides.items():
        if name not in known:
            raise InvalidRequest(f"There is no model setting {name!r}.", hint=_near_miss(str(name), known))
        _check(name, value)
    merged = {**committed, **_with_id(overrides, embedded)}
    if not merged.get("model_id"):
        raise InvalidRequest(
            f"The server does not tell the model_id of {prompt_key} @ {version or 'latest'}; without one it would "
            "silently ignore changed settings.",
            hint='Give it along: {"model_id": "..."}.',
        )
    return merged


def _with_id(overrides: Mapping[str, Any], embedded: bool) -> dict[str, Any]:
    """Write a model's name as the id that goes over the wire."""
    changed = dict(overrides)
    if _NAME not in changed:
        return changed
    if not embedded:
        raise InvalidRequest(
            "A Loop server chooses a model by its id, not by its name.",
            hint="Give its model_id, which a version of a prompt that runs on it has.",
        )
    if "model_id" in changed:
        raise InvalidRequest("Both model and model_id are given.", hint="Name one of them.")
    return {"model_id": str(changed.pop(_NAME)), **changed}


def _committed(prompts: Prompts, prompt_key: str, version: str) -> dict[str, Any]:
    summary = prompts.find(prompt_key)
    commit = prompts.get(summary.id or "", version or summary.latest_version or "").prompt_commit
    if commit is None or commit.detail is None:
        raise VersionNotFound(f"The server shows no version {version or '(the latest)'} of {prompt_key}.")
    return dict(commit.detail.model_config or {})


def _near_miss(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name.lower(), known, n=1)
    return f"It is probably {close[0]} that is meant." if close else f"There are {', '.join(sorted(known))}."


def _check(name: str, value: Any) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if name in _FLAGS:
        fits, kind = isinstance(value, bool), "true or false"
    elif name in _COUNTS:
        fits, kind = is_number and isinstance(value, int) and value >= 0, "a whole number"
    elif name in _NUMBERS:
        fits, kind = is_number, "a number"
    else:
        return
    if not fits:
        raise InvalidRequest(f"The model setting {name} is {value!r}; it must be {kind}.")
