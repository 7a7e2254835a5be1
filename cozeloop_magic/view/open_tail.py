r"""The end of Markdown that is still being written, as it will be once its marks are closed.

What opens emphasis, code or strikethrough is closed for now; half a link is its words, and a table has its first row
before the line that makes it one. What may yet be anything, a lone ``-`` or ``![``, waits for what follows it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from markdown_it.token import Token

__all__ = ["close_tail"]

_LONGEST_FORMULA = 1_200  # characters that a sign may hold back as half a formula; more of them were none
_LONGEST = 4_000  # characters of a block that are looked at

_MOST_OPEN = 20  # links and formulas that are looked for

_LEAVES = ("inline", "fence", "code_block", "math_block")
_MAYBE = re.compile(
    r"\A[ \t>]*(?:[-+*_=#>`~|:\\$!\[ \t]+|\d{1,9}[.)]?[ \t]*|(?:[-+*]|\d{1,9}[.)])[ \t]+\[[ xX]?\]?[ \t]*)\Z"
)
_DELIMITERS = re.compile(r"[ \t>]*\|?[ \t]*:?-*:?(?:[ \t]*\|[ \t]*:?-*:?)*[ \t]*\|?[ \t]*\Z")
_TRAILING = re.compile(r"(?:(?<!\\)(?:[*_~]+|!?\[|!|`+|\\)|&#?\w{0,31}|<(?:https?|mailto)?[^\s>]*)\Z")
_CODE = re.compile(r"(?<!`)(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`)", re.DOTALL)
_FORMULA = re.compile(r"(?<!\\)(?:\$\$.+?\$\$|\$[^$\s](?:[^$\n]*[^$\s])?\$(?!\d)|\\\(.+?\\\)|\\\[.+?\\\])", re.DOTALL)
_LINK = re.compile(r"!?\[(?:[^\[\]\\\n]|\\.)*\]\([^()\s]*(?:\s[^()]*)?\)|<[^\s<>]+>")
_OPEN_FORMULA = re.compile(r"(?<!\\)(?:\$\$|\$(?=[^\s\d$]|\Z)|\\\(|\\\[)")
_OPEN_LINK = re.compile(r"!?\[(?P<words>(?:[^\[\]\\\n]|\\.)*)(?:\](?:\([^()\n]*)?)?\Z")
_MARK = re.compile(r"(?<!\\)(?P<mark>\*{1,3}|_{1,3}|~~)")
_WORD = re.compile(r"\w")


def close_tail(tail: str, parse: Callable[[str], Sequence[Token]]) -> str:
    """Return the Markdown of a tail with what is open at its end closed or held back.

    Parameters
    ----------
    tail : str
        The blocks that are not settled.
    parse : callable
        Gives the blocks of a text.
    """
    lines = tail.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    tokens = parse(tail)
    if lines[-1].strip() and _MAYBE.match(lines[-1]):
        table = _table(lines) if len(lines) > 1 else None
        return "\n".join(table) if table else close_tail("\n".join([*lines[:-1], ""]), parse)
    at = next((i for i in range(len(tokens) - 1, -1, -1) if tokens[i].type in _LEAVES), None)
    if at is None or (place := tokens[at].map) is None:
        return tail
    kind, around = tokens[at].type, tokens[at - 1].type if at else ""
    before, block = lines[: place[0]], lines[place[0] :]
    ended = len(lines) - place[1] >= (1 if around == "heading_open" else 2)  # nothing more comes to it
    if ended or sum(map(len, block)) > _LONGEST:
        return tail
    if kind == "math_block" and "\n".join(block).count("$$") < 2:
        return "\n".join(before)
    if kind != "inline":
        return tail
    table = _table(block) if around == "paragraph_open" else None
    return "\n".join([*before, *(table or [_closed("\n".join(block))])])


def _table(block: Sequence[str]) -> list[str] | None:
    """Return lines with the table that their last one or two begin: its head, and a line that makes it one."""
    first = next((i for i, line in enumerate(block) if line.lstrip(" >").startswith("|")), len(block))
    if not (len(block) - 1 == first or (len(block) - 2 == first and _DELIMITERS.match(block[-1]))):
        return None
    head = _closed(block[first]).rstrip()
    if not head.strip(" >|"):
        return None
    columns = len(re.findall(r"(?<!\\)\|", _CODE.sub("", head))) - (head.endswith("|"))
    indent = head[: len(head) - len(head.lstrip(" >"))]
    return [*block[:first], head, indent + "|" + "---|" * max(1, columns)]


def _closed(text: str) -> str:
    """Close what is open at the end of a paragraph, a heading, an item or a cell."""
    for _ in range(_MOST_OPEN):
        while trailing := _TRAILING.search(text):
            text = text[: trailing.start()]
        plain = _LINK.sub(_blank, _FORMULA.sub(_blank, _CODE.sub(_blank, text)))
        if ticks := re.search(r"(?<![`\\])`+(?!`)", plain):
            return _marks_closed(plain[: ticks.start()] + "x", text + ticks[0])
        formula, link = _OPEN_FORMULA.search(plain), _OPEN_LINK.search(plain)
        if formula and len(text) - formula.start() < _LONGEST_FORMULA:
            text = text[: formula.start()].rstrip(" ")
        elif link and not (words := text[link.start("words") : link.end("words")]).strip().isdigit():
            text = text[: link.start()] + (words if words.strip(" xX") else "")
        else:
            break
    return _marks_closed(plain, text)


def _blank(found: re.Match[str]) -> str:
    """Stand for what is closed: as long, and neither a mark nor a blank."""
    return "x" * len(found[0])


def _marks_closed(plain: str, text: str) -> str:
    """Close emphasis and strikethrough; `plain` is `text` without what is code, a formula or a link."""
    opened: list[str] = []
    for found in _MARK.finditer(plain):
        mark = found["mark"]
        before, after = plain[: found.start()][-1:], plain[found.end() :][:1]
        if mark[0] == "_" and _WORD.match(before) and _WORD.match(after):
            continue
        if opened and opened[-1] == mark and before.strip():
            opened.pop()
        elif after.strip() and not (before.isascii() and before.isalnum()):  # 2*3 multiplies
            opened.append(mark)
    end = len(text.rstrip())
    return text[:end] + "".join(reversed(opened)) + text[end:] if opened else text
