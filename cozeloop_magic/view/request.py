"""What was sent, for the reader who wants to know: the variables and messages of a request, never who sent it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from cozeloop_magic.entities.prompt import ContentPart, ExecuteRequest, Message
from cozeloop_magic.entities.variables import VariableVal, encode_all
from cozeloop_magic.errors import LoopError
from cozeloop_magic.printable import printable
from cozeloop_magic.view.markdown import IGNORED

__all__ = ["content", "to_html"]

_LONGEST = 20_000  # characters of one value; what is longer would make a saved notebook heavy


def to_html(request: ExecuteRequest, settings: Mapping[str, Any]) -> str:
    """Give a request as a folded section: each variable as it goes on the wire, then the appended messages.

    Of the model's settings only those are shown that differ from the version's own.
    """
    rows = [_row(value.key, said) for value in _encoded(request) for said in _said(value)]
    rows += [_row(f"@{_role(message)}", content(message)) for message in request.messages]
    asked = [("prompt", request.prompt_key), ("version", request.version), ("label", request.label)]
    asked += [(f"--set {name}", json.dumps(value, ensure_ascii=False)) for name, value in settings.items()]
    named = "".join(_row(name, value) for name, value in asked if value)
    return (
        f'<details class="cozeloop-request"><summary>Request</summary><dl class="{IGNORED}">{named}'
        f"{''.join(rows)}</dl></details>"
    )


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
    shown = escape(printable(said[:_LONGEST]), quote=False)
    more = f"\n… {len(said) - _LONGEST:,} more characters" if len(said) > _LONGEST else ""
    return f"<dt>{escape(printable(name))}</dt><dd>{shown}{more}</dd>"


def _role(message: Message) -> str:
    return str(getattr(message.role, "value", message.role))


def _part(part: ContentPart) -> str:
    if part.text:
        return part.text
    if part.base64_data is not None:
        return f"[{part.type}: {len(part.base64_data):,} characters]"
    return f"[{part.type}: {part.image_url or part.video_url or ''}]"
