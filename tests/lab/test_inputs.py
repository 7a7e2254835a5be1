"""Reading tables of inputs."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from cozeloop_magic.errors import InvalidRequest
from cozeloop_magic.lab.inputs import is_missing, read_table

RECORDS = [{"text": "good", "stars": 5}, {"text": "bad", "stars": 1}]
CSV = "text,stars\ngood,5\nbad,1\n"


def cells(source: Any) -> list[dict[str, Any]]:
    return [dict(row.values) for row in read_table(source)]


@pytest.mark.parametrize(
    "source",
    [RECORDS, (dict(each) for each in RECORDS), tuple(RECORDS), pd.DataFrame(RECORDS), pl.DataFrame(RECORDS)],
    ids=["list", "generator", "tuple", "pandas", "polars"],
)
def test_every_kind_of_table_reads_the_same(source: Any) -> None:
    assert cells(source) == RECORDS


def test_a_pandas_frames_index_does_not_matter() -> None:
    frame = pd.DataFrame(RECORDS, index=[9, 9])
    assert [row.where for row in read_table(frame)] == ["row 0", "row 1"]


def test_columns_whose_names_are_no_text_are_known_by_what_they_print() -> None:
    assert cells(pd.DataFrame([[1, 2]], columns=[0, datetime.date(2026, 1, 2)])) == [{"0": 1, "2026-01-02": 2}]
    assert cells([{1: "a"}]) == [{"1": "a"}]


@pytest.mark.parametrize(
    "source",
    [pd.DataFrame([[1, 2]], columns=["a", "a"]), pd.DataFrame([[1, 2]], columns=["1", 1]), [{"1": 0, 1: 0}]],
    ids=["pandas", "pandas, once text", "dict, once text"],
)
def test_a_column_that_is_there_twice_is_told(source: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"more than one column [a1]"):
        read_table(source)


@pytest.mark.parametrize("source", [[], iter(()), pd.DataFrame({"a": []}), pl.DataFrame({"a": []})])
def test_a_table_without_rows_is_told(source: Any) -> None:
    with pytest.raises(InvalidRequest, match="has no rows"):
        read_table(source)


@pytest.mark.parametrize("source", [5, {"a": [1]}, None, pd.Series(["a"]), ["text"], [RECORDS]])
def test_what_is_no_table_is_told(source: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"of type \w+.*list of dicts"):
        read_table(source)


def test_a_lazy_frame_must_be_collected() -> None:
    with pytest.raises(InvalidRequest, match=r"LazyFrame.*collect\(\)"):
        read_table(pl.DataFrame(RECORDS).lazy())


@pytest.mark.parametrize(
    "nothing",
    [None, float("nan"), np.nan, np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT"), Decimal("nan")],
    ids=repr,
)
def test_an_empty_cell_is_never_sent(nothing: Any) -> None:
    row = read_table([{"a": "x"}, {"a": nothing, "b": "kept"}])[1]
    assert is_missing(nothing) and row["b"] == "kept"
    with pytest.raises(InvalidRequest, match="column a is empty in row 1"):
        _ = row["a"]


@pytest.mark.parametrize("something", ["", 0, False, [], [None], np.array([1.0, np.nan]), float("inf"), "nan", {}])
def test_what_only_looks_empty_is_kept(something: Any) -> None:
    assert not is_missing(something)


def test_an_empty_cell_of_a_data_frame_is_told() -> None:
    frame = pd.DataFrame({"a": ["x", None], "n": pd.array([1, None], dtype="Int64")})
    for column in ("a", "n"):
        with pytest.raises(InvalidRequest, match=f"column {column} is empty in row 1"):
            _ = read_table(frame)[1][column]
    with pytest.raises(InvalidRequest, match="column a is empty in row 1"):
        _ = read_table(pl.DataFrame({"a": ["x", None]}))[1]["a"]


def test_a_column_that_is_not_there_is_told_with_the_one_meant() -> None:
    with pytest.raises(
        InvalidRequest, match=r"no column txet in row 0 \(did you mean text\?\); its columns are text"
    ):
        _ = read_table(RECORDS)[0]["txet"]


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


Write = Callable[[str, "str | bytes"], Path]


def test_files_are_read_by_their_kind(file: Write) -> None:
    text = [{name: str(value) for name, value in each.items()} for each in RECORDS]
    for content in (CSV, "\ufeff" + CSV, CSV.replace("\n", "\r\n"), CSV + "\n\n"):
        assert cells(file("a.csv", content)) == cells(str(file("b.CSV", content))) == text
    lines = '{"text": "good", "stars": 5}\n\n{"text": "bad", "stars": 1}'
    assert cells(file("a.jsonl", lines)) == cells(file("a.ndjson", "\ufeff" + lines)) == RECORDS


def test_a_cell_of_many_lines_is_one_cell(file: Write) -> None:
    rows = read_table(file("a.csv", 'text,n\n"one\u2028\ntwo",1\nlast,2\n'))
    assert rows[0].values["text"] == "one\u2028\ntwo"
    assert [row.where for row in rows] == ["line 2 of a.csv", "line 4 of a.csv"]
    assert cells(file("a.jsonl", '{"a": "one\u2028two\u0085"}\n')) == [{"a": "one\u2028two\u0085"}]


def test_an_empty_cell_of_a_file_is_told_by_its_line(file: Write) -> None:
    with pytest.raises(InvalidRequest, match=r"column text is empty in line 3 of a\.csv"):
        _ = read_table(file("a.csv", "text,n\nx,1\n,2\n"))[1]["text"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "a,b\n1,2\n1,2,3\n", "Line 3 of a.csv .* 3 cells and the first line 2"),
        ("a.csv", "a,b\n1\n", "Line 2 of a.csv .* 1 cell and"),
        ("a.csv", 'a,b\n"x\n', "Line 2 of a.csv cannot be read"),
        ("a.csv", "a,a\n1,2\n", "a.csv has more than one column a"),
        ("a.csv", "text;label\nx;1\n", r"separated by semicolons, .* pandas\.read_csv\('a\.csv', sep=';'\)"),
        ("a.csv", "", "has no rows"),
        ("a.csv", "a,b\n", "has no rows"),
        ("a.csv", b"a\nx\n\xe9t\xe9\n", "Line 3 of a.csv is not in UTF-8"),
        ("a.jsonl", '{"a": 1}\n{"a": \n', "Line 2 of a.jsonl cannot be read"),
        ("a.jsonl", "[1]\n", "Line 1 of a.jsonl cannot be read: it is no JSON object"),
        ("a.jsonl", "\n\n", "has no rows"),
        ("a.txt", "x", "in no file that is known"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_line(
    file: Write, name: str, content: str | bytes, said: str
) -> None:
    with pytest.raises(InvalidRequest, match=said):
        read_table(file(name, content))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"none.csv cannot be read \(No such file"):
        read_table(tmp_path / "none.csv")
