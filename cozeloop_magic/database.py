"""One SQLite file that many threads and processes write at once, and what becomes of it when it is damaged.

Every error of SQLite's is told as a `StoreError`, in a sentence, here and nowhere else.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from cozeloop_magic.errors import StoreError
from cozeloop_magic.forks import register_after_fork
from cozeloop_magic.printable import replace_surrogates

__all__ = ["Connection", "Database", "IntegrityError", "Row", "statements"]

T = TypeVar("T")
Connection = sqlite3.Connection
Row = sqlite3.Row
IntegrityError = sqlite3.IntegrityError

_BUSY = 30.0  # seconds to wait for another process's write; each takes well under a millisecond
_BESIDE = ("", "-wal", "-shm")  # what SQLite's own files add to the name


class Database:
    """A database in one file, brought to this version's shape. Any thread may call; close it at the end.

    Parameters
    ----------
    path : Path
        The file; made if it is not there, for its owner's eyes only.
    migrations : sequence of sequence of str
        Statements; step N brings a database from ``user_version`` N to N + 1.
    what : str
        What it is, for people: "store of runs".
    salvaged : sequence of str
        The tables to carry over, as far as they can be read, when a damaged file is set aside.
    mending : sequence of str
        Statements that then see to the rows whose counterpart in another table was lost.

    Attributes
    ----------
    notes : list of str
        Sentences for whoever uses it: what was set aside, and where.

    Raises
    ------
    StoreError
        If it cannot be opened, or a newer version of the package has written it.
    """

    def __init__(
        self,
        path: Path,
        migrations: Sequence[Sequence[str]],
        *,
        what: str,
        salvaged: Sequence[str] = (),
        mending: Sequence[str] = (),
    ) -> None:
        self.path = path
        self._what = what
        self._mending = mending
        self.notes: list[str] = []
        self._migrations = migrations
        self._salvaged = salvaged
        self._left_to_parent: list[Connection] = []
        self._db: Connection | None = None
        self._inode = 0
        self._lock = threading.RLock()
        self._closed = False
        register_after_fork(self)
        self.read("SELECT 1")

    def after_fork(self) -> None:
        """Leave the connection to the parent: closing it here would drop the parent's locks."""
        self._lock = threading.RLock()
        if self._db is not None:
            self._left_to_parent.append(self._db)
            self._db = None

    def close(self) -> None:
        """Close it."""
        with self._lock:
            self._closed = True
            if self._db is not None:
                self._db.close()
                self._db = None

    def read(self, query: str, values: Sequence[Any] = ()) -> list[Row]:
        """Give the rows of a query.

        Raises
        ------
        StoreError
            If it cannot be read.
        """
        return self._do(lambda db: db.execute(query, replace_surrogates(list(values))).fetchall())

    def insert(self, query: str, values: Sequence[Any]) -> int:
        """Insert a row, which is committed when this returns, and give its number.

        One statement is a transaction of its own: of many threads that insert, each waits once and not three times.

        Raises
        ------
        StoreError
            If it cannot be kept: the disk is full, say. What was committed before stays.
        """
        return self._do(lambda db: int(db.execute(query, values).lastrowid or 0))

    def write(self, change: Callable[[Connection], T]) -> T:
        """Make a change in a transaction of its own, which is committed when this returns.

        Raises
        ------
        StoreError
            If it cannot be kept: the disk is full, say. What was committed before stays.
        """
        return self._do(lambda db: _in_transaction(db, change))

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Work in a transaction, which is committed at the end.

        Raises
        ------
        StoreError
            If it cannot be kept. Of a damage, what can be read is mended, and the work is to be done again.
        """
        with self._lock:
            try:
                with _transaction(self._attempt(lambda db: db)) as db:
                    yield db
            except sqlite3.Error as error:
                told = self._told(error)
                if isinstance(told, _Damaged):
                    self._set_aside(told)
                    raise StoreError(self.notes[-1], hint="Run it again.") from error
                raise told from error

    @property
    def size(self) -> int:
        """The bytes that hold something."""
        pages, free, bytes_a_page = (
            int(self.read(f"PRAGMA {what}")[0][0]) for what in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * bytes_a_page

    def wipe(self, *, give_back: bool) -> None:
        """Empty the log, which still holds what was deleted; the file itself holds zeros in its place.

        Parameters
        ----------
        give_back : bool
            Whether to make the file small as well, for which all that is left is written anew.

        Raises
        ------
        StoreError
            If another program has been reading what was deleted for too long.
        """
        if give_back:
            self.read("VACUUM")
        if self.read("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]:
            raise StoreError(
                f"What was deleted is still in {self.path.name}-wal: another program has the store open.",
                hint="Close other notebooks, and run it again.",
            )

    @property
    def set_aside(self) -> list[Path]:
        """The damaged files that were set aside."""
        return sorted(self.path.parent.glob(f"{self.path.name}.damaged-*"))

    def _do(self, work: Callable[[Connection], T]) -> T:
        with self._lock:
            try:
                return self._attempt(work)
            except _Damaged as damaged:
                self._set_aside(damaged)
                return self._attempt(work)

    def _attempt(self, work: Callable[[Connection], T]) -> T:
        if self._closed:
            raise StoreError(f"The {self._what} {self.path} is closed.")
        try:
            if self._db is None:
                self._db = self._opened()
            return work(self._db)
        except sqlite3.Error as error:
            raise self._told(error) from error
        except OSError as error:
            raise self._unusable(str(error.strerror)) from error

    def _opened(self) -> Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600)  # SQLite's own files beside it take after it
        found = os.fstat(file)
        os.close(file)
        self._inode = found.st_ino
        if not stat.S_ISREG(found.st_mode):
            raise self._unusable("it is no plain file")
        if found.st_size:
            self._check_version()
        db = sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
        try:
            db.row_factory = sqlite3.Row
            _enter_wal(db)
            db.execute("PRAGMA synchronous = NORMAL")  # what is committed outlives the process
            db.execute("PRAGMA secure_delete = ON")
            db.execute("PRAGMA foreign_keys = ON")
            _in_transaction(db, self._migrate)
        except BaseException:
            db.close()
            raise
        return db

    def _check_version(self) -> None:
        """Refuse a newer file before anything is written to it, be it only what SQLite tidies up."""
        with closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", timeout=_BUSY, uri=True)) as db:
            self._version_of(db)

    def _version_of(self, db: Connection) -> int:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version > len(self._migrations):
            raise StoreError(
                f"The {self._what} {self.path} was written by a newer version of cozeloop-magic.",
                hint="Update cozeloop-magic, or set COZELOOP_MAGIC_HOME to another directory.",
            )
        return version

    def _migrate(self, db: Connection) -> None:
        for step in self._migrations[self._version_of(db) :]:
            for statement in step:
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(self._migrations)}")

    def _told(self, error: sqlite3.Error) -> StoreError:
        """Give what happened as a sentence; damage is told apart, as there is something to be done about it."""
        why = str(error)
        if "malformed" in why or "not a database" in why:
            return _Damaged(f"The {self._what} {self.path} is damaged ({why}).")
        if "is full" in why or "disk I/O" in why:
            full = "the disk is full" if "is full" in why else f"{why}; the disk may be full"
            return StoreError(
                f"The {self._what} {self.path} cannot take any more ({full}).",
                hint="What was kept before is safe; make room and run it again.",
            )
        if "locked" in why:
            return StoreError(
                f"The {self._what} {self.path} was held by another program for {_BUSY:g} s.",
                hint="Close what has it open, a database browser say, and run it again.",
            )
        return self._unusable(why)

    def _unusable(self, why: str) -> StoreError:
        return StoreError(
            f"The {self._what} {self.path} cannot be used ({why}).",
            hint="Set COZELOOP_MAGIC_HOME to a directory of your own.",
        )

    def _set_aside(self, damaged: StoreError) -> None:
        """Begin a new file and carry over what can be read of the old one, which stays beside it."""
        if self._db is not None:
            self._db.close()
            self._db = None
        if self.path.exists() and self.path.stat().st_ino != self._inode:
            return  # another process has just done so
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
        try:
            for suffix in _BESIDE:
                beside = Path(f"{self.path}{suffix}")
                if beside.exists():
                    beside.rename(f"{aside}{suffix}")
        except OSError as error:
            raise damaged from error  # another program holds it
        carried = self._attempt(lambda db: self._carry_over(db, aside))
        self.notes.append(
            f"{damaged.message} It was set aside as {aside.name}; {carried:,} entries were carried over."
        )

    def _carry_over(self, db: Connection, aside: Path) -> int:
        def copy(db: Connection) -> int:
            copied = sum(_copy_table(old, db, table) for table in self._salvaged)
            for statement in self._mending:
                db.execute(statement)
            return copied

        db.execute("PRAGMA foreign_keys = OFF")  # a row's counterpart may be what cannot be read
        with closing(sqlite3.connect(aside)) as old:
            old.execute("PRAGMA writable_schema = ON")  # a table whose place is damaged then hides no other
            copied = _in_transaction(db, copy)
        db.execute("PRAGMA foreign_keys = ON")
        return copied


def statements(script: str) -> Iterator[str]:
    """Split a script where SQLite says a statement is complete; ``executescript`` would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


