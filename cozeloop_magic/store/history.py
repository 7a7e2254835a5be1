"""`History`: what was run, looked through, forgotten for good, and kept within a size."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cozeloop_magic.database import Connection, Database
from cozeloop_magic.errors import ConfigurationError, InvalidRequest
from cozeloop_magic.printable import replace_surrogates
from cozeloop_magic.run.state import Phase
from cozeloop_magic.store.jobs import JobState
from cozeloop_magic.store.record import RunRecord

__all__ = ["LIMIT_VARIABLE", "History", "Wanted", "moment_of"]

LIMIT_VARIABLE = "COZELOOP_MAGIC_KEEP_MB"
"""Names the environment variable for the size of the store, in megabytes."""

_LIMIT = 2000  # megabytes: a million short answers
_PRUNED_TO = 0.9  # of the limit, so that it is not pruned again at once
_AT_ONCE = 500  # runs that are read, or deleted, together
_AGES = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}  # seconds
_SAYING = {  # the fields that hold what somebody says
    "value", "placeholder_messages", "multi_part_values", "content", "reasoning_content", "parts", "text",
    "tool_calls", "function_call", "name", "arguments",
}  # fmt: skip
_OF_NO_UNFINISHED_JOB = "job IS NULL OR job NOT IN (SELECT id FROM jobs WHERE state <> ?)"


def moment_of(text: str) -> float:
    """Read ``7d``, ``12h``, ``30m``, ``2w``, ``2026-11-12`` or ``2026-11-12 14:03`` as seconds since 1970.

    Raises
    ------
    InvalidRequest
        If it is neither an age nor a local date.
    """
    if age := re.fullmatch(r"(\d{1,6})([mhdw])", text.strip()):
        return time.time() - int(age[1]) * _AGES[age[2]]
    try:
        return datetime.fromisoformat(text.strip("\"' ")).timestamp()
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f"{text} is no moment.", hint="Write an age such as 7d, 12h or 30m, or a date such as 2026-11-12."
        ) from None


@dataclass(frozen=True)
class Wanted:
    """Which runs are looked for; each thing that is given must be so.

    Attributes
    ----------
    prompt_key : str or None
        The prompt.
    since, before : float or None
        When they were kept, in seconds since 1970.
    text : str or None
        What stands in a variable, message or answer, or in the error; large and small letters are the same.
    failed : bool
        Only those that failed, or were stopped.
    number : int or None
        One run's number.
    """

    prompt_key: str | None = None
    since: float | None = None
    before: float | None = None
    text: str | None = None
    failed: bool = False
    number: int | None = None

    @property
    def _where(self) -> tuple[str, list[Any]]:
        """Give what the store can tell by itself, as SQL and its values."""
        asked: dict[str, Any] = {
            "prompt_key = ?": self.prompt_key,
            "created_at >= ?": self.since,
            "created_at < ?": self.before,
            "id = ?": self.number,
            "phase <> ?": Phase.DONE.value if self.failed else None,
        }
        given = {condition: value for condition, value in asked.items() if value is not None}
        return " AND ".join(given) or "TRUE", list(given.values())

    def _holds(self, run: RunRecord) -> bool:
        """Tell the rest: whether the text stands somewhere in it."""
        return self.text is None or any(self.text.casefold() in said.casefold() for said in _said(run))


class History:
    """The runs of a store by time, the latest first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __len__(self) -> int:
        return int(self._database.read("SELECT COUNT(*) FROM runs")[0][0])

    def __iter__(self) -> Iterator[RunRecord]:
        return self.find(Wanted())

    def find(self, wanted: Wanted) -> Iterator[RunRecord]:
        """Yield runs, the latest first, as they are read."""
        where, values = wanted._where
        last = 2**62
        query = f"SELECT * FROM runs WHERE id < ? AND {where} ORDER BY id DESC LIMIT {_AT_ONCE}"
        while rows := self._database.read(query, [last, *values]):
            last = rows[-1]["id"]
            yield from filter(wanted._holds, map(RunRecord.from_row, rows))

    def get(self, number: int) -> RunRecord:
        """Give the run of a number.

        Raises
        ------
        InvalidRequest
            If there is none.
        """
        for run in self.find(Wanted(number=number)):
            return run
        raise InvalidRequest(f"There is no run {number} in the store.", hint="`%loop history` shows what there is.")

    def forget(self, wanted: Wanted) -> int:
        """Delete runs so that no byte of them is left in the store's files, and give how many those were.

        What people said of them goes as well. Where all is wanted, so do jobs, and damaged files set aside.

        Raises
        ------
        StoreError
            If something else is reading what was deleted, so that it could not be wiped yet.
        """
        where, values = wanted._where
        if wanted.text is not None:  # which SQL cannot tell
            where, values = "id IN (SELECT value FROM json_each(?))", [json.dumps([r.id for r in self.find(wanted)])]
        is_all = wanted == Wanted()

        def delete(db: Connection) -> int:
            gone = db.execute(f"DELETE FROM runs WHERE {where}", replace_surrogates(list(values))).rowcount
            db.execute("DELETE FROM ratings WHERE NOT EXISTS (SELECT 1 FROM runs WHERE key IN (a, b))")
            if is_all:
                db.execute("DELETE FROM jobs")
            return gone

        gone = self._database.write(delete)
        self._database.wipe(give_back=is_all)
        if is_all:
            for damaged in self._database.set_aside:
                damaged.unlink(missing_ok=True)
        return gone

    def prune(self, most_bytes: int | None = None) -> int:
        """Delete the oldest runs of a store that is too large, but none of an unfinished job; give how many.

        Parameters
        ----------
        most_bytes : int, optional
            How large it may be; else what ``COZELOOP_MAGIC_KEEP_MB`` says, 2,000 MB where it says nothing.
        """
        most = _limit() if most_bytes is None else most_bytes
        gone = 0
        while self._database.size > most * (_PRUNED_TO if gone else 1):
            some = self._database.write(_delete_oldest)
            if not some:
                break
            gone += some
        return gone


def _delete_oldest(db: Connection) -> int:
    oldest = f"SELECT id FROM runs WHERE {_OF_NO_UNFINISHED_JOB} ORDER BY id LIMIT {_AT_ONCE}"
    return db.execute(f"DELETE FROM runs WHERE id IN ({oldest})", (JobState.COMPLETE.value,)).rowcount


def _limit() -> int:
    given = os.environ.get(LIMIT_VARIABLE, "").strip()
    if given and not given.isdecimal():
        raise ConfigurationError(f"{LIMIT_VARIABLE} is {given!r}.", hint="Write megabytes as a number, such as 500.")
    return int(given or _LIMIT) * 1_000_000


def _said(run: RunRecord) -> Iterator[str]:
    """Yield the texts of a run: what was asked, what was answered, and why it failed."""
    asked = (run.request.get("variable_vals"), run.request.get("messages"))
    yield from _texts([*asked, run.result["answer"].get("message"), (run.error or {}).get("message")])


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, dict):
        yield from _texts([each for name, each in value.items() if name in _SAYING])
