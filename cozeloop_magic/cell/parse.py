"""A cell body: variables above ``---``, messages to append below it. Pure: text in, `CellSpec` out.

::

    topic: artificial intelligence          literal; YAML lists, objects, quotes and | blocks
    question = df.head().to_markdown()      Python, evaluated by the caller
    ---
    Keep the answer brief.                  one user message
    @assistant                              begins another
    Will do.
    @user = follow_up                       from Python

A literal on one line is sent as it is written, to the letter: braces, ``$``, backslashes, ``#`` and JSON mean
themselves, and ``1.10`` stays ``1.10``. The exceptions are what YAML marks with its first character: quotes, a list,
an object, a block.
"""

from __future__ import annotations

import ast
import json
import re
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cozeloop_magic.cell.literal import BLANKS, BLOCK, common_indent, opens, parse_block, parse_value, refuse_path
from cozeloop_magic.cell.slips import check_mark, not_an_entry, refuse_typo
from cozeloop_magic.cell.unseen import UNSEEN, WIDE_BLANKS, bare
from cozeloop_magic.entities.prompt import Role
from cozeloop_magic.errors import CellError

__all__ = ["CellSpec", "Expression", "MessageSpec", "Value", "Variable", "parse_cell", "take_expression"]

_SEPARATOR = "---"
# What nobody sees comes along where a cell is pasted. Around a name, a mark and a separator it means nothing.
_ENTRY = re.compile(
    rf"[{UNSEEN}]*(?P<name>[^\W\d][\w-]*)[{UNSEEN}{WIDE_BLANKS} \t]*"
    rf"(?P<sign>:(?=[{UNSEEN}]*(?:[{WIDE_BLANKS} \t]|$))|=(?!=))"
    rf"[{UNSEEN}]*(?:[{WIDE_BLANKS}][ \t]*|[ \t]*)(?P<rest>.*)"
)
_MARK = re.compile(
    rf"[{UNSEEN}]*@(?P<role>user|assistant|system|tool)(?:(?<=tool)[{WIDE_BLANKS} \t]+(?P<id>[^\s={UNSEEN}]+))?"
    rf"[{UNSEEN}{WIDE_BLANKS} \t]*(?:=(?!=)[ \t]*(?P<code>\S.*))?$"
)


@dataclass(frozen=True, slots=True)
class Expression:
    """Python to evaluate in the notebook's namespace."""

    code: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Value:
    """A literal: text, or what a YAML list or object holds."""

    value: Any


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable's name, where its value comes from, and the line it stands on."""

    name: str
    source: Value | Expression
    line: int


@dataclass(frozen=True, slots=True)
class MessageSpec:
    """A message to append: its role, where its content comes from, and the id that a ``tool`` message answers."""

    role: Role
    source: Value | Expression
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class CellSpec:
    """What a cell body says."""

    variables: tuple[Variable, ...] = ()
    messages: tuple[MessageSpec, ...] = ()


def parse_cell(text: str) -> CellSpec:
    """Read a cell body. An empty one is fine.

    Raises
    ------
    CellError
        With the line and column, where a line is neither a variable nor a message.
    """
    lines = _dedented(text.replace("\r\n", "\n").split("\n"))
    _refuse_front_matter(lines)
    variables, below = _parse_pasted(lines) or _parse_variables(lines)
    return CellSpec(tuple(variables), tuple(_parse_messages(lines, below)))


def _is_separator(line: str) -> bool:
    return line[:1] not in BLANKS and bare(line) == _SEPARATOR


def _dedented(lines: list[str]) -> list[str]:
    """Take off what all lines of a body are indented by."""
    indent = common_indent(lines)
    return [line.removeprefix(indent) for line in lines] if indent else lines


def _parse_pasted(lines: Sequence[str]) -> tuple[list[Variable], int] | None:
    """Read an object in place of lines, as JSON or as Python writes it: its fields are the variables."""
    end = next((at for at, line in enumerate(lines) if _is_separator(line)), len(lines))
    text = "\n".join(lines[:end]).lstrip(UNSEEN)
    if not re.match(r"\s*\{(?!\{)", text):
        return None
    refuse_path(text)
    try:
        fields = json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        return None
    except json.JSONDecodeError as error:
        fields = _python_object(text)
        if fields is None:
            raise CellError(
                f"this object is no JSON: {error.msg}.", line=error.lineno, column=error.colno,
                source=lines[error.lineno - 1],
            ) from None  # fmt: skip
    return [Variable(name, Value(value), 1) for name, value in fields.items()], end + 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that is given twice, as on lines of its own; a reader of JSON would keep the last one."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise CellError(f"{name} is given twice in one object.")
        found[name] = value
    return found


def _python_object(text: str) -> dict[str, Any] | None:
    try:
        value = ast.literal_eval(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError, TypeError):
        return None
    return value if isinstance(value, dict) and all(isinstance(name, str) for name in value) else None


def _refuse_front_matter(lines: Sequence[str]) -> None:
    """Refuse ``---`` above the variables, as Markdown files have it: here nothing would stand above it."""
    filled = [at for at, line in enumerate(lines) if line.strip()]
    separators = [at for at in filled if _is_separator(lines[at])]
    if len(separators) > 1 and separators[0] == filled[0] and _ENTRY.match(lines[filled[1]]):
        raise CellError(
            "nothing stands above the first `---`, so what follows would be a message.",
            line=separators[0] + 1, source=lines[separators[0]],
            hint="Take the first `---` away: variables stand above the line, messages below it.",
        )  # fmt: skip


