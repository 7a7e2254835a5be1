"""Stopping an answer, and answers that go on behind other cells."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import Notebook
from tests.browser.server import Loop, says_only
from tests.wire_server import HEAD

Open = Callable[..., Notebook]

VERSIONS = ["6.31", "7.3", "newest"]


@pytest.fixture
def loop_server(loop_server: Loop) -> Loop:
    loop_server.says("endless", [f"word{n} " for n in range(9999)], pause=0.02)
    loop_server.answers["silent"] = says_only("")
    loop_server.answers["headed"] = says_only(HEAD + "Transfer-Encoding: chunked\r\n\r\n")
    return loop_server


def stop(notebook: Notebook, index: int, server: Loop, key: str = "") -> None:
    """Press Stop in a cell, and see that the server and the reader notice."""
    server.asked.get(timeout=60)  # a run that is stopped before its call was sent leaves the server nothing to notice
    button = notebook.appears(index, "button:text('Stop')")
    if key:
        button.focus()
        notebook.page.keyboard.press(key)
    else:
        button.click()
    server.gone.get(timeout=60)
    notebook.appears(index, ".cozeloop-interrupted > p.cozeloop-status")


def failed(notebook: Notebook, index: int) -> str:
    """Give the error of a stopped cell, which is kept for whoever reads the notebook, and not shown."""
    (error,) = [each for each in notebook.save().cells[index].outputs if each.output_type == "error"]
    assert error.ename == "KeyboardInterrupt"
    return str(error.evalue)


@pytest.mark.parametrize("version", VERSIONS)
def test_stop_ends_the_answer_at_once(
    open_notebook: Open, loop_server: Loop, kernel: Callable[[str], str], version: str
) -> None:
    cells = [loop_server.cell, "%%loop_prompt greet -o answer\nx: endless", "print(len(str(answer)) > 20)"]
    notebook = open_notebook(f"stop-{version}", cells, kernel=kernel(version))
    notebook.run(0)
    notebook.start(1)
    notebook.appears(1, "text=word20")
    stop(notebook, 1, loop_server, key="Enter" if version == "newest" else "")
    notebook.wait(1)
    (said,) = notebook.output(1).filter(visible=True).all_inner_texts()
    assert "word20" in said and "the answer is incomplete" in said
    assert failed(notebook, 1) == "stopped; the text so far is kept."
    notebook.keep(1, f"stopped-{version}")
    notebook.run(2)
    assert notebook.output(2).inner_text().strip() == "True"


def test_a_stop_fails_the_cell_and_hides_no_other_error(open_notebook: Open, loop_server: Loop) -> None:
    ask = "get_ipython().run_cell_magic('loop_prompt', 'greet', 'x: endless')"
    then = f"try:\n    {ask}\nexcept KeyboardInterrupt:\n    1 / 0"
    notebook = open_notebook("stop-run-all", [loop_server.cell, "%%loop_prompt greet\nx: endless", "2", then])
    notebook.run(0)
    notebook.page.evaluate("() => void jupyterapp.commands.execute('notebook:run-all-cells').catch(() => {})")
    notebook.appears(1, "text=word20")
    notebook.cell(1).locator("button:text('Stop')").click()
    notebook.wait(1)
    notebook.page.wait_for_timeout(500)
    assert notebook.cell(2).locator(".jp-InputArea-prompt").inner_text().strip() == "[ ]:", "Run All went on"
    notebook.start(3)
    notebook.appears(3, "text=word20")
    notebook.cell(3).locator("button:text('Stop')").click()
    notebook.wait(3)
    assert "ZeroDivisionError" in notebook.output(3).filter(visible=True).last.inner_text()


@pytest.mark.parametrize("version", VERSIONS)
def test_stop_is_heard_before_the_first_word(
    open_notebook: Open, loop_server: Loop, kernel: Callable[[str], str], version: str
) -> None:
    ways = {
        "before the headers": "%%loop_prompt greet\nx: silent",
        "before the first event": "%%loop_prompt greet\nx: headed",
        "not streamed": "%%loop_prompt greet --no-stream\nx: silent",
    }
    notebook = open_notebook(f"waiting-{version}", [loop_server.cell, *ways.values()], kernel=kernel(version))
    notebook.run(0)
    for index in range(1, 1 + len(ways)):
        notebook.start(index)
        stop(notebook, index, loop_server)
        notebook.wait(index)
        (said,) = notebook.output(index).filter(visible=True).all_inner_texts()
        assert "interrupted before it answered" in said
        assert failed(notebook, index) == "stopped; nothing had come yet."
    notebook.keep(1, f"stopped-waiting-{version}")


@pytest.mark.parametrize("version", VERSIONS)
def test_stop_is_heard_behind_other_cells(
    open_notebook: Open, loop_server: Loop, kernel: Callable[[str], str], version: str
) -> None:
    others = {
        "behind an idle kernel": "print('ran')",
        "behind a loop in Python": "from time import time\nend = time() + 3\nwhile time() < end: pass\nprint('ran')",
        "behind a call in C": "from time import sleep\nsleep(3)\nprint('ran')",
    }
    asks = [f"%%loop_prompt greet --background\nx: {x}" for x in ("endless", "silent")]
    cells = [loop_server.cell, *asks, *others.values()]
    notebook = open_notebook(f"behind-{version}", cells, kernel=kernel(version))
    notebook.run(0)
    for other in range(3, 3 + len(others)):
        notebook.run(1)
        notebook.run(2)
        notebook.appears(1, "text=word20")
        notebook.start(other)
        if other == 3:
            notebook.wait(other)
        for index in 1, 2:  # one that streams, and one before its headers
            stop(notebook, index, loop_server)
        if other > 3:
            assert notebook.cell(other).locator(".jp-InputArea-prompt").inner_text() == "[*]:"
        notebook.wait(other)
        assert notebook.output(other).inner_text().strip() == "ran"
    notebook.keep(1, f"stopped-behind-{version}")


@pytest.mark.parametrize("version", VERSIONS)
def test_answers_go_on_behind_other_cells(
    open_notebook: Open, loop_server: Loop, kernel: Callable[[str], str], version: str
) -> None:
    loop_server.says("one", [f"one{n} " for n in range(150)], pause=0.03)
    loop_server.says("two", [f"two{n} " for n in range(150)], pause=0.03)
    cells = [
        loop_server.cell,
        "%%loop_prompt greet --background -o one\nx: one",
        "%%loop_prompt greet --background -o two\nx: two",
        "%%loop_prompt greet --background -o three\nx: endless",
        "%%loop_prompt greet --background --plain\nx: one",
        "print(one.done, two.done)",
        "print(str(await one)[-7:], str(two.result(60))[-7:])",
    ]
    notebook = open_notebook(f"several-{version}", cells, kernel=kernel(version))
    for index in range(6):
        notebook.run(index)
    assert notebook.output(5).inner_text().strip() == "False False"
    notebook.appears(3, "text=word20")
    notebook.cell(3).locator("button:text('Stop')").click()
    notebook.appears(3, ".cozeloop-interrupted")
    loop_server.gone.get(timeout=60)
    notebook.run(6)
    assert notebook.output(6).inner_text().split() == ["one149", "two149"]
    for index, word in (1, "one"), (2, "two"):
        notebook.appears(index, ".cozeloop-done")
        said = notebook.output(index).filter(visible=True).all_inner_texts()
        assert len(said) == 1 and f"{word}0" in said[0] and f"{word}149" in said[0]
    notebook.appears(4, "text=one149")
    assert notebook.output(4).inner_text().startswith("one0 one1 ")
    notebook.keep(1, f"background-{version}")
