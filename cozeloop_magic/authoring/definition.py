"""A prompt as text: the body of a ``%%loop_define`` cell, and of a ``KEY.prompt.md`` file.

::

    template: jinja2                            settings, as YAML; the section may be left out
    model: {temperature: 0.2}
    variables:
      review: {type: string, description: What a customer wrote}
    ---
    @system
    You tell how a customer feels.

    @placeholder history
    @user
    {{review}}

`parse_definition` gives the ``PromptDetail`` that Loop's API keeps (``POST /v1/loop/prompts/:id/drafts/save``), and
`format_definition` the text of one; either undoes the other, and the same detail always gives the same bytes.
"""

from __future__ import annotations

import ast
import difflib
import pprint
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cozeloop_magic.authoring.settings import MESSAGE_HINT, SEPARATOR, dump_settings, read_settings, read_variable
from cozeloop_magic.authoring.variables import infer_variables
from cozeloop_magic.cell.parse import take_expression
from cozeloop_magic.cell.slips import check_mark, refuse_typo
from cozeloop_magic.entities.prompt import ContentPart, Message, Role, TemplateType, VariableType
from cozeloop_magic.errors import CellError

__all__ = ["Definition", "format_definition", "literal", "parse_definition"]

Json = dict[str, Any]

_ROLES = ("user", "assistant", "system", "tool", "placeholder", "message")
_WRITTEN = ("system", "user", "assistant", "tool")
_MARK = re.compile(
    r"@(?P<role>system|user|assistant|tool|placeholder|message)(?:[ \t]+(?P<argument>[^\s=]+))?"
    r"[ \t]*(?:=(?!=)[ \t]*(?P<code>\S.*))?$"
)
_MERGE = re.compile(r"(<{7}|>{7}) \S")  # what git leaves where two versions of a file met
_WIDTH = 100


@dataclass(frozen=True)
class Definition:
    """A prompt as its text says it.

    Attributes
    ----------
    detail : dict
        ``PromptDetail`` as JSON: ``prompt_template``, ``model_config``, ``tools``, ``tool_call_config``.
    name, description : str
        The prompt's own, for people; empty where the text gives none.
    """

    detail: Json = field(default_factory=dict)
    name: str = ""
    description: str = ""


def literal(code: str) -> Any:
    """Return what a Python literal says; the way to read expressions where no notebook is."""
    try:
        return ast.literal_eval(code)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise CellError("outside of a notebook only text, a list or an object can stand behind `=`.") from None


def parse_definition(text: str, evaluate: Callable[[str], Any] = literal) -> Definition:
    """Read a definition.

    Parameters
    ----------
    text : str
        Settings, ``---``, and messages; without settings, messages alone.
    evaluate : callable
        Gives the value of the Python that ``@role = expression`` holds.

    Raises
    ------
    CellError
        With the line of what cannot be read.
    """
    lines = _lines(text)
    settings, below = read_settings(lines)
    messages = _parse_messages(lines, below, evaluate)
    template_type = settings.get("template") or TemplateType.NORMAL.value
    more: Json = settings.get("more") or {}
    template = {
        "template_type": template_type,
        "messages": messages,
        "variable_defs": _declared(settings.get("variables"), messages, template_type, lines),
        **more.get("prompt_template", {}),
    }
    detail: Json = {"prompt_template": template}
    for setting, name in (("model", "model_config"), ("tools", "tools"), ("tool_call_config", "tool_call_config")):
        if settings.get(setting) is not None:
            detail[name] = settings[setting]
    detail |= {name: value for name, value in more.items() if name != "prompt_template"}
    return Definition(detail, settings.get("name") or "", settings.get("description") or "")


def _lines(text: str) -> list[str]:
    return text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")


def _declared(written: Json | None, messages: Sequence[Json], template_type: str, lines: Sequence[str]) -> list[Json]:
    """Return the variables' definitions: those that are written first, then those that the text tells."""
    try:
        inferred = infer_variables(messages, template_type)
    except CellError as error:
        raise CellError(error.message, line=_line_of(error.source, lines), source=error.source) from None
    declared = []
    for key, said in (written or {}).items():
        if said is not None:
            declared.append(read_variable(key, said, inferred.get(key, VariableType.STRING.value), lines))
    rest = [{"key": key, "type": kind} for key, kind in inferred.items() if key not in (written or {})]
    return declared + rest


