"""From a `CellSpec` to an `ExecuteRequest`: Python expressions get their values from the notebook's namespace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cozeloop_magic.cell import CellSpec, Expression, MessageSpec, Value
from cozeloop_magic.entities import prompt
from cozeloop_magic.entities.prompt import ContentPart, Message
from cozeloop_magic.errors import CellError, InvalidRequest
from cozeloop_magic.literal import parse_value

__all__ = ["bind_messages", "bind_variables", "options_to_variables"]


def bind_variables(
    spec: CellSpec, namespace: dict[str, Any], options: Mapping[str, Any], given_by: str = "--var"
) -> dict[str, Any]:
    """Give the variables' values: those of the cell, and those given as `options`, which an error calls `given_by`.

    Raises
    ------
    CellError
        If an expression fails, or a variable is given in both places.
    """
    values = dict(options)
    for variable in spec.variables:
        if variable.name in values:
            raise CellError(f"{variable.name} is given here and with {given_by}.", line=variable.line)
        values[variable.name] = _value(variable.source, namespace)
    return values


def bind_messages(spec: CellSpec, namespace: dict[str, Any]) -> tuple[Message, ...]:
    """Give the messages to append.

    Raises
    ------
    CellError
        If an expression fails, or gives something that is no message's content.
    """
    return tuple(_message(message, namespace) for message in spec.messages)


def _value(source: Value | Expression, namespace: dict[str, Any]) -> Any:
    if isinstance(source, Value):
        return source.value
    try:
        return eval(compile(source.code, "<loop_prompt cell>", "eval"), namespace)
    except Exception as error:
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        shown = source.code.partition("\n")[0]
        missing = error.name if isinstance(error, NameError) else None
        hint = f"Run first: from {prompt.__name__} import {missing}" if missing in prompt.__all__ else None
        raise CellError(
            f"the expression raised {what}.", line=source.line, column=source.column, hint=hint,
            source=" " * (source.column - 1) + shown,
        ) from error  # fmt: skip


def _message(spec: MessageSpec, namespace: dict[str, Any]) -> Message:
    content = _value(spec.source, namespace)
    if isinstance(content, str):
        return Message(spec.role, content, tool_call_id=spec.tool_call_id)
    parts = [content] if isinstance(content, ContentPart) else content
    if isinstance(parts, (list, tuple)) and parts and all(isinstance(part, ContentPart) for part in parts):
        return Message(spec.role, parts=tuple(parts), tool_call_id=spec.tool_call_id)
    line, column = (spec.source.line, spec.source.column) if isinstance(spec.source, Expression) else (1, 1)
    raise CellError(
        f"a message is text or content parts, not of type {type(content).__name__}.", line=line, column=column,
        hint="Use str(...), or an f-string.",
    )  # fmt: skip


def options_to_variables(options: Iterable[str]) -> dict[str, Any]:
    """Read ``NAME=VALUE`` options; a value is literal, as in a cell.

    Raises
    ------
    InvalidRequest
        If there is no ``=``, or a name is given twice.
    """
    values: dict[str, Any] = {}
    for option in options:
        name, sign, text = _unquote(option).partition("=")
        if not sign or not name.strip():
            raise InvalidRequest(f"--var {option} has no `=`.", hint="Write --var name=value.")
        if name in values:
            raise InvalidRequest(f"--var {name} is given twice.")
        values[name] = parse_value(text) if text else ""
    return values


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
