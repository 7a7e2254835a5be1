"""What goes in comes out again, whatever its kind; JSON answers as columns; a first look."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from cozeloop_magic import Client, batch, new_client
from cozeloop_magic.errors import InvalidRequest, StoreError, VariableError
from cozeloop_magic.lab.answer_json import AnswerFields
from cozeloop_magic.lab.progress import BatchProgress
from cozeloop_magic.lab.tables import writer_for
from tests.conftest import TOKEN
from tests.lab.loop import FakeLoop, fake_loop, refusal

MOOD = {
    "type": "object",
    "properties": {"mood": {"enum": ["good", "bad"]}, "stars": {"type": "integer"}},
    "required": ["mood"],
}
SAID = {
    "fits": '{"mood": "good", "stars": 5}',
    "fenced": '```json\n{"mood": "bad"}\n```',
    "other": '{"mood": "so so"}',
    "late": '{"mood": "good", "why": {"word": "fine"}}',
    "list": "[1, 2]",
    "text": "I would say good",
    "nan": '{"mood": "good", "stars": NaN}',
    "deep": "[" * 100_000,
}


@pytest.fixture
def loop() -> Iterator[FakeLoop]:
    def reply(version: str, text: str) -> Any:
        return refusal(600505014, "too risky") if "bomb" in text else SAID.get(text, text.upper())

    with fake_loop(reply) as running:
        yield running


@pytest.fixture
def client(loop: FakeLoop) -> Iterator[Client]:
    with new_client(loop.server.url, "73917", TOKEN) as made:
        yield made


def rows(*texts: str) -> list[dict[str, Any]]:
    return [{"text": text} for text in texts]


class TestFrames:
    def test_whole_numbers_stay_whole_beside_nulls_and_text_is_never_empty(self, client: Client) -> None:
        frame = batch(client, pd.DataFrame(rows("a", "bomb", "c")), "greet", version="1.0.0")
        assert str(frame["output_tokens"].dtype) == "Int64" and frame["output_tokens"].isna().tolist() == [0, 1, 0]
        assert frame["answer"].tolist() == ["A", None, "C"] and frame["error"][0] is None

    @pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
    def test_fields_of_several_kinds(self, client: Client, loop: FakeLoop, make: Any) -> None:
        said = {"a": '{"x": 1, "y": [1]}', "b": '{"x": "one", "z": {"w": null}}', "c": "no"}
        loop.reply = lambda version, text: said[text]
        frame = batch(client, make(rows(*said)), "greet", version="1.0.0", json_columns=True)
        records = frame.to_dict("records") if make is pd.DataFrame else frame.to_dicts()
        assert [str(record["answer.x"]) for record in records] == ["1", "one", "None"]
        assert "is no JSON" in records[2]["error"] and records[2]["answer"] == "no"

    def test_an_empty_one(self, client: Client) -> None:
        assert len(batch(client, pd.DataFrame({"text": []}), "greet", version="1.0.0")) == 0
        assert batch(client, [], "greet", version="1.0.0") == []


class TestFiles:
    def run(self, client: Client, tmp_path: Path, data: Any, name: str, **options: Any) -> list[dict[str, Any]]:
        target = batch(client, data, "greet", version="1.0.0", to=tmp_path / name, **options)
        if name.endswith("csv"):
            with target.open(newline="") as file:
                return list(csv.DictReader(file))
        return [
            json.loads(line, parse_constant=lambda name: pytest.fail(name))
            for line in target.read_text().splitlines()
        ]

    def test_columns_that_come_late_are_columns_of_every_line(self, client: Client, tmp_path: Path) -> None:
        table = rows("bomb", "fits", "text", "late", 'a\nb, "c"')
        read = self.run(client, tmp_path, table, "out.csv", json_columns=True, concurrency=1)
        assert [line["answer.mood"] for line in read] == ["", "good", "", "good", ""]
        assert json.loads(read[3]["answer.why"]) == {"word": "fine"} and read[4]["text"] == 'a\nb, "c"'
        assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]

    def test_what_a_frame_holds_is_json_in_a_file(self, client: Client, tmp_path: Path) -> None:
        frame = pd.DataFrame(
            {"text": ["a", "b"], "x": [np.nan, 1.5], "n": np.array([1, 2]), "day": pd.to_datetime("2026-11-28")}
        )
        read = self.run(client, tmp_path, frame, "out.jsonl")
        assert [(line["x"], line["n"]) for line in read] == [(None, 1), (1.5, 2)]
        assert read[0]["day"].startswith("2026-11-28") and read[1]["answer"] == "B" and read[1]["error"] is None

    def test_an_earlier_file_stays_until_there_is_a_row(self, client: Client, tmp_path: Path) -> None:
        (tmp_path / "out.csv").write_text("precious")
        with pytest.raises(VariableError):
            self.run(client, tmp_path, [{"txt": "a"}], "out.csv")
        assert (tmp_path / "out.csv").read_text() == "precious"
        assert self.run(client, tmp_path, [], "out.csv") == []

    def test_a_first_look_writes_over_nothing(self, client: Client, tmp_path: Path) -> None:
        (tmp_path / "out.csv").write_text("precious")
        looked = batch(client, rows("a", "b"), "greet", version="1.0.0", to=tmp_path / "out.csv", sample=1)
        assert [row["answer"] for row in looked] == ["A"] and (tmp_path / "out.csv").read_text() == "precious"

    def test_a_place_that_cannot_be_written_is_told_before_any_call(
        self, client: Client, loop: FakeLoop, tmp_path: Path
    ) -> None:
        with pytest.raises(InvalidRequest, match="cannot be written"):
            batch(client, rows("a"), "greet", version="1.0.0", to=tmp_path / "nowhere" / "out.csv")
        assert loop.executions == 0

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
    def test_a_full_disk_ends_it_with_a_sentence_and_what_came_is_kept(
        self, client: Client, loop: FakeLoop, tmp_path: Path
    ) -> None:
        (tmp_path / "out.csv").symlink_to("/dev/full")
        table = rows(*(f"{n} " + "long " * 500 for n in range(20)))
        with pytest.raises(StoreError, match="No space left"):
            batch(client, table, "greet", version="1.0.0", to=tmp_path / "out.csv", concurrency=1)
        before = loop.executions
        assert 0 < before <= 20
        batch(client, table, "greet", version="1.0.0")
        assert loop.executions <= 20 + 1

    def test_a_gap_that_a_stop_left_is_no_gap_in_the_file(self, tmp_path: Path) -> None:
        from cozeloop_magic.lab.inputs import Row

        with writer_for([], tmp_path / "out.jsonl") as writer:
            for number in (0, 3, 2):
                writer.put(Row(number, "", {"n": number}), {"answer": "x"})
        assert [json.loads(line)["n"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [0, 2, 3]


class Mood:
    """As a class of pydantic's is asked for its schema."""

    @staticmethod
    def model_json_schema() -> dict[str, Any]:
        return MOOD


