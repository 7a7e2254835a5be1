"""`RunStore`: finished runs, the jobs they belong to, and what people said of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path

from cozeloop_magic.database import Database
from cozeloop_magic.errors import ConfigurationError
from cozeloop_magic.run.state import Phase
from cozeloop_magic.store.history import History
from cozeloop_magic.store.jobs import Jobs
from cozeloop_magic.store.ratings import Ratings
from cozeloop_magic.store.record import COLUMNS, RunRecord

__all__ = ["KEEP_VARIABLE", "RunStore", "default_path", "opened"]

KEEP_VARIABLE = "COZELOOP_MAGIC_KEEP"

# Step N brings a database from `user_version` N to N + 1. Add steps; never change one that was released.
MIGRATIONS = (
    (
        """
        CREATE TABLE jobs (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            kind TEXT NOT NULL,
            plan TEXT NOT NULL,
            subject TEXT NOT NULL,
            question TEXT NOT NULL,
            total INTEGER NOT NULL,
            started REAL NOT NULL,
            state TEXT NOT NULL,
            ended REAL
        )
        """,
        "CREATE INDEX jobs_by_plan ON jobs (plan)",
        "CREATE INDEX jobs_by_subject ON jobs (subject, question)",
        """
        CREATE TABLE job_inputs (
            job INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
            input TEXT NOT NULL,
            PRIMARY KEY (job, input)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE runs (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            key TEXT NOT NULL,
            prompt_key TEXT NOT NULL,
            version TEXT,
            label TEXT,
            origin TEXT NOT NULL,
            request TEXT NOT NULL,
            result TEXT NOT NULL,
            phase TEXT NOT NULL,
            ttft REAL,
            latency REAL,
            error TEXT,
            started REAL NOT NULL,
            created_at REAL NOT NULL,
            pieces INTEGER NOT NULL,
            job INTEGER REFERENCES jobs (id) ON DELETE SET NULL
        )
        """,
        "CREATE INDEX runs_by_key ON runs (key)",
        "CREATE INDEX runs_by_job ON runs (job)",
        """
        CREATE TABLE ratings (
            a TEXT NOT NULL,
            b TEXT NOT NULL,
            preferred TEXT NOT NULL,
            rated_at REAL NOT NULL,
            PRIMARY KEY (a, b)
        )
        """,
    ),
    (
        "ALTER TABLE runs ADD COLUMN spoke_until REAL",
        "ALTER TABLE runs ADD COLUMN notes TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE runs ADD COLUMN cell TEXT",
        "CREATE INDEX runs_by_prompt ON runs (prompt_key)",
    ),
)

_TABLES = ("jobs", "runs", "ratings")  # what is carried over from a damaged file, those first that others refer to
_MENDING = ("UPDATE runs SET job = NULL WHERE job NOT IN (SELECT id FROM jobs)",)
_SAID = dict.fromkeys(("", "1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)
_VALUES = ["(SELECT id FROM jobs WHERE id = ?)" if name == "job" else "?" for name in COLUMNS]  # it may be forgotten
_ROW = f"({', '.join(_VALUES)})"
_INSERT = f"INSERT INTO runs ({', '.join(COLUMNS)}) VALUES "
_BETWEEN_LOOKS = 256  # runs that are kept before the size is looked at again
_AT_ONCE = 500  # keys in one query: SQLite once allowed no more than 999 values
_KEPT_AT_ONCE = 999 // len(COLUMNS)


def default_path() -> Path:
    """Give where the store is: in the user's data directory, or below ``COZELOOP_MAGIC_HOME``."""
    from cozeloop_magic.local.paths import data_dir

    return data_dir() / "runs.db"


@contextmanager
def opened(store: RunStore | bool) -> Iterator[RunStore | None]:
    """Give the store that is meant: one that is given is left open, the user's own is closed in the end.

    Parameters
    ----------
    store : RunStore or bool
        True is the user's own, or none where ``COZELOOP_MAGIC_KEEP`` is 0; False is none.

    Raises
    ------
    ConfigurationError
        If the environment variable says neither yes nor no.
    StoreError
        If it cannot be opened.
    """
    if isinstance(store, RunStore):
        yield store
    elif store and _is_on():
        with RunStore.open() as own:
            yield own
    else:
        yield None


def _is_on() -> bool:
    said = os.environ.get(KEEP_VARIABLE, "").strip().lower()
    if said not in _SAID:
        raise ConfigurationError(
            f"{KEEP_VARIABLE} is {said!r}.", hint="Set it to 0 to keep no runs, or to 1; without it they are kept."
        )
    return _SAID[said]


class RunStore:
    """Finished runs, kept once each. Any thread may call, and any number of processes write at once.

    Attributes
    ----------
    jobs : Jobs
        What the runs were made for.
    ratings : Ratings
        What people said of pairs of them.
    history : History
        The same runs, looked through and forgotten.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.history = History(database)
        self._unlooked = 0
        self.jobs = Jobs(database)
        self.ratings = Ratings(database)

    @classmethod
    def open(cls, path: Path | None = None) -> RunStore:
        """Open the store at a path, or the user's own; make it if it is not there.

        Raises
        ------
        StoreError
            If it cannot be opened, or a newer version of the package has written it.
        """
        return cls(
            Database(path or default_path(), MIGRATIONS, what="store of runs", salvaged=_TABLES, mending=_MENDING)
        )

    def __enter__(self) -> RunStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._database.path

    @property
    def notes(self) -> Sequence[str]:
        """Sentences for whoever uses it: that a damaged file was set aside, say."""
        return tuple(self._database.notes)

    @property
    def set_aside(self) -> Sequence[Path]:
        """The damaged files that were set aside."""
        return self._database.set_aside

    def close(self) -> None:
        """Close it."""
        self._database.close()

    def put(self, record: RunRecord) -> int:
        """Keep a run, committed when this returns, and give its number. Where the store is too large, the oldest go.

        Raises
        ------
        StoreError
            If it cannot be kept.
        """
        return self.put_all([record])

    def put_all(self, records: Iterable[RunRecord]) -> int:
        """Keep runs, some of them in one transaction, and give the number of the last; see `put`."""
        number = 0
        rows = map(RunRecord.to_row, records)
        while some := list(islice(rows, _KEPT_AT_ONCE)):
            # One statement: between two, whoever else computes has the interpreter for some milliseconds.
            number = self._database.insert(_INSERT + ", ".join([_ROW] * len(some)), list(chain(*some)))
            self._unlooked -= len(some)
        if self._unlooked < 0:
            self._unlooked = _BETWEEN_LOOKS
            self.history.prune()
        return number

    def get(self, key: str) -> RunRecord | None:
        """Give the run that was kept last under a key; see `find`."""
        return self.find([key]).get(key)

    def find(self, keys: Iterable[str], *, job: int | None = None) -> dict[str, RunRecord]:
        """Give the runs that are kept under keys: of each the last that came to its end, else the last that failed.

        Parameters
        ----------
        keys : iterable of str
            Any number of them; a key that nothing is kept under is not among what is given.
        job : int, optional
            The number of the job whose runs alone count.
        """
        found: dict[str, RunRecord] = {}
        source = iter(keys)
        while some := list(islice(source, _AT_ONCE)):
            found |= {record.key: record for record in self._some(some, job)}
        return found

    def phases(self, keys: Iterable[str]) -> dict[str, tuple[Phase, int | None]]:
        """Give how the runs that `find` would give have ended, and the number of each one's job."""
        found: dict[str, tuple[Phase, int | None]] = {}
        source = iter(keys)
        while some := list(islice(source, _AT_ONCE)):
            rows = self._database.read(_query("key, phase, job", len(some)), [*some, *_ENDS])
            found |= {row["key"]: (Phase(row["phase"]), row["job"]) for row in rows}
        return found

    def _some(self, keys: list[str], job: int | None) -> Iterable[RunRecord]:
        of_job = "AND job = ?" if job is not None else ""
        values = [*keys, *_ENDS[:2], *([job] if job is not None else ()), _ENDS[2]]
        return map(RunRecord.from_row, self._database.read(_query("*", len(keys), of_job), values))


_ENDS = (Phase.DONE.value, Phase.FAILED.value, Phase.DONE.value)  # those that stand for something, and the better one


def _query(columns: str, keys: int, more: str = "") -> str:
    return f"""
        SELECT {columns} FROM runs WHERE key IN ({", ".join("?" * keys)}) AND phase IN (?, ?) {more}
        ORDER BY phase = ?, id
    """
