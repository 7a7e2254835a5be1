"""`batch`: a table goes in, the same table with its answers comes out, and no answer is paid for twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from cozeloop_magic import Client, batch, new_client
from cozeloop_magic.errors import InvalidRequest, RequirementNotMet, StoreError, VariableError
from cozeloop_magic.lab.events import OngoingRun
from cozeloop_magic.lab.progress import BatchProgress
from cozeloop_magic.run.drive import Stop
from cozeloop_magic.run.state import Phase
from cozeloop_magic.store.runs import RunStore
from tests.conftest import TOKEN, soon
from tests.lab.loop import BUSY, FakeLoop, fake_loop, refusal
from tests.wire_server import delta, stream


@pytest.fixture
def loop() -> Iterator[FakeLoop]:
    def reply(version: str, text: str) -> Any:
        return refusal(600505014, "too risky") if "bomb" in text else text.upper()

    with fake_loop(reply) as running:
        yield running


@pytest.fixture
def client(loop: FakeLoop) -> Iterator[Client]:
    with new_client(loop.server.url, "73917", TOKEN) as made:
        yield made


ROWS = [{"text": f"row {n}", "id": n} for n in range(40)]


class TestTables:
    def test_a_list_of_dicts(self, client: Client) -> None:
        answers = batch(client, ROWS, "greet", version="1.0.0")
        assert [row["answer"] for row in answers] == [f"ROW {n}" for n in range(40)]
        assert answers[3]["id"] == 3 and answers[3]["finish_reason"] == "stop" and answers[3]["error"] is None

    def test_a_pandas_frame_keeps_order_and_index(self, client: Client) -> None:
        frame = pd.DataFrame({"said": ["b", "a", "c"]}, index=["x", "y", "z"])
        labelled = batch(client, frame, "greet", version="1.0.0", variables={"text": "said"}, out="label")
        assert list(labelled.index) == ["x", "y", "z"] and list(labelled["label"]) == ["B", "A", "C"]
        assert "label" not in frame.columns and labelled["output_tokens"].notna().all()

    def test_a_polars_frame(self, client: Client) -> None:
        labelled = batch(client, pl.DataFrame({"text": ["b", "a"]}), "greet", version="1.0.0")
        assert isinstance(labelled, pl.DataFrame) and labelled["answer"].to_list() == ["B", "A"]

    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    def test_from_file_to_file_in_order(self, client: Client, tmp_path: Path, kind: str) -> None:
        source, target = tmp_path / "in.csv", tmp_path / f"out.{kind}"
        source.write_text("text,id\n" + "".join(f"row {n},{n}\n" for n in range(30)))
        assert batch(client, str(source), "greet", version="1.0.0", to=target) == target
        if kind == "csv":
            assert list(pd.read_csv(target)["answer"]) == [f"ROW {n}" for n in range(30)]
        else:
            rows = [json.loads(line) for line in target.read_text().splitlines()]
            assert [row["answer"] for row in rows] == [f"ROW {n}" for n in range(30)]

    def test_a_json_answer_becomes_columns(self, client: Client, loop: FakeLoop) -> None:
        loop.reply = lambda version, text: '{"mood": "good", "stars": 5}' if text == "a" else "no json"
        first, second = batch(client, [{"text": "a"}, {"text": "b"}], "greet", version="1.0.0", json_columns=True)
        assert (first["answer.mood"], first["answer.stars"]) == ("good", 5)
        assert second["answer"] == "no json" and "is no JSON" in second["error"]

    def test_checks_become_columns(self, client: Client) -> None:
        rows = [{"text": "a", "want": "A"}, {"text": "b", "want": "X"}]
        answers = batch(client, rows, "greet", version="1.0.0", checks=["equals"], expect="want")
        assert [row["equals"] for row in answers] == [True, False]

    def test_a_table_without_rows_has_the_columns_all_the_same(self, client: Client) -> None:
        for empty in (pd.DataFrame({"text": []}), pl.DataFrame({"text": []}, schema={"text": pl.String})):
            labelled = batch(client, empty, "greet", version="1.0.0", checks=["finish:stop"])
            assert len(labelled) == 0 and {"text", "answer", "error", "finish:stop"} <= set(labelled.columns)

    def test_columns_of_the_tables_own_that_are_written_over_are_told(self, client: Client) -> None:
        told: list[BatchProgress] = []
        frame = pd.DataFrame({"text": ["a"], "answer": ["old"], "error": ["404"]})
        labelled = batch(client, frame, "greet", version="1.0.0", progress=told.append)
        assert list(labelled["answer"]) == ["A"] and told[-1].replaced == "answer, error"


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"checks": ["equals"]}, "no column says that"),
            ({"checks": ["equals"], "expect": "wnat"}, r"There is no column wnat in row 0 \(did you mean want\?\)"),
            ({"fail_above": 20}, "Write 0.2 for a fifth"),
            ({"timeout": 0}, "timeout is 0"),
            ({"constants": {"text": "x"}}, "given for all rows .* and taken from the column text"),
            ({"constants": {"text": "x"}, "variables": {"text": "want"}}, "taken from the column want"),
            ({"out": "text"}, "answers would be written over it"),
            ({"out": "want", "checks": ["equals"], "expect": "want"}, "answers would be written over it"),
        ],
    )
    def test_what_cannot_be_meant_is_told_before_it_is_paid_for(
        self, client: Client, loop: FakeLoop, options: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(InvalidRequest, match=said):
            batch(client, [{"text": "a", "want": "A"}], "greet", version="1.0.0", **options)
        assert loop.executions == 0


class TestFailures:
    def test_a_failed_row_stops_nothing_and_is_null(self, client: Client) -> None:
        frame = batch(client, pd.DataFrame({"text": ["a", "bomb", "c"]}), "greet", version="1.0.0")
        assert frame["answer"].isna().tolist() == [False, True, False] and "too risky" in frame["error"][1]

    def test_an_empty_cell_is_an_error_of_its_row(self, client: Client) -> None:
        for number, table in enumerate(([{"text": None}, {"text": "a"}], [{"text": "a"}, {"text": None}])):
            answers = batch(client, table, "greet", version="1.0.0")
            assert answers[number]["answer"] is None and f"empty in row {number}" in answers[number]["error"]
            assert answers[1 - number]["answer"] == "A"

    def test_what_is_wrong_from_the_first_row_on_is_told_at_once(self, client: Client, loop: FakeLoop) -> None:
        with pytest.raises(VariableError, match="text is missing"):
            batch(client, [{"txt": "a"}], "greet", version="1.0.0")
        assert loop.executions == 0

    def test_too_many_failures_end_it(self, client: Client) -> None:
        rows = [{"text": f"bomb {n}"} for n in range(200)]
        told: list[BatchProgress] = []
        with pytest.raises(RequirementNotMet, match=r"rows failed, more than 20%") as caught:
            batch(client, rows, "greet", version="1.0.0", fail_above=0.2, progress=told.append)
        so_far = caught.value.result
        assert isinstance(so_far, list) and 20 <= len(so_far) < 200 and told[-1].failed == len(so_far)

    def test_a_storm_of_429_loses_no_row(self, client: Client, loop: FakeLoop) -> None:
        lock, left = threading.Lock(), [5]
        quick = loop.reply

        def reply(version: str, text: str) -> Any:
            with lock:
                if left[0]:
                    left[0] -= 1
                    return BUSY
            return quick(version, text)

        loop.reply = reply
        assert all(row["answer"] for row in batch(client, ROWS, "greet", version="1.0.0", concurrency=4))

    def test_files_that_cannot_be_written_are_told_first(self, client: Client, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text("text\na\n")
        for to, said in ((path, "at the same time"), (tmp_path / "a.xlsx", "no CSV or JSONL")):
            with pytest.raises(InvalidRequest, match=said):
                batch(client, str(path), "greet", version="1.0.0", to=to)


class TestKept:
    def test_equal_rows_share_one_call(self, client: Client, loop: FakeLoop) -> None:
        answers = batch(client, [{"text": "a", "id": n} for n in range(20)], "greet", version="1.0.0")
        assert loop.executions == 1 and [row["answer"] for row in answers] == ["A"] * 20

    def test_what_is_kept_is_not_asked_for_again(self, client: Client, loop: FakeLoop) -> None:
        told: list[BatchProgress] = []
        batch(client, ROWS, "greet", version="1.0.0")
        again = batch(client, ROWS, "greet", version="1.0.0", progress=told.append)
        assert loop.executions == 40 and again[7]["answer"] == "ROW 7"
        assert str(told[-1]).startswith("40 of 40 rows · 40 were in the store")
        batch(client, ROWS, "greet", version="1.1.0")
        batch(client, ROWS, "greet", version="1.0.0", fresh=True)
        assert loop.executions == 120

    def test_failed_rows_are_asked_for_again_where_that_is_wanted(self, client: Client, loop: FakeLoop) -> None:
        rows = [{"text": "a"}, {"text": "bomb"}]
        for expected, options in ((2, {}), (2, {}), (3, {"retry_errors": True})):
            batch(client, rows, "greet", version="1.0.0", **options)
            assert loop.executions == expected

    def test_a_stopped_batch_returns_what_came(self, client: Client, loop: FakeLoop) -> None:
        stop = Stop()
        quick = loop.reply
        loop.reply = lambda version, text: (time.sleep(0.02), quick(version, text))[1]

        def after_five(progress: BatchProgress) -> None:
            if progress.done >= 5:
                stop()

        answers = batch(client, ROWS, "greet", version="1.0.0", concurrency=1, stop=stop, progress=after_five)
        done = [row for row in answers if row["answer"]]
        assert 5 <= len(done) < 40

    def test_what_came_of_a_row_before_a_stop_is_in_the_history_and_stands_for_no_answer(
        self, client: Client, loop: FakeLoop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stop, never, came = Stop(), threading.Event(), count(1)
        arrived = OngoingRun.arrived
        loop.reply = lambda version, text: stream([delta("half"), never])
        monkeypatch.setattr(OngoingRun, "arrived", lambda *a: (arrived(*a), next(came) < 4 or stop()))
        assert batch(client, ROWS, "greet", version="1.0.0", concurrency=4, stop=stop) == []
        never.set()
        with RunStore.open() as store:
            kept = [(each.phase, each.state().text) for each in store.history]
        assert kept == [(Phase.INTERRUPTED, "half")] * 4
        loop.reply, asked = lambda version, text: "whole", loop.executions
        assert {row["answer"] for row in batch(client, ROWS, "greet", version="1.0.0")} == {"whole"}
        assert loop.executions == asked + 40

    def test_a_killed_process_pays_for_nothing_twice(self, loop: FakeLoop, tmp_path: Path) -> None:
        script = tmp_path / "run.py"
        script.write_text(
            "from cozeloop_magic import batch, new_client\n"
            f"client = new_client({loop.server.url!r}, '73917', {TOKEN!r})\n"
            "rows = [{'text': f'row {n}'} for n in range(400)]\n"
            "print(sum(row['answer'] is not None for row in batch(client, rows, 'greet', version='1.0.0')))\n"
        )
        first = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE)
        ends = time.monotonic() + 60
        while loop.executions < 200 and time.monotonic() < ends:
            time.sleep(0.002)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        again = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
        assert again.stdout.strip() == "400" and loop.executions <= 400 + 16 + 32

    def test_a_full_disk_stops_it_and_what_was_committed_is_not_asked_for_again(
        self, client: Client, loop: FakeLoop, tmp_path: Path
    ) -> None:
        rows = [{"text": f"row {n} " + "long " * 300} for n in range(200)]
        with RunStore.open(tmp_path / "runs.db") as store:
            pages = store._database.read("PRAGMA page_count")[0][0]
            store._database.read(f"PRAGMA max_page_count = {pages + 60}")
            with pytest.raises(StoreError, match=r"the disk is full.*What was kept before is safe"):
                batch(client, rows, "greet", version="1.0.0", store=store, concurrency=4)
            assert soon(lambda: not [each for each in threading.enumerate() if each.name == "cozeloop-trial"])
            assert soon(lambda: not loop.running)
            kept, asked = len(store.history), loop.executions
            assert 20 < kept <= asked < 200
            store._database.read("PRAGMA max_page_count = 100000")
            told: list[BatchProgress] = []
            batch(client, rows, "greet", version="1.0.0", store=store, progress=told.append)
        assert told[0].look is not None and kept <= told[0].look.kept <= kept + 4  # those that were under way
        assert 200 <= loop.executions <= asked + 4 + 200 - kept