class TestSchemas:
    def test_what_fits_is_columns_and_what_does_not_keeps_its_text_and_says_why(self, client: Client) -> None:
        read = batch(client, rows(*SAID, "bomb"), "greet", version="1.0.0", schema=MOOD)
        by_text = {row["text"]: row for row in read}
        assert (by_text["fits"]["answer.mood"], by_text["fits"]["answer.stars"]) == ("good", 5)
        assert (by_text["fenced"]["answer.mood"], by_text["fenced"]["answer.stars"]) == ("bad", None)
        assert by_text["other"]["answer.mood"] is None and "mood: 'so so' is not one of" in by_text["other"]["error"]
        assert by_text["list"]["answer"] == "[1, 2]" and "is not of type 'object'" in by_text["list"]["error"]
        for text in ("text", "nan", "deep"):
            assert "is no JSON" in by_text[text]["error"] and by_text[text]["answer"] == SAID[text]
        assert by_text["late"]["answer.why"] == {"word": "fine"} and by_text["bomb"]["answer.mood"] is None

    def test_a_dict_its_text_a_file_and_a_class(self, tmp_path: Path) -> None:
        (tmp_path / "mood.json").write_text(json.dumps(MOOD))
        for schema in (MOOD, json.dumps(MOOD), tmp_path / "mood.json", str(tmp_path / "mood.json"), Mood):
            fields = AnswerFields.of(schema)
            assert fields.names == ("mood", "stars") and "so so" in fields.read(SAID["other"])[1]

    @pytest.mark.parametrize("schema", [7, "nowhere.json", "{", "{}x", {"type": "no type"}, [1], "[1]"])
    def test_what_is_no_schema_is_told_before_any_call(self, client: Client, loop: FakeLoop, schema: Any) -> None:
        with pytest.raises(
            InvalidRequest, match=r"The schema cannot be used|There is no schema nowhere\.json|no schema \[1\]"
        ):
            batch(client, rows("a"), "greet", version="1.0.0", schema=schema)
        assert loop.executions == 0

    def test_nothing_is_looked_up_in_the_network(self) -> None:
        fields = AnswerFields.of({"$ref": "http://127.0.0.1:9/schema.json"})
        assert "127.0.0.1:9" in fields.read("{}")[1]

    def test_checks_and_fields_say_both_what_is_wrong(self, client: Client) -> None:
        def broken(answer: Any, row: Any) -> bool:
            raise ValueError("oh")

        (row,) = batch(client, rows("text"), "greet", version="1.0.0", schema=MOOD, checks=[broken])
        assert (
            "broken raised ValueError: oh" in row["error"] and "is no JSON" in row["error"] and row["broken"] is None
        )


