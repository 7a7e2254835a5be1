"""Markdown to HTML: what an answer may contain, and what it may not do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from cozeloop_magic.view.markdown import Blocks, to_html
from cozeloop_magic.view.safe_markdown import safe
from tests.hostile import PAYLOADS, SCHEMES, faults, read

# A renderer as forgiving as a notebook's: raw HTML on, every scheme allowed, bare addresses made links.
PERMISSIVE = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
PERMISSIVE.validateLink = lambda url: True  # type: ignore[method-assign]

SNIPPETS = [
    "# A heading\n",
    "A heading\n===\n",
    "Another\n---\n",
    "A paragraph of *words*, `code` and **more**\non two lines.\n",
    "概念：机器学习 🎉\n",
    "- one\n- two\n  - deeper\n",
    "- loose\n\n- list\n",
    "1. first\n2. second\n",
    "7. seventh\n\n   more of it\n",
    "* * *\n",
    "---\n",
    "> a quote\nthat is lazy\n",
    "```python\nx = 1  # <b>\n\nprint(x)\n```\n",
    "~~~\nplain\n~~~\n",
    "```unclosed\ntext\n",
    "    indented code\n",
    "| a | b |\n|---|:-:|\n| 1 | 2 |\n",
    "| a | b |\n|---|---|\n| 1 | 2 | 3 | `x|y` |\n| 4 |\n",
    "> | a |\n> |---|\n> | 1 | 2 |\n",
    "| not | a table |\n| --- |\n",
    "- [ ] to do\n- [x] done\n",
    "1. [x] done\n\n   [ ] text\n",
    "text before\n| a | b |\n|---|---|\n| 1 | 2 |\n",
    "$$\na - b\n- c\n# d\n$$\n",
    "$$\nnever closed\n",
    "$x$ begins and 5 ends it 5\n",
    "It costs $5 and $6.\n",
    "\\[\nx = 1\n\\]\n",
    "<div>\nraw\n</div>\n",
    "&amp; &#x202E; \\* a\\\nb  \nc\n",
    "![alt](https://example.org/a.png) [google.com](https://evil.example)\n",
    "~~gone~~\r\nand\rold line ends\r\n",
    "\n",
    " \n",
    "\t\n",
    "  ",
    "\n[defined]: https://example.org\n",
    "\n[titled]: https://example.org\n  'A title\non two lines'\n",
    '"a title\n===\nthat ends" (late)\n',
]


def text_of(html: str) -> str:
    return "".join(read(html).text.split())


def faults_of_markdown(answer: str) -> list[str]:
    """Name what could act in an answer made safe and rendered; relative links may stay in code."""
    attributes = {"href", "title", "class", "start", "style"}
    return faults(PERMISSIVE.render(safe(answer)), attributes, SCHEMES | {""})


@pytest.mark.parametrize("payload", PAYLOADS)
def test_html_of_a_hostile_answer_holds_nothing_that_acts(payload: str) -> None:
    assert faults(to_html(payload)) == []


@pytest.mark.parametrize("payload", PAYLOADS)
def test_markdown_of_a_hostile_answer_renders_to_nothing_that_acts(payload: str) -> None:
    assert faults_of_markdown(payload) == []


@given(st.lists(st.sampled_from(PAYLOADS + SNIPPETS), max_size=6), st.sampled_from(["", "\n", "\n\n", " ", "\n  "]))
def test_hostile_answers_stay_harmless_however_they_are_put_together(parts: list[str], between: str) -> None:
    answer = between.join(parts)
    assert faults(to_html(answer)) == []
    assert faults_of_markdown(answer) == []


@given(st.text(alphabet="<>&;:/!?[](){}`~$\\*_-#|= \n\tabjsx\"'1.", max_size=60))
def test_any_text_is_harmless(answer: str) -> None:
    assert faults(to_html(answer)) == []
    assert faults_of_markdown(answer) == []


@given(st.data())
def test_feeding_an_answer_in_pieces_gives_what_rendering_it_whole_gives(data: st.DataObject) -> None:
    answer = "".join(data.draw(st.lists(st.sampled_from(SNIPPETS), max_size=8)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=12)))
    blocks, settled, tail = Blocks(), "", ""
    for cut in [*cuts, len(answer)]:
        new, tail = blocks.feed(answer[:cut])
        settled += "".join(new)
    assert settled + tail == to_html(answer)


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
