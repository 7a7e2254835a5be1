"""The store's file: older, newer, damaged, full, or not to be had."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from cozeloop_magic.database import Database
from cozeloop_magic.errors import StoreError
from cozeloop_magic.store.runs import MIGRATIONS, RunStore
from tests.store.test_jobs import JOB
from tests.store.test_runs import record

STEPS = (("CREATE TABLE a (x INTEGER)", "INSERT INTO a VALUES (1)"), ("ALTER TABLE a ADD COLUMN y DEFAULT 2",))


def version_of(path: Path) -> int:
    with sqlite3.connect(path) as db:
        number = int(db.execute("PRAGMA user_version").fetchone()[0])
    db.close()
    return number


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def test_a_blank_file_is_brought_to_todays_shape(path: Path) -> None:
    path.touch()
    RunStore.open(path).close()
    assert version_of(path) == len(MIGRATIONS)


def test_an_older_file_is_brought_to_todays_shape_and_keeps_what_it_has(path: Path) -> None:
    Database(path, STEPS[:1], what="store").close()
    for _ in range(2):
        database = Database(path, STEPS, what="store")
        assert [tuple(row) for row in database.read("SELECT * FROM a")] == [(1, 2)]
        database.close()


def test_a_step_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    Database(path, STEPS[:1], what="store").close()
    with pytest.raises(StoreError, match="cannot be used"):
        Database(path, (STEPS[0], (*STEPS[1], "no SQL")), what="store")
    assert version_of(path) == 1
    Database(path, STEPS, what="store").close()


def test_a_newer_file_is_refused_and_left_alone(path: Path) -> None:
    RunStore.open(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match=r"written by a newer version .* Update cozeloop-magic"):
        RunStore.open(path)
    assert version_of(path) == 99


def test_a_file_that_is_no_database_is_set_aside(path: Path) -> None:
    path.write_text("a shopping list\n" * 100)
    with RunStore.open(path) as store:
        assert len(store.notes) == 1 and "set aside as runs.db.damaged-" in store.notes[0]
        store.put(record())
        assert store.get("k") is not None
    (aside,) = path.parent.glob("runs.db.damaged-*")
    assert aside.read_text().startswith("a shopping list")


@pytest.mark.parametrize("where", [0.02, 0.3, 0.6, 0.9])
def test_what_can_be_read_of_a_damaged_file_is_carried_over(path: Path, where: float) -> None:
    with RunStore.open(path) as store:
        for number in range(300):
            store.put(record(f"k{number}", text="long " * 200))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(int(size * where) // 4096 * 4096)
        file.write(os.urandom(4096 * 2))
    keys = [f"k{number}" for number in range(300)]
    with RunStore.open(path) as store:
        try:
            found = store.find(keys)
        except StoreError as error:
            raise AssertionError("damage was told instead of mended") from error
        store.put(record("new"))
        assert len(found) >= 280 and store.get("new") is not None
    assert RunStore.open(path).close() is None


def test_a_damage_found_late_is_mended_too(path: Path) -> None:
    with RunStore.open(path) as store:
        store.put(record())
    with RunStore.open(path) as store:
        path.write_bytes(b"overwritten" * 10_000)
        for beside in ("-wal", "-shm"):
            Path(f"{path}{beside}").unlink(missing_ok=True)
        store.put(record("new"))
        assert store.get("new") is not None
    with RunStore.open(path) as store:
        assert store.get("new") is not None


def test_a_full_disk_is_told_and_what_was_kept_stays(path: Path) -> None:
    with RunStore.open(path) as store:
        store.put(record("before"))
        pages = store._database.read("PRAGMA page_count")[0][0]
        store._database.read(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(StoreError, match=r"the disk is full.*What was kept before is safe"):
            for number in range(100):
                store.put(record(f"k{number}", text="long " * 500))
        assert store.get("before") is not None
        store._database.read("PRAGMA max_page_count = 100000")
        store.put(record("after"))
        assert store.get("after") is not None


def test_a_directory_in_its_place_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be used"):
        RunStore.open(tmp_path)


def test_what_is_deleted_leaves_no_trace(path: Path) -> None:
    with RunStore.open(path) as store:
        store.put(record(text="a secret recipe"))
        store._database.write(lambda db: db.execute("DELETE FROM runs"))
        store._database.read("PRAGMA wal_checkpoint(TRUNCATE)")
        assert b"secret recipe" not in path.read_bytes()


def test_a_newer_file_is_not_even_tidied_up(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE a (x)")
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer version"):
        RunStore.open(path)
    assert path.read_bytes() == before


def test_a_table_whose_place_is_damaged_hides_no_other(path: Path) -> None:
    with RunStore.open(path) as store:
        store.put(replace(record(), job=store.jobs.begin(JOB)))
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET rootpage = 9999 WHERE name = 'jobs'")
    db.close()
    with RunStore.open(path) as store:
        assert store.get("k") is not None and "1 entries were carried over" in store.notes[0]
