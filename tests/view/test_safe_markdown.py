"""Markdown that is kept: nothing of a model's text reaches an attribute."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt

from cozeloop_magic.view.safe_markdown import safe
from tests.view.snippets import PERMISSIVE, SNIPPETS, text_of


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


def test_safe_markdown_leaves_no_sign_that_begins_a_formula_once_there_are_enough() -> None:
    after = safe("$5 or " * 2_000 + "end $ a \\$b &#36;c \\(d").partition("end ")[2]
    assert after == "<span>&#36;</span> a <span>&#36;</span>b <span>&#36;</span>c <span>&#92;</span>(d"


def test_safe_markdown_draws_an_environment_without_dollars_only_if_it_is_harmless() -> None:
    assert safe(r"\begin{matrix}a & b\end{matrix}") == r"\begin{matrix}a & b\end{matrix}"
    assert safe(r"\begin{matrix}" + "&" * 90 + r"\\" * 90 + r"\end{matrix}").startswith("<code>")
    assert safe(r"\begin{matrix}" + "&" * 9_000) == r"<span>&#92;</span>begin{matrix}" + "&" * 9_000


def test_safe_markdown_lets_no_formula_reach_over_a_foreign_command() -> None:
    assert safe(r"\$\unicode{65}\$") == r"\$<span>&#92;</span>unicode{65}\$"
    assert safe(r"\$\\unicode{65}\$") == r"\$\<span>&#92;</span>unicode{65}\$"
    assert safe(r"$a\\b$") == r"$a\\ b$"
    assert safe("{" * 31) == "{" * 30 + "<span>&#123;</span>"


def test_a_formula_with_brackets_stays_one() -> None:
    assert safe("$f[x](y) + g[x]: A$") == "$f[x] (y) + g[x] : A$"


@pytest.mark.parametrize("snippet", [s for s in SNIPPETS if "![" not in s and "]:" not in s])
def test_safe_markdown_of_an_ordinary_answer_renders_to_the_same_text(snippet: str) -> None:
    assert text_of(PERMISSIVE.render(safe(snippet))) == text_of(MarkdownIt("commonmark", {"html": False})
        .enable(["table", "strikethrough"]).render(snippet)).replace("\u202e", "‹U+202E›")  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        "# Title\n\nwords, `code`, [a](https://a.example) and <https://b.example> and a < b\n",
        "1. list\n\n   ```python\n   x = a[0](b)\n   ```\n",
        "$a_1 < b$ and\n\n$$\nx\n$$\n",
        "| a |\n|---|\n| b |\n",
        "Text:\n\n```html\n<script>alert(1)</script>\n```\n\nmore\n",
    ],
)
def test_safe_markdown_leaves_ordinary_markdown_as_it_is(answer: str) -> None:
    assert safe(answer) == answer


@pytest.mark.parametrize(
    "code",
    ["`<b>`", "- ```html\n  <b>\n\n    <i>\n  ```", "> ```\n> <b>\n> ```", "a\n\n    <b>\n    </b>", "`` ` <b> ``"],
)
def test_html_in_code_reads_as_it_was_written(code: str) -> None:
    strict = MarkdownIt("commonmark", {"html": False})
    assert text_of(PERMISSIVE.render(safe(code))) == text_of(strict.render(code))
