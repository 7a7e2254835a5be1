"""Rendering a prompt by the server's rules: messages and values in, the messages the model sees out.

The embedded Loop and a dry run share it, so both show what the platform would do.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from cozeloop_magic.entities.prompt import ContentPart, ContentType, Message, Prompt, Role, TemplateType, VariableType
from cozeloop_magic.entities.variables import VariableVal, decode
from cozeloop_magic.errors import RemoteError, remote_error
from cozeloop_magic.template.jinja import PARSE_FAILED, renderer

__all__ = ["render"]

INVALID_PARAMETER = 600500202

_SPOKEN = (Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.TOOL)
_ROLES = f"the roles there are: {', '.join(_SPOKEN)}"
_TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w.+-]+=[^;,\s]+)*;base64,(?P<data>.+)", re.DOTALL)

Values = Mapping[str, VariableVal]
RenderText = Callable[[str], str]


def render(prompt: Prompt, variable_vals: Sequence[VariableVal], messages: Sequence[Message]) -> list[Message]:
    """Render a prompt's messages and the appended ones.

    Parameters
    ----------
    prompt : Prompt
        A committed version.
    variable_vals : sequence of VariableVal
        The variables' values, as they go on the wire. Values of undeclared variables are ignored.
    messages : sequence of Message
        Appended after the prompt's own.

    Raises
    ------
    RemoteError
        The error that the platform answers with, by its code.
    """
    values = {value.key: value for value in variable_vals}
    types: dict[str, str] = {declared.key: declared.type for declared in prompt.variable_defs}
    render_text = _text_renderer(prompt, types, values)
    template = prompt.prompt_template
    rendered: list[Message] = []
    for message in (template and template.messages) or ():
        rendered += _render_message(message, types, values, render_text)
    for message in messages:
        if message.role not in (*_SPOKEN, Role.PLACEHOLDER):
            raise _invalid(f"An appended message has the role {message.role!r}; {_ROLES}, or placeholder.")
        as_written = message.role in (Role.ASSISTANT, Role.TOOL) or message.skip_render
        rendered += [message] if as_written else _render_message(message, types, values, render_text)
    for message in rendered:
        _check_parts(message.parts or ())
    return rendered


def _render_message(
    message: Message, types: Mapping[str, str], values: Values, render_text: RenderText
) -> Iterable[Message]:
    if message.role == Role.PLACEHOLDER:
        return _placeholder_messages(message.content or "", values)
    content = render_text(message.content) if message.content else message.content
    parts = message.parts and _render_parts(message.parts, types, values, render_text)
    return [replace(message, content=content, parts=parts or None)]


def _placeholder_messages(key: str, values: Values) -> Sequence[Message]:
    value = values.get(key)
    messages = (value and value.placeholder_messages) or ()
    for message in messages:
        if message.role not in _SPOKEN:
            raise _invalid(f"Placeholder {key} holds a message with the role {message.role!r}; {_ROLES}.")
    return messages


def _render_parts(
    parts: Sequence[ContentPart], types: Mapping[str, str], values: Values, render_text: RenderText
) -> list[ContentPart]:
    rendered: list[ContentPart] = []
    for part in parts:
        if part.type == ContentType.MULTI_PART_VARIABLE and part.text:
            rendered += _variable_parts(part.text, types, values)
        elif part.type == ContentType.TEXT and part.text:
            rendered.append(replace(part, text=render_text(part.text)))
        else:
            rendered.append(part)
    return [part for part in rendered if part.text or part.image_url or part.video_url or part.base64_data]


def _variable_parts(key: str, types: Mapping[str, str], values: Values) -> Sequence[ContentPart]:
    value = values.get(key)
    declared = types.get(key) == VariableType.MULTI_PART
    return (declared and value and value.multi_part_values) or ()


def _check_parts(parts: Sequence[ContentPart]) -> None:
    for part in parts:
        for url in (part.image_url, part.video_url):
            if url and not _is_http_url(url):
                raise _invalid(f"{url[:80]!r} is not a valid http or https URL.")
        if part.base64_data and not _is_data_uri(part.base64_data):
            shown = part.base64_data[:40]
            raise _invalid(f"{shown!r} is not a valid data URI; it must read data:<mediatype>;base64,<data>.")


def _is_http_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and not re.search(r"\s", text)
    except ValueError:
        return False


def _is_data_uri(text: str) -> bool:
    match = _DATA_URI.fullmatch(text)
    try:
        return match is not None and bool(base64.b64decode(match["data"], validate=True))
    except binascii.Error:
        return False


def _invalid(message: str) -> RemoteError:
    return remote_error(message, code=INVALID_PARAMETER)


# Text: one function per template type, from a template's text to the rendered text.


def _text_renderer(prompt: Prompt, types: Mapping[str, str], values: Values) -> RenderText:
    kind = prompt.prompt_template.template_type if prompt.prompt_template else TemplateType.NORMAL
    if kind == TemplateType.NORMAL:
        return _normal(types, values)
    if kind == TemplateType.JINJA2:
        return renderer(_decoded(types, values))
    raise remote_error(f"Templates of the type {kind!r} cannot be rendered here.", code=PARSE_FAILED)


def _normal(types: Mapping[str, str], values: Values) -> RenderText:
    """Replace what stands exactly between the braces, blanks included; what is not declared stays as written."""

    def replaced(tag: re.Match[str]) -> str:
        if tag[1] not in types:
            return tag[0]
        value = values.get(tag[1])
        return (value and value.value) or ""

    return lambda text: _TAG.sub(replaced, text)


def _decoded(types: Mapping[str, str], values: Values) -> dict[str, Any]:
    decoded = {}
    for key, value in values.items():
        if key in types and value.value:
            try:
                decoded[key] = decode(types[key], value.value)
            except (ValueError, RecursionError):
                shown = value.value if len(value.value) <= 80 else f"{value.value[:80]}..."
                raise _invalid(f"Variable {key} is declared {types[key]}, but its value is {shown!r}.") from None
    return decoded
