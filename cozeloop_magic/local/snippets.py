"""Snippets: prompts that stand in the messages of others.

A reference, ``<cozeloop_snippet>id=ID&version=VERSION</cozeloop_snippet>``, is replaced by the content of the
snippet's first message, before anything is rendered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cozeloop_magic.errors import RemoteError
from cozeloop_magic.local.calls import invalid
from cozeloop_magic.local.rows import SNIPPET
from cozeloop_magic.local.store import Store

__all__ = ["check_references", "expand"]

MOST_LEVELS = 2
"""How deep snippets may stand in snippets, as on the platform."""

LONGEST = 1024 * 1024
"""The most characters of one text with its snippets in place: a server renders no longer one."""

_REFERENCE = re.compile(r"<cozeloop_snippet>id=([0-9]{1,19})&version=([^&<]*)</cozeloop_snippet>", re.ASCII)


def check_references(store: Store, detail: Mapping[str, Any]) -> None:
    """Refuse a ``PromptDetail`` that refers to what is no committed version of a snippet."""
    for text in _texts(detail):
        for found in _REFERENCE.finditer(text):
            _content(store, found[1], found[2])


def expand(store: Store, detail: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a ``PromptDetail`` with its snippets in place.

    Raises
    ------
    RemoteError
        If one is not there, or they stand in each other too deep.
    """
    if not any(map(_REFERENCE.search, _texts(detail))):
        return detail
    known: dict[tuple[str, str], str] = {}

    def expanded(text: Any) -> Any:
        return _expanded(store, text, known, MOST_LEVELS) if isinstance(text, str) else text

    messages = []
    for message in _messages(detail):
        message = {**message, "content": expanded(message.get("content"))}
        if message.get("parts"):
            message["parts"] = [{**part, "text": expanded(part.get("text"))} for part in message["parts"]]
        messages.append(message)
    return {**detail, "prompt_template": {**detail["prompt_template"], "messages": messages}}


def _expanded(store: Store, text: str, known: dict[tuple[str, str], str], levels: int) -> str:
    pieces: list[str] = []
    done = size = 0
    for found in _REFERENCE.finditer(text):
        if not levels:
            raise invalid(f"Snippets stand in each other more than {MOST_LEVELS} deep.")
        key = (found[1], found[2])
        if key not in known:
            known[key] = _expanded(store, _content(store, *key), known, levels - 1)
        pieces += text[done : found.start()], known[key]
        done = found.end()
        size += len(pieces[-1]) + len(pieces[-2])
        if size > LONGEST:
            raise invalid("With its snippets in place, a message is longer than 1 MB.")
    return "".join([*pieces, text[done:]])


def _content(store: Store, prompt_id: str, version: str) -> str:
    """Return what a snippet says: the content of its first message."""
    try:
        prompt = store.prompt(int(prompt_id))
        if prompt.prompt_type != SNIPPET:
            raise invalid(f"Prompt {prompt.prompt_key} ({prompt_id}) is no snippet.")
        if not version:
            raise invalid(f"The reference to snippet {prompt.prompt_key} names no version.")
        detail = store.commit_of(prompt, version=version).detail
    except RemoteError as error:
        raise invalid(f"A snippet cannot be put in place: {error.message}") from None
    first = next(_messages(detail), None)
    return str((first or {}).get("content") or "")


def _messages(detail: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    template = detail.get("prompt_template") or {}
    yield from template.get("messages") or ()


def _texts(detail: Mapping[str, Any]) -> Iterator[str]:
    for message in _messages(detail):
        parts = message.get("parts") or ()
        yield from (text for text in (message.get("content"), *(part.get("text") for part in parts)) if text)
