"""The demo's first cells in JupyterLab: the text grows, and then it stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page

from tests.browser.conftest import CONTRAST, INTRODUCED, READY, Notebook, write
from tests.embedded import Embedded

DEMO = nbformat.read(Path(__file__).parents[2] / "demo.ipynb", as_version=4)
LOAD, FIRST = [cell.source for cell in DEMO.cells if cell.cell_type == "code"][:2]
# A brief answer may be over before the page has drawn its first words; in detail it takes some seconds.
DETAILED = FIRST.partition("---")[0] + "---\nExplain it in detail."

Open = Callable[..., Notebook]


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_the_demos_first_prompt_streams_and_stays(open_notebook: Open, theme: str) -> None:
    notebook = open_notebook(f"first-{theme}", [LOAD, DETAILED], theme=f"JupyterLab {theme}")
    notebook.run(0)
    notebook.start(1)

    seen: list[str] = []
    kept = False
    live = notebook.cell(1).locator(".cozeloop-run:has(button)")
    live.wait_for(timeout=60_000)
    while text := "".join(live.all_inner_texts()):
        if len(text) > 340 and not kept:
            notebook.keep(1, f"streaming-{theme.lower()}")
            kept = True
        if not seen or text != seen[-1]:
            seen.append(text)
        notebook.page.wait_for_timeout(60)
    notebook.wait(1)
    assert len(seen) >= 5, "the text grew in several steps"

    static = notebook.output(1).locator(".cozeloop-run")
    answer = static.locator(".cozeloop-answer").inner_text()
    assert "machine learning" in answer.lower()
    status = static.locator(".cozeloop-status").inner_text()
    assert "ptaas_demo @ 0.0.1" in status and "SmolLM2-135M-Instruct" in status
    notebook.keep(1, f"done-{theme.lower()}")

    saved = notebook.save()
    (output,) = saved.cells[1].outputs
    assert set(output.data) == {"text/html", "text/markdown", "text/plain"}
    assert "widgets" not in saved.metadata


@pytest.mark.parametrize("theme", ["Light", "Dark", "Dark High Contrast"])
def test_an_answer_that_ends_early_shows_it(open_notebook: Open, loop: Embedded, theme: str) -> None:
    name = theme.lower().replace(" ", "-")
    notebook = open_notebook(f"early-{name}", [LOAD, DETAILED, DETAILED], theme=f"JupyterLab {theme}")
    notebook.run(0)
    grow(notebook, 1)
    notebook.cell(1).locator("button:text('Stop')").click()
    notebook.wait(1)
    notebook.appears(1, ".cozeloop-interrupted")
    notebook.keep(1, f"interrupted-{name}")

    grow(notebook, 2)
    loop.kill()
    notebook.wait(2)
    notebook.appears(2, ".cozeloop-failed")
    notebook.keep(2, f"failed-{name}")
    assert notebook.page.evaluate(CONTRAST) == {}


def grow(notebook: Notebook, index: int) -> Locator:
    """Start a cell and wait for the first words of its answer."""
    notebook.start(index)
    answer = notebook.appears(index, ".cozeloop-run:has(button) .cozeloop-answer > p", seconds=60)
    while len(answer.inner_text()) < 150:
        notebook.page.wait_for_timeout(20)
    return answer


def test_notebook_7_shows_the_same(lab: tuple[str, Path, Path], chromium: Callable[[], Page]) -> None:
    url, files, _ = lab
    notebook = Notebook(chromium(), files / "notebook7.ipynb")
    write(notebook.path, [LOAD, FIRST, FIRST])
    notebook.page.goto(f"{url}/notebooks/{notebook.path.name}")
    notebook.page.wait_for_function(READY, timeout=60_000)
    notebook.page.wait_for_function(INTRODUCED, timeout=60_000)
    notebook.run(0)
    grow(notebook, 1)
    notebook.cell(1).locator("button:text('Stop')").click()
    notebook.wait(1)
    assert "the answer is incomplete" in notebook.appears(1, ".cozeloop-interrupted > .cozeloop-status").inner_text()
    notebook.run(2)
    assert "machine learning" in notebook.appears(2, ".cozeloop-done .cozeloop-answer").inner_text().lower()
    notebook.keep(2, "notebook7")
    notebook.page.close()


def test_a_saved_answer_is_there_again_with_no_kernel(open_notebook: Open) -> None:
    notebook = open_notebook("reopened", [LOAD, FIRST])
    notebook.run(0)
    notebook.run(1)
    notebook.save()
    answer = notebook.output(1).inner_text()
    again = open_notebook("reopened")
    assert again.output(1).inner_text() == answer
    assert "Error displaying widget" not in answer


def test_a_mistake_shows_one_sentence(open_notebook: Open) -> None:
    slip = FIRST.replace("user_request", "user_reqest")
    notebook = open_notebook("mistake", [LOAD, slip])
    notebook.run(0)
    notebook.run(1)
    shown = notebook.output(1).filter(visible=True)
    text = [" ".join(text.split()) for text in shown.all_inner_texts()]
    assert text == [
        "VariableError: ptaas_demo @ 0.0.1: there is no variable user_reqest (did you mean user_request?)."
    ]
    for width in (1000, 620):
        notebook.page.set_viewport_size({"width": width, "height": 900})
        sentence = shown.locator("pre")
        assert sentence.evaluate("node => getComputedStyle(node).wordBreak") == "normal"
        assert sentence.evaluate("node => node.scrollWidth <= node.clientWidth")
        notebook.keep(1, f"mistake-{width}")
