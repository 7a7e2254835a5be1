"""A table in JupyterLab: one line while it runs, Stop in it, and what stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from tests.browser.conftest import CONTRAST, Notebook
from tests.conftest import TOKEN
from tests.lab.loop import FakeLoop, fake_loop, refusal

Open = Callable[..., Notebook]

RUN = "%loop_batch reviews --prompt classify_review -v 0.2.0 --map review=text --column said --out labelled"


@pytest.fixture
def slow() -> Iterator[FakeLoop]:
    """A server that takes its time, and refuses one call of fifty."""
    numbers = count(1)

    def reply(version: str, text: str) -> Any:
        time.sleep(0.3)
        return "positive" if next(numbers) % 50 else refusal(600505014, "too risky")

    with fake_loop(reply) as running:
        running.versions["classify_review"] = ["0.2.0"]
        running.definitions["0.2.0"] = [{"key": "review", "type": "string"}]
        yield running


def load(loop: FakeLoop, rows: int) -> str:
    given = {"API_BASE_URL": loop.server.url, "WORKSPACE_ID": "73917", "API_TOKEN": TOKEN}
    environ = {f"COZELOOP_{name}": value for name, value in given.items()}
    table = f"reviews = pd.DataFrame({{'text': [f'review {{n % 900}}' for n in range({rows})]}})"
    return f"import os\nimport pandas as pd\nos.environ.update({environ})\n%load_ext cozeloop_magic\n{table}"


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_one_line_tells_how_far_it_is_and_stop_keeps_what_came(
    open_notebook: Open, slow: FakeLoop, theme: str
) -> None:
    name = f"batch-{theme.lower()}"
    cells = [load(slow, 1000), RUN, "len(labelled), labelled.said.notna().sum() > 20"]
    notebook = open_notebook(name, cells, theme=f"JupyterLab {theme}")
    notebook.run(0)
    notebook.start(1)
    line = notebook.appears(1, ".cozeloop-batch .cozeloop-line", 60)
    line.locator(".cozeloop-figures:text('left')").wait_for(timeout=60_000)
    line.locator(".cozeloop-figures:text('2 failed')").wait_for(timeout=60_000)
    assert "100 equal to another: one call for them" in notebook.output(1).inner_text()
    assert "rows/s" in line.inner_text() and "16 at once" in line.inner_text()
    assert notebook.page.evaluate(CONTRAST) == {}
    notebook.keep(1, name)
    line.locator("button:text('Stop')").click()
    notebook.wait(1)
    kept = notebook.appears(1, ".cozeloop-batch").inner_text()
    assert "stopped at " in kept and "the same cell asks only for what is missing" in kept and "too risky" in kept
    notebook.keep(1, f"{name}-stopped")
    notebook.run(2)
    assert "True" in notebook.output(2).inner_text()

    saved = notebook.save()
    (output,) = [each for each in saved.cells[1].outputs if "cozeloop_magic" in each.get("metadata", {})]
    assert saved.cells[1].outputs[-1].ename == "KeyboardInterrupt"
    assert set(output.data) == {"text/html", "text/markdown", "text/plain"} and "widgets" not in saved.metadata
    assert output.metadata["cozeloop_magic"]["phase"] == "interrupted"


def test_behind_other_cells_it_goes_on_and_fits_a_narrow_page(open_notebook: Open, slow: FakeLoop) -> None:
    notebook = open_notebook("batch-behind", [load(slow, 120), f"{RUN} --background", "print('meanwhile')"])
    notebook.page.set_viewport_size({"width": 620, "height": 1300})
    notebook.run(0)
    notebook.run(1)
    notebook.run(2)
    assert "meanwhile" in notebook.output(2).inner_text()
    line = notebook.appears(1, ".cozeloop-batch .cozeloop-line", 60)
    notebook.page.wait_for_timeout(1000)
    notebook.keep(1, "batch-narrow")
    box, cell = line.bounding_box(), notebook.cell(1).bounding_box()
    assert box and cell and box["x"] + box["width"] <= cell["x"] + cell["width"]
    notebook.appears(1, ".cozeloop-batch:has-text('120 of 120 rows')", 60)
    notebook.output(1).locator(".cozeloop-line").wait_for(state="detached", timeout=30_000)


def test_a_first_look(open_notebook: Open, slow: FakeLoop) -> None:
    notebook = open_notebook("batch-look", [load(slow, 1000), f"{RUN} --sample 8"])
    notebook.run(0)
    notebook.run(1)
    shown = notebook.cell(1).inner_text()
    assert "1,000 rows" in shown and "calls to come: about" in shown and "positive" in shown
    notebook.keep(1, "batch-look")
