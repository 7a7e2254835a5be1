"""A table in a notebook that a machine runs: one line at the end, and nothing that only a person would need."""

from __future__ import annotations

from collections.abc import Iterator

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import TOKEN
from tests.lab.loop import FakeLoop, fake_loop

pytestmark = pytest.mark.kernel

RUN = "%loop_batch rows --prompt greet -v 2.0.0 --out labelled"


@pytest.fixture
def loop() -> Iterator[FakeLoop]:
    with fake_loop() as running:
        yield running


def execute(loop: FakeLoop, *cells: str) -> nbformat.NotebookNode:
    given = {"API_BASE_URL": loop.server.url, "WORKSPACE_ID": "73917", "API_TOKEN": TOKEN}
    setup = f"import os\nos.environ.update({ ({f'COZELOOP_{name}': value for name, value in given.items()}) })\n"
    setup += "%load_ext cozeloop_magic\nrows = [{'text': f'row {n}'} for n in range(300)]"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in (setup, *cells)])
    NotebookClient(notebook, timeout=90, kernel_name="python3", allow_errors=True).execute()
    assert TOKEN not in nbformat.writes(nbformat.v4.new_notebook(cells=notebook.cells[1:]))
    return notebook


def test_one_line_stays_and_no_noise(loop: FakeLoop) -> None:
    notebook = execute(loop, RUN, f"{RUN} --background", "print(len(labelled.result()))", f"{RUN} --sample 2")
    assert "widgets" not in notebook.metadata
    _, first, behind, after, sample = notebook.cells
    for cell, said in ((first, "1,500 → 900 tokens"), (behind, "300 were in the store")):
        (output,) = cell.outputs
        assert set(output.data) == {"text/html", "text/markdown", "text/plain"} and said in output.data["text/plain"]
        assert "300 of 300 rows · " in output.data["text/plain"]
        assert output.metadata["cozeloop_magic"]["phase"] == "done"
    assert after.outputs[0].text == "300\n" and loop.executions == 300
    line, listing = sample.outputs
    assert "no call to come" in line.data["text/plain"] and "2.0.0: row 1" in listing.data["text/plain"]


def test_a_table_that_fails_fails_its_cell_with_a_sentence(loop: FakeLoop) -> None:
    notebook = execute(loop, RUN.replace("2.0.0", "9.9.9"), f"{RUN.replace('2.0.0', '9.9.9')} --background")
    for cell in notebook.cells[1:]:
        error = cell.outputs[-1]
        assert error.output_type == "error" and "9.9.9" in error.evalue and "site-packages" not in str(error)
