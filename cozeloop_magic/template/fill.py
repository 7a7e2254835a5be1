"""What a template fills in: its messages in pieces, so that a reader can tell what came from a variable."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from cozeloop_magic.entities.prompt import Message, Prompt, TemplateType, VariableType
from cozeloop_magic.entities.variables import VariableVal
from cozeloop_magic.errors import LoopError
from cozeloop_magic.template.jinja import is_quick
from cozeloop_magic.template.render import render

__all__ = ["Filled", "Piece", "fill"]

_OPEN, _CLOSE = "\U000f5ca1", "\U000f5ca2"  # private characters around what a variable fills in
_SIGNS = re.compile(f"([{_OPEN}{_CLOSE}])")
_LONGEST = 500_000  # characters of values and templates that are worth a second rendering


class Piece(NamedTuple):
    """A piece of a message's text, and whether a variable filled it in."""

    text: str
    from_variable: bool


class Filled(NamedTuple):
    """A message as a model gets it, in pieces."""

    role: str
    pieces: tuple[Piece, ...]


def fill(
    prompt: Prompt, values: Sequence[VariableVal], messages: Sequence[Message], text_of: Callable[[Message], str]
) -> list[Filled] | None:
    """Return what a model would be given; None where that is not told quickly, or not at all.

    Parameters
    ----------
    prompt, values, messages
        As in `render`.
    text_of : callable
        Gives all that a message says, as one text.
    """
    own = (prompt.prompt_template and prompt.prompt_template.messages) or ()
    texts = [each.content or "" for each in (*own, *messages)]
    size = sum(map(len, texts)) + sum(len(value.value or "") for value in values)
    quick = _is_normal(prompt) or is_quick(texts, {each.key: each.value or "" for each in values})
    if prompt.prompt_template is None or size > _LONGEST or not quick:
        return None
    try:
        plain = render(prompt, values, messages).messages
    except LoopError:
        return None  # whoever answers says so, too
    try:
        marked = render(prompt, [_marked(value, prompt) for value in values], messages).messages
    except LoopError:
        marked = plain
    if len(marked) != len(plain):
        marked = plain
    return [
        Filled(str(getattr(each.role, "value", each.role)), _pieces(text_of(each), text_of(other)))
        for each, other in zip(plain, marked, strict=True)
    ]


def _is_normal(prompt: Prompt) -> bool:
    return prompt.prompt_template is not None and prompt.prompt_template.template_type == TemplateType.NORMAL


def _marked(value: VariableVal, prompt: Prompt) -> VariableVal:
    """Put signs around a value that is text; a number with signs around it would be none."""
    is_text = _is_normal(prompt) or any(
        each.key == value.key and each.type == VariableType.STRING for each in prompt.variable_defs
    )
    return replace(value, value=f"{_OPEN}{value.value}{_CLOSE}") if value.value and is_text else value


def _pieces(plain: str, marked: str) -> tuple[Piece, ...]:
    """Cut a text where the signs stand; a template that made something else of them leaves it in one piece."""
    if marked.replace(_OPEN, "").replace(_CLOSE, "") != plain or _OPEN in plain or _CLOSE in plain:
        return (Piece(plain, False),)
    pieces, depth = [], 0
    for part in _SIGNS.split(marked):
        if part in (_OPEN, _CLOSE):
            depth += 1 if part == _OPEN else -1
        elif part:
            pieces.append(Piece(part, depth > 0))
    return tuple(pieces)
