"""Prompts, their versions, drafts and labels, in SQLite.

A version is written once and never changes. The latest version is the one committed last.
"""

from __future__ import annotations

import difflib
import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cozeloop_magic.database import Connection, Database, IntegrityError, Row, statements
from cozeloop_magic.errors import RemoteError, remote_error
from cozeloop_magic.local.labels import labelled, labels_of, set_label
from cozeloop_magic.local.rows import Commit, Draft, PromptRow

__all__ = ["DRAFT", "KEY_EXISTS", "NOT_FOUND", "VERSION_NOT_FOUND", "Store", "unknown_key"]

DRAFT = "$Draft"  # as the platform's ``mget`` has it
INVALID_PARAMETER = 600500202
NOT_FOUND = 600501001
VERSION_NOT_FOUND = 600501002
NOT_COMMITTED = 600501003
KEY_EXISTS = 600501008
VERSION_EXISTS = 600501009
MOST_SHOWN = 100  # characters of what was asked for

# Step N brings a database from `user_version` N to N + 1. Add steps; never change one that was released.
MIGRATIONS = (
    """
    CREATE TABLE workspace (id TEXT NOT NULL);
    CREATE TABLE prompts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        prompt_key TEXT NOT NULL UNIQUE,
        display_name TEXT NOT NULL,
        description TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL
    );
    CREATE TABLE commits (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        prompt_id INTEGER NOT NULL REFERENCES prompts (id) ON DELETE CASCADE,
        version TEXT NOT NULL,
        base_version TEXT NOT NULL,
        description TEXT NOT NULL,
        committed_at INTEGER NOT NULL,
        detail TEXT NOT NULL,
        UNIQUE (prompt_id, version)
    );
    CREATE TRIGGER commits_never_change BEFORE UPDATE ON commits
    BEGIN SELECT RAISE(ABORT, 'a committed version never changes'); END;
    CREATE TABLE drafts (
        prompt_id INTEGER PRIMARY KEY REFERENCES prompts (id) ON DELETE CASCADE,
        base_version TEXT NOT NULL,
        detail TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL
    );
    CREATE TABLE labels (
        prompt_id INTEGER NOT NULL REFERENCES prompts (id) ON DELETE CASCADE,
        label TEXT NOT NULL,
        version TEXT NOT NULL,
        PRIMARY KEY (prompt_id, label)
    );
    CREATE TABLE seeds (
        prompt_key TEXT NOT NULL,
        version TEXT NOT NULL,
        PRIMARY KEY (prompt_key, version)
    );
    """,
    """
    ALTER TABLE prompts ADD COLUMN prompt_type TEXT NOT NULL DEFAULT 'normal';
    ALTER TABLE prompts ADD COLUMN security_level TEXT NOT NULL DEFAULT 'L3';
    """,
)

_TABLES = ("workspace", "prompts", "commits", "drafts", "labels", "seeds")
# A prompt that was lost, and whose versions or draft were not, comes back under a key that tells so.
_LOST = """
    (SELECT prompt_id FROM commits UNION SELECT prompt_id FROM drafts)
    WHERE prompt_id NOT IN (SELECT id FROM prompts)
"""
_MENDING = (
    f"""
    INSERT INTO prompts (id, prompt_key, display_name, description, created_at, updated_at)
    SELECT prompt_id, 'recovered_' || prompt_id, 'recovered_' || prompt_id, '', 0, 0 FROM {_LOST}
    """,
    "DELETE FROM labels WHERE (prompt_id, version) NOT IN (SELECT prompt_id, version FROM commits)",
)

_PROMPTS = """
    SELECT p.*, c.version AS latest_version, c.committed_at AS latest_committed_at
    FROM prompts p LEFT JOIN commits c
    ON c.sequence = (SELECT MAX(sequence) FROM commits WHERE prompt_id = p.id)
"""


