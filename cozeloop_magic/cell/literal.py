"""A literal in a cell: text as it is written, or what YAML marks by its first character. Pure.

YAML is read so that nothing is lost or changed without a word: a number keeps its digits, and comments that would cut
a value, keys given twice, anchors and tags are refused.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import yaml

from cozeloop_magic.errors import CellError

__all__ = [
    "BLANKS",
    "BLOCK",
    "NUMBER",
    "common_indent",
    "opens",
    "parse_block",
    "parse_value",
    "parse_yaml",
    "refuse_path",
]

BLANKS = " \t"
"""What around a value is no part of it; other blanks, such as U+3000, are text."""

BLOCK = re.compile(r"[|>][-+]?")
"""What stands after ``name:`` where the text is indented below it."""

_WINDOWS_PATH = re.compile(r'"(?:[A-Za-z]:|\.{1,2}|\\)?\\[^\\"]')
_TEXT = "tag:yaml.org,2002:str"
_ESCAPES_ALONE = re.compile(r'"\.{0,2}(?:\\[nrt])+"')  # ".\n" is a full stop and a line break
_PATH_WITHIN = re.compile(r'"(?:[A-Za-z]:|\.{1,2})(?:\\[^\\/:*?"<>|\r\n]+)+\\?"')
"""A quoted text that is a Windows path from its beginning to its end, its backslashes single ones."""

_MEANT = {"None": "null", "NULL": "null", "Null": "null", "TRUE": "true", "FALSE": "false"} | dict.fromkeys(
    "NaN nan inf -inf Infinity -Infinity .nan .NaN .inf -.inf .Inf -.Inf".split(), "a finite number"
)
_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
NUMBER = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[-+]?0[xXoObB][0-9A-Fa-f_]+")
_WOULD_BE_TEXT = "would be text"


def opens(text: str) -> bool:
    """Tell whether a value begins as a list or an object."""
    return text[:1] in ("[", "{")


def parse_value(text: str, line: int = 1, column: int = 1, source: str = "") -> Any:
    """Read a value on one line: text as it is written, unless all of it is quoted, or a YAML list or object.

    JSON is sent as it is written, too: it is the text that the wire carries.

    Raises
    ------
    CellError
        If it is quoted text with an escape that YAML does not know, or an object with a key given twice.
    """
    if text[0] not in "\"'[{":
        return text
    if _WINDOWS_PATH.match(text) and not _ESCAPES_ALONE.fullmatch(text):
        raise CellError(
            "in double quotes a backslash begins an escape.", line=line, column=column, source=source or text,
            hint="Write the path without quotes, or in single ones: 'C:\\new'.",
        )  # fmt: skip
    refuse_path(text, line, column, source)
    if _is_json(text):
        return text
    try:
        node = _compose(text, line - 1)
    except CellError as error:
        if any(word in error.message for word in ("escape", "twice", _WOULD_BE_TEXT)):
            hint = "Double the backslash, or write the text without quotes." if "escape" in error.message else None
            raise CellError(
                error.message, line=line, column=column + error.column - 1, source=source or text, hint=hint
            ) from None
        return text  # "so called" is text like any other, and so is {{name}}
    whole = node is not None and node.end_mark.index == len(text)
    return _construct(node, line - 1) if whole and not _is_text(node) else text


def refuse_path(text: str, line: int = 1, column: int = 1, source: str = "") -> None:
    r"""Refuse JSON or YAML with a Windows path whose backslashes would be escapes: the table of ``"C:\\table"``.

    Raises
    ------
    CellError
        With its place.
    """
    paths = (found for found in _PATH_WITHIN.finditer(text) if not _ESCAPES_ALONE.fullmatch(found[0]))
    if found := next(paths, None):
        *above, before = text[: found.start()].split("\n")
        doubled = found[0].replace("\\", "\\\\")
        raise CellError(
            "in double quotes a backslash begins an escape.",
            line=line + len(above),
            column=len(before) + (1 if above else column),
            source=source or text.split("\n")[len(above)],
            hint=f"Double the backslashes of the path: {doubled}.",
        )


def _as_json(number: str) -> str | None:
    """Return a number of Python or YAML as JSON writes it; None where it may be no number, such as 0123."""
    try:
        value = int(number, 0) if re.fullmatch(r"[-+]?(0[xXoObB])?[0-9A-Fa-f_]+", number) else Decimal(number)
    except (ValueError, ArithmeticError):
        return None
    return number if _JSON_NUMBER.fullmatch(number) else str(value)


def _is_json(text: str) -> bool:
    try:
        json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return False
    return opens(text)


def _refuse_constant(name: str) -> Any:
    """Take no NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(name)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Take no JSON with a key given twice: readers keep the last one; read as YAML it is an error."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


