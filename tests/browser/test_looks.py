"""Every colour can be read in every theme, and what is said stays in its place at every width."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page

from cozeloop_magic.entities.prompt import (
    ExecuteRequest,
    ExecuteResult,
    FunctionCall,
    Message,
    Role,
    TokenUsage,
    ToolCall,
)
from cozeloop_magic.errors import StreamInterrupted
from cozeloop_magic.run.state import Arrived, Event, Failed, Finished, Interrupted, Prepared, RunState, fold
from cozeloop_magic.view.render import bundle, style
from tests.browser.conftest import ARTEFACTS, CONTRAST, Notebook, write

THEMES = Path(sys.prefix) / "share" / "jupyter" / "lab" / "themes" / "@jupyterlab"
VSCODE = (
    ":root { --vscode-editor-foreground: %s; --vscode-descriptionForeground: %s; --vscode-errorForeground: #f85149; }"
)
PAGES = {
    "light": (THEMES / "theme-light-extension", "var(--jp-layout-color0)"),
    "dark": (THEMES / "theme-dark-extension", "var(--jp-layout-color0)"),
    "high-contrast": (THEMES / "theme-dark-high-contrast-extension", "var(--jp-layout-color0)"),
    "vscode-light": (VSCODE % ("#3b3b3b", "#3b3b3b"), "#ffffff; color: #3b3b3b"),
    "vscode-dark": (VSCODE % ("#cccccc", "#9d9d9d"), "#1f1f1f; color: #cccccc"),
    "bare-light": ("", "#ffffff"),
    "bare-dark": ("", "#383838; color: #e3e3e3"),
}
TEXT = """# 什么是机器学习 A title

