"""A request as the cell that asks it: the way back from what was sent. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cozeloop_magic.cell.parse import Value, parse_cell
from cozeloop_magic.entities.prompt import ExecuteRequest, Message
from cozeloop_magic.errors import CellError

__all__ = ["write_cell"]

_FIRST = "# First: from cozeloop_magic.entities.prompt import ContentPart, Message"


def write_cell(request: ExecuteRequest, label: str | None = None) -> str:
    """Write the cell that asks a request again, to the letter.

    Parameters
    ----------
    request : ExecuteRequest
        What was asked.
    label : str, optional
        The label it was asked for by; else the cell names the version.
    """
    asked = (("--label", label or request.label), ("--version", None if label else request.version))
    line = " ".join([request.prompt_key, *(f"{name} {value}" for name, value in asked if value)])
    variables = [_variable(name, value) for name, value in request.variable_vals.items()]
    messages = _messages(request.messages)
    if not variables and not messages:
        return f"%loop_prompt {line}"
    body = [*variables, *(["---", messages] if messages else [])]
    if "Message.from_json" in messages or any(".from_json" in each for each in variables):
        body.insert(0, _FIRST)
    if request.custom_model_config:
        body.insert(0, f"# The version's own settings were overridden: {dict(request.custom_model_config)}")
    return "\n".join([f"%%loop_prompt {line}", *body])


def _variable(name: str, value: Any) -> str:
    if not isinstance(value, str):
        parts = ", ".join(f"{type(each).__name__}.from_json({each.to_json()!r})" for each in value)
        return f"{name} = [{parts}]"
    return next(written for written in _ways(name, value) if _reads_as(written, value))


def _ways(name: str, text: str) -> Iterator[str]:
    """Yield how a text may be written, the plainest first; the last is always right."""
    if "\n" in text:
        indented = "\n".join(f"  {line}" if line else "" for line in text.split("\n"))
        yield f"{name}: |-\n{indented}"
        yield f"{name}: |\n{indented.removesuffix(chr(10))}"
    else:
        yield f"{name}: {text}"
    yield f"{name} = {text!r}"


def _reads_as(written: str, text: str) -> bool:
    """Tell whether a variable says this text to whoever reads the cell; Python's own way of writing it does."""
    try:
        (variable,) = parse_cell(f"{written}\n---\nx").variables
    except (CellError, ValueError):
        return False
    return not isinstance(variable.source, Value) or variable.source.value == text


def _messages(messages: Any) -> str:
    if len(messages) == 1 and _is_text(messages[0], "user") and _is_read(messages[0].content):
        return str(messages[0].content)
    return "\n".join(map(_message, messages))


def _message(message: Message) -> str:
    role = str(getattr(message.role, "value", message.role))
    mark = f"@{role} {message.tool_call_id}" if message.tool_call_id else f"@{role}"
    if not _is_text(message, role):
        return f"@{role} = Message.from_json({message.to_json()!r})"
    return f"{mark}\n{message.content}" if _is_read(message.content) else f"{mark} = {message.content!r}"


def _is_text(message: Message, role: str) -> bool:
    """Tell whether a message is nothing but a text of a role."""
    plain = Message(message.role, message.content, tool_call_id=message.tool_call_id)
    return message == plain and str(getattr(message.role, "value", message.role)) == role


def _is_read(content: str | None) -> bool:
    """Tell whether a message's text stands for itself below the separator."""
    try:
        messages = parse_cell(f"---\n{content}\n@user\nx").messages
    except CellError:
        return False
    return len(messages) == 2 and messages[0].source == Value(content) and messages[0].role.value == "user"
