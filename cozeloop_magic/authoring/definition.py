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

import yaml

from cozeloop_magic.authoring.variables import infer_variables
from cozeloop_magic.entities.prompt import ContentPart, Message, Role, TemplateType, VariableType
from cozeloop_magic.errors import CellError

__all__ = ["Definition", "format_definition", "literal", "parse_definition"]

Json = dict[str, Any]

_SEPARATOR = "---"
_SETTINGS = ("name", "description", "template", "model", "variables", "tools", "tool_call_config", "more")
_WRITTEN = ("system", "user", "assistant", "tool")
_MARK = re.compile(
    r"@(?P<role>system|user|assistant|tool|placeholder|message)(?:[ \t]+(?P<argument>[^\s=]+))?"
    r"[ \t]*(?:=(?!=)[ \t]*(?P<code>\S.*))?$"
)
_HINT = "A message begins with a line @system, @user, @assistant or @placeholder NAME; its text stands below."
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
    return ast.literal_eval(code)


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
    settings, below = _parse_settings(lines)
    messages = _parse_messages(lines, below, evaluate)
    template_type = settings.get("template", TemplateType.NORMAL.value)
    more: Json = settings.get("more") or {}
    template = {
        "template_type": template_type,
        "messages": messages,
        "variable_defs": _declared(settings.get("variables"), messages, template_type),
        **more.get("prompt_template", {}),
    }
    detail: Json = {"prompt_template": template}
    for setting, name in (("model", "model_config"), ("tools", "tools"), ("tool_call_config", "tool_call_config")):
        if settings.get(setting) is not None:
            detail[name] = settings[setting]
    detail |= {name: value for name, value in more.items() if name != "prompt_template"}
    return Definition(detail, str(settings.get("name") or ""), str(settings.get("description") or ""))


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").split("\n")


# Settings.


