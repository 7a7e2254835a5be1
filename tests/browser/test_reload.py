"""A page that is loaded anew while an answer comes.

A notebook keeps its outputs in the page until it is saved, and JupyterLab gives what a kernel sends to the cells that
this page has run. So after a reload the cell is as it was saved; the kernel goes on and has the whole answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from tests.browser.conftest import READY, Notebook
from tests.browser.server import Loop

Open = Callable[..., Notebook]

WORDS = [f"word{n} " for n in range(120)]


@pytest.fixture
def loop_server(loop_server: Loop) -> Loop:
    loop_server.says("slow", WORDS, pause=0.05)
    return loop_server


def reload(notebook: Notebook, url: str) -> Notebook:
    notebook.appears(1, "text=word20")
    notebook.page.on("dialog", lambda dialog: dialog.accept())  # "changes may not be saved"
    notebook.page.goto(f"{url}/lab/tree/{notebook.path.name}")
    notebook.page.wait_for_function(READY, timeout=60_000)
    return Notebook(notebook.page, notebook.path)


def test_the_next_cell_of_a_reloaded_page_shows_the_whole_answer(
    open_notebook: Open, loop_server: Loop, lab: tuple[str, object, object]
) -> None:
    notebook = open_notebook("reload", [loop_server.cell, "%%loop_prompt greet\nx: slow", "_loop"])
    notebook.run(0)
    notebook.start(1)
    notebook = reload(notebook, lab[0])
    notebook.run(2)
    assert notebook.output(1).count() == 0
    assert notebook.appears(2, ".cozeloop-answer").inner_text().split() == "".join(WORDS).split()
    notebook.keep(2, "reloaded")


@pytest.mark.parametrize("how", ["restarted", "killed"])
def test_an_answer_whose_kernel_ends_says_so(open_notebook: Open, loop_server: Loop, how: str) -> None:
    cells = [loop_server.cell, "%%loop_prompt greet --background\nx: slow", "os.kill(os.getpid(), 9)"]
    notebook = open_notebook(f"kernel-{how}", cells)
    notebook.run(0)
    notebook.run(1)
    notebook.appears(1, "text=word20")
    if how == "killed":
        notebook.start(2)
    else:
        notebook.page.keyboard.press("Escape")
        notebook.page.keyboard.type("00")
        notebook.page.locator(".jp-Dialog button.jp-mod-accept").click()
    status = notebook.appears(1, ".cozeloop-failed .cozeloop-status:has-text('the kernel ended')")
    notebook.page.wait_for_timeout(1500)
    assert "the answer is incomplete" in status.inner_text()
    assert "word20" in notebook.cell(1).locator(".cozeloop-answer").inner_text()
    assert notebook.cell(1).locator(".cozeloop-foot button").all_inner_texts() == ["Copy"]
    notebook.keep(1, f"kernel-{how}")


@pytest.mark.parametrize("ask", ["%%loop_prompt greet\nx: slow", "%%loop_prompt greet --background\nx: slow"])
def test_what_was_saved_in_mid_answer_says_how_to_see_it(
    open_notebook: Open, loop_server: Loop, lab: tuple[str, object, object], ask: str
) -> None:
    name = "_loop.result()" if "--background" in ask else "_loop"
    notebook = open_notebook(f"left-{len(ask)}", [loop_server.cell, ask])
    notebook.run(0)
    notebook.start(1)
    notebook.appears(1, "text=word9")
    assert notebook.cell(1).locator(".cozeloop-left").filter(visible=True).count() == 0
    saved = notebook.save().cells[1].outputs
    assert f"a cell with {name} alone shows the answer" in saved[0].data["text/plain"]
    notebook.page.evaluate("jupyterapp.shell.currentWidget.context.sessionContext.restartKernel()")
    notebook.appears(1, ".cozeloop-failed")
    notebook.save()
    notebook.page.on("dialog", lambda dialog: dialog.accept())
    notebook.page.goto(f"{lab[0]}/lab/tree/{notebook.path.name}")
    notebook.page.wait_for_function(READY, timeout=60_000)
    words = notebook.appears(1, ".cozeloop-left")
    assert name in words.inner_text()
    notebook.page.wait_for_timeout(2000)
    (said,) = notebook.output(1).filter(visible=True).all_inner_texts()
    assert "Loading widget" not in said and "model not found" not in said
    notebook.keep(1, f"left-{name}")


def test_an_answer_behind_other_cells_goes_on_in_a_reloaded_page_and_stays(
    open_notebook: Open, loop_server: Loop, lab: tuple[str, object, object]
) -> None:
    reloaded = threading.Event()

    def words() -> Iterator[str]:
        yield from WORDS[:30]
        reloaded.wait(120)
        yield from WORDS[30:]

    loop_server.says("slow", words(), pause=0.05)
    cells = [loop_server.cell, "%%loop_prompt greet --background -o answer\nx: slow", "answer.result()"]
    notebook = open_notebook("reload-behind", cells)
    notebook.run(0)
    notebook.run(1)
    notebook.appears(1, "text=word5")
    notebook.save()
    notebook = reload(notebook, lab[0])
    notebook.appears(1, ".cozeloop-streaming")
    reloaded.set()
    notebook.appears(1, ".cozeloop-done")
    status = notebook.appears(1, ".cozeloop-unsaved .cozeloop-status").inner_text()  # by then the widget is gone
    assert status.startswith("done (stop) ·") and "a cell with _loop.result() shows and keeps it" in status
    assert notebook.cell(1).locator("button:text('Stop')").count() == 0
    assert notebook.cell(1).locator(".cozeloop-answer").inner_text().split() == "".join(WORDS).split()
    notebook.keep(1, "reloaded-behind")
