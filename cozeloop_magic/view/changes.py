"""`Changes`: two texts compared word by word, as a value that shows itself; what stayed the same is left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from cozeloop_magic.authoring.changes import Change
from cozeloop_magic.printable import printable
from cozeloop_magic.view.listing import fenced
from cozeloop_magic.view.render import ROOT, style, without_blank_lines

__all__ = ["Changes"]

_CONTEXT = 2  # lines around a change
_MARKS = {
    "same": "{}",
    "left out": '<span class="cozeloop-gap">{}</span>',
    "removed": "<del>{}</del>",
    "added": "<ins>{}</ins>",
}
_SIGNS = {"same": "{}", "left out": "{}", "removed": "[-{}-]", "added": "{{+{}+}}"}  # as git's --word-diff has them

Line = list[Change]


class Changes(Sequence[Change]):
    """What differs between two texts. Reads as a list of ``(kind, text)``.

    Parameters
    ----------
    changes : iterable of (str, str)
        As `cozeloop_magic.authoring.changes.word_changes` gives them.
    title : str
        What was compared with what.
    notes : iterable of str
        Sentences below it.
    """

    def __init__(self, changes: Iterable[Change], title: str, notes: Iterable[str] = ()) -> None:
        self._changes = tuple(changes)
        self.title = title
        self.notes = tuple(notes)

    def __getitem__(self, index: int | slice) -> Change | tuple[Change, ...]:  # type: ignore[override]
        return self._changes[index]

    def __len__(self) -> int:
        return len(self._changes)

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return any(kind != "same" for kind, _ in self._changes)

    def __str__(self) -> str:
        lines = ("".join(_SIGNS[kind].format(text) for kind, text in line) for line in self._shown())
        return printable("\n\n".join(filter(None, (self.title, *self.notes, "\n".join(lines)))))

    __repr__ = __str__

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/html": self._html(), "text/markdown": fenced(str(self)), "text/plain": str(self)}

    def _html(self) -> str:
        lines = (
            "".join(_MARKS[kind].format(escape(printable(text), quote=False)) for kind, text in line)
            for line in self._shown()
        )
        notes = "".join(f'<p class="cozeloop-note">{escape(printable(note), quote=False)}</p>' for note in self.notes)
        said = "\n".join(lines)
        return without_blank_lines(
            f'<div class="{ROOT} cozeloop-changes"><style>{style("prompt.css")}</style>'
            f'<p class="cozeloop-title">{escape(printable(self.title), quote=False)}</p>{notes}'
            + (f'<pre class="cozeloop-text">{said}</pre>' if said else "")
            + "</div>"
        )

    def _shown(self) -> Iterator[Line]:
        """Yield the lines with changes, and a few around them; a line tells how many are left out."""
        lines = list(_lines(self._changes))
        changed = [at for at, line in enumerate(lines) if any(kind != "same" for kind, _ in line)]
        near = {at for each in changed for at in range(each - _CONTEXT, each + _CONTEXT + 1)}
        left_out = 0
        for at, line in enumerate(lines):
            if at in near:
                yield from _gap(left_out)
                left_out = 0
                yield line
            else:
                left_out += 1
        if changed:
            yield from _gap(left_out)


def _gap(number: int) -> Iterator[Line]:
    if number:
        yield [("left out", f"⋯ {number} {'line' if number == 1 else 'lines'} as before")]


def _lines(changes: Iterable[Change]) -> Iterator[Line]:
    line: Line = []
    for kind, text in changes:
        first, *rest = text.split("\n")
        line += [(kind, first)] if first else []
        for part in rest:
            if kind != "same" and all(each != kind for each, _ in line[:1]):  # else the whole line came or went
                line.append((kind, "↵"))
            yield line
            line = [(kind, part)] if part else []
    if line:
        yield line
