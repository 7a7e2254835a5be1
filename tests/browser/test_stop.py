"""Stopping an answer, and answers that go on behind other cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.browser.conftest import Notebook
from tests.browser.server import Loop

Open = Callable[..., Notebook]

WATCH = """(button) => {
    button.addEventListener("click", () => { window.clicked = Date.now(); });
    button.addEventListener("keydown", () => { window.clicked = Date.now(); });
    new MutationObserver(() => {
        if (document.querySelector(".cozeloop-interrupted > p.cozeloop-status")) window.shown ??= Date.now();
    }).observe(document.body, { childList: true, subtree: true });
}"""


@pytest.fixture
def loop_server() -> Iterator[Loop]:
    server = Loop()
    server.says("endless", (f"word{n} " for n in count()), pause=0.02)
    yield server
    server.stop()
    assert not server.errors


@pytest.mark.parametrize("version", ["6.31", "7.3", "newest"])
def test_stop_ends_the_answer_at_once(
    open_notebook: Open, loop_server: Loop, kernel: Callable[[str], str], version: str
) -> None:
    name = "python3" if version == "newest" else kernel(version)
    cells = [loop_server.cell, "%%loop_prompt greet -o answer\nx: endless", "print(len(str(answer)) > 20)"]
    notebook = open_notebook(f"stop-{version}", cells, kernel=name)
    notebook.run(0)
    notebook.start(1)
    notebook.appears(1, "text=word20")
    stop = notebook.appears(1, "button:text('Stop')")
    stop.evaluate(WATCH)
    if version == "newest":
        stop.focus()
        notebook.page.keyboard.press("Enter")
    else:
        stop.click()
    notebook.wait(1)
    assert loop_server.gone.wait(2)
    notebook.appears(1, ".cozeloop-interrupted")
    clicked, shown = notebook.page.evaluate("[window.clicked, window.shown]")
    closed = loop_server.gone_at * 1000 - clicked
    print(f"ipykernel {version}: the server {closed:.0f} ms after the click, the page {shown - clicked} ms")
    assert closed < 200
    assert shown - clicked < 200
    said = notebook.output(1).all_inner_texts()
    assert "word20" in said[0] and "the answer is incomplete" in said[0]
    assert said[1].strip() == "KeyboardInterrupt: stopped; the text so far is kept."
    notebook.keep(1, f"stopped-{version}")
    notebook.run(2)
    assert notebook.output(2).inner_text().strip() == "True"


@pytest.mark.parametrize("version", ["6.31", "newest"])
def test_answers_go_on_behind_other_cells(
    open_notebook: Open, loop_server: Loop, kernel: Callable[[str], str], version: str
) -> None:
    loop_server.says("one", [f"one{n} " for n in range(60)], pause=0.03)
    loop_server.says("two", [f"two{n} " for n in range(60)], pause=0.03)
    cells = [
        loop_server.cell,
        "%%loop_prompt greet --background -o one\nx: one",
        "%%loop_prompt greet --background -o two\nx: two",
        "%%loop_prompt greet --background -o three\nx: endless",
        "print(one.done, two.done)",
        "print(str(await one)[-6:], str(two.result(60))[-6:])",
    ]
    name = "python3" if version == "newest" else kernel(version)
    notebook = open_notebook(f"behind-{version}", cells, kernel=name)
    for index in range(5):
        notebook.run(index)
    assert notebook.output(4).inner_text().strip() == "False False"
    notebook.appears(3, "text=word20")
    notebook.cell(3).locator("button:text('Stop')").click()
    notebook.appears(3, ".cozeloop-interrupted")
    assert loop_server.gone.wait(2)
    notebook.run(5)
    assert notebook.output(5).inner_text().split() == ["one59", "two59"]
    for index, word in (1, "one"), (2, "two"):
        notebook.appears(index, ".cozeloop-done")
        said = notebook.output(index).all_inner_texts()
        assert len(said) == 1 and f"{word}0" in said[0] and f"{word}59" in said[0]
    notebook.keep(1, f"background-{version}")