def _is_text(node: yaml.Node | None) -> bool:
    """Tell whether marks of YAML on one line mean themselves.

    That is ``"Hamlet": a tragedy``, which begins no object in braces, and ``{name}`` and ``{a:1}``, keys alone.
    """
    if isinstance(node, yaml.SequenceNode):
        return any(map(_is_text, node.value))
    if not isinstance(node, yaml.MappingNode):
        return False
    return not node.flow_style or any(_is_nothing(value) or _is_text(value) for _, value in node.value)


def _is_nothing(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None and node.value == ""


class _Loader(yaml.SafeLoader):
    """YAML with JSON's idea of a scalar: no dates, no ``yes``, no ``12:30`` in base 60, no octal ``0123``.

    A number keeps its digits, and what would lose something without a word is refused.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # PyYAML reads it from the class

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML's parser carries no types
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise yaml.MarkedYAMLError(
                problem="`&`, `*` and `!` mark anchors and tags; put the text in quotes",
                problem_mark=event.start_mark,
            )
        node: yaml.Node | None = super().compose_node(parent, index)
        if isinstance(node, yaml.MappingNode):
            self._refuse_keys(node)
        elif parent is not None and isinstance(node, yaml.ScalarNode):
            self._refuse_python(node)
        return node

    @staticmethod
    def _refuse_python(node: yaml.ScalarNode) -> None:
        """Refuse None, NaN and 1_000, which would be sent as the text that they are; True and False are as meant."""
        if node.style is not None:
            return
        write = _MEANT.get(node.value) or (NUMBER.fullmatch(node.value) and _as_json(node.value))
        if write and write != node.value:
            problem = f"{node.value} {_WOULD_BE_TEXT}; write {write}, or put it in quotes"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)

    def construct_number(self, node: yaml.ScalarNode) -> Decimal:
        return Decimal(node.value)

    def _refuse_keys(self, node: yaml.MappingNode) -> None:
        """Refuse keys that are no scalars, and those that are the same as an earlier one to Python or in JSON."""
        seen: dict[Any, str] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(
                    problem="a list or an object cannot be a key; put it in quotes", problem_mark=key.start_mark
                )
            forms = key.value, self.construct_object(key)
            first = next((seen[form] for form in forms if form in seen), None)
            if first is not None:
                before = "" if first == key.value else f", first as {first}; put keys in quotes"
                raise yaml.MarkedYAMLError(problem=f"{key.value} is given twice{before}", problem_mark=key.start_mark)
            seen |= dict.fromkeys(forms, key.value)


for _tag, _pattern, _first in (
    ("bool", r"true|false|True|False", "tfTF"),
    ("null", r"null|", ["n", ""]),
    ("int", r"-?(0|[1-9]\d*)", "-0123456789"),
    ("float", r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?", "-0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_number)


def _compose(text: str, at: int) -> yaml.Node | None:
    """Read YAML into nodes; `at` is the index of its first line in the cell."""
    try:
        node = yaml.compose(text, Loader=_Loader)
        _refuse_comments(node, text.split("\n"))
        return node
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        source = [*text.split("\n"), ""][line]
        problem = error.problem or "it cannot be read"
        message = f"{problem}." if _WOULD_BE_TEXT in problem else f"this is no YAML: {problem}."
        raise CellError(message, line=at + line + 1, column=column + 1, source=source) from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        why, *_ = str(error).splitlines()  # what follows names Python's text, not the cell
        raise CellError(f"this is no YAML: {why}.", line=at + 1) from None


def _construct(node: yaml.Node | None, at: int) -> Any:
    """Give what nodes hold."""
    loader = _Loader("")
    try:
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise CellError(f"this is no YAML: {error}.", line=at + 1) from None
    finally:
        loader.dispose()


def _refuse_comments(node: yaml.Node | None, lines: Sequence[str]) -> None:
    """Refuse a plain text that YAML would cut at `` #``: a value must not lose its end without a word."""
    if isinstance(node, yaml.ScalarNode) and node.style is None and node.tag == _TEXT:
        line = lines[node.end_mark.line] if node.end_mark.line < len(lines) else ""
        if re.match(r"[ \t]+#", line[node.end_mark.column :]):
            raise yaml.MarkedYAMLError(
                problem="` #` would begin a comment; put the text in quotes", problem_mark=node.end_mark
            )
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_comments(item, lines)
    elif isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            _refuse_comments(value, lines)


def parse_block(lines: Sequence[str], at: int, after: int, rest: str) -> Any:
    """Read a value over several lines: YAML, or text below ``|``."""
    if rest and not opens(rest) and rest[0] not in "\"'" and not BLOCK.fullmatch(rest):
        raise _no_block(lines, at, rest)
    if rest[:1] == "|" and BLOCK.fullmatch(rest):
        return _literal_block(lines[at + 1 : after], rest[1:])
    text = "\n".join([rest, *lines[at + 1 : after]])
    if rest[:1] in ("|", ">"):
        text += "\n"
    else:
        refuse_path(text, at + 1)
    node = _compose(text, at)
    if node is None:
        raise CellError("no value is indented below it, only comments.", line=at + 1, source=lines[at])
    if not rest and isinstance(node, yaml.ScalarNode) and node.style is None:
        if after > at + 2:
            raise _no_block(lines, at, rest)
        return lines[at + 1].strip(BLANKS)
    return _construct(node, at)


def parse_yaml(text: str) -> Any:
    """Read YAML of any lines, by the same rules; a number with a fraction is a `Decimal`.

    Raises
    ------
    CellError
        With the line of what cannot be read.
    """
    node = _compose(text, 0)
    return None if node is None else _construct(node, 0)


def common_indent(lines: Sequence[str]) -> str:
    """Return the blanks that all lines begin with which are not blank themselves."""
    indents = [line[: len(line) - len(line.lstrip(BLANKS))] for line in lines if line.strip(BLANKS)]
    return os.path.commonprefix(indents)  # noqa: RUF071  # of characters, as it is meant


def _literal_block(lines: Sequence[str], chomping: str) -> str:
    """Return the text below ``|``, to the letter: what all its lines begin with alike is their indent.

    YAML would break it at U+2028 and U+0085, refuse control characters and tabs, and a first line that is indented
    deeper than the others.
    """
    indent = common_indent(lines)
    text = "\n".join(line.removeprefix(indent) if line.strip(BLANKS) else "" for line in lines)
    kept = text.rstrip("\n")
    return {"": kept + "\n", "-": kept, "+": text + "\n"}[chomping]


def _no_block(lines: Sequence[str], at: int, rest: str) -> CellError:
    if re.fullmatch(r"[|>][-+\d]*([ \t]+#.*)?", rest):
        return CellError(
            "a block begins with `|`, `|-`, `|+`, `>`, `>-` or `>+` and nothing else.",
            line=at + 1,
            column=lines[at].index(rest) + 1,
            source=lines[at],
        )
    return CellError(
        "a plain value ends with its line.",
        line=at + 2,
        source=lines[at + 1],
        hint="For text over several lines write `name: |` and indent the text below it.",
    )
