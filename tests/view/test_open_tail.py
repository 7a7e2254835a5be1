"""Markdown that is cut anywhere: no raw marks are seen, and what is shown is what will be."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cozeloop_magic.view.markdown import Blocks, to_html
from tests.growth import c_grows_alike, growth, lines_run
from tests.hostile import faults, read
from tests.payloads import PAYLOADS
from tests.view.snippets import SNIPPETS


def shown(text: str) -> str:
    """Return the HTML of an answer as far as it has come."""
    settled, tail = Blocks().feed(text, growing=True)
    return "".join(settled) + tail


@pytest.mark.parametrize(
    ("half", "whole"),
    [
        ("*emp", "*emp*"),
        ("a **bo", "a **bo**"),
        ("a **bold*", "a **bold**"),
        ("a **", "a"),
        ("***bo", "***bo***"),
        ("**bold and *both", "**bold and *both***"),
        ("这是**重", "这是**重**"),
        ("`code", "`code`"),
        ("``a`", "``a``"),
        ("`a` and `b*c", "`a` and `b*c`"),
        ("~~go", "~~go~~"),
        ("see [the do", "see the do"),
        ("see [the docs](https://a.exam", "see the docs"),
        ("see [the docs]", "see the docs"),
        ("see [**the do", "see **the do**"),
        ("a ![cat](https://a.exam", "a cat"),
        ("as said [1", "as said [1"),
        ("- [ ", ""),
        ("- a *b", "- a *b*"),
        ("* one\n* two **thr", "* one\n* two **thr**"),
        ("> a `b", "> a `b`"),
        ("# A *ti", "# A *ti*"),
        ("a\n-", "a"),
        ("a\n==", "a"),
        ("a\n\n1.", "a"),
        ("a\n\n**", "a"),
        ("a\n\n```", "a"),
        ("```py\nx = 1\n``", "```py\nx = 1\n"),
        ("R&am", "R"),
        ("x \\", "x"),
        ("so $x^", "so"),
        ("so \\(x^2", "so"),
        ("so\n\n$$\nx = \\frac{1}", "so"),
        ("so $x^2$ and **y", "so $x^2$ and **y**"),
        ("| a | b", "| a | b |\n|---|---|"),
        ("| a | **b", "| a | **b** |\n|---|---|"),
        ("| a | b |\n", "| a | b |\n|---|---|"),
        ("| a | b |\n|--", "| a | b |\n|---|---|"),
        ("| a | b |\n|---|:", "| a | b |\n|---|---|"),
        ("text\n| a | b |\n|-", "text\n| a | b |\n|---|---|"),
        ("> | a | b", "> | a | b |\n> |---|---|"),
        ("| a |\n|---|\n| *b", "| a |\n|---|\n| *b*"),
    ],
)
def test_what_is_open_is_shown_as_it_will_be_or_held(half: str, whole: str) -> None:
    assert shown(half) == to_html(whole, live=True)


@pytest.mark.parametrize(
    "text",
    [
        "2*3 = 6 and 2**3 = 8",
        "snake_case and __init__",
        "It costs $5",
        "`code` *em* **bold** ~~gone~~ [a](https://a.example) $x$ b",
        "a *lone star\n\n",
        "# A *lone star\n",
        "```\nx = *y",
        "    x = *y",
        "| not\na table",
        "a * b",
        "- one\n- two",
        "[1]: x",
    ],
)
def test_what_is_not_open_is_left_alone(text: str) -> None:
    assert shown(text) == to_html(text, live=True)


ANSWER = """## A title

**Words** with *emphasis*, `code`, [a link](https://a.example) and ~~what~~ is **`both`**.

| model | *note* |
|:------|------:|
| **a** | `xy` |

- [ ] one **two**
- three *four* $x^2$

> a *quote* with \\(y\\)

$$
E = mc^2
$$

1. ***all*** at once
"""


def test_no_mark_of_an_ordinary_answer_is_ever_seen() -> None:
    for end in range(len(ANSWER)):
        seen = re.sub(r"<pre>.*?</pre>", "", shown(ANSWER[:end]), flags=re.DOTALL)
        assert not re.findall(r"[*`~|\[\]$\\]", read(seen).text), ANSWER[:end]


def test_what_was_shown_stays() -> None:
    whole = "".join(read(to_html(ANSWER, live=True)).text.split())
    for end in range(len(ANSWER)):
        assert whole.startswith("".join(read(shown(ANSWER[:end])).text.split()).rstrip("☐"))


@given(st.lists(st.sampled_from(PAYLOADS + SNIPPETS), max_size=4), st.integers(0, 200))
def test_a_hostile_answer_cut_anywhere_is_harmless(parts: list[str], cut: int) -> None:
    assert faults(shown("\n".join(parts)[:cut])) == []


@pytest.mark.parametrize(
    "unit", ["*a ", "`", "[", "![", "$", "**", "<", "&", "| ", "\\(", "> ", "_a ", "[a](", "~~", "` "]
)
def test_no_tail_takes_out_of_proportion_to_close(unit: str) -> None:
    def close(size: int, width: int = 60) -> None:
        text = unit * (size // len(unit))
        shown("\n".join(text[i : i + width] for i in range(0, len(text), width)))

    assert growth(close, 2_000) < 5 and c_grows_alike(close, 4_000)
    third, whole = (lines_run(lambda size=size: close(size, size)) for size in (1_300, 3_900))  # in one line
    assert whole < 4.5 * third and c_grows_alike(lambda size: close(size, size), 4_000)
