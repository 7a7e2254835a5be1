"""Which version of a prompt a call asks for, and how the API shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from cozeloop_magic.entities.prompt import Prompt
from cozeloop_magic.local.calls import Loop, invalid
from cozeloop_magic.local.snippets import expand

__all__ = ["Version", "find_version"]


class Version(NamedTuple):
    """A version of a prompt, its snippets in place; `detail` is the open API's ``PromptDetail``."""

    prompt_key: str
    number: str
    detail: Mapping[str, Any]

    @property
    def model_config(self) -> Mapping[str, Any]:
        """How its model is to be asked."""
        config: Mapping[str, Any] = self.detail.get("model_config") or {}
        return config

    def as_prompt(self, workspace_id: str) -> Prompt:
        """Return it as ``mget`` shows it: without the model's id."""
        config = {name: value for name, value in self.model_config.items() if name != "model_id"}
        return Prompt.from_json(
            {
                "workspace_id": workspace_id,
                "prompt_key": self.prompt_key,
                "version": self.number,
                "prompt_template": self.detail.get("prompt_template"),
                "tools": self.detail.get("tools"),
                "tool_call_config": self.detail.get("tool_call_config"),
                "llm_config": config or None,
            }
        )


def find_version(loop: Loop, query: Mapping[str, Any], where: str) -> Version:
    """Find what a query asks for: by number, ``$Draft`` among them, else by label, else the latest.

    Parameters
    ----------
    query : Mapping[str, Any]
        ``prompt_key``, and maybe ``version`` and ``label``.
    where : str
        What the query is called in the call.
    """
    names = ("prompt_key", "version", "label")
    if not all(isinstance(query.get(name), (str, type(None))) for name in names):
        raise invalid(f"{where}'s prompt_key, version and label must be text.")
    key, version, label = (query.get(name) or "" for name in names)
    if not key:
        raise invalid(f"{where}.prompt_key is missing.")
    commit = loop.store.commit_of(loop.store.prompt_by_key(key), version=version, label=label)
    return Version(key, commit.version, expand(loop.store, commit.detail))
