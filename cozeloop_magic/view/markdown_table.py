"""Tables of Markdown, a token for each row.

markdown-it makes three tokens of each cell and has its inline rules read each: a table would cost several times what
other text of its size does. It also leaves out what a row has more than the head. Here it reads the head alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

from markdown_it.rules_block import StateBlock, table
from markdown_it.rules_block.table import escapedSplit, getLine
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

__all__ = ["cell_html", "css_class", "read_inside", "table_rule"]

_MOST_ADDED = 0x10000  # empty cells of rows that have fewer than the head: markdown-it's own bound
_MARKED = re.compile(r"[\n\\`~*_\[\]!<&$]")  # what inline rules react to


def table_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Read a table: its head as markdown-it does, and each row below as one token, with all cells that it has."""
    first = len(state.tokens)
    if not table(state, start, min(end, start + 2), silent):
        return False
    if silent:
        return True
    opening = state.tokens[first]
    state.tokens.pop()  # what closes the table
    state.level += 1
    aligned = [css_class(token) for token in state.tokens[first:] if token.type == "th_open"]
    parent, state.parentType = state.parentType, "table"
    if rows := list(_rows(state, start + 2, end, len(aligned))):
        state.push("tbody_open", "tbody", 1).map = body = [start + 2, rows[-1][0] + 1]
        for line, cells in rows:
            row = state.push("inline", "tr", 0)
            row.map, row.content, row.meta = [line, line + 1], "|".join(cells), {"cells": cells, "aligned": aligned}
        state.push("tbody_close", "tbody", -1)
        state.line = body[1]
    state.push("table_close", "table", -1)
    opening.map = [start, state.line]
    state.parentType = parent
    return True


def _rows(state: StateBlock, line: int, end: int, width: int) -> Iterator[tuple[int, list[str]]]:
    """Give the rows below a head, up to a line that begins something else."""
    ends, added = state.md.block.ruler.getRules("blockquote"), 0
    while line < end and state.sCount[line] >= state.blkIndent:
        row = getLine(state, line).strip()
        if not row or any(rule(state, line, end, True) for rule in ends) or state.is_code_block(line):
            return
        cells = _cells(row)
        missing = max(0, width - len(cells))
        added += missing
        if added > _MOST_ADDED:
            return
        yield line, cells + [""] * missing
        line += 1


def _cells(row: str) -> list[str]:
    cells = escapedSplit(row) if "\\" in row else row.split("|")
    return [cell.strip() for cell in cells[cells[0] == "" : len(cells) - (cells[-1] == "")]]


def read_inside(state: StateCore) -> None:
    """Have what stands in blocks read by the inline rules, where there is anything for them."""
    for token in state.tokens:
        if token.type == "inline":
            token.children = list(_row(state, token)) if token.tag == "tr" else _inside(state, token.content)


def _inside(state: StateCore, text: str) -> list[Token]:
    children: list[Token] = []
    if not _MARKED.search(text):
        return [Token("text", "", 0, content=text)] if text else children
    state.md.inline.parse(text, state.md, state.env, children)
    return children


def _row(state: StateCore, row: Token) -> Iterator[Token]:
    yield Token("tr_open", "tr", 1)
    aligned = row.meta["aligned"]
    for n, cell in enumerate(row.meta["cells"]):
        named = aligned[n] if n < len(aligned) else ""
        if _MARKED.search(cell):
            yield Token("td_open", "td", 1, info=named)
            yield from _inside(state, cell)
            yield Token("td_close", "td", -1)
        else:
            yield Token("cell", "td", 0, content=cell, info=named)
    yield Token("tr_close", "tr", -1)


def css_class(cell: Token) -> str:
    """Return the class of a head's cell, which says how its column is aligned if not as the text runs."""
    align = str(cell.attrGet("style") or "").partition(":")[2]
    return f"cozeloop-{align}" if align not in ("", "left") else ""


def cell_html(tag: str, named: str, inside: str | None = None) -> str:
    """Return a cell, or with nothing inside what opens one."""
    opening = f'<{tag} class="{named}">' if named else f"<{tag}>"
    return opening if inside is None else f"{opening}{escape(inside, quote=False)}</{tag}>"
