"""`Listing`: a table of few columns, as a value that shows itself in a page, in a terminal and in Markdown."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any, Protocol, overload

from cozeloop_magic.printable import printable
from cozeloop_magic.view.render import ROOT, style

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Listing", "Listings", "fenced"]

Row = Mapping[str, Any]

_LONG_WORD = re.compile(r"[\w/.:@-]{16,}")
_PARTED = re.compile(r"[_/.:@-]+(?=\w)")  # after these a path or an identifier may go on on the next line


class Listing(Sequence[Row]):
    """Rows of named values. Reads as a list of mappings.

    Parameters
    ----------
    rows : iterable of mapping
        By column name; a name that is missing stands for None.
    columns : sequence of str
        The columns that are shown, in their order. Rows may hold more.
    title, note : str
        A line above the table and one below it.
    widest : int
        Characters, beyond which text in a cell goes on in another line where the table is text; 0 for never.
    """

    def __init__(
        self, rows: Iterable[Row], columns: Sequence[str], *, title: str = "", note: str = "", widest: int = 0
    ) -> None:
        self._rows = tuple(rows)
        self.columns = tuple(columns)
        self.title = title
        self.note = note
        self._widest = widest

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Row, ...]: ...

    def __getitem__(self, index: int | slice) -> Row | tuple[Row, ...]:
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows as a data frame (needs the ``[batch]`` extra)."""
        import pandas as pd

        return pd.DataFrame([dict(row) for row in self._rows], columns=None if self._rows else list(self.columns))

    def __str__(self) -> str:
        from tabulate import tabulate

        table = tabulate(
            [[self._wrapped(_text(row.get(name))) for name in self.columns] for row in self._rows],
            headers=self.columns,
            tablefmt="simple",
            disable_numparse=True,
            colalign=[self._alignment(name) for name in self.columns] if self._rows else None,
        )
        return "\n\n".join(filter(None, (printable(self.title), table, printable(self.note))))

    __repr__ = __str__

    def _wrapped(self, text: str) -> str:
        if not self._widest:
            return text
        return textwrap.fill(text, self._widest, break_long_words=False, break_on_hyphens=False)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        text = str(self)
        return {"text/html": self._html(), "text/markdown": fenced(text), "text/plain": text}

    def _html(self) -> str:
        head = "".join(f'<th class="{self._class(name)}">{_escape(name)}</th>' for name in self.columns)
        body = "".join(f"<tr>{self._cells(row)}</tr>" for row in self._rows)
        title = f'<p class="cozeloop-title">{_escape(self.title)}</p>' if self.title else ""
        note = f'<p class="cozeloop-note">{_escape(self.note)}</p>' if self.note else ""
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        shown = f"{title}{table if self._rows or not title + note else ''}{note}"
        return f'<div class="{ROOT} cozeloop-listing"><style>{style("tables.css")}</style>{shown}</div>'

    def _cells(self, row: Row) -> str:
        return "".join(f'<td class="{self._class(name)}">{_in_page(row.get(name))}</td>' for name in self.columns)

    def _class(self, column: str) -> str:
        return f"cozeloop-{self._alignment(column)}"

    def _alignment(self, column: str) -> str:
        values = [row.get(column) for row in self._rows]
        return (
            "right"
            if any(map(_is_number, values)) and not any(isinstance(value, str) for value in values)
            else "left"
        )


class Shown(Protocol):
    """What shows itself in a page, in Markdown and as text."""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]: ...


class Listings(Sequence[Any]):
    """Values that belong together and show themselves one under another, such as listings."""

    def __init__(self, shown: Iterable[Shown]) -> None:
        self._shown = tuple(shown)

    def __getitem__(self, index: Any) -> Any:
        return self._shown[index]

    def __len__(self) -> int:
        return len(self._shown)

    def __str__(self) -> str:
        return "\n\n".join(map(str, self._shown))

    __repr__ = __str__

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        each = [shown._repr_mimebundle_() for shown in self._shown]
        joined = {"text/html": "\n", "text/markdown": "\n\n", "text/plain": "\n\n"}
        return {kind: between.join(bundle[kind] for bundle in each) for kind, between in joined.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: object) -> str:
    """Write a value in one cell: counts with separators, times as local ones, None as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.3g}"
    if isinstance(value, datetime):
        return f"{value.astimezone():%Y-%m-%d %H:%M}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return printable(str(value))


def _in_page(value: object) -> str:
    text = _LONG_WORD.sub(lambda word: _PARTED.sub(r"\g<0><wbr>", word[0]), _escape(_text(value)))
    return f'<span class="cozeloop-time">{text}</span>' if isinstance(value, datetime) else text


def _escape(text: str) -> str:
    return escape(printable(text)).replace("\n", "<br>")


def fenced(text: str) -> str:
    """Show text as it is in Markdown: a fence longer than any within."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"