def _line_of(source: str, lines: Sequence[str]) -> int:
    return next((at for at, line in enumerate(lines, 1) if line == source), 1)


# Messages.


def _parse_messages(lines: Sequence[str], below: int, evaluate: Callable[[str], Any]) -> list[Json]:
    messages: list[Json] = []
    at = below
    while at < len(lines):
        mark = _MARK.match(lines[at])
        if mark is None:
            if lines[at].strip():
                _refuse_slip(lines[at], at)
                raise CellError("this text belongs to no message.", line=at + 1, source=lines[at], hint=MESSAGE_HINT)
            at += 1
            continue
        end = _end_of_text(lines, at + 1)
        message, at = _parse_message(mark, lines, at, end, evaluate)
        messages.append(message)
    if not messages:
        raise CellError("there is no message.", line=len(lines), hint=MESSAGE_HINT)
    return messages


def _end_of_text(lines: Sequence[str], at: int) -> int:
    """Give the index of the next mark; a text may hold no line that was probably meant as one."""
    for i in range(at, len(lines)):
        if _MARK.match(lines[i]):
            return i
        _refuse_slip(lines[i], i)
    return len(lines)


def _refuse_slip(line: str, at: int) -> None:
    refuse_typo(line, at, _ROLES)
    named = re.match(r"@(\w+)[ \t]+\w+\s*$", line)
    if named and difflib.get_close_matches(named[1].lower(), ["placeholder"], cutoff=0.75):
        raise CellError(
            f"there is no role {named[1]!r}.", line=at + 1, source=line, hint="Did you mean @placeholder?"
        )
    if _MERGE.match(line):
        raise CellError(
            "a merge left its marks in this text.", line=at + 1, source=line,
            hint="Choose between both texts; as a text of its own, write `@user = '...'`.",
        )  # fmt: skip


def _parse_message(
    mark: re.Match[str], lines: Sequence[str], at: int, end: int, evaluate: Callable[[str], Any]
) -> tuple[Json, int]:
    role, argument, code = mark["role"], mark["argument"], mark["code"]
    if role == Role.PLACEHOLDER:
        if not argument or code:
            raise CellError(
                "a placeholder names its variable.",
                line=at + 1,
                source=lines[at],
                hint="Write `@placeholder history`.",
            )
        return {"role": role, "content": argument}, at + 1
    if argument and role != Role.TOOL:
        raise CellError("this begins no message.", line=at + 1, source=lines[at], hint=MESSAGE_HINT)
    if role == Role.TOOL:
        check_mark(Role.TOOL, argument, at, lines[at])
    message: Json = {} if role == "message" else {"role": role}
    if argument:
        message["tool_call_id"] = argument
    if code is not None:
        expression, after = take_expression(lines, at, mark.start("code") + 1)
        return {**message, **_fields(_evaluated(expression, lines[at], at, evaluate), lines, at)}, after
    content = "\n".join(lines[at + 1 : end]).strip("\n")
    if not content.strip():
        raise CellError(f"the @{role} message is empty.", line=at + 1, source=lines[at])
    return {**message, "content": content}, end


def _evaluated(code: str, line: str, at: int, evaluate: Callable[[str], Any]) -> Any:
    try:
        return evaluate(code)
    except CellError as error:
        raise CellError(error.message, line=at + 1, source=line, hint=error.hint) from None
    except Exception as error:
        raise CellError(
            f"the expression raised {type(error).__name__}: {error}.", line=at + 1, source=line
        ) from error


