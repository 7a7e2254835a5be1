"""What stands above ``---`` in a definition: settings, as YAML that reads text as it is written."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import yaml

from cozeloop_magic.cell.literal import NUMBER, parse_yaml
from cozeloop_magic.cell.slips import is_like_separator
from cozeloop_magic.entities.prompt import TemplateType, VariableType
from cozeloop_magic.errors import CellError

__all__ = ["MESSAGE_HINT", "SEPARATOR", "dump_settings", "read_settings", "read_variable"]

Json = dict[str, Any]

SEPARATOR = "---"
MESSAGE_HINT = "A message begins with a line @system, @user, @assistant or @placeholder NAME; its text stands below."
_SETTINGS = ("name", "description", "template", "model", "variables", "tools", "tool_call_config", "more")
_OWN = ("model_config", "tools", "tool_call_config")  # fields of a detail that have a setting of their own
_TEMPLATES = (*map(str, TemplateType), "go_template", "custom_template_m")
_ON_THE_LINE = ("version", "bump", "message", "draft", "base", "label", "key", "prompt_key")
_KINDS = {
    "name": (str, "text"),
    "description": (str, "text"),
    "template": (str, "normal or jinja2"),
    "model": (dict, "an object such as {temperature: 0.2}"),
    "variables": (dict, "an object such as {review: {type: string}}"),
    "tools": (list, "a list of objects"),
    "tool_call_config": (dict, "an object such as {tool_choice: auto}"),
    "more": (dict, "an object"),
}
_WIDTH = 100


def read_settings(lines: Sequence[str]) -> tuple[Json, int]:
    """Read what stands above ``---``; return it with the index of the first line below.

    Raises
    ------
    CellError
        With the line of what cannot be read, or is no setting.
    """
    first = next((at for at, line in enumerate(lines) if line.strip()), None)
    if first is not None and lines[first].startswith("@"):
        return {}, 0
    end = next((at for at, line in enumerate(lines) if line.rstrip() == SEPARATOR), None)
    if end is None:
        raise _no_separator(lines)
    if end == first and any(line.rstrip() == SEPARATOR for line in lines[end + 1 :]) and not _begins(lines, end + 1):
        raise CellError(
            "nothing stands above the first `---`.", line=end + 1, source=lines[end],
            hint="Take the first `---` away: settings stand above the line, messages below it.",
        )  # fmt: skip
    settings = _read_yaml(lines[:end])
    for name in settings:
        _check_name(name, lines)
    for name, value in settings.items():
        settings[name] = _checked(name, value, _line_of(lines, name))
    return settings, end + 1


def _begins(lines: Sequence[str], at: int) -> bool:
    """Tell whether the next text below is the mark of a message."""
    return next((line for line in lines[at:] if line.strip()), "").startswith("@")


def _no_separator(lines: Sequence[str]) -> CellError:
    for at, line in enumerate(lines):
        if line.strip() and is_like_separator(line):
            return CellError(
                "this is no separator.", line=at + 1, source=line, hint="Write three plain hyphens: `---`."
            )
    return CellError("there is no message.", line=len(lines), hint=f"Settings end with a line `---`. {MESSAGE_HINT}")


def _read_yaml(lines: Sequence[str]) -> Json:
    for at, line in enumerate(lines):
        if line.lstrip(" ").startswith("\t") and line.strip():
            raise CellError(
                "a tab is no indent in YAML.", line=at + 1, source=line, hint="Indent settings with blanks."
            )
    try:
        settings = parse_yaml("\n".join(lines))
    except CellError as error:
        if "mapping values" in error.message:
            error.hint = "Put text that holds a colon in quotes."
        raise
    if settings is not None and not isinstance(settings, dict):
        raise CellError("the settings must be `name: value` lines.", line=1, hint=MESSAGE_HINT)
    return settings or {}


def _check_name(name: Any, lines: Sequence[str]) -> None:
    if name in _SETTINGS:
        return
    close = difflib.get_close_matches(str(name), _SETTINGS, n=1)
    hint = f"The settings are {', '.join(_SETTINGS)}."
    if name in _ON_THE_LINE:
        hint = "It is no part of a prompt's text: key, version and message stand on the line of the command."
    meant = f" (did you mean {close[0]}?)" if close else ""
    raise CellError(f"there is no setting {name}{meant}.", line=_line_of(lines, str(name)), hint=hint)


def _checked(name: str, value: Any, line: int) -> Any:
    """Return a setting's value as JSON has it."""
    kind, expected = _KINDS[name]
    if value is None:
        return None
    if kind is str and isinstance(value, (int, Decimal)) and not isinstance(value, bool) and "E" not in str(value):
        return str(value)  # with its digits, as it is written
    if not isinstance(value, kind):
        quotes = "; put it in quotes" if expected == "text" and not isinstance(value, (dict, list)) else ""
        raise CellError(f"{name} must be {expected}{quotes}.", line=line)
    if name == "template" and value not in _TEMPLATES:
        raise CellError(f"template is {value!r}; it must be normal or jinja2.", line=line)
    if name == "variables":
        return {_key(key, line): said for key, said in value.items()}
    checked = _json(value, line)
    if name == "tools":
        return [_tool(tool, line) for tool in checked]
    if name == "more":
        _check_more(checked, line)
    return checked


