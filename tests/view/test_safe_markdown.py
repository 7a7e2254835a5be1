"""Markdown that is kept: nothing of a model's text reaches an attribute."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt

from cozeloop_magic.view.safe_markdown import safe


@pytest.mark.parametrize("before", ["", "> ", "- ", "1) ", "text\n", "    ", "> - ", "| a |\n|---|\n"])
@pytest.mark.parametrize("fence", ["```", "~~~", "`````"])
@pytest.mark.parametrize(
    "info", ['js" onx="', "js' onx='", "a b", "js=x", "{raw}", "&quot;", '\\"', "js\u00a0x", "x" * 33]
)
def test_no_line_of_kept_markdown_opens_a_fence_with_more_than_a_language(before: str, fence: str, info: str) -> None:
    kept = safe(f"{before}{fence}{info}\nx = 1\n{fence}")
    assert not [line for line in kept.split("\n") if fence[0] * 3 in line and fence[:3] + info[:2] in line]


def test_what_a_fence_says_beside_its_language_is_kept() -> None:
    assert "title&#61;&#34;a&#46;py&#34;" in safe('```python title="a.py"\nprint(1)\n```')


def test_a_links_title_stands_behind_it() -> None:
    assert safe('[x](https://ok.example "a title") y') == '[x](https://ok.example) "a title" y'
    assert "](" not in safe('[x](https://ok.example/"onmouseover="alert(1))')
    assert safe("[x](https://ok.example/a_(b))") == "[x](https://ok.example/a_(b))"


@pytest.mark.parametrize("opening", ["```", "~~~~ ", "  ```py", "```\nx\n```\n\n```", "> ```", "- ```\n  x"])
@pytest.mark.parametrize("inside", ["x = 1", "</code></pre>", "", "``", "~~"])
@pytest.mark.parametrize(
    "next_part", ["```\n<script>", "<img src=x onerror=y>", "~~~~\n<script>", "    <b>", "> ```\n<b>"]
)
def test_what_one_part_leaves_open_does_not_reach_into_the_next(opening: str, inside: str, next_part: str) -> None:
    kept = safe(f"{opening}\n{inside}", next_part, "the last word")
    html = MarkdownIt("commonmark", {"html": True}).render(kept)
    assert not re.search("<(script|img|b)[ >]", html)
    assert "the last word" in html


def test_a_fence_that_was_cut_is_closed_before_a_remark_and_an_end_is_left_as_it_is() -> None:
    assert safe("```py\nx = 1", "[stopped]") == "```py\nx = 1\n```\n\n[stopped]"
    assert safe("```py\nx = 1\n```", "[stopped]") == "```py\nx = 1\n```\n\n[stopped]"
    assert safe("```py\nx = 1") == "```py\nx = 1"
    assert safe("", "") == ""
