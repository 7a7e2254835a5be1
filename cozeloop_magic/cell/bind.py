"""From a `CellSpec` to an `ExecuteRequest`: Python expressions get their values from the notebook's namespace."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cozeloop_magic.cell.literal import parse_value
from cozeloop_magic.cell.parse import CellSpec, Expression, MessageSpec, Value
from cozeloop_magic.entities import prompt
from cozeloop_magic.entities.prompt import ContentPart, Message, Role
from cozeloop_magic.entities.variables import message_of
from cozeloop_magic.errors import CellError, InvalidRequest

__all__ = [
    "bind_messages",
    "bind_variables",
    "option_to_text",
    "option_to_value",
    "options_to_variables",
    "python_name",
    "unquote",
]

_NAME = re.compile(r"\$([^\W\d]\w*)|\{([^\W\d]\w*)\}")
_NAME_WITHIN = re.compile(r"(?<!\$)\$([^\W\d]\w*)|(?<!\{)\{([^\W\d]\w*)(?!\w|:\s)[^}]*\}")
"""What looks like Python within a value; ``$$x$$``, ``{{x}}`` and the object ``{x: 1}`` do not."""


def bind_variables(
    spec: CellSpec, namespace: dict[str, Any], options: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Give the variables' values: those of the cell and those of the options, by who gives them; later ones win.

    Raises
    ------
    CellError
        If an expression fails, or a variable is given in both places.
    """
    values = {name: value for given in options.values() for name, value in given.items()}
    for variable in spec.variables:
        for given_by, given in options.items():
            if variable.name in given:
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
    said = message_of(content)
    if said is not None and said.role == spec.role and isinstance(content, (str, Message)):
        return said  # a message, or an answer of the model, with the tools it asks for
    line, column = (spec.source.line, spec.source.column) if isinstance(spec.source, Expression) else (1, 1)
    if isinstance(content, str):
        if not content.strip() and spec.role is not Role.TOOL:  # a tool may have nothing to say
            raise CellError(f"the @{spec.role} message is empty.", line=line, column=column)
        return Message(spec.role, content, tool_call_id=spec.tool_call_id)
    parts = [content] if isinstance(content, ContentPart) else content
    if isinstance(parts, (list, tuple)) and parts and all(isinstance(part, ContentPart) for part in parts):
        return Message(spec.role, parts=tuple(parts), tool_call_id=spec.tool_call_id)
    raise CellError(
        f"a message is text or content parts, not of type {type(content).__name__}.", line=line, column=column,
        hint="Use str(...), or an f-string.",
    )  # fmt: skip


def options_to_variables(options: Iterable[str], read: Callable[[str], Any] = parse_value) -> dict[str, Any]:
    """Read ``NAME=VALUE`` options; a value is literal, as in a cell, unless `read` says otherwise.

    Raises
    ------
    InvalidRequest
        If there is no ``=``, or a name is given twice.
    """
    values: dict[str, Any] = {}
    for option in options:
        name, sign, text = unquote(option).partition("=")
        if not sign or not name.strip():
            raise InvalidRequest(f"--var {option} has no `=`.", hint="Write --var name=value.")
        if name in values:
            raise InvalidRequest(f"--var {name} is given twice.")
        values[name] = read(text) if text else ""
    return values


def option_to_value(text: str, names: Mapping[str, Any]) -> Any:
    """Give what a variable's option says: what ``$name`` or ``{name}`` holds, or else a literal.

    Raises
    ------
    InvalidRequest
        If the name is not defined, or text holds one that is.
    """
    name = _name_in_python(text, names)
    return parse_value(text) if name is None else names[name]


def option_to_text(option: str, names: Mapping[str, Any], what: str) -> str | None:
    """Give the text that an option says, or that its ``$name`` or ``{name}`` holds; None there means not given.

    Raises
    ------
    InvalidRequest
        As for `option_to_value`, and if the name holds no text: the version 1.10 must not become 1.1.
    """
    name = _name_in_python(option, names)
    value = unquote(option) if name is None else names[name]
    if value is None or isinstance(value, str):
        return value
    raise InvalidRequest(
        f"{what} {option} is of type {type(value).__name__}, not text.", hint=f'Write it in quotes: {name} = "...".'
    )


def _name_in_python(option: str, names: Mapping[str, Any]) -> str | None:
    """Give the name that an option stands for; text stands for itself, and must not look as if it did not."""
    text = unquote(option)
    if name := python_name(text):
        if name in names:
            return name
        raise InvalidRequest(
            f"{text} stands for the Python name {name}, which is not defined.",
            hint="Text that looks like this is written in the cell, above `---`.",
        )
    for part in _NAME_WITHIN.finditer(text):
        if (part[1] or part[2]) in names:
            raise InvalidRequest(
                f"{part[0]} stands for Python only as the whole value, not in {text}.",
                hint='Make the text first, text = f"...", and write $text; text that looks like this is written in '
                "the cell, above `---`.",
            )
    return None


def python_name(text: str) -> str | None:
    """Return the name that an option's value stands for where it is ``$name`` or ``{name}``."""
    whole = _NAME.fullmatch(text)
    return (whole[1] or whole[2]) if whole else None


def unquote(text: str) -> str:
    """Take off the quotes around an option."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