def _key(key: Any, line: int) -> str:
    if isinstance(key, bool) or key is None:
        raise CellError(f"{'null' if key is None else str(key).lower()} names no variable.", line=line,
                        hint="Put the name in quotes.")  # fmt: skip
    return str(key)


def _json(value: Any, line: int) -> Any:
    """Return numbers as JSON has them, at any depth."""
    if isinstance(value, dict):
        return {str(name): _json(each, line) for name, each in value.items()}
    if isinstance(value, list):
        return [_json(each, line) for each in value]
    if isinstance(value, Decimal):
        if not math.isfinite(number := float(value)):
            raise CellError(f"{value} is no finite number.", line=line)
        return number
    return value


def _tool(tool: Any, line: int) -> Json:
    """Return a tool as the wire has it: its parameters are JSON text, which may be written as YAML."""
    if not isinstance(tool, dict):
        raise CellError(
            "tools must be a list of objects.", line=line, hint="Write {type: function, function: {...}}."
        )
    function = tool.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("parameters"), dict):
        return tool
    parameters = json.dumps(function["parameters"], ensure_ascii=False)
    return {**tool, "function": {**function, "parameters": parameters}}


def _check_more(more: Json, line: int) -> None:
    if own := [name for name in _OWN if name in more]:
        raise CellError(f"{own[0]} has a setting of its own, and is not among `more`.", line=line)
    template = more.get("prompt_template", {})
    if not isinstance(template, dict) or template.keys() & {"messages", "variable_defs", "template_type"}:
        raise CellError("more.prompt_template holds what has no setting of its own, by name.", line=line)


def _line_of(lines: Sequence[str], name: str) -> int:
    return next((at for at, line in enumerate(lines, 1) if re.match(rf"[\"']?{re.escape(name)}[\"']?\s*:", line)), 1)


def read_variable(key: str, said: Any, inferred: str, lines: Sequence[str]) -> Json:
    """Return a variable's definition: `said` is its type, or an object with its type and description.

    Parameters
    ----------
    inferred : str
        The type that the template tells.
    lines : sequence of str
        The definition, to tell where a mistake stands.
    """
    line = next((at for at, each in enumerate(lines, 1) if re.search(rf"\b{re.escape(key)}\b", each)), 1)
    fields = {"type": said} if isinstance(said, str) else dict(said) if isinstance(said, dict) else None
    if fields is None:
        raise CellError(
            f"the variable {key} is neither a type nor an object.", line=line, hint="Write {type: string}."
        )
    kind = fields.pop("type", inferred)
    types = [str(each) for each in VariableType]
    if kind not in types:
        raise CellError(
            f"the variable {key} has the type {kind!r}.", line=line, hint=f"The types are {', '.join(types)}."
        )
    if "description" in fields:
        fields = {"desc": _checked("description", fields.pop("description"), line), **fields}
    return {"key": key, "type": kind, **_json(fields, line)}


class _Dumper(yaml.SafeDumper):
    """Quotes also what only `parse_yaml` takes for something else than text, and writes nothing as a reference."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, _pattern, _first in (
    ("float", NUMBER.pattern, "-+.0123456789"),
    ("null", r"None|NaN|nan|-?inf|-?Infinity", "Nni-I"),
):
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))


def dump_settings(settings: Json) -> str:
    """Write each setting on a line of its own; what is within one is flow where it is short."""
    return "".join(
        yaml.dump(
            {name: value},
            Dumper=_Dumper,
            sort_keys=False,
            allow_unicode=True,
            default_flow_style=None if isinstance(value, (dict, list)) else False,
            width=_WIDTH,
        )
        for name, value in settings.items()
    )
