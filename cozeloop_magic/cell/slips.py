"""What is neither a variable nor a message: the slip that was made, and what to write. Pure."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence

from cozeloop_magic.cell.unseen import UNSEEN, bare
from cozeloop_magic.entities.prompt import Role
from cozeloop_magic.errors import CellError

__all__ = ["check_mark", "is_like_separator", "not_an_entry", "refuse_typo"]

_LIKE_SEPARATOR = re.compile(r"[-\u2010-\u2015\u2212\ufe58\ufe63\uff0d\u3161\u30fc]{1,}\s*")
_ROLES = ("user", "assistant", "system", "tool")
_OF_OTHER_APIS = {
    "human": "user", "ai": "assistant", "bot": "assistant", "model": "assistant", "developer": "system",
    "function": "tool ID",
}  # fmt: skip
_COLONS = "：﹕∶︰︓꞉։"
_EQUALS_SIGNS = "＝﹦⁼᐀゠꞊"
_FENCE = re.compile(r"(`{3,}|~{3,})")
_EXPECTED = "expected `name: value`, `name = expression`, or `---` above the messages"


def not_an_entry(line: str, at: int) -> CellError:
    """Make the error for a line above the separator that is no variable; `at` is its index."""
    if line[0] in " \t":
        hint = "Text over several lines begins with `name: |` and is indented below it."
        return CellError("this line continues nothing.", line=at + 1, source=line, hint=hint)
    if is_like_separator(line):
        return CellError("this is no separator.", line=at + 1, source=line, hint="Write three plain hyphens: `---`.")
    column, hint = _slip_in_name(line) or (1, _slip_in_line(line, at))
    return CellError(_EXPECTED + ".", line=at + 1, column=column, source=line, hint=hint)


def _slip_in_name(line: str) -> tuple[int, str] | None:
    """Return the column of a character that hides a name, and what to write; None where the name is none."""
    tight = re.match(r"([^\W\d][\w-]*):(?=\S)", line)
    if tight:
        return tight.end() + 1, "Put a blank after the colon."
    wide = re.match(rf"[{UNSEEN}]*([^\W\d][\w-]*)\s*([{_COLONS}{_EQUALS_SIGNS}])", line)
    if wide:
        colon = wide[2] in _COLONS
        plain = f"colon and a blank: `{wide[1]}: ...`" if colon else f"equals sign: `{wide[1]} = ...`"
        return wide.end(), f"This is {unicodedata.name(wide[2])}. Write a plain {plain}."
    torn = re.match(rf"[{UNSEEN}]*(?P<name>[^\W\d][\w{UNSEEN}-]*)[ \t]*[:=]", line)
    if torn and (unseen := re.search(f"[{UNSEEN}]", torn["name"])):
        name = re.sub(f"[{UNSEEN}]", "", torn["name"])
        hint = f"{unicodedata.name(unseen[0])} stands in the name, and cannot be seen. Write `{name}` anew."
        return unseen.start() + 1, hint
    return None


def _slip_in_line(line: str, at: int) -> str:
    """Return what to write in place of a line that has no name a variable could have."""
    quoted = re.match(r"([\"'])([^\W\d][\w-]*)\1\s*:", line)
    if quoted:
        return f"Write `{quoted[2]}: ...` without quotes and without a comma at the end, or a whole JSON object."
    if _FENCE.match(line):
        return "Take the fence away: a cell needs none."
    named = re.match(r"([^\s:=]+)[ \t]*(:(?=\s|$)|=(?!=))", line)
    if named and not named[1].startswith("{{"):
        return f"{named[1]} is no variable's name: it has letters, digits, _ and -, and no digit first."
    words = re.match(r"([^\W\d][\w-]*)[ \t]+\S", line)
    if words and at == 0:
        return f"Write `{words[1]}: ...` with a colon. Or is it a message? Is the line with `---` missing above it?"
    return "Is the line with `---` missing above it?"


def is_like_separator(line: str) -> bool:
    """Tell whether a line was meant as ``---``: more or fewer hyphens, or dashes."""
    return _LIKE_SEPARATOR.fullmatch(line) is not None


def check_mark(role: Role, tool_call_id: str | None, at: int, line: str) -> None:
    """Refuse a tool message that answers no call."""
    if role is Role.TOOL and not tool_call_id:
        raise CellError(
            "a tool message needs the id of the call it answers.",
            line=at + 1,
            source=line,
            hint="Write `@tool ID`; as text, write `@user = '...'`.",
        )


def refuse_typo(line: str, at: int, roles: Sequence[str] = _ROLES) -> None:
    """Refuse what was meant to begin a message and does not; other lines that begin with @ are text.

    That is a role with something after it, ``@usr`` or ``@human`` alone on a line, a role behind a blank or a wide @,
    and ``@anything = ...``.
    """
    if re.match(rf"@({'|'.join(roles)})(?![\w.-])", line):
        raise CellError(
            "this begins no message.",
            line=at + 1,
            source=line,
            hint="The text of a message stands on the lines below `@role`; as text, write `@user = '...'`.",
        )
    assigned = re.match(r"@(\w+)[ \t]*=(?!=)", line)
    if assigned:
        raise CellError(
            f"there is no role {assigned[1]!r}.",
            line=at + 1,
            column=2,
            source=line,
            hint="Messages from Python are `@user = ...`, `@assistant = ...`, `@system = ...` or `@tool ID = ...`.",
        )
    whole = re.fullmatch(r"[@＠﹫]\s*(\w+)", bare(line))
    if not whole:
        return
    word = whole[1]
    if meant := word if word in _ROLES else _OF_OTHER_APIS.get(word.lower()):
        message = "this begins no message" if word in _ROLES else f"there is no role {word!r}"
        raise CellError(
            f"{message}.", line=at + 1, source=line,
            hint=f"Write @{meant} at the start of the line; as text, write `@user = '...'`.",
        )  # fmt: skip
    if not line.startswith("@"):
        return
    for role in difflib.get_close_matches(word.lower(), roles, n=1, cutoff=0.75):
        raise CellError(
            f"there is no role {word!r}.", line=at + 1, column=2, source=line, hint=f"Did you mean @{role}?"
        )
