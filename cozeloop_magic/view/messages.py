"""Rendered messages, as a dry run shows them."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from IPython.display import display

from cozeloop_magic.entities.prompt import Message, Prompt
from cozeloop_magic.printable import printable
from cozeloop_magic.view import request

__all__ = ["show_messages"]

_TITLE = "dry run, no model was called"
_ROLE = "margin: .6em 0 .1em; font-size: .85em; opacity: .75"
_TEXT = "margin: 0; padding: 0 0 0 1em; white-space: pre-wrap; overflow-wrap: anywhere; background: none"


def show_messages(prompt: Prompt, messages: Sequence[Message], notes: Iterable[str], *, plain: bool) -> None:
    """Show what a model would be given, and quiet remarks on it."""
    title = " · ".join([f"{prompt.prompt_key} @ {prompt.version}", _TITLE, *notes])
    named = [(str(message.role), request.content(message)) for message in messages]
    text = "\n\n".join(f"{role}\n" + "\n".join(f"    {line}" for line in said.split("\n")) for role, said in named)
    plain_text = printable(f"{title}\n\n{text}")
    if plain:
        print(plain_text)
        return
    blocks = "".join(_line(role) + f'<pre style="{_TEXT}">{_escape(said)}</pre>' for role, said in named)
    caption = _line(title)
    markup = f'<div class="cozeloop-messages tex2jax_ignore">{blocks}{caption}</div>'
    display({"text/html": markup, "text/plain": plain_text}, raw=True)  # type: ignore[no-untyped-call]


def _line(text: str) -> str:
    return f'<div style="{_ROLE}">{_escape(text)}</div>'


def _escape(text: str) -> str:
    return html.escape(printable(text))