def _fields(value: Any, lines: Sequence[str], at: int) -> Json:
    """Return a message's fields: of text, of content parts, of a message, or of fields by name."""
    if isinstance(value, str):
        return {"content": str(value)}
    if isinstance(value, Message):
        return {name: each for name, each in value.to_json().items() if name != "role"}
    if isinstance(value, dict):
        return value
    parts = [value] if isinstance(value, ContentPart) else value
    if isinstance(parts, (list, tuple)) and all(isinstance(part, (ContentPart, dict)) for part in parts):
        return {"parts": [part.to_json() if isinstance(part, ContentPart) else part for part in parts]}
    raise CellError(
        f"a message is text, content parts or fields, not of type {type(value).__name__}.",
        line=at + 1,
        source=lines[at],
    )


# The text of a definition.


def format_definition(definition: Definition) -> str:
    """Return the text that `parse_definition` reads as this definition, the same bytes for the same definition."""
    detail = _without_nothing(definition.detail)
    template = dict(detail.pop("prompt_template", {}))
    template_type = template.pop("template_type", TemplateType.NORMAL.value)
    messages = template.pop("messages", [])
    settings = {
        "name": definition.name,
        "description": definition.description,
        "template": "" if template_type == TemplateType.NORMAL else template_type,
        "model": detail.pop("model_config", None),
        "variables": _written(template.pop("variable_defs", []), _inferred(messages, template_type)),
        "tools": detail.pop("tools", None),
        "tool_call_config": detail.pop("tool_call_config", None),
        "more": detail | ({"prompt_template": template} if template else {}),
    }
    head = dump_settings({name: value for name, value in settings.items() if value})
    body = "\n".join(map(_format_message, messages))
    return f"{head}{SEPARATOR}\n{body}" if head else body


def _inferred(messages: Sequence[Json], template_type: str) -> dict[str, str]:
    """Return what the messages tell of the variables: nothing where no one can parse them."""
    try:
        return infer_variables(messages, template_type)
    except CellError:
        return {}


def _written(definitions: Sequence[Json], inferred: Mapping[str, str]) -> Json:
    """Return what must be said of the variables, beyond what the messages tell."""
    if [(each["key"], dict(each)) for each in definitions] == [
        (key, {"key": key, "type": kind}) for key, kind in inferred.items()
    ]:
        return {}
    written: Json = {}
    for each in definitions:
        fields = {name: value for name, value in each.items() if name != "key"}
        if "desc" in fields:
            fields["description"] = fields.pop("desc")
        written[each["key"]] = fields["type"] if fields.keys() == {"type"} else fields
    return written | {key: None for key in inferred if key not in written}


def _format_message(message: Json) -> str:
    role, content = message.get("role"), message.get("content")
    fields = {name: value for name, value in message.items() if name != "role"}
    marks = [f"@{role}"] if role in (*_WRITTEN, "placeholder") else []
    if "tool_call_id" in fields and role == Role.TOOL:
        marks = [f"@{role} {fields['tool_call_id']}"]
    for mark in marks:
        kept = {name: value for name, value in fields.items() if not mark.endswith(f" {value}") or name == "content"}
        for text in (f"{mark} {content}\n", f"{mark}\n{content}\n", f"{mark} = {_python(kept)}\n"):
            if _reads_as(text, message):
                return text
    return f"@message = {_python(message)}\n"


def _reads_as(text: str, message: Json) -> bool:
    try:
        return _parse_messages(_lines(text), 0, literal) == [message]
    except CellError:
        return False


def _python(fields: Json) -> str:
    """Write a message's fields as a Python literal: text alone, parts alone, or all by name."""
    if fields.keys() == {"content"}:
        lines = str(fields["content"]).splitlines(keepends=True)
        return (
            "(\n" + "".join(f"    {line!r}\n" for line in lines) + ")" if len(lines) > 1 else repr(fields["content"])
        )
    return pprint.pformat(fields["parts"] if fields.keys() == {"parts"} else fields, width=_WIDTH)


def _without_nothing(value: Any) -> Any:
    """Return JSON without what is null, at any depth: servers leave out what they do not know."""
    if isinstance(value, Mapping):
        return {name: _without_nothing(each) for name, each in value.items() if each is not None}
    return [_without_nothing(each) for each in value] if isinstance(value, (list, tuple)) else value