Words with [a link](https://a.example), [b.example](https://c.example) and `code` $x^2$ 🎉.

- שלום, *עולם*

| a | b |
|:--|--:|
| 1 | 2 |

```python
@cache
def step(x: int = 1) -> str:  # a comment
    return "text" + len(x)
```
"""
CALL = ToolCall(0, "c", "function", FunctionCall("get_weather", '{"city": "北京"}'))
REQUEST = ExecuteRequest("ptaas_demo", "0.0.1", None, {"a_variable_with_quite_a_long_name": "a few words of a value"})


def ended(end: Event, reason: str | None = None) -> str:
    usage = TokenUsage(42, 592)
    message = Message(Role.ASSISTANT, TEXT, reasoning_content="First I think.", tool_calls=(CALL,))
    piece = ExecuteResult(message, reason, usage, model="SmolLM2-135M-Instruct.Q4_1", retries=1)
    state = RunState(REQUEST)
    for event in (Prepared("embedded", "0.0.1"), Arrived(0.15, piece, 592, 2.0), end):
        state = fold(state, event)
    return bundle(state, with_error=True)["text/html"].replace("<details", "<details open")


@pytest.fixture
def page(chromium: Callable[[], Page], request: pytest.FixtureRequest) -> Page:
    """Answers of every kind on a page of a theme."""
    theme, look = PAGES[request.param]
    style = theme if isinstance(theme, str) else (theme / "index.css").read_text(encoding="utf-8")
    ends = [Finished(2.1), Failed(2.1, StreamInterrupted("The answer broke off.")), Interrupted(2.1)]
    answers = [*map(ended, ends), ended(Finished(2.1), "length")]
    page = chromium()
    page.set_content(f"<!doctype html><style>{style}</style><body style='background: {look}'>{''.join(answers)}")
    request.addfinalizer(page.close)
    return page


@pytest.mark.parametrize("page", PAGES, indirect=True)
def test_all_text_stands_out_from_its_background(page: Page, request: pytest.FixtureRequest) -> None:
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"looks-{request.node.callspec.id}.png", full_page=True)
    assert page.locator(".cozeloop-run").count() == 4
    assert page.evaluate(CONTRAST) == {}


@pytest.mark.parametrize("page", PAGES, indirect=True)
def test_the_state_and_the_version_are_read_from_the_back_row(page: Page) -> None:
    items = page.locator(".cozeloop-status > span")
    sizes = items.evaluate_all("nodes => nodes.map((node) => parseFloat(getComputedStyle(node).fontSize))")
    assert min(sizes) >= 13
    found = page.evaluate(
        f"({CONTRAST})(':is(.cozeloop-status > :first-child, .cozeloop-status > :nth-child(2))', 7)"
    )
    assert found == {}
    weights = items.evaluate_all("nodes => nodes.slice(0, 3).map((node) => getComputedStyle(node).fontWeight)")
    assert weights == ["600", "400", "400"]


@pytest.mark.parametrize("page", ["light"], indirect=True)
@pytest.mark.parametrize("width", [1400, 1000, 700, 400])
def test_nothing_is_wider_than_its_place(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for item in page.locator(".cozeloop-status > span").all():
        assert item.evaluate("node => node.getClientRects().length") == 1, "it wraps between items"
    for name in page.locator("dt").all():
        box = name.bounding_box()
        assert box and box["width"] > 30, "a name does not stand on its head"


@pytest.mark.parametrize("page", ["light"], indirect=True)
def test_right_to_left_text_reads_so(page: Page) -> None:
    page.evaluate("document.querySelector('.cozeloop-answer').innerHTML = '<p>שלום</p><p>Hello</p><pre>x</pre>'")
    ends = page.evaluate(
        """() => [...document.querySelector(".cozeloop-answer").children].map((node) => {
            const range = document.createRange();
            range.selectNodeContents(node);
            const [text, box] = [range.getBoundingClientRect(), node.getBoundingClientRect()];
            return text.left - box.left > box.right - text.right ? "right" : "left";
        })"""
    )
    assert ends == ["right", "left", "left"]


def long(text: str, height: int = 1200) -> str:
    """Give a kept answer that is folded."""
    state = fold(RunState(REQUEST), Arrived(0.1, ExecuteResult(Message(Role.ASSISTANT, text), "stop")))
    html = bundle(fold(state, Finished(1.0)), fold_height=height)["text/html"]
    assert 'class="cozeloop-fold"' in html
    return html


@pytest.fixture
def blank(chromium: Callable[[], Page], request: pytest.FixtureRequest) -> Page:
    page = chromium()
    request.addfinalizer(page.close)
    return page


def seen(page: Page, answer: str = ".cozeloop-answer") -> tuple[int, bool]:
    """Give how many things can be opened, and whether the answer is there to its last word."""
    whole = page.locator(answer).evaluate("node => node.scrollHeight <= node.clientHeight")
    return page.locator("summary:visible").count(), whole


def test_where_style_sheets_are_taken_away_all_is_shown_and_nothing_dead(
    open_notebook: Callable[..., Notebook], lab: tuple[str, Path, Path], blank: Page
) -> None:
    html = long("word  \n" * 100)
    write(lab[1] / "untrusted.ipynb", ["1"])
    notebook = nbformat.read(lab[1] / "untrusted.ipynb", as_version=4)
    notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", {"text/html": html})]
    nbformat.write(notebook, lab[1] / "untrusted.ipynb")
    page = open_notebook("untrusted").page
    assert seen(page) == (1, True), "the request alone"
    page.add_style_tag(content=style())  # another cell, that is run, brings it
    assert seen(page) == (2, False)

    blank.set_content(re.sub(r"<style>.*?</style>| (class|style|hidden)=\"[^\"]*\"", "", html, flags=re.DOTALL))
    assert seen(blank, "body > div > div") == (1, True)


def test_a_fold_opens_and_closes_and_is_not_printed(blank: Page) -> None:
    blank.set_content(long("word  \n" * 100))
    label = "getComputedStyle(document.querySelector('.cozeloop-fold > summary'), '::after').content"
    for said, whole in (('"Show all"', False), ('"Show less"', True), ('"Show all"', False)):
        assert (blank.evaluate(label), seen(blank)) == (said, (2, whole))
        blank.locator(".cozeloop-fold > summary").click()
    blank.emulate_media(media="print")
    assert seen(blank) == (1, True)


def test_a_fold_fades_only_what_it_cuts(blank: Page) -> None:
    blank.set_content(long("word  \n" * 100))
    answer = blank.locator(".cozeloop-answer")
    box = answer.bounding_box()
    assert box and box["height"] == 1200
    blank.evaluate("for (const node of [...document.querySelectorAll('br')].slice(4)) node.remove()")
    folded = answer.screenshot()
    blank.evaluate("document.querySelector('.cozeloop-fold').open = true")
    assert answer.screenshot() == folded


def test_the_keyboard_sees_the_links_below_a_fold(blank: Page) -> None:
    blank.set_content(long("One [link](https://a.example).\n\n" * 60, 600))
    answer = blank.locator(".cozeloop-answer")
    for _ in range(60):
        blank.keyboard.press("Tab")
    place = blank.evaluate("document.activeElement.getBoundingClientRect().bottom")
    box = answer.bounding_box()
    assert box and box["y"] + box["height"] > place
    blank.keyboard.press("Tab")
    assert blank.evaluate("document.activeElement.tagName") == "SUMMARY"
    assert answer.evaluate("node => [node.scrollTop, node.clientHeight]") == [0, 600]


def test_a_tool_call_stands_apart_from_the_answer(blank: Page) -> None:
    blank.set_content(ended(Finished(2.1)))
    answer, call = blank.locator(".cozeloop-answer").bounding_box(), blank.locator(".cozeloop-call").bounding_box()
    assert answer and call and call["y"] - answer["y"] - answer["height"] > 8
