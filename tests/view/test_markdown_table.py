"""Tables of Markdown: their rows, and what they cost."""

from __future__ import annotations

import re
import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from cozeloop_magic.view.markdown import to_html
from cozeloop_magic.view.safe_markdown import safe
from tests.growth import growth, lines_run
from tests.view.snippets import text_of


@pytest.mark.parametrize("before", ["", "> ", "- "])
def test_no_cell_of_a_row_that_has_more_than_the_head_is_lost(before: str) -> None:
    lines = ["| a | b |", "|---|--:|", "| 1 | 2 | 3 | `4` |", "5 | 6 | \\|", "| 7 |"]
    answer = before + ("\n" + before.replace("-", " ")).join(lines)
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in to_html(answer).split("<tr>")[2:]]
    assert rows == [["1", "2", "3", "<code>4</code>"], ["5", "6", "|"], ["7", ""]]


CELLS = st.sampled_from(["", "a", "1 < 2", "**b**", "`c`", "x\\|y", "[d](https://d.example)", "&amp;", "甲"])
ROWS = st.lists(
    st.lists(CELLS, min_size=1, max_size=3).map(lambda cells: "| " + " | ".join(cells) + " |"), max_size=5
)


@given(ROWS, st.sampled_from(["", "> "]), st.sampled_from(["after", "- after", "> after", "", "    after", "```\nx"]))
def test_rows_are_read_as_markdown_it_reads_them(rows: list[str], before: str, after: str) -> None:
    lines = ["| a | b | c |", "|:--|--:|:-:|", *rows, *after.split("\n")]
    answer = "\n".join(before + line for line in lines)
    theirs = MarkdownIt("commonmark", {"html": False}).enable("table").render(answer)
    ours = to_html(answer)
    assert text_of(ours) == text_of(theirs)
    assert [ours.count(tag) for tag in ("<tr>", "<td", "<p>")] == [
        theirs.count(tag) for tag in ("<tr>", "<td", "<p>")
    ]


def test_a_column_is_aligned_in_each_row() -> None:
    html = to_html("| a | b |\n|:-:|--:|\n| 1 | *2* |\n| 3 | 4 |")
    assert re.findall(r'<(\w+) class="cozeloop-(\w+)">', html) == [
        (tag, align) for tag in ("th", "td", "td") for align in ("center", "right")
    ]


def test_a_link_in_a_cell_is_held_against_that_cell() -> None:
    link = "[here](https://a.example)"
    assert "cozeloop-target" not in to_html(f"| a | b |\n|---|---|\n| b.example | {link} |")
    assert "cozeloop-target" in to_html(f"| a | b |\n|---|---|\n| x | b.example/{link} |")


UNMARKED = "".join(sorted({*string.printable, *"。（）“”甲 é🎉"} - {*"\n\r\v\f\x0b\x0c\\`~*_[]!<&$"}))


@given(st.text(alphabet=UNMARKED, max_size=40))
def test_what_no_inline_rule_is_asked_about_is_what_they_leave_as_it_is(text: str) -> None:
    assert to_html(f"a{text}&amp;b") == to_html(f"a{text}0b").replace("0b</p>", "&amp;b</p>")


@pytest.mark.parametrize("render", [to_html, safe])
@pytest.mark.parametrize(
    ("head", "row", "paragraph"),
    [
        (
            "| a | b | c | d |\n|---|--:|---|---|\n",
            "| quick brown | 12 | fox jumps over | yes |\n",
            "x" * 44 + "\n\n",
        ),
        ("| a | b |\n|---|---|\n", "| x | 1 |\n", "x" * 8 + "\n\n"),
        ("| a |\n|---|\n", "| **a** and `b` |\n", "**a** and `b` xx\n\n"),
        ("| a | b |\n|---|---|\n", "|" * 400 + "\n", "xxxxxx\n\n"),
    ],
    ids=["words", "short", "marked", "empty"],
)
def test_a_table_costs_at_most_thrice_what_paragraphs_do(
    render: Callable[[str], object], head: str, row: str, paragraph: str
) -> None:
    table, plain = (part * (16_000 // len(part)) for part in (row, paragraph))
    render("")  # what is made once
    assert lines_run(lambda: render(head + table)) < 3 * lines_run(lambda: render(plain))


@pytest.mark.parametrize("render", [to_html, safe])
def test_a_table_costs_as_much_as_it_has_rows(render: Callable[[str], object]) -> None:
    head, row = "| a | b |\n|---|---|\n", "| x | *1* |\n"
    assert growth(lambda size: render(head + row * size), 200) < 5
