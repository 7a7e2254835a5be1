"""What people said of pairs of answers, without knowing which was which."""

from __future__ import annotations

import time
from collections.abc import Iterable
from enum import Enum
from itertools import islice

from cozeloop_magic.database import Database

__all__ = ["Preference", "Ratings"]

_AT_ONCE = 250  # pairs in one query


class Preference(Enum):
    """Which answer of a pair is better."""

    FIRST = "first"
    SECOND = "second"
    NEITHER = "neither"

    @property
    def swapped(self) -> Preference:
        """The same said of the pair the other way round."""
        return _SWAPPED[self]


_SWAPPED = {
    Preference.FIRST: Preference.SECOND,
    Preference.SECOND: Preference.FIRST,
    Preference.NEITHER: Preference.NEITHER,
}

Pair = tuple[str, str]  # the keys of two runs


class Ratings:
    """The ratings of a store, one a pair of runs; a later one takes the place of an earlier one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, pair: Pair, preference: Preference) -> None:
        """Keep what a person said of a pair."""
        pair, preference = _in_order(pair, preference)
        values = (*pair, preference.value, time.time())
        self._database.write(lambda db: db.execute("INSERT OR REPLACE INTO ratings VALUES (?, ?, ?, ?)", values))

    def find(self, pairs: Iterable[Pair]) -> dict[Pair, Preference]:
        """Give what was said of pairs, whichever way round it was asked."""
        found: dict[Pair, Preference] = {}
        source = iter(pairs)
        while some := list(islice(source, _AT_ONCE)):
            found |= self._some(some)
        return found

    def _some(self, pairs: list[Pair]) -> dict[Pair, Preference]:
        ordered = {pair: tuple(sorted(pair)) for pair in pairs}
        marks = ", ".join(["(?, ?)"] * len(pairs))
        values = [key for pair in ordered.values() for key in pair]
        rows = self._database.read(f"SELECT a, b, preferred FROM ratings WHERE (a, b) IN (VALUES {marks})", values)
        said = {(row["a"], row["b"]): Preference(row["preferred"]) for row in rows}
        return {pair: said[key] if pair == key else said[key].swapped for pair, key in ordered.items() if key in said}


def _in_order(pair: Pair, preference: Preference) -> tuple[Pair, Preference]:
    first, second = pair
    return (pair, preference) if first <= second else ((second, first), preference.swapped)
