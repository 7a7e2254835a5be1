"""What differs between two texts, word by word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from itertools import groupby

__all__ = ["Change", "word_changes"]

Change = tuple[str, str]
"""``same``, ``removed`` or ``added``, and the text."""

_WORD = re.compile(r"\s+|\w+|[^\w\s]")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_MOST = 4_000_000  # pairs of words; beyond them a comparison takes seconds, and says little


def word_changes(before: str, after: str) -> Iterator[Change]:
    """Yield ``(kind, text)``: what is the same in both, what was removed, and what was added, word by word."""
    changes = _in_lines(_LINE.findall(before), _LINE.findall(after))
    for kind, run in groupby(changes, key=lambda change: change[0]):
        yield kind, "".join(text for _, text in run)


def _in_lines(old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    """Compare lines first: words are compared only where lines differ."""
    for kind, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            yield "same", "".join(old[i:j])
        else:
            yield from _in_words(_WORD.findall("".join(old[i:j])), _WORD.findall("".join(new[k:m])))


def _in_words(old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    if len(old) * len(new) > _MOST:
        yield from (("removed", "".join(old)), ("added", "".join(new)))
        return
    for kind, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            yield "same", "".join(old[i:j])
            continue
        if j > i:
            yield "removed", "".join(old[i:j])
        if m > k:
            yield "added", "".join(new[k:m])
