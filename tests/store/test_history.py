"""Looking through what was run, and forgetting it for good."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cozeloop_magic import database
from cozeloop_magic.entities.prompt import ExecuteRequest, Message, Role
from cozeloop_magic.errors import ConfigurationError, InvalidRequest, RateLimited, StoreError
from cozeloop_magic.run.state import Failed, Interrupted
from cozeloop_magic.store.history import LIMIT_VARIABLE, Wanted, moment_of
from cozeloop_magic.store.jobs import Job, JobState
from cozeloop_magic.store.ratings import Preference
from cozeloop_magic.store.record import RunRecord
from cozeloop_magic.store.runs import MIGRATIONS, RunStore
from tests.store.test_runs import ended, record

DAY = 86_400


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def store(path: Path) -> Iterator[RunStore]:
    with RunStore.open(path) as store:
        yield store


def asked(**variables: object) -> RunRecord:
    request = ExecuteRequest("greet", "1.0.0", variable_vals=variables, messages=(Message(Role.USER, "in brief"),))
    return RunRecord.of("k", ended("Grüße an ALLE", request=request))


def texts(store: RunStore, **wanted: object) -> list[str]:
    return [run.state().text for run in store.history.find(Wanted(**wanted))]  # type: ignore[arg-type]


class TestLooking:
    def test_the_latest_come_first_and_each_can_be_had_by_its_number(self, store: RunStore) -> None:
        numbers = [store.put(record(text=str(n))) for n in range(1100)]
        assert texts(store)[:3] == ["1099", "1098", "1097"] and len(texts(store)) == len(store.history) == 1100
        assert store.history.get(numbers[7]).state().text == "7"
        with pytest.raises(InvalidRequest, match="no run 99999"):
            store.history.get(99999)

    def test_by_prompt_time_and_failure(self, store: RunStore) -> None:
        now = time.time()
        store.put(replace(record(text="old"), created_at=now - 8 * DAY))
        store.put(replace(record(text="other"), prompt_key="meet"))
        store.put(record(text="failed", how=Failed(1, RateLimited("too many"))))
        store.put(record(text="stopped", how=Interrupted(1)))
        assert texts(store, prompt_key="meet") == ["other"]
        assert texts(store, since=now - 7 * DAY) == ["stopped", "failed", "other"]
        assert texts(store, before=now - 7 * DAY) == ["old"]
        assert texts(store, failed=True) == ["stopped", "failed"]
        assert texts(store, failed=True, prompt_key="meet") == []

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("TEA", True),
            ("grüsse", True),
            ("Brief", True),
            ("多少", True),
            ("zwei", True),
            ("role", False),
            ("cost 5%", False),
        ],
    )
    def test_by_what_was_asked_and_answered(self, store: RunStore, text: str, found: bool) -> None:
        store.put(asked(x="a cup of tea", y="多少钱", talk=[Message(Role.ASSISTANT, "eins, zwei")]))
        assert bool(texts(store, text=text)) is found

    def test_by_what_an_error_says(self, store: RunStore) -> None:
        store.put(record(how=Failed(1, RateLimited("the quota is used up"))))
        assert len(texts(store, text="quota")) == 1

    @pytest.mark.parametrize(("text", "ago"), [("7d", 7 * DAY), ("12h", DAY / 2), ("30m", 1800), ("2w", 14 * DAY)])
    def test_an_age(self, text: str, ago: float) -> None:
        assert moment_of(text) == pytest.approx(time.time() - ago, abs=5)

    def test_a_date_is_a_local_one(self) -> None:
        assert moment_of("2026-11-12 14:03") == time.mktime((2026, 11, 12, 14, 3, 0, 0, 0, -1))
        assert moment_of('"2026-11-12"') == time.mktime((2026, 11, 12, 0, 0, 0, 0, 0, -1))

    @pytest.mark.parametrize("text", ["", "7", "yesterday", "7 days", "2026-13-01", "-3d"])
    def test_what_is_no_moment_says_what_would_be_one(self, text: str) -> None:
        with pytest.raises(InvalidRequest, match="such as 7d"):
            moment_of(text)


class TestForgetting:
    def bytes_of(self, path: Path) -> bytes:
        return b"".join(file.read_bytes() for file in path.parent.iterdir())

    @pytest.mark.parametrize(
        "wanted", [Wanted(), Wanted(prompt_key="greet"), Wanted(text="recipe"), Wanted(before=2e9)]
    )
    def test_no_byte_is_left(self, store: RunStore, path: Path, wanted: Wanted) -> None:
        for number in range(50):
            store.put(replace(record(f"k{number}", text=f"secret recipe {number} " * 300), created_at=1e9))
        store.put(replace(record("kept", text="a poem"), prompt_key="meet", created_at=3e9))
        store.history.prune(10**9)
        assert b"secret recipe" in self.bytes_of(path)
        assert store.history.forget(wanted) == (51 if wanted == Wanted() else 50)
        assert b"secret" not in self.bytes_of(path)
        assert (b"a poem" in self.bytes_of(path)) is (wanted != Wanted())

    def test_one_alone(self, store: RunStore, path: Path) -> None:
        numbers = [store.put(record(f"k{n}", text=f"number {n}")) for n in range(3)]
        assert store.history.forget(Wanted(number=numbers[1])) == 1
        assert texts(store) == ["number 2", "number 0"] and b"number 1" not in self.bytes_of(path)
        assert store.history.forget(Wanted(number=numbers[1])) == 0

    def test_ratings_of_what_is_gone_go_too(self, store: RunStore) -> None:
        number = store.put(record("a"))
        store.put(record("b"))
        store.put(record("c"))
        store.ratings.put(("a", "x"), Preference.FIRST)
        store.ratings.put(("b", "c"), Preference.FIRST)
        store.history.forget(Wanted(number=number))
        assert list(store.ratings.find([("a", "x"), ("b", "c")])) == [("b", "c")]

    def test_all_takes_damaged_files_along_and_leaves_a_small_one(self, path: Path) -> None:
        path.write_text("a secret shopping list\n" * 100)
        with RunStore.open(path) as store:
            for number in range(200):
                store.put(record(f"k{number}", text="long " * 500))
            before = path.stat().st_size
            store.history.forget(Wanted())
            assert b"secret" not in self.bytes_of(path) and path.stat().st_size < before / 3

    def test_a_job_goes_on_whose_runs_were_forgotten_meanwhile(self, store: RunStore) -> None:
        job = store.jobs.begin(Job("batch", "p", "s", "q", 2, 0.0))
        store.put(replace(record("a"), job=job))
        store.history.forget(Wanted())
        store.put(replace(record("b"), job=job))
        assert [run.job for run in store.history] == [None]

    def test_who_still_reads_it_is_told_of(
        self, store: RunStore, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(database, "_BUSY", 0.05)
        with RunStore.open(path) as impatient:
            impatient.put(record(text="a secret"))
            reader = sqlite3.connect(path)
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM runs").fetchall()
            with pytest.raises(StoreError, match="Close other notebooks"):
                impatient.history.forget(Wanted(number=1))
            reader.close()
            assert impatient.history.forget(Wanted()) == 0 and b"a secret" not in self.bytes_of(path)


class TestSize:
    def test_the_oldest_go_first_and_none_of_an_unfinished_job(self, store: RunStore) -> None:
        finished, unfinished = (store.jobs.begin(Job("batch", name, "s", "q", 9, 0.0)) for name in ("one", "two"))
        store.jobs.end(finished, JobState.COMPLETE)
        store.jobs.end(unfinished, JobState.STOPPED)
        for number in range(3000):
            job = (unfinished, finished, None)[number // 1000]
            store.put(replace(record(f"k{number}", text="long " * 100), job=job))
        gone = store.history.prune(store._database.size * 2 // 3)
        left = [int(run.key[1:]) for run in store.history]
        of_unfinished = [number for number in left if number < 1000]
        others = sorted(set(left) - set(of_unfinished))
        assert len(of_unfinished) == 1000 and gone == 3000 - len(left) > 1000
        assert others == list(range(others[0], 3000))

    def test_what_may_not_go_stays_though_it_is_too_large(self, store: RunStore) -> None:
        job = store.jobs.begin(Job("batch", "p", "s", "q", 9, 0.0))
        store.put(replace(record(), job=job))
        assert store.history.prune(0) == 0 and len(store.history) == 1

    def test_it_is_pruned_as_it_grows(self, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(LIMIT_VARIABLE, "1")
        for number in range(1024):
            store.put(record(f"k{number}", text="long " * 600))
        assert store._database.size < 2_000_000 and store.get("k1023") is not None and store.get("k0") is None

    def test_a_size_that_is_none_is_told(self, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(LIMIT_VARIABLE, "2 GB")
        with pytest.raises(ConfigurationError, match="such as 500"):
            store.history.prune()


def test_a_store_of_the_first_version_is_brought_to_todays_shape_with_all_it_has(path: Path) -> None:
    with sqlite3.connect(path) as old:
        for statement in MIGRATIONS[0]:
            old.execute(statement)
        old.execute("PRAGMA user_version = 1")
        old.execute(
            "INSERT INTO runs VALUES"
            " (1, 'k', 'greet', '1.0.0', NULL, 'here', '{}', ?, 'done', 0.25, 0.5, NULL, 1, 2, 7, NULL)",
            ('{"answer": {"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}}',),
        )
    old.close()
    with RunStore.open(path) as store:
        (run,) = store.history
        assert (run.state().text, run.state().notes, run.cell, run.id) == ("Hello", (), None, 1)
