"""The prompts' file: newer, damaged, on a full disk, or no file at all."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from cozeloop_magic.errors import RemoteError, StoreError
from cozeloop_magic.local import paths
from cozeloop_magic.local.choice import chosen_model
from cozeloop_magic.local.process import RuntimeFile
from cozeloop_magic.local.seeds import read_seeds
from cozeloop_magic.local.store import Store
from tests.local.conftest import Parrot, asked, fill

LONG = {"prompt_template": {"messages": [{"role": "user", "content": "long " * 500}]}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mine.db"


def filled(path, number=60):
    """Make a store with prompts of two versions each, and a draft for every third."""
    with closing(Store(path)) as store:
        for index in range(number):
            prompt_id = store.create_prompt(f"poem{index}", f"Poem {index}")
            for version in ("1.0.0", "1.1.0"):
                store.save_draft(prompt_id, LONG)
                store.commit_draft(prompt_id, version)
            if index % 3 == 0:
                store.save_draft(prompt_id, LONG)
        return store.workspace_id


def versions(store):
    rows, _ = store.list_prompts(page=1, size=1000)
    return {row.prompt_key: [commit.version for commit in store.commits(row.id, size=9)] for row in rows}


class TestNewer:
    @pytest.mark.parametrize("journal", ["delete", "wal"])
    def test_it_is_refused_before_anything_is_written(self, path, journal):
        filled(path, 1)
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA user_version = 99")
            db.execute(f"PRAGMA journal_mode = {journal}")
        before = path.read_bytes()
        for _ in range(2):
            with pytest.raises(
                StoreError, match=r"newer version .*Update cozeloop-magic, or set COZELOOP_MAGIC_HOME"
            ):
                Store(path)
        assert path.read_bytes() == before

    def test_also_where_its_writer_was_killed_and_left_a_log(self, path):
        code = (
            "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('PRAGMA user_version = 99');"
            "db.commit(); os.kill(os.getpid(), 9)"
        )
        filled(path, 1)
        subprocess.run([sys.executable, "-c", code, path])
        log = Path(f"{path}-wal")
        before = path.read_bytes(), log.read_bytes()
        assert before[1]
        with pytest.raises(StoreError, match="newer version"):
            Store(path)
        assert (path.read_bytes(), log.read_bytes()) == before

    def test_the_notebook_is_told(self, monkeypatch, tmp_path):
        path = paths.data_dir() / "prompts.db"
        filled(path, 1)
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA user_version = 99")
        said = told_at_the_start(monkeypatch, tmp_path)
        assert "newer version" in said and "Update cozeloop-magic" in said


def told_at_the_start(monkeypatch, tmp_path):
    """Start a server that cannot, and give its words."""
    (tmp_path / "no-model.gguf").write_text("This is no model.")
    monkeypatch.setenv("COZELOOP_MAGIC_GGUF", str(tmp_path / "no-model.gguf"))
    command = [sys.executable, "-m", "cozeloop_magic.local.server", str(RuntimeFile.of(chosen_model()).path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    return done.stderr


class TestDamaged:
    def test_what_is_no_database_is_set_aside_and_told(self, path):
        path.write_text("a shopping list\n" * 100)
        with closing(Store(path)) as store:
            (note,) = store.notes
            assert "damaged" in note and "set aside as mine.db.damaged-" in note
            store.seed(read_seeds())
            assert store.prompt_by_key("ptaas_demo")
        (aside,) = path.parent.glob("mine.db.damaged-*")
        assert aside.read_text().startswith("a shopping list")

    @pytest.mark.parametrize("seed", range(6))
    def test_what_can_be_read_is_kept(self, path, seed):
        filled(path)
        pages = path.stat().st_size // 4096
        rng = random.Random(seed)
        with path.open("r+b") as file:
            file.seek(rng.randrange(2, pages - 4) * 4096)
            file.write(rng.randbytes(4096 * 3))
        with closing(Store(path)) as store:
            kept = {}
            for _ in range(3):  # a damage that is met is mended, and the call told to come again
                try:
                    kept = versions(store)
                    store.create_prompt("new", "New")
                    break
                except StoreError as error:
                    assert "set aside" in str(error) and "Run it again" in str(error)
            assert sum(map(len, kept.values())) >= 100
            assert store.prompt_by_key("new").id > 60

    def test_the_versions_of_a_prompt_that_was_lost_come_back_under_another_name(self, path):
        workspace_id = filled(path, 3)
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA foreign_keys = OFF")
            db.execute("DELETE FROM prompts WHERE id = 2")
            db.commit()
            db.execute("PRAGMA writable_schema = ON")
            db.execute("UPDATE sqlite_schema SET rootpage = 9999 WHERE name = 'seeds'")
            db.commit()
        with closing(Store(path)) as store:
            for _ in range(2):
                try:
                    store.seed(read_seeds())
                except StoreError:
                    continue
            found = versions(store)
            assert found["recovered_2"] == found["poem0"] == ["1.1.0", "1.0.0"] and "poem1" not in found
            assert store.workspace_id == workspace_id
        with closing(Store(path)) as store:
            assert store.workspace_id == workspace_id

    def test_a_run_tells_of_it(self, path, start):
        path.write_text("a shopping list\n" * 100)
        with closing(Store(path)) as store:
            store.seed(read_seeds())
            server = start(Parrot(), store)
            assert "set%20aside" in server.post("/execute", asked()).headers["x-loop-notes"].replace(" ", "%20")


class TestFullDisk:
    def test_it_is_told_and_where_and_what_was_kept_stays(self, path, start):
        filled(path, 3)
        with closing(Store(path)) as store:
            server = start(Parrot(), store)
            pages = store._database.read("PRAGMA page_count")[0][0]
            store._database.read(f"PRAGMA max_page_count = {pages + 2}")
            draft = {"prompt_draft": {"detail": LONG, "draft_info": {}}}
            prompt_id = store.prompt_by_key("poem1").id
            told = []
            for number in range(20):
                for call, body in (("save", draft), ("commit", {"commit_version": f"2.{number}.0"})):
                    answer = server.post(f"/{prompt_id}/drafts/{call}", body).json()
                    told += [answer["msg"]] * (answer["code"] != 0)
            assert told and any("the disk is full" in each and str(path) in each for each in told)
            assert store.prompt_by_key("poem2").latest_version == "1.1.0"
            store._database.read("PRAGMA max_page_count = 100000")
            assert server.post(f"/{prompt_id}/drafts/save", draft).json()["code"] == 0

    def test_a_disk_without_room_for_a_start_is_told(self, monkeypatch, tmp_path, tiny_disk):
        monkeypatch.setenv("COZELOOP_MAGIC_HOME", str(tiny_disk))
        paths.runtime_dir()
        paths.data_dir()
        fill(tiny_disk)
        assert "the disk is full" in told_at_the_start(monkeypatch, tmp_path)


class TestOddFiles:
    @pytest.mark.skipif(os.name != "posix", reason="POSIX files")
    @pytest.mark.parametrize("odd", [os.mkfifo, os.mkdir, lambda path: os.symlink("/nowhere/at/all", path)])
    def test_what_is_no_file_is_told_and_hangs_nobody(self, path, odd):
        odd(path)
        with pytest.raises(StoreError, match="cannot be used") as caught:
            Store(path)
        assert str(path) in str(caught.value) and "COZELOOP_MAGIC_HOME" in str(caught.value)

    def test_a_mistake_of_the_caller_is_no_damage(self, path):
        with closing(Store(path)) as store:
            for prompt_id in (2**70, 5):
                with pytest.raises(RemoteError):
                    store.prompt(prompt_id)
            with pytest.raises(RemoteError, match="half a character"):
                store.create_prompt("a\ud800", "x")
            assert store.notes == [] and store.create_prompt("a", "x")
