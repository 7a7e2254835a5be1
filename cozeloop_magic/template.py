"""Rendering a prompt by the server's rules: messages and values in, the messages the model sees out.

The embedded Loop and a dry run share it, so both show what the platform would do. It is pure, except that a jinja2
template may run for up to ten seconds.

What the limits on jinja2 templates cover: the clock is looked at before every call and every turn of a loop, and
the size of text before it is joined, multiplied or written. What they cannot stop is a single filter or string
method that is slow or vast by itself, such as ``"x"|center(10**9)``: Python cannot interrupt it.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cozeloop_magic.entities.prompt import ContentPart, ContentType, Message, Prompt, Role, TemplateType, VariableType
from cozeloop_magic.entities.variables import VariableVal, decode
from cozeloop_magic.errors import ConfigurationError, RemoteError, remote_error

if TYPE_CHECKING:
    from jinja2.nodes import Template as Syntax
    from jinja2.sandbox import SandboxedEnvironment

__all__ = ["MAX_OUTPUT_BYTES", "MAX_RANGE", "MAX_SECONDS", "render"]

MAX_OUTPUT_BYTES = 1024 * 1024
MAX_SECONDS = 10.0
MAX_RANGE = 10_000
MAX_INTEGER_BITS = 65_536

INVALID_PARAMETER = 600500202
PARSE_FAILED = 600501004
RENDER_FAILED = 600501005

_SPOKEN = (Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.TOOL)
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
            raise _invalid(f"An appended message has the role {message.role!r}, which nobody speaks.")
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
            raise _invalid(f"Placeholder {key} holds a message with the role {message.role!r}, which nobody speaks.")
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
        return _jinja2(_decoded(types, values))
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
            except ValueError:
                shown = value.value if len(value.value) <= 80 else f"{value.value[:80]}..."
                raise _invalid(f"Variable {key} is declared {types[key]}, but its value is {shown!r}.") from None
    return decoded


def _jinja2(variables: Mapping[str, Any]) -> RenderText:
    try:
        from jinja2 import TemplateError, TemplateSyntaxError
    except ImportError:
        raise ConfigurationError(
            "This prompt is a jinja2 template, and Jinja2 is not installed.",
            hint='Run: pip install "cozeloop-magic[local]"',
        ) from None
    deadline = time.monotonic() + MAX_SECONDS

    def render_text(text: str) -> str:
        environment = _sandbox(deadline)
        try:
            return environment.from_string(_restricted(environment, text)).render(variables)
        except TemplateSyntaxError as error:
            why = str(error.message).rstrip(".")
            message = f"The template cannot be parsed: {why} (line {error.lineno})."
            raise remote_error(message, code=PARSE_FAILED) from error
        except (TemplateError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
            why = str(error).rstrip(".")
            raise remote_error(f"The template cannot be rendered: {why}.", code=RENDER_FAILED) from error

    return render_text


def _restricted(environment: SandboxedEnvironment, text: str) -> Syntax:
    """Parse a template, refuse what reads other templates, and put the limits where Jinja2 has no hook for them."""
    from jinja2 import TemplateSyntaxError, nodes
    from jinja2.visitor import NodeTransformer

    syntax = environment.parse(text)
    for node in syntax.find_all((nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)):
        raise TemplateSyntaxError("include, extends, import and from are not allowed", node.lineno)

    def call(method: str, arguments: list[nodes.Expr]) -> nodes.Call:
        return nodes.Call(nodes.EnvironmentAttribute(method), arguments, [], None, None)

    class Limits(NodeTransformer):
        def visit_For(self, node: nodes.For) -> nodes.For:
            self.generic_visit(node)
            node.body.insert(0, nodes.ExprStmt(call("look_at_clock", [])))
            return node

        def visit_Concat(self, node: nodes.Concat) -> nodes.Call:
            self.generic_visit(node)
            return call("join_text", node.nodes)

    Limits().visit(syntax)
    syntax.set_lineno(1)
    return syntax


def _sandbox(deadline: float) -> SandboxedEnvironment:
    """Make an environment for one text: sandboxed, and with the server's limits."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Sandbox(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset({"+", "*", "**"})

        @staticmethod
        def concat(pieces: Iterable[str]) -> str:
            return _joined(pieces, deadline)

        def join_text(self, *values: Any) -> str:
            return _joined(map(str, values), deadline)

        def look_at_clock(self) -> None:
            _look_at_clock(deadline)

        def call(self, *args: Any, **kwargs: Any) -> Any:
            _look_at_clock(deadline)
            return super().call(*args, **kwargs)

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            _check_operands(operator, left, right)
            return super().call_binop(context, operator, left, right)

    environment = Sandbox()
    environment.globals["range"] = _short_range
    del environment.globals["lipsum"]
    return environment


def _look_at_clock(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise ValueError(f"it takes longer than {MAX_SECONDS:g} s")


def _joined(pieces: Iterable[str], deadline: float) -> str:
    joined, size = [], 0
    for piece in pieces:
        size += len(piece.encode(errors="surrogatepass"))
        if size > MAX_OUTPUT_BYTES:
            raise ValueError("its text is longer than 1 MB")
        _look_at_clock(deadline)
        joined.append(piece)
    return "".join(joined)


def _check_operands(operator: str, left: Any, right: Any) -> None:
    """Refuse a product, power or sum that would be vast before it is computed."""
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
        if bits > MAX_INTEGER_BITS:
            raise ValueError("a number in it is too large")
    size = _size(left) + _size(right) if operator == "+" else _size(left) * _size(right)
    if operator != "**" and size > MAX_OUTPUT_BYTES and not (_is_number(left) and _is_number(right)):
        raise ValueError("a text or list in it is longer than 1 MB")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _size(value: Any) -> int:
    if isinstance(value, int):
        return abs(value)
    return len(value) if hasattr(value, "__len__") else 1


def _short_range(*args: int) -> range:
    numbers = range(*args)
    if len(numbers) > MAX_RANGE:
        raise ValueError(f"a range in it is longer than {MAX_RANGE:,}")
    return numbers