class Store:
    """The prompts of one workspace. Any thread may call; close it at the end.

    Parameters
    ----------
    path : Path
        The database; made if it is not there, and brought to this version's shape.

    Attributes
    ----------
    workspace_id : str
        The workspace, a 64-bit number as text, chosen when the database was made.
    notes : sequence of str
        Sentences for whoever uses it: a damage that was mended, and where the damaged file is.

    Raises
    ------
    StoreError
        If the database cannot be opened, also later by any call; the message says what to do.
    """

    def __init__(self, path: Path) -> None:
        steps = [list(statements(step)) for step in MIGRATIONS]
        self._database = Database(path, steps, what="store of prompts", salvaged=_TABLES, mending=_MENDING)
        self.notes: Sequence[str] = self._database.notes
        with self._transaction() as db:
            if not db.execute("SELECT 1 FROM workspace").fetchone():
                # A number as the platform has them, so that no client meets a workspace of an odd shape.
                db.execute("INSERT INTO workspace VALUES (?)", (str(10**18 + secrets.randbelow(8 * 10**18)),))
            self.workspace_id = str(db.execute("SELECT id FROM workspace").fetchone()["id"])

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def create_prompt(
        self, key: str, name: str, description: str = "", *, prompt_type: str = "normal", security_level: str = "L3"
    ) -> int:
        """Make a prompt without a version and give its id."""
        with self._transaction() as db:
            return _create_prompt(db, key, name, description, prompt_type, security_level)

    def list_prompts(self, *, page: int, size: int, prefix: str = "") -> tuple[list[PromptRow], int]:
        """Give a page of the committed prompts whose key or name begins with `prefix`, newest first, and how many."""
        where = """WHERE EXISTS (SELECT 1 FROM commits WHERE prompt_id = p.id)
            AND (substr(prompt_key, 1, :n) = :prefix OR substr(display_name, 1, :n) = :prefix)"""
        values = {"prefix": prefix, "n": len(prefix), "limit": size, "offset": (page - 1) * size}
        with self._transaction() as db:
            total = db.execute(f"SELECT COUNT(*) FROM prompts p {where}", values).fetchone()[0]
            rows = db.execute(f"{_PROMPTS} {where} ORDER BY p.id DESC LIMIT :limit OFFSET :offset", values)
            return [PromptRow(**row) for row in rows], total

    def prompt(self, prompt_id: int) -> PromptRow:
        """Give a prompt by its id."""
        with self._transaction() as db:
            return _prompt(db, prompt_id)

    def prompt_by_key(self, key: str) -> PromptRow:
        """Give a prompt by its key; an unknown key is an error that names similar ones."""
        with self._transaction() as db:
            row = db.execute(f"{_PROMPTS} WHERE prompt_key = ?", (key,)).fetchone()
            if row is None:
                rows = db.execute("SELECT prompt_key FROM prompts ORDER BY prompt_key")
                raise unknown_key(key, [row["prompt_key"] for row in rows])
            return PromptRow(**row)

    def delete_prompt(self, prompt_id: int) -> None:
        """Delete a prompt with everything that belongs to it."""
        with self._transaction() as db:
            _prompt(db, prompt_id)
            db.execute("DELETE FROM prompts WHERE id = ?", (prompt_id,))

    def commit_of(self, prompt: PromptRow, *, version: str = "", label: str = "") -> Commit:
        """Give the version asked for: by number, else by label, else the latest; ``$Draft`` is the draft."""
        if version == DRAFT:
            if (draft := self.draft(prompt.id)) is None:
                raise remote_error(
                    f"Prompt {prompt.prompt_key} has no draft; save one first.", code=VERSION_NOT_FOUND
                )
            return Commit(0, prompt.id, DRAFT, draft.base_version, "", draft.updated_at, draft.detail)
        if prompt.latest_version is None:
            raise remote_error(
                f"Prompt {prompt.prompt_key} has no committed version yet; save its draft and commit it.",
                code=NOT_COMMITTED,
            )
        with self._transaction() as db:
            if label and not version:
                version = labelled(db, prompt, label)
            return _commit(db, prompt, version or prompt.latest_version)

    def commits(self, prompt_id: int, *, size: int, before: int | None = None) -> list[Commit]:
        """Give up to `size` versions, latest first, beginning below the sequence number `before`."""
        query = "SELECT * FROM commits WHERE prompt_id = ? AND sequence < ? ORDER BY sequence DESC LIMIT ?"
        with self._transaction() as db:
            _prompt(db, prompt_id)
            rows = db.execute(query, (prompt_id, before or 2**62, size))
            return [_with_detail(Commit, row) for row in rows]

    def draft(self, prompt_id: int) -> Draft | None:
        """Give a prompt's draft, if it has one."""
        with self._transaction() as db:
            row = db.execute("SELECT * FROM drafts WHERE prompt_id = ?", (prompt_id,)).fetchone()
            draft: Draft | None = row and _with_detail(Draft, row)
            return draft

    def save_draft(self, prompt_id: int, detail: Mapping[str, Any], base_version: str = "") -> Draft:
        """Write a prompt's draft over the one it had."""
        query = """
            INSERT INTO drafts (prompt_id, base_version, detail, created_at, updated_at)
            VALUES (:id, :base, :detail, :now, :now)
            ON CONFLICT (prompt_id) DO UPDATE SET base_version = :base, detail = :detail, updated_at = :now
        """
        with self._transaction() as db:
            prompt = _prompt(db, prompt_id)
            base = base_version or prompt.latest_version or ""
            if base_version and not _has_commit(db, prompt_id, base_version):
                message = f"Prompt {prompt.prompt_key} has no version {base_version} for a draft to begin from."
                raise remote_error(message, code=NOT_FOUND)
            values = {"id": prompt_id, "base": base, "detail": json.dumps(detail), "now": _now()}
            db.execute(query, values)
            row = db.execute("SELECT * FROM drafts WHERE prompt_id = ?", (prompt_id,)).fetchone()
            draft: Draft = _with_detail(Draft, row)
            return draft

    def commit_draft(self, prompt_id: int, version: str, description: str = "") -> None:
        """Make a version of a prompt's draft; the draft is gone then."""
        with self._transaction() as db:
            prompt = _prompt(db, prompt_id)
            draft = db.execute("SELECT * FROM drafts WHERE prompt_id = ?", (prompt_id,)).fetchone()
            if draft is None:
                raise remote_error(
                    f"Prompt {prompt.prompt_key} has no draft to commit; save one first.", code=NOT_FOUND
                )
            _insert_commit(db, prompt, version, json.loads(draft["detail"]), description, draft["base_version"])
            db.execute("DELETE FROM drafts WHERE prompt_id = ?", (prompt_id,))

    def labels(self, prompt_id: int) -> dict[str, str]:
        """Give the version that each of a prompt's labels marks."""
        with self._transaction() as db:
            return labels_of(db, prompt_id)

    def set_label(self, prompt_id: int, label: str, version: str) -> dict[str, str]:
        """Have a label mark a version, and give all labels."""
        with self._transaction() as db:
            _commit(db, _prompt(db, prompt_id), version)
            set_label(db, prompt_id, label, version)
            return labels_of(db, prompt_id)

    def seed(self, seeds: Mapping[str, Mapping[str, Any]]) -> None:
        """Put in the prompts that come with the package; what the user deleted or made his own is left alone."""
        with self._transaction() as db:
            for key, seed in seeds.items():
                _seed(db, key, seed)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Work in one transaction: committed at the end, rolled back on any error."""
        try:
            with self._database.transaction() as db:
                yield db
        except OverflowError:  # SQLite knows 64 bits
            raise remote_error("A number is too large.", code=INVALID_PARAMETER) from None
        except UnicodeEncodeError:
            what = "A text holds half a character (a lone surrogate)."
            raise remote_error(what, code=INVALID_PARAMETER) from None


def _now() -> int:
    return time.time_ns() // 1_000_000


def _with_detail(kind: type[Any], row: Row) -> Any:
    return kind(**dict(row) | {"detail": json.loads(row["detail"])})


def _prompt(db: Connection, prompt_id: int) -> PromptRow:
    row = db.execute(f"{_PROMPTS} WHERE p.id = ?", (prompt_id,)).fetchone()
    if row is None:
        raise remote_error(f"There is no prompt with the id {prompt_id}.", code=NOT_FOUND)
    return PromptRow(**row)


def unknown_key(key: str, keys: Sequence[str]) -> RemoteError:
    """Make the error of a key that no prompt has; it names those that are like it."""
    close = difflib.get_close_matches(key, keys, n=3)
    also = f" Did you mean {' or '.join(close)}?" if close else f" There are: {_some(keys)}."
    return remote_error(f"There is no prompt {key[:MOST_SHOWN]!r} in this workspace.{also}", code=NOT_FOUND)


def _some(names: Sequence[str], most: int = 20) -> str:
    """Name a few of them, the last ones, and say how many more there are."""
    more = f"{len(names) - most:,} more, " if len(names) > most else ""
    return (more + ", ".join(names[-most:])) or "none"


def _create_prompt(
    db: Connection, key: str, name: str, description: str, kind: str = "normal", level: str = "L3"
) -> int:
    query = """
        INSERT INTO prompts (
            prompt_key, display_name, description, created_at, updated_at, prompt_type, security_level
        ) VALUES (?, ?, ?, ?, ?, ?, ?)
    """
    now = _now()
    try:
        row = db.execute(query, (key, name, description, now, now, kind, level))
    except IntegrityError:
        raise remote_error(f"There is already a prompt {key!r}.", code=KEY_EXISTS) from None
    return int(row.lastrowid or 0)


def _has_commit(db: Connection, prompt_id: int, version: str) -> bool:
    found = db.execute("SELECT 1 FROM commits WHERE prompt_id = ? AND version = ?", (prompt_id, version)).fetchone()
    return found is not None


def _commit(db: Connection, prompt: PromptRow, version: str) -> Commit:
    row = db.execute("SELECT * FROM commits WHERE prompt_id = ? AND version = ?", (prompt.id, version)).fetchone()
    if row is None:
        rows = db.execute("SELECT version FROM commits WHERE prompt_id = ? ORDER BY sequence", (prompt.id,))
        there = _some([row["version"] for row in rows])
        asked = version[:MOST_SHOWN]
        message = f"Prompt {prompt.prompt_key} has no version {asked}. Versions there are: {there}."
        raise remote_error(message, code=VERSION_NOT_FOUND)
    commit: Commit = _with_detail(Commit, row)
    return commit


def _insert_commit(
    db: Connection, prompt: PromptRow, version: str, detail: Mapping[str, Any], description: str, base: str
) -> None:
    query = """
        INSERT INTO commits (prompt_id, version, base_version, description, committed_at, detail)
        VALUES (?, ?, ?, ?, ?, ?)
    """
    now = _now()
    try:
        db.execute(query, (prompt.id, version, base, description, now, json.dumps(detail)))
    except IntegrityError:
        message = f"Prompt {prompt.prompt_key} already has a version {version}; choose a new one."
        raise remote_error(message, code=VERSION_EXISTS) from None
    db.execute("UPDATE prompts SET updated_at = ? WHERE id = ?", (now, prompt.id))


def _seed(db: Connection, key: str, seed: Mapping[str, Any]) -> None:
    seeded = {row["version"] for row in db.execute("SELECT version FROM seeds WHERE prompt_key = ?", (key,))}
    row = db.execute("SELECT id FROM prompts WHERE prompt_key = ?", (key,)).fetchone()
    mine = row and {r["version"] for r in db.execute("SELECT version FROM commits WHERE prompt_id = ?", (row["id"],))}
    is_new = row is None and not seeded
    is_untouched = row is not None and bool(seeded) and mine == seeded
    if not (is_new or is_untouched):
        return  # deleted, or the user's own work
    prompt_id = row["id"] if row else _create_prompt(db, key, seed["display_name"], seed["description"])
    for version, commit in seed["versions"].items():
        if version not in seeded:
            prompt = _prompt(db, prompt_id)
            base = prompt.latest_version or ""
            _insert_commit(db, prompt, version, commit["detail"], commit["description"], base)
            db.execute("INSERT INTO seeds VALUES (?, ?)", (key, version))
    if not row:
        db.executemany(
            "INSERT INTO labels VALUES (?, ?, ?)", [(prompt_id, *label) for label in seed["labels"].items()]
        )
