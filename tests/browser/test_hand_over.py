"""The end of an answer: what is kept takes the place of what was drawn, and looks the same; or the page says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import nbformat
import pytest

from tests.browser.conftest import Notebook
from tests.browser.server import Loop
from tests.wire_server import event, last, stream

Open = Callable[..., Notebook]

CODE = "```python\nprint('a line')\n```\n\n"
OUTPUT = """import ipywidgets
out = ipywidgets.Output()
display(out)
with out:
    get_ipython().run_cell_magic("loop_prompt", "greet", "x: slow")"""

UNSAID = """() => {
    window.unsaid = 0; // milliseconds in which the page tells neither that the answer goes on nor what became of it
    let before = performance.now();
    const look = (now) => {
        const told = [...document.querySelectorAll(".cozeloop-status")].map((node) => node.textContent).join();
        window.unsaid += /writing|not saved/.test(told) ? 0 : now - before;
        before = now;
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}"""

COLOURS = "node => getComputedStyle(node).getPropertyValue('%s')"


@pytest.fixture
def loop_server(loop_server: Loop) -> Loop:
    loop_server.says("slow", [CODE, *(f"word{n} " for n in range(80))], pause=0.05)
    return loop_server


def do(notebook: Notebook, *commands: str) -> None:
    notebook.page.keyboard.press("Escape")
    for command in commands:
        notebook.page.evaluate("command => jupyterapp.commands.execute(`notebook:${command}`)", command)
        notebook.page.wait_for_timeout(300)


def kept(notebook: nbformat.NotebookNode) -> bool:
    return any(
        "text/markdown" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])
    )


MOVES = {
    "cut-and-pasted": ["cut-cell", "paste-cell-below"],
    "in-an-Output": [],
}


@pytest.mark.parametrize("moves", [["move-cell-down"], ["cut-cell", "undo-cell-action"]])
def test_an_answer_whose_cell_was_moved_stays(open_notebook: Open, loop_server: Loop, moves: list[str]) -> None:
    notebook = open_notebook(f"kept-{moves[0]}", [loop_server.cell, "%%loop_prompt greet\nx: slow", "1"])
    notebook.run(0)
    notebook.start(1)
    notebook.appears(1, "text=word5")
    do(notebook, *moves)
    answer = notebook.page.locator(".cozeloop-done:not(:has(button)) .cozeloop-answer")
    answer.wait_for(timeout=60_000)
    assert "word79" in answer.inner_text()
    assert kept(notebook.save())


@pytest.mark.parametrize("how", MOVES)
def test_an_answer_that_jupyterlab_does_not_save_says_so(open_notebook: Open, loop_server: Loop, how: str) -> None:
    ask = "%%loop_prompt greet\nx: slow" if MOVES[how] else OUTPUT
    notebook = open_notebook(f"unsaved-{how}", [loop_server.cell, ask, "1"])
    notebook.run(0)
    notebook.start(1)
    notebook.appears(1, "text=word5")
    do(notebook, *MOVES[how])
    notebook.page.evaluate(UNSAID)
    status = notebook.page.locator(".cozeloop-unsaved .cozeloop-status")
    status.wait_for(timeout=60_000)
    assert notebook.page.evaluate("window.unsaid") < 700
    said = status.inner_text()
    assert said.startswith("done (stop) ·") and "a cell with _loop shows and keeps it" in said
    assert notebook.page.locator(".cozeloop-spoken").all_inner_texts() == [said]
    assert "word79" in notebook.page.locator(".cozeloop-unsaved .cozeloop-answer").inner_text()
    assert status.evaluate(COLOURS % "--cz-accent") == status.evaluate(COLOURS % "--jp-warn-color1"), "not green"
    assert not kept(notebook.save())
    notebook.keep(2 if how == "cut-and-pasted" else 1, f"unsaved-{how}")


def thinks() -> Iterator[bytes]:
    yield event({"message": {"role": "assistant", "reasoning_content": "I think."}, "finish_reason": ""})
    for n in range(60):
        time.sleep(0.05)
        yield event(
            {"message": {"role": "assistant", "content": f"{CODE if n == 0 else ''}word{n} "}, "finish_reason": ""}
        )
    yield last()


def test_what_is_kept_is_as_wide_and_as_open_as_what_was_drawn(open_notebook: Open, loop_server: Loop) -> None:
    loop_server.answers["thinks"] = lambda request, connection: stream(thinks())(request, connection)
    two = "for _ in range(2):\n    get_ipython().run_cell_magic('loop_prompt', 'greet', 'x: thinks')"
    notebook = open_notebook("hand-over", [loop_server.cell, two])
    notebook.run(0)
    notebook.start(1)
    second = notebook.cell(1).locator(".cozeloop-run").nth(1)
    second.locator("text=word5").wait_for()
    drawn = second.locator(".cozeloop-answer pre").bounding_box()
    second.locator(".cozeloop-reasoning > summary").click()
    second.locator(".cozeloop-request > summary").click()
    notebook.wait(1)
    notebook.page.wait_for_timeout(1500)
    assert notebook.cell(1).locator(".cozeloop-unsaved, button:text('Copy')").count() == 0
    box = second.locator(".cozeloop-answer pre").bounding_box()
    assert drawn and box and (box["x"], box["width"]) == (drawn["x"], drawn["width"])
    opened = second.locator("details[open]").evaluate_all("nodes => nodes.map((node) => node.className)")
    assert sorted(opened) == ["cozeloop-reasoning", "cozeloop-request"]
    assert notebook.cell(1).locator(".cozeloop-run").first.locator("details[open]").count() == 0, (
        "the other answer's are its own"
    )
