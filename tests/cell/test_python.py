"""Text that reads as Python of the notebook, and words that do not."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import polars as pl
import pytest

from cozeloop_magic.cell.python import meant_as_python


class Odd:
    """Its attributes are its own business."""

    def __dir__(self) -> list[str]:
        raise RuntimeError

    def __len__(self) -> int:
        return 1


NAMES: dict[str, Any] = {
    "df": pd.DataFrame({"text": ["a", "b"], "n": [1, 2]}), "series": pd.Series([1]), "frame": pl.DataFrame(),
    "t": "some text", "rows": ["a"], "record": {"a": 1}, "n": 3, "load": len, "json": json, "odd": Odd(),
    "art": "of war", "example": 5, "note": None, "history": [1],
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "df.text", "df.text[0]", "{df.text[0]}", "{ df.text[0] }", "$df.text", "df['text']",
        "df.head().to_markdown()", "rows[0] + t",
        "df.text.str.upper()", "rows[0]", "rows[-1]", "record['a']", "record.get('a')", "t.upper()", "load(rows)",
        "str(df.text[0])", "json.dumps(record)", "f'about {t}'", "df.text[0] + t", "'about ' + rows[0]", " t ",
        "t", "{t}", "df", "series", "frame", "art", "df.iloc[0].text", "rows[n]", "df.text\t", "(df.text[0])",
    ],
)  # fmt: skip
def test_an_expression_whose_names_are_all_defined_is_told(text: str) -> None:
    assert meant_as_python(text, NAMES) == text.strip().strip("{}").strip().removeprefix("$")


@pytest.mark.parametrize(
    "text",
    [
        "art and history", "example.com", "example.com/rows[0]", "rows", "n", "note", "history", "record", "load",
        "df.nothing", "unknown.text", "unknown[0]", "unknown(t)", "rows[unknown]", "art (of war)", "note (draft)",
        "e.g. rows[0]", "the art", "3", "1.10", "t.", "Dr. Who", "rows, art", "x = rows[0]", "t or n", "not t",
        "n + n", "n - t",
        "str", "print", "max(1, 2)", "len", "f'plain'", "'t'", "[t]", "[rows[0]]", "{a: t}", "{{t}}", "load (this)",
        "odd.len", "df.text\nrows[0]", "", "   ", "{", "$5", "df.text " * 50, "lambda: t", "df.text?", "yes",
        "-" * 190,
        "\0", "(" * 199,
    ],
)  # fmt: skip
def test_words_and_what_is_not_defined_are_text(text: str) -> None:
    assert meant_as_python(text, NAMES) is None


def test_only_text_can_be_meant_so() -> None:
    assert meant_as_python(["df.text"], NAMES) is None and meant_as_python(None, NAMES) is None


def test_a_long_expression_is_not_shown() -> None:
    assert meant_as_python("df.text[0] + " * 8 + "t", NAMES) == "..."


def test_nothing_of_it_is_run() -> None:
    ran: list[int] = []

    class Table:
        text = property(lambda self: ran.append(1))

        def __getitem__(self, key: str) -> None:
            ran.append(2)

        def __call__(self) -> None:
            ran.append(3)

    for text in ("table.text", "table[0]", "table()", "f'{table()}'"):
        assert meant_as_python(text, {"table": Table()}) == text
    assert not ran