def _parse_variables(lines: Sequence[str]) -> tuple[list[Variable], int]:
    """Read lines up to the separator; give the variables and the index of the first line below it."""
    variables: dict[str, Variable] = {}
    at = 0
    while at < len(lines):
        line = lines[at]
        if _is_separator(line):
            return list(variables.values()), at + 1
        if not bare(line) or line.lstrip(UNSEEN).startswith("#"):
            at += 1
            continue
        variable, after = _parse_entry(lines, at)
        if variable.name in variables:
            first = variables[variable.name].line
            raise CellError(f"{variable.name} is given twice, first on line {first}.", line=at + 1, source=line)
        variables[variable.name] = variable
        at = after
    return list(variables.values()), len(lines)


def _parse_entry(lines: Sequence[str], at: int) -> tuple[Variable, int]:
    line = lines[at]
    match = _ENTRY.match(line)
    if match is None:
        raise not_an_entry(line, at)
    name, rest, column = match["name"], match["rest"].rstrip(BLANKS), match.start("rest") + 1
    if match["sign"] == "=":
        code, after = take_expression(lines, at, column)
        return Variable(name, Expression(code, at + 1, column), at + 1), after
    after = _end_of_block(lines, at, rest)
    if after > at + 1:
        return Variable(name, Value(parse_block(lines, at, after, rest)), at + 1), after
    if BLOCK.fullmatch(rest):
        raise CellError("nothing is indented below it.", line=at + 1, column=column, source=line)
    if not rest:
        raise CellError(
            f"{name} has no value.",
            line=at + 1,
            column=len(line) + 1,
            source=line,
            hint=f'Write `{name}: ""` to leave it empty on purpose.',
        )
    return Variable(name, Value(parse_value(rest, at + 1, column, line)), at + 1), after


def take_expression(lines: Sequence[str], at: int, column: int) -> tuple[str, int]:
    """Take the lines of an expression: brackets and triple quotes may go over several."""
    first = lines[at][column - 1 :].strip()
    taken = _logical_line(first, lines[at + 1 :])
    code = "\n".join(taken)
    if error := _syntax_error(code):
        raise _no_expression(_syntax_error(first) or error, lines, at, column)
    if _awaits(code):
        raise CellError(
            "expressions are synchronous and cannot await.",
            line=at + 1,
            column=column,
            source=lines[at],
            hint="Run `value = await ...` in a cell before, and write `value` here.",
        )
    return code, at + len(taken)


def _logical_line(first: str, others: Sequence[str]) -> list[str]:
    """Give the lines that Python takes for one, at most up to the separator; in a text that is no separator.

    Python's tokenizer finds its end in one go; parsing again with each line would take the square of their number.
    """
    taken: list[str] = []

    def read() -> Iterator[str]:
        for line in (first, *others):
            if taken and _is_separator(line) and not _is_in_text("\n".join(taken)):
                return
            taken.append(line)
            yield line + "\n"

    try:
        for token in tokenize.generate_tokens(read().__next__):
            if token.type == tokenize.NEWLINE:
                return taken[: token.start[0]]
    except (tokenize.TokenError, SyntaxError, ValueError):  # it has no end, or is no Python, which parsing tells
        pass
    return taken


def _is_in_text(code: str) -> bool:
    """Tell whether code ends within triple quotes."""
    error = _syntax_error(code)
    return error is not None and "triple-quoted" in error.msg


def _no_expression(error: SyntaxError, lines: Sequence[str], at: int, column: int) -> CellError:
    offset = (error.offset or 1) - 1 if error.lineno in (None, 1) else 0
    return CellError(
        f"this is no Python expression: {error.msg}.",
        line=at + 1,
        column=column + max(offset, 0),
        source=lines[at],
        hint="For text as it is written, use `name: text`.",
    )


def _syntax_error(code: str) -> SyntaxError | None:
    try:
        ast.parse(code, mode="eval")
    except SyntaxError as error:
        return error
    except ValueError as error:  # null bytes
        return SyntaxError(str(error))
    except (RecursionError, MemoryError):
        return SyntaxError("it is nested too deep")
    return None


def _awaits(code: str) -> bool:
    return any(
        isinstance(node, ast.Await) or getattr(node, "is_async", 0) for node in ast.walk(ast.parse(code, mode="eval"))
    )


def _end_of_block(lines: Sequence[str], at: int, rest: str) -> int:
    """Give the index after an entry's indented lines, blank ones in between included.

    As in YAML, the items of a list may stand as far left as its name.
    """
    end = at + 1
    for i in range(at + 1, len(lines)):
        line = lines[i]
        if (line[:1] in (" ", "\t") and line.strip()) or (not rest and re.match(r"-(\s|$)", line)):
            end = i + 1
        elif line.strip() and not (opens(rest) and re.match(r"[]}]", line)):
            break
        elif line.strip():
            return i + 1
    return end


def _parse_messages(lines: Sequence[str], below: int) -> list[MessageSpec]:
    messages: list[MessageSpec] = []
    role, tool_call_id, text, marked = Role.USER, None, list[str](), 0

    def flush() -> None:
        content = "\n".join(text).strip("\n")
        if content.strip():
            messages.append(MessageSpec(role, Value(content), tool_call_id))
        elif marked:
            raise CellError(f"the @{role} message is empty.", line=marked, source=lines[marked - 1])

    at = below
    while at < len(lines):
        line = lines[at]
        mark = _MARK.match(line)
        if mark is None:
            refuse_typo(line, at)
            text.append(line)
            at += 1
            continue
        flush()
        role, tool_call_id, text, marked = Role(mark["role"]), mark["id"], [], at + 1
        check_mark(role, tool_call_id, at, line)
        at += 1
        if mark["code"]:
            code, at = take_expression(lines, at - 1, mark.start("code") + 1)
            messages.append(MessageSpec(role, Expression(code, marked, mark.start("code") + 1), tool_call_id))
            role, tool_call_id, marked = Role.USER, None, 0
    flush()
    return messages