class TestLooks:
    def told(self, client: Client, data: Any, **options: Any) -> BatchProgress:
        told: list[BatchProgress] = []
        batch(client, data, "greet", version="1.0.0", progress=told.append, **options)
        return told[-1]

    def test_a_sample_tells_what_all_would_cost(self, client: Client, loop: FakeLoop) -> None:
        table = rows(*(f"row {n % 40}" for n in range(50)))
        batch(client, table[:20], "greet", version="1.0.0")
        told = self.told(client, table, sample=25, concurrency=4)
        assert loop.executions == 25 and (told.done, told.kept, told.total) == (25, 20, 25)
        assert str(told.look) == "50 rows · 10 equal to another: one call for them · 35 of 50 are in the store"
        assert told.to_come.startswith("15 calls to come: about 75 → 45 tokens and under a second, 4 at once")
        assert "15 min" in self.told(client, table, sample=25, rpm=1).to_come

    def test_a_sample_of_a_file_and_of_nothing_that_answers(self, client: Client, tmp_path: Path) -> None:
        path = tmp_path / "in.csv"
        path.write_text("text\n" + "".join(f"bomb {n}\n" for n in range(9)))
        told = self.told(client, path, sample=2)
        assert told.look is not None and told.look.rows == 9 and "nothing was answered" in told.to_come

    def test_what_is_in_the_store_is_said_before_the_first_call(self, client: Client, loop: FakeLoop) -> None:
        batch(client, rows("a", "b"), "greet", version="1.0.0")
        told: list[BatchProgress] = []
        loop_calls = loop.executions
        batch(
            client, rows("a", "b", "c"), "greet", version="1.0.0",
            progress=lambda each: told.append(each) or (loop.executions == loop_calls or len(told) > 1),
        )  # fmt: skip
        assert str(told[0].look) == "3 rows · 2 of 3 are in the store" and told[0].done == 0

    def test_nothing_to_come(self, client: Client) -> None:
        assert self.told(client, rows("a"), sample=5).to_come == "no call to come"

    def test_rows_that_cannot_be_sent_are_no_calls(self, client: Client) -> None:
        told = self.told(client, [{"text": "a"}, {"text": None}, {"text": "b"}], sample=1)
        assert told.look is not None and told.look.calls == 1 and told.look.equal == 0

    def test_a_bar_of_tqdm_for_scripts(self, client: Client, capsys: Any) -> None:
        batch(client, rows("a", "b", "a", "bomb"), "greet", version="1.0.0", progress=True)
        shown = capsys.readouterr()
        assert "4/4" in shown.err and "1 failed" in shown.err and "1 equal to another" in shown.out + shown.err


class TestEqualRows:
    @pytest.mark.parametrize("options", [{"store": False}, {"fresh": True}])
    def test_those_far_apart_share_a_call_too(self, client: Client, loop: FakeLoop, options: Any) -> None:
        table = rows(*(f"row {n % 30}" for n in range(2000)))
        for calls in (30, 60):
            answers = batch(client, table, "greet", version="1.0.0", **options)
            assert loop.executions == calls and all(row["answer"] for row in answers)

    def test_a_failure_of_a_cell_or_another_table_stands_for_nothing(self, client: Client, loop: FakeLoop) -> None:
        batch(client, rows("bomb", "a"), "greet", version="1.0.0")
        batch(client, rows("bomb", "b", "c"), "greet", version="1.0.0")
        assert loop.executions == 2 + 3
