"""What a hostile answer may not do, in each of its forms."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbconvert.filters.markdown_mistune import markdown2html_mistune

from cozeloop_magic.view.markdown import to_html
from cozeloop_magic.view.safe_markdown import safe
from tests.hostile import SCHEMES, faults
from tests.payloads import PAYLOADS
from tests.view.formulas_cut_out import cut_out, in_addresses, put_back
from tests.view.snippets import PERMISSIVE, SNIPPETS, faults_of_markdown, text_of


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


def faults_in_jupyterlab(answer: str) -> list[str]:
    """Name what could act where formulas are cut out of kept Markdown before it is rendered, and put back after."""
    found, kept = [], safe(answer)
    for knows_code in (True, False):
        text, formulas = cut_out(kept, knows_code=knows_code)
        found += in_addresses(PERMISSIVE.render(text.replace("&", "&amp;")), formulas)  # entities make no address
        html = put_back(PERMISSIVE.render(text), formulas)
        found += faults(html, {"href", "title", "class", "start", "style"}, SCHEMES | {""})
    return found


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_formula_that_is_cut_out_and_put_back_makes_nothing_act(payload: str) -> None:
    assert faults_in_jupyterlab(payload) == []


PIECES = [
    "$", "$$", "\\\\(", "\\\\)", "\\begin{x}", "\\end{x}", "{", "}", "`", "``", "\n```\n", "\n~~~\n", "\n\n", "\n",
    " ", "> ", "- ", "x", '"onx="y', "https://ok.example/", "www.a.example/", "[x](", ")", "<img src=x onerror=y>",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=24).map("".join))
def test_formulas_code_and_addresses_in_any_order_make_nothing_act(answer: str) -> None:
    assert faults_in_jupyterlab(answer) == []


@given(st.text(alphabet="<>&;:/!?[](){}`~$\\*_-#|= \n\tabjsx\"'1.", max_size=60))
def test_any_text_is_harmless(answer: str) -> None:
    assert faults(to_html(answer)) == []
    assert faults_of_markdown(answer) == []


@pytest.mark.parametrize("payload", PAYLOADS)
def test_an_exported_page_makes_nothing_of_safe_markdown(payload: str) -> None:
    acting = re.compile(r"<(?:script|img|svg|iframe|object|embed|form|style|link|meta|base)\b", re.IGNORECASE)
    exported = markdown2html_mistune(safe(payload))
    assert not acting.search(exported) and "jp-Mermaid" not in exported


def test_bidirectional_overrides_and_controls_are_named() -> None:
    assert text_of(to_html("a\u202eb &#x2066; \x1b[31m")) == "a‹U+202E›b‹U+2066›␛[31m"
