"""Notebooks that a machine runs: nbclient here, and papermill and ``nbconvert --execute``, which are built on it."""

from __future__ import annotations

from collections.abc import Iterator

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.browser.server import Loop
from tests.conftest import TOKEN
from tests.wire_server import delta, stream

pytestmark = pytest.mark.kernel

SECRET = "a value of mine"


@pytest.fixture
def server() -> Iterator[Loop]:
    server = Loop()
    server.says(SECRET, ["Hello ", "*Ada*"])
    server.answers["broken"] = stream([delta("Half an ans")])
    yield server
    server.stop()
    assert not server.errors


def execute(*cells: str) -> nbformat.NotebookNode:
    """Run a notebook as a machine does, and give it as it is saved and read again."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(notebook, timeout=60, kernel_name="python3")
    try:
        client.execute()
    finally:
        saved = nbformat.reads(nbformat.writes(notebook), as_version=4)
    assert TOKEN not in nbformat.writes(nbformat.v4.new_notebook(cells=saved.cells[1:]))
    return saved


def test_what_is_saved_is_static_and_holds_a_record(server: Loop) -> None:
    ask = f"%%loop_prompt greet --version 1.2.0 -o answer\nx: {SECRET}"
    notebook = execute(server.cell, ask, ask.replace("greet", "greet --background"), "print(answer.result())")
    assert "widgets" not in notebook.metadata
    setup, *asked, after = notebook.cells
    assert setup.outputs == [] and [output.text for output in after.outputs] == ["Hello *Ada*\n"]
    for cell in asked:
        (output,) = cell.outputs
        assert set(output.data) == {"text/html", "text/markdown", "text/plain"}
        record = output.metadata["cozeloop_magic"]
        times = record.pop("ttft"), record.pop("latency")
        assert 0 < times[0] <= times[1]
        assert record == {
            "prompt_key": "greet",
            "version": "1.2.0",
            "origin": server.host,
            "phase": "done",
            "finish_reason": "stop",
            "usage": {"input_tokens": 5, "output_tokens": 3},
            "log_id": "log-1",
        }


def test_a_failing_cell_fails_the_run_with_its_sentence(server: Loop) -> None:
    with pytest.raises(CellExecutionError) as caught:
        execute(server.cell, "%%loop_prompt greet\nx: broken", "print('never')")
    assert "StreamInterrupted: The answer from" in str(caught.value) and "log id log-1" in str(caught.value)
    assert "Traceback" not in str(caught.value) and "site-packages" not in str(caught.value)
