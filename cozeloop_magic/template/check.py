"""Checking variables against what a prompt declares, before anything is sent.

A Loop server renders a variable it was not sent as nothing, and ignores one it does not know, both without a word;
so a slip of the pen would give a fluent answer to a question nobody asked.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from cozeloop_magic.entities.prompt import Prompt, VariableDef, VariableType
from cozeloop_magic.entities.variables import decode, encode
from cozeloop_magic.errors import VariableError
from cozeloop_magic.printable import printable

__all__ = ["check_variables"]

_LONGEST = 120  # characters of what a variable is for

_WAYS: dict[str, str] = {
    VariableType.BOOLEAN: "write true or false",
    VariableType.INTEGER: "write a whole number",
    VariableType.FLOAT: "write a number",
    VariableType.OBJECT: 'write JSON such as {"name": "value"}',
    VariableType.ARRAY_STRING: 'write a list such as ["a", "b"]',
    VariableType.ARRAY_BOOLEAN: "write a list such as [true, false]",
    VariableType.ARRAY_INTEGER: "write a list such as [1, 2]",
    VariableType.ARRAY_FLOAT: "write a list such as [1.5, 2]",
    VariableType.ARRAY_OBJECT: 'write a list such as [{"name": "value"}]',
}


def check_variables(prompt: Prompt, values: Mapping[str, Any], *, chosen: bool = True) -> None:
    """Check that every declared variable has a value of its type, and that no other is given.

    Parameters
    ----------
    chosen : bool
        Whether the version was asked for; if not, the message says that it is the latest.

    Raises
    ------
    VariableError
        That names everything that is wrong at once, with the variable that was probably meant.
    """
    if prompt.prompt_template is None:
        return
    declared = {definition.key: definition for definition in prompt.variable_defs}
    missing = [key for key in declared if key not in values]
    problems = _unknown([key for key in values if key not in declared], missing, list(declared))
    problems += [_missing(declared[key]) for key in missing]
    for key, definition in declared.items():
        if key in values:
            problems += _mistyped(definition, values[key])
    if problems:
        which = "" if chosen else " (the latest; --version or --label chooses another)"
        raise VariableError(printable(f"{prompt.prompt_key} @ {prompt.version}{which}: {'. '.join(problems)}."))


def _unknown(unknown: list[str], missing: list[str], declared: list[str]) -> list[str]:
    """Say which variables there are not; those that were probably meant are taken off `missing`."""
    problems, strange = [], []
    for key in unknown:
        close = difflib.get_close_matches(key, missing, n=1) or difflib.get_close_matches(key, declared, n=1)
        if not close:
            strange.append(key)
            continue
        if close[0] in missing:
            missing.remove(close[0])
        problems.append(f"there is no variable {key} (did you mean {close[0]}?)")
    if strange:
        are_no = "is no variable" if len(strange) == 1 else "are no variables"
        problems.append(f"there {are_no} {', '.join(strange)}; {_known(declared)}")
    return problems


def _known(declared: list[str]) -> str:
    if len(declared) == 1:
        return f"its only variable is {declared[0]}"
    return f"its variables are {', '.join(declared)}" if declared else "it has none"


def _missing(definition: VariableDef) -> str:
    """Say that a variable is missing: what it is for, and how to give it or to leave it empty."""
    key, purpose = definition.key, " ".join((definition.desc or "").split()).rstrip(".。")
    shown = purpose if len(purpose) <= _LONGEST else purpose[:_LONGEST] + "…"
    told = f"{key} is missing ({shown})" if shown else f"{key} is missing"
    if definition.type == VariableType.PLACEHOLDER:
        return f"{told}; write `{key} = ...` with a list of messages, or `{key} = []` for none"
    return f'{told}; write `{key}: ...`, or `{key}: ""` (or `--var {key}=`) to leave it empty on purpose'


def _mistyped(definition: VariableDef, value: Any) -> list[str]:
    key, kind, sent = definition.key, definition.type, encode(definition.key, value)
    if kind == VariableType.PLACEHOLDER:
        fits = sent.placeholder_messages is not None or sent.value == "[]"
        return [] if fits else [f"{key} must be messages: `{key} = [Message('user', '...')]`"]
    if kind == VariableType.MULTI_PART:
        fits = sent.multi_part_values is not None or sent.value == "[]"
        return [] if fits else [f"{key} must be content parts: `{key} = [ContentPart(type='text', text='...')]`"]
    if sent.value is None:
        return [f"{key} must be {kind}, not messages or content parts; for the text of one, write `{key} = str(...)`"]
    if kind == VariableType.STRING:
        return _not_text(key, value, sent.value)
    if not sent.value or _fits(kind, sent.value):
        return []
    shown = sent.value if len(sent.value) <= 40 else sent.value[:40] + "…"
    return [f"{key} must be {kind}, not {shown!r}; {_WAYS.get(kind, 'mend it')}"]


def _fits(kind: str, text: str) -> bool:
    """Tell whether a server can read the text, and whether what it reads is what the type's name says."""
    try:
        value = decode(kind, text)
    except ValueError:
        return False
    if kind == VariableType.OBJECT:
        return isinstance(value, dict)
    if kind == VariableType.ARRAY_OBJECT:
        return isinstance(value, list) and all(isinstance(item, dict) for item in value)
    return True


def _not_text(key: str, value: Any, sent: str) -> list[str]:
    if value is None:
        return [f'{key} is None, which would be sent as the word null; `{key}: ""` leaves it empty on purpose']
    if isinstance(value, str) or sent[:1] not in ("[", "{"):
        return []
    wrong = f"{key} must be text, not a {type(value).__name__}"
    if isinstance(value, Mapping):
        return [f"{wrong}; put it in quotes, or run `import json` and write `{key} = json.dumps(..., default=str)`"]
    quotes = "put it in quotes, or " if isinstance(value, list) else ""
    as_json = f" or `{key} = (...).to_json()`" if hasattr(value, "to_json") else ""
    return [f'{wrong}; {quotes}write `{key} = "\\n".join(map(str, ...))`{as_json}']
