"""Whether text that is sent as it is written was probably meant as Python of the notebook. Pure."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping
from typing import Any

__all__ = ["meant_as_python"]

_LONGEST = 200  # characters: what is longer is text
_SHOWN = 60  # characters of an expression in a note
_TABLES = ("pandas", "polars")


def meant_as_python(text: Any, names: Mapping[str, Any]) -> str | None:
    """Return the expression of the notebook that a variable's text reads as, or None.

    It does if every name in it is defined, and it is an attribute that is there, an item, a call of a function or an
    f-string (``df.text``, ``rows[0]``, ``{df.text[0]}``, ``load(path)``); or if it is the bare name of a text or a
    table. Words of a language are neither, unless a variable of the notebook is called so and holds a text.

    Parameters
    ----------
    text : Any
        The value as it is written; only text can be meant so.
    names : Mapping[str, Any]
        The user's own names.

    Examples
    --------
    >>> meant_as_python("{rows[0]}", {"rows": ["a"]})
    'rows[0]'
    >>> meant_as_python("rows", {"rows": ["a"]})
    """
    if not isinstance(text, str) or len(text) > _LONGEST or "\n" in text:
        return None
    code = text.strip()
    if code.startswith("{") and code.endswith("}"):
        code = code[1:-1].strip()
    code = code.removeprefix("$")
    try:
        tree = ast.parse(code, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if not _is_expression(tree, names):
        return None
    return code if len(code) <= _SHOWN else "..."


def _is_expression(tree: ast.expr, names: Mapping[str, Any]) -> bool:
    if isinstance(tree, ast.Name):
        return tree.id in names and _is_text_or_table(names[tree.id])
    used = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    own = any(name in names for name in used)
    return own and all(name in names or hasattr(builtins, name) for name in used) and _is_python(tree, names)


def _is_python(tree: ast.expr, names: Mapping[str, Any]) -> bool:
    """Whether an expression, or a part of a sum of them, does what words do not."""
    match tree:
        case ast.Attribute(ast.Name(id), attribute) if id in names:
            return _has(names[id], attribute)
        case ast.Subscript(ast.Name(id)) if id in names:
            return hasattr(type(names[id]), "__getitem__")
        case ast.Attribute(inner) | ast.Subscript(inner):
            return _is_python(inner, names)
        case ast.Call(ast.Name(id)):
            return callable(names.get(id, getattr(builtins, id, None)))
        case ast.Call(function):
            return _is_python(function, names)
        case ast.BinOp(left, _, right):
            python = [_is_python(side, names) for side in (left, right)]
            plain = [isinstance(side, (ast.Constant, ast.Name)) for side in (left, right)]
            return any(python) and (python[0] or plain[0]) and (python[1] or plain[1])
        case ast.JoinedStr(parts):
            return any(isinstance(part, ast.FormattedValue) for part in parts)
    return False


def _has(value: Any, attribute: str) -> bool:
    try:
        return attribute in dir(value)
    except Exception:  # a `__dir__` of the user's own
        return False


def _is_text_or_table(value: Any) -> bool:
    return isinstance(value, str) or type(value).__module__.partition(".")[0] in _TABLES
