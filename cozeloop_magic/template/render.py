"""Rendering a prompt by the server's rules: messages and values in, the messages the model sees out.

The embedded Loop and a dry run share it, so both show what the platform would do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from cozeloop_magic.entities.prompt import ContentPart, ContentType, Message, Prompt, Role, TemplateType, VariableType
from cozeloop_magic.entities.variables import VariableVal
from cozeloop_magic.errors import RemoteError, remote_error
from cozeloop_magic.template.addresses import is_data_uri, is_url
from cozeloop_magic.template.jinja import MAX_OUTPUT_BYTES, RENDER_FAILED, renderer
from cozeloop_magic.template.values import INVALID_PARAMETER

__all__ = ["UNSUPPORTED_TYPE", "Rendered", "remarks_on_tags", "render"]

UNSUPPORTED_TYPE = 600501006

_SPOKEN = (Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.TOOL)
_ROLES = f"the roles there are: {', '.join(_SPOKEN)}"
_BLANK_TAG = re.compile(r"\{\{(?:\s+(\w+)\s*|(\w+)\s+)\}\}")
# Of all messages together: characters of text, characters of data, and how many they are, or the parts of one.
_MOST_TEXT = 8 * MAX_OUTPUT_BYTES
_MOST_DATA = 32 * MAX_OUTPUT_BYTES
_MOST_MESSAGES = 10_000

Values = Mapping[str, VariableVal]
RenderText = Callable[[str], str]


class Rendered(NamedTuple):
    """What a model is given.

    Attributes
    ----------
    messages : list of Message
        The prompt's own, and the appended ones.
    remarks : tuple of str
        What a person should know of it: a tag that stays as it is, or what works here and not on the platform.
    """

    messages: list[Message]
    remarks: tuple[str, ...] = ()


def render(prompt: Prompt, variable_vals: Sequence[VariableVal], messages: Sequence[Message]) -> Rendered:
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
    _check_sent(variable_vals, messages)
    values = {value.key: value for value in variable_vals}
    types: dict[str, str] = {declared.key: declared.type for declared in prompt.variable_defs}
    remarks: dict[str, None] = {}
    render_text = _bounded(_text_renderer(prompt, types, values, lambda text: remarks.setdefault(text)))
    template = prompt.prompt_template
    rendered = _Messages()
    for message in (template and template.messages) or ():
        as_written = message.role == Role.TOOL
        rendered.take([message] if as_written else _render_message(message, types, values, render_text))
    for message in map(_with_known_role, messages):
        is_template = _is_rendered(message)
        rendered.take(_render_message(message, types, values, render_text) if is_template else [message])
    for message in rendered.all:
        _check_parts(message.parts or ())
    return Rendered(rendered.all, tuple(remarks))


def remarks_on_tags(prompt: Prompt, messages: Sequence[Message] = ()) -> tuple[str, ...]:
    """Return what the platform does not tell of a prompt: the tags of a normal template that stay as they are.

    Parameters
    ----------
    prompt : Prompt
        A version.
    messages : sequence of Message
        Those that are appended, which are templates, too.
    """
    template = prompt.prompt_template
    if template is None or template.template_type != TemplateType.NORMAL:
        return ()
    declared = {each.key for each in prompt.variable_defs}
    own = (each for each in template.messages or () if each.role not in (Role.TOOL, Role.PLACEHOLDER))
    texts = (each.text for each in (*own, *filter(_is_rendered, messages)))
    return tuple(dict.fromkeys(remark for text in texts for remark in _on_blanks(text, declared)))


class _Messages:
    """Messages together, within bounds: what stands in many places is only pointed to here, and written out later."""

    def __init__(self) -> None:
        self.all: list[Message] = []
        self._text = self._data = 0

    def take(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self.all.append(message)
            self._text += len(message.content or "") + len(message.reasoning_content or "")
            for part in message.parts or ():
                self._text += len(part.text or "")
                self._data += sum(map(len, filter(None, (part.image_url, part.video_url, part.base64_data))))
            if len(self.all) > _MOST_MESSAGES:
                raise _too_long(f"it makes more than {_MOST_MESSAGES:,} messages")
            if self._text > _MOST_TEXT:
                raise _too_long(f"its messages are together longer than {_MOST_TEXT >> 20} MB")
            if self._data > _MOST_DATA:
                raise _too_long(f"its pictures are together larger than {_MOST_DATA >> 20} MB")


def _with_known_role(message: Message) -> Message:
    """Return a message as the platform reads it: whose role it does not know is a user's."""
    known = message.role in (*_SPOKEN, Role.PLACEHOLDER)
    return message if known else replace(message, role=Role.USER)


def _is_rendered(appended: Message) -> bool:
    """Whether an appended message is a template: an assistant's only where it asks for it, a tool's never."""
    if appended.role == Role.TOOL:
        return False
    return appended.skip_render is False if appended.role == Role.ASSISTANT else not appended.skip_render


def _bounded(render_text: RenderText) -> RenderText:
    """Refuse a text that is too long before it is read."""

    def bounded(text: str) -> str:
        if len(text) > MAX_OUTPUT_BYTES:
            raise _too_long("it is longer than 1 MB")
        return render_text(text)

    return bounded