class _Damaged(StoreError):
    """The file is damaged."""


def _in_transaction(db: Connection, change: Callable[[Connection], T]) -> T:
    with _transaction(db):
        return change(db)


@contextmanager
def _transaction(db: Connection) -> Iterator[Connection]:
    """Take the write lock first, so that two writers wait for each other instead of failing half way."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # SQLite itself rolls back when the disk is full
            db.execute("ROLLBACK")
        raise


def _enter_wal(db: Connection) -> None:
    """Switch to write-ahead logging. SQLite does not wait for whoever else is just doing so."""
    ends = time.monotonic() + _BUSY
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > ends:
                raise
            time.sleep(0.02)


def _copy_table(old: Connection, new: Connection, table: str) -> int:
    """Copy the rows that can be read, and give how many those are."""
    columns = [row[1] for row in new.execute(f"PRAGMA table_info({table})")]
    try:
        there = {row[1] for row in old.execute(f"PRAGMA table_info({table})")}
    except sqlite3.DatabaseError:
        return 0
    names = ", ".join(name for name in columns if name in there)
    if not names:
        return 0
    marks = ", ".join("?" * (names.count(",") + 1))
    rows = _readable_rows(old, table, names)
    return new.executemany(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", rows).rowcount


def _readable_rows(old: Connection, table: str, names: str) -> Iterator[tuple[Any, ...]]:
    """Read from the first row on until damage, from the last one back until damage, and one by one in between."""
    low, high = 0, _last_rowid(old, table) + 1
    for rowid, row in _until_damage(old, f"SELECT rowid, {names} FROM {table} NOT INDEXED ORDER BY rowid"):
        low = rowid
        yield row
    backwards = f"SELECT rowid, {names} FROM {table} NOT INDEXED WHERE rowid > {low} ORDER BY rowid DESC"
    for rowid, row in _until_damage(old, backwards):
        high = rowid
        yield row
    for rowid in range(low + 1, high):
        yield from (row for _, row in _until_damage(old, f"SELECT rowid, {names} FROM {table} WHERE rowid = {rowid}"))


def _last_rowid(old: Connection, table: str) -> int:
    try:
        row = old.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    except sqlite3.DatabaseError:
        return 0
    return int(row[0]) if row else 0


def _until_damage(old: Connection, query: str) -> Iterator[tuple[int, tuple[Any, ...]]]:
    try:
        rows: Iterable[tuple[Any, ...]] = old.execute(query)
        for row in rows:
            yield row[0], row[1:]
    except (sqlite3.DatabaseError, UnicodeDecodeError, OverflowError):
        return
