"""Rendered messages, as a dry run shows them: as *Request* under an answer does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from IPython.display import display

from cozeloop_magic.entities.prompt import Message, Prompt
from cozeloop_magic.entities.variables import VariableVal
from cozeloop_magic.printable import printable
from cozeloop_magic.template.fill import Filled, Piece, fill
from cozeloop_magic.view import render, request

__all__ = ["show_messages"]

_TITLE = "dry run, no model was called"


def show_messages(
    prompt: Prompt,
    messages: Sequence[Message],
    notes: Iterable[str],
    *,
    plain: bool,
    values: Sequence[VariableVal] = (),
    appended: Sequence[Message] = (),
) -> None:
    """Show what a model would be given, and quiet remarks on it.

    Parameters
    ----------
    prompt, messages, notes
        The prompt, its rendered messages, and the remarks.
    plain : bool
        Whether to print text.
    values, appended
        What was filled in and added, so that it can be marked.
    """
    items = [_TITLE, f"{prompt.prompt_key} @ {prompt.version}", *notes]
    named = [(str(message.role), request.content(message)) for message in messages]
    text = "\n\n".join(f"{role}\n" + "\n".join(f"    {line}" for line in said.split("\n")) for role, said in named)
    plain_text = printable(f"{' · '.join(items)}\n\n{text}")
    if plain:
        print(plain_text)
        return
    filled = fill(prompt, values, appended, request.content)
    if filled is None or [(each.role, "".join(piece.text for piece in each.pieces)) for each in filled] != named:
        filled = [Filled(role, (Piece(said, False),)) for role, said in named]
    line = printable(" · ".join(items)).replace("\n", " ")
    markup = (
        f'<div class="{render.ROOT} cozeloop-dry"><style>{render.style()}</style>{request.messages_to_html(filled)}'
        f'<p class="cozeloop-status">{render.items_html(line)}</p></div>'
    )
    display({"text/html": markup, "text/plain": plain_text}, raw=True)  # type: ignore[no-untyped-call]