def _too_long(why: str) -> RemoteError:
    return remote_error(f"The template cannot be rendered: {why}.", code=RENDER_FAILED)


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
    messages = [_with_known_role(message) for message in (value and value.placeholder_messages) or ()]
    if any(message.role == Role.PLACEHOLDER for message in messages):
        raise _invalid(f"Placeholder {key} holds a placeholder; {_ROLES}.")
    return messages


def _render_parts(
    parts: Sequence[ContentPart], types: Mapping[str, str], values: Values, render_text: RenderText
) -> list[ContentPart]:
    rendered: list[ContentPart] = []
    size = 0
    for part in parts:
        if part.type == ContentType.MULTI_PART_VARIABLE and part.text:
            rendered += _variable_parts(part.text, types, values)
        elif part.type == ContentType.TEXT and part.text:
            rendered.append(replace(part, text=render_text(part.text)))
            size += len(rendered[-1].text or "")
        else:
            rendered.append(part)
        if len(rendered) > _MOST_MESSAGES or size > _MOST_TEXT:
            raise _too_long(f"a message has more than {_MOST_MESSAGES:,} parts, or {_MOST_TEXT >> 20} MB of text")
    return [part for part in rendered if part.text or part.image_url or part.video_url or part.base64_data]


def _variable_parts(key: str, types: Mapping[str, str], values: Values) -> Sequence[ContentPart]:
    value = values.get(key)
    declared = types.get(key) == VariableType.MULTI_PART
    return (declared and value and value.multi_part_values) or ()


def _check_sent(variable_vals: Sequence[VariableVal], messages: Sequence[Message]) -> None:
    """Refuse a picture that is sent without its address or its data, also where nothing would use it."""
    sent = [*(value.multi_part_values for value in variable_vals), *(message.parts for message in messages)]
    for part in (part for parts in sent for part in parts or ()):
        if part.type == ContentType.IMAGE_URL and not part.image_url:
            raise _invalid("A part of the type image_url has no image_url.")
        if part.type == ContentType.BASE64_DATA and not part.base64_data:
            raise _invalid("A part of the type base64_data has no base64_data.")
    _check_parts([part for value in variable_vals for part in value.multi_part_values or ()])


def _check_parts(parts: Sequence[ContentPart]) -> None:
    for part in parts:
        for url in (part.image_url, part.video_url):
            if url and not is_url(url):
                raise _invalid(f"{url[:80]!r} is not a valid URL.")
        if part.base64_data and not is_data_uri(part.base64_data):
            shown = part.base64_data[:40]
            raise _invalid(f"{shown!r} is not a valid data URI; it must read data:<mediatype>;base64,<data>.")


def _invalid(message: str) -> RemoteError:
    return remote_error(message, code=INVALID_PARAMETER)


# Text: one function per template type, from a template's text to the rendered text.


def _text_renderer(
    prompt: Prompt, types: Mapping[str, str], values: Values, remark: Callable[[str], object]
) -> RenderText:
    kind = prompt.prompt_template.template_type if prompt.prompt_template else TemplateType.NORMAL
    if kind == TemplateType.NORMAL:
        return _normal(types, values, remark)
    if kind == TemplateType.JINJA2:
        written = {key: value.value for key, value in values.items() if key in types and value.value}
        return renderer(types, written, remark)
    raise remote_error(f"Templates of the type {kind!r} are not supported.", code=UNSUPPORTED_TYPE)


def _on_blanks(text: str, declared: Container[str]) -> Iterator[str]:
    for tag in _BLANK_TAG.finditer(text):
        if (name := tag[1] or tag[2]) in declared:
            yield f"{tag[0]} stays as it is: in a normal template, write {{{{{name}}}}} without blanks"


def _normal(types: Mapping[str, str], values: Values, remark: Callable[[str], object]) -> RenderText:
    """Replace what stands exactly between the braces, blanks included; what is not declared stays as written."""

    def value_of(key: str) -> str:
        value = values.get(key)
        return (value and value.value) or ""

    def render_text(text: str) -> str:
        for each in _on_blanks(text, types):
            remark(each)
        pieces: list[str] = []
        size = done = 0
        for opening, closing in _tags(text):
            key = text[opening + 2 : closing]
            pieces += text[done:opening], value_of(key) if key in types else text[opening : closing + 2]
            done = closing + 2
            size += len(pieces[-1]) if len(pieces[-1]) > MAX_OUTPUT_BYTES else _bytes(pieces[-1])
            if size > MAX_OUTPUT_BYTES:
                raise _too_long("its text is longer than 1 MB")
        return "".join([*pieces, text[done:]])

    return render_text


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _tags(text: str) -> Iterable[tuple[int, int]]:
    """Yield where tags open and close; each search begins behind the one before, so that all take one pass."""
    done = 0
    while (opening := text.find("{{", done)) >= 0 and (closing := text.find("}}", opening + 2)) >= 0:
        yield opening, closing
        done = closing + 2
