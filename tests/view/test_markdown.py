"""Markdown to HTML: blocks, whole and in pieces."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cozeloop_magic.view.markdown import Blocks, to_html
from tests.view.snippets import SNIPPETS


@given(st.data())
def test_feeding_an_answer_in_pieces_gives_what_rendering_it_whole_gives(data: st.DataObject) -> None:
    answer = "".join(data.draw(st.lists(st.sampled_from(SNIPPETS), max_size=8)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=12)))
    blocks, settled, tail = Blocks(), "", ""
    for cut in [*cuts, len(answer)]:
        new, tail = blocks.feed(answer[:cut])
        settled += "".join(new)
    assert settled + tail == to_html(answer, live=True)


def test_a_block_is_given_once_and_the_tail_anew() -> None:
    blocks = Blocks()
    assert blocks.feed("One **bo") == ([], "<p>One **bo</p>\n")
    assert blocks.feed("One **bold**\n\nTw") == ([], "<p>One <strong>bold</strong></p>\n<p>Tw</p>\n")
    assert blocks.feed("One **bold**\n\nTwo\n") == (["<p>One <strong>bold</strong></p>\n"], "<p>Two</p>\n")
    assert blocks.feed("One **bold**\n\nTwo\n\n- x\n") == (["<p>Two</p>\n"], "<ul>\n<li>x</li>\n</ul>\n")


def test_a_reference_that_was_defined_before_is_known_later() -> None:
    blocks, answer = Blocks(), "[home]: https://example.org\n\nSee [home].\n\nAnd [home]\nagain."
    settled, tail = blocks.feed(answer)
    assert "".join(settled) + tail == to_html(answer)
    assert tail.count("<a ") == 1 and len(settled) == 2


@pytest.mark.parametrize(
    "answer",
    [
        "".join(f"{'  ' * n}- item{n}\n" for n in range(200)) + "the end",
        "> " * 5_000 + "the end",
        "> - " * 2_000 + "the end",
        "[" * 500 + "the end" + "](https://a.example)" * 500,
        "*_" * 500 + "the end" + "_*" * 500,
    ],
    ids=["list", "quote", "both", "links", "emphasis"],
)
def test_no_word_is_lost_however_deep_it_stands(answer: str) -> None:
    html = to_html(answer)
    assert "the end" in html
    assert all(f"item{n}" in html for n in range(200) if f"item{n}" in answer)


@pytest.mark.parametrize(
    ("item", "shown"),
    [
        ("- [ ] to *do*", "☐ to <em>do</em>"),
        ("- [x] done", "☑ done"),
        ("1. [X] done", "☑ done"),
        ("- [ ]", "[ ]"),
        ("- [x](https://a.example)", None),
        ("- do [ ] this", "do [ ] this"),
        ("- # [ ] title", None),
        ("[ ] no item", None),
    ],
)
def test_a_box_that_begins_an_item_is_drawn(item: str, shown: str | None) -> None:
    html = to_html(item)
    assert ("☐" in html or "☑" in html) == ("cozeloop-task" in html) == (shown is not None and shown[0] in "☐☑")
    assert shown is None or re.search(rf"<li[^>]*>{re.escape(shown)}</li>", html)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("1. واحد\n2. two", '<ol dir="rtl">'),
        ("- שלום", '<ul dir="rtl">'),
        ("> 42 اقتباس", '<blockquote dir="rtl">'),
        ("| א | b |\n|---|---|", '<table dir="rtl">'),
        ("- one واحد", "<ul>"),
        ("- 42\n\n```\nx\n```\n\nواحد", "<ul>"),
    ],
)
def test_a_block_runs_from_right_to_left_where_its_text_begins_so(text: str, start: str) -> None:
    assert to_html(text).startswith(start)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a [b", "<p>a [b</p>"),
        ("![a ![b", "<p>![a ![b</p>"),
        ("[a [b](https://a.example) [c", 'rel="noopener noreferrer nofollow" target="_blank">b</a> [c</p>'),
        ("[[a](https://a.example)", '<p>[<a href="https://a.example"'),
        ("![a](https://a.example)![", "</a>)</span>![</p>"),
        ("[]", "<p>[]</p>"),
    ],
)
def test_a_bracket_that_nothing_closes_is_one(text: str, shown: str) -> None:
    assert shown in to_html(text)