def _parse_settings(lines: Sequence[str]) -> tuple[Json, int]:
    """Read what stands above ``---``; return it with the index of the first line below."""
    first = next((line for line in lines if line.strip()), "")
    if _MARK.match(first):
        return {}, 0
    end = next((at for at, line in enumerate(lines) if line.rstrip() == _SEPARATOR), None)
    if end is None:
        raise CellError("there is no message.", line=len(lines), hint=f"Settings end with a line `---`. {_HINT}")
    settings = _read_yaml("\n".join(lines[:end]))
    for name in settings:
        if name not in _SETTINGS:
            close = difflib.get_close_matches(str(name), _SETTINGS, n=1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            raise CellError(
                f"there is no setting {name}{meant}.", line=_line_of(lines, str(name)),
                hint=f"The settings are {', '.join(_SETTINGS)}.",
            )  # fmt: skip
    _check_settings(settings, lines)
    return settings, end + 1


def _read_yaml(text: str) -> Json:
    try:
        settings = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = error.problem or "it cannot be read"
        source = dict(enumerate(text.split("\n"), 1)).get(line, "")
        raise CellError(f"the settings are no YAML: {problem}.", line=line, source=source) from None
    except (yaml.YAMLError, ValueError) as error:
        raise CellError(f"the settings are no YAML: {str(error).splitlines()[0]}.", line=1) from None
    if settings is not None and not isinstance(settings, dict):
        raise CellError("the settings must be `name: value` lines.", line=1, hint=_HINT)
    return settings or {}


def _check_settings(settings: Json, lines: Sequence[str]) -> None:
    kinds = {
        "template": (str, "normal or jinja2"),
        "model": (dict, "an object such as {temperature: 0.2}"),
        "variables": (dict, "an object such as {review: {type: string}}"),
        "tools": (list, "a list of objects"),
        "tool_call_config": (dict, "an object such as {tool_choice: auto}"),
        "more": (dict, "an object"),
    }
    for name, (kind, expected) in kinds.items():
        value = settings.get(name)
        if value is not None and not isinstance(value, kind):
            raise CellError(f"{name} must be {expected}.", line=_line_of(lines, name))
    template = settings.get("template", "normal")
    if template not in [str(kind) for kind in TemplateType]:
        raise CellError(f"template is {template!r}; it must be normal or jinja2.", line=_line_of(lines, "template"))


def _line_of(lines: Sequence[str], name: str) -> int:
    return next((at for at, line in enumerate(lines, 1) if line.startswith(f"{name}:")), 1)


def _declared(written: Json | None, messages: Sequence[Json], template_type: str) -> list[Json]:
    """Return the variables' definitions: those that are written first, then those that the text tells."""
    inferred = infer_variables(messages, template_type)
    declared = []
    for key, said in (written or {}).items():
        if said is not None:
            declared.append(_variable(str(key), said, inferred.get(str(key), VariableType.STRING.value)))
    rest = [{"key": key, "type": kind} for key, kind in inferred.items() if key not in (written or {})]
    return declared + rest


def _variable(key: str, said: Any, inferred: str) -> Json:
    fields = {"type": said} if isinstance(said, str) else dict(said) if isinstance(said, dict) else None
    if fields is None:
        raise CellError(f"the variable {key} is neither a type nor an object.", line=1, hint="Write {type: string}.")
    kind = fields.pop("type", inferred)
    types = [str(each) for each in VariableType]
    if kind not in types:
        raise CellError(
            f"the variable {key} has the type {kind!r}.", line=1, hint=f"The types are {', '.join(types)}."
        )
    if "description" in fields:
        fields = {"desc": fields.pop("description"), **fields}
    return {"key": key, "type": kind, **fields}


# Messages.


def _parse_messages(lines: Sequence[str], below: int, evaluate: Callable[[str], Any]) -> list[Json]:
    messages: list[Json] = []
    at = below
    while at < len(lines):
        mark = _MARK.match(lines[at])
        if mark is None:
            if lines[at].strip():
                raise CellError("this text belongs to no message.", line=at + 1, source=lines[at], hint=_HINT)
            at += 1
            continue
        end = next((i for i in range(at + 1, len(lines)) if _MARK.match(lines[i])), len(lines))
        message, at = _parse_message(mark, lines, at, end, evaluate)
        messages.append(message)
    if not messages:
        raise CellError("there is no message.", line=len(lines), hint=_HINT)
    return messages


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
        raise CellError("this begins no message.", line=at + 1, source=lines[at], hint=_HINT)
    message: Json = {} if role == "message" else {"role": role}
    if argument:
        message["tool_call_id"] = argument
    if code is not None:
        expression, after = _expression(code, lines, at, evaluate)
        return {**message, **_fields(expression, lines, at)}, after
    content = "\n".join(lines[at + 1 : end]).strip("\n")
    if not content.strip():
        raise CellError(f"the @{role} message is empty.", line=at + 1, source=lines[at])
    return {**message, "content": content}, end


def _expression(code: str, lines: Sequence[str], at: int, evaluate: Callable[[str], Any]) -> tuple[Any, int]:
    """Evaluate the Python that begins on a line; brackets go over several. Return it with the index after it."""
    taken = [code]
    while True:
        after = at + len(taken)
        text = "\n".join(taken)
        try:
            ast.parse(text, mode="eval")
        except SyntaxError as error:
            if after >= len(lines):
                message = f"this is no Python expression: {error.msg}."
                raise CellError(message, line=at + 1, source=lines[at]) from None
            taken.append(lines[after])
            continue
        try:
            return evaluate(text), after
        except CellError:
            raise
        except Exception as error:
            raise CellError(
                f"the expression raised {type(error).__name__}: {error}.", line=at + 1, source=lines[at]
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
        "variables": _written(template.pop("variable_defs", []), infer_variables(messages, template_type)),
        "tools": detail.pop("tools", None),
        "tool_call_config": detail.pop("tool_call_config", None),
        "more": detail | ({"prompt_template": template} if template else {}),
    }
    head = _dump({name: value for name, value in settings.items() if value})
    body = "\n".join(map(_format_message, messages))
    return f"{head}{_SEPARATOR}\n{body}" if head else body


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


def _dump(settings: Json) -> str:
    """Write each setting on a line of its own; what is within one is flow where it is short."""
    return "".join(
        yaml.safe_dump(
            {name: value},
            sort_keys=False,
            allow_unicode=True,
            default_flow_style=None if isinstance(value, (dict, list)) else False,
            width=_WIDTH,
        )
        for name, value in settings.items()
    )


def _without_nothing(value: Any) -> Any:
    """Return JSON without what is null, at any depth: servers leave out what they do not know."""
    if isinstance(value, Mapping):
        return {name: _without_nothing(each) for name, each in value.items() if each is not None}
    return [_without_nothing(each) for each in value] if isinstance(value, (list, tuple)) else value
