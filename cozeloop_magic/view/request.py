"""What was sent, for the reader who wants to know: the variables and messages of a request, never who sent it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from cozeloop_magic.entities.prompt import ContentPart, ExecuteRequest, Message, Prompt
from cozeloop_magic.entities.variables import VariableVal, encode_all
from cozeloop_magic.errors import LoopError
from cozeloop_magic.printable import printable
from cozeloop_magic.template.fill import Filled, Piece, fill
from cozeloop_magic.view.markdown import IGNORED

__all__ = ["content", "messages_to_html", "to_html"]

_LONGEST = 20_000  # characters of one value; what is longer would make a saved notebook heavy


def to_html(request: ExecuteRequest, settings: Mapping[str, Any], definition: Prompt | None = None) -> str:
    """Give a request as a folded section: each variable as it goes on the wire, then the messages.

    They are what the template makes of them, where its definition is known; else the appended ones alone. Of the
    model's settings only those are shown that differ from the version's own.
    """
    values = _encoded(request)
    filled = definition and fill(definition, values, request.messages, content)
    rows = [_row(value.key, said) for value in values for said in _said(value)]
    if filled:
        rows.append(f'</dl><p class="cozeloop-given">What the model gets</p><dl class="{IGNORED}">')
        rows += map(_filled_row, filled)
    else:
        rows += [_row(f"@{_role(message)}", content(message)) for message in request.messages]
    asked = [("prompt", request.prompt_key), ("version", request.version), ("label", request.label)]
    asked += [(f"--set {name}", json.dumps(value, ensure_ascii=False)) for name, value in settings.items()]
    named = "".join(_row(name, value) for name, value in asked if value)
    return (
        f'<details class="cozeloop-request"><summary>Request</summary><div><dl class="{IGNORED}">{named}'
        f"{''.join(rows)}</dl></div></details>"
    )


def messages_to_html(filled: Sequence[Filled]) -> str:
    """Give the messages that a model would get, as `to_html` does."""
    return f'<div class="cozeloop-messages"><dl class="{IGNORED}">{"".join(map(_filled_row, filled))}</dl></div>'


def content(message: Message) -> str:
    """Give all that a message says, with a word in place of each picture."""
    said = [f"[{message.tool_call_id}]"] if message.tool_call_id else []
    said += [message.content] if message.content else []
    said += map(_part, message.parts or ())
    functions = [call.function_call for call in message.tool_calls or () if call.function_call]
    said += [f"[calls {function.name}({function.arguments or ''})]" for function in functions]
    return "\n".join(said)


def _encoded(request: ExecuteRequest) -> list[VariableVal]:
    try:
        return encode_all(request.variable_vals)
    except LoopError:
        return []  # then nothing was sent, and the run's own error says why


def _said(value: VariableVal) -> list[str]:
    if value.placeholder_messages is not None:
        return [f"@{_role(message)}\n{content(message)}" for message in value.placeholder_messages]
    if value.multi_part_values is not None:
        return ["\n".join(map(_part, value.multi_part_values))]
    return [value.value or ""]


def _row(name: str, said: str) -> str:
    return _filled_row(Filled(name, (Piece(said, False),)), "")


def _filled_row(filled: Filled, sign: str = "@") -> str:
    """Give a message, or a value, with what variables filled in marked; cut where it is very long."""
    shown, left = [], _LONGEST
    for piece in filled.pieces:
        text = escape(printable(piece.text[:left]), quote=False)
        shown.append(f"<mark>{text}</mark>" if piece.from_variable and text else text)
        left = max(0, left - len(piece.text))
    size = sum(len(piece.text) for piece in filled.pieces)
    more = f"\n… {size - _LONGEST:,} more characters" if size > _LONGEST else ""
    return f"<dt>{sign}{escape(printable(filled.role))}</dt><dd>{''.join(shown)}{more}</dd>"


def _role(message: Message) -> str:
    return str(getattr(message.role, "value", message.role))


def _part(part: ContentPart) -> str:
    if part.text:
        return part.text
    if part.base64_data is not None:
        return f"[{part.type}: {len(part.base64_data):,} characters]"
    return f"[{part.type}: {part.image_url or part.video_url or ''}]"
