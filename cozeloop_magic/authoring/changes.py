"""What differs between two texts, word by word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from itertools import groupby

__all__ = ["Change", "word_changes"]

Change = tuple[str, str]
"""``same``, ``removed`` or ``added``, and the text."""

Run = tuple[str, str, str]
"""What stayed the same, and what was then removed and added."""

_WORD = re.compile(r"\s+|\d+(?:\.\d+)+|\w+|[^\w\s]")  # a number is one word
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_MANY = 1000  # lines
_MOST = 4_000_000  # pairs of words; beyond them a comparison takes seconds, and says little


def word_changes(before: str, after: str) -> Iterator[Change]:
    """Yield ``(kind, text)``: what is the same in both, what was removed, and what was added, word by word."""
    for kind, run in groupby(_in_lines(_LINE.findall(before), _LINE.findall(after)), key=lambda change: change[0]):
        yield kind, "".join(text for _, text in run)


def _in_lines(old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    """Compare lines first: words are compared only where lines differ.

    Among many, lines that come again and again, such as empty ones, are no landmarks.
    """
    for kind, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=len(new) > _MANY).get_opcodes():
        if kind == "equal":
            yield "same", "".join(old[i:j])
        else:
            in_pairs = j - i == m - k
            pairs = zip(old[i:j], new[k:m], strict=True) if in_pairs else [("".join(old[i:j]), "".join(new[k:m]))]
            for before, after in pairs:
                yield from _without_islands(list(_in_words(_WORD.findall(before), _WORD.findall(after))))


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


def _without_islands(changes: Sequence[Change]) -> Iterator[Change]:
    """Take what stayed the same for changed where it is less than what changed before it, and after it.

    Two sentences that have nothing in common but an article read better whole.
    """
    runs, before = list(_runs(changes)), 0
    while len(runs) != before:  # what was joined may have become the larger neighbour of another
        before = len(runs)
        runs = _joined(runs)
    for run in runs:
        yield from ((kind, text) for kind, text in zip(("same", "removed", "added"), run, strict=True) if text)


def _joined(runs: Sequence[Run]) -> list[Run]:
    joined: list[Run] = []
    for same, removed, added in runs:
        last = joined[-1] if joined else None
        if last is not None and len(same) <= min(_size(last), max(len(removed), len(added))):
            joined[-1] = (last[0], last[1] + same + removed, last[2] + same + added)
        else:
            joined.append((same, removed, added))
    return joined


def _runs(changes: Sequence[Change]) -> Iterator[Run]:
    run = {"same": "", "removed": "", "added": ""}
    for kind, text in changes:
        if kind == "same" and (run["removed"] or run["added"]):
            yield run["same"], run["removed"], run["added"]
            run = {"same": "", "removed": "", "added": ""}
        run[kind] += text
    yield run["same"], run["removed"], run["added"]


def _size(run: Run) -> int:
    return max(len(run[1]), len(run[2]))
