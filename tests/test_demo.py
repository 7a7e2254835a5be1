"""The lesson runs, and is committed with its answers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from tests.embedded import Embedded, embedded_loop

DEMO = Path(__file__).parents[1] / "demo.ipynb"
NOTEBOOK = nbformat.read(DEMO, as_version=4)
CODE = [cell for cell in NOTEBOOK.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[Embedded]:
    with embedded_loop(tmp_path_factory.mktemp("home"), weights) as loop:
        yield loop


def test_every_answer_is_there_without_a_widget() -> None:
    nbformat.validate(NOTEBOOK)
    assert "widgets" not in NOTEBOOK.metadata
    for cell in CODE:
        if cell.source.startswith("%%loop_prompt"):
            (output,) = cell.outputs
            if output.output_type == "error":
                assert "raises-exception" in cell.metadata.tags
            else:
                assert "text/html" in output.data and output.data["text/plain"]


def test_the_cells_were_run_from_top_to_bottom() -> None:
    assert [cell.execution_count for cell in CODE] == list(range(1, len(CODE) + 1))


@pytest.mark.model
@pytest.mark.kernel
def test_it_runs_headless_and_prints_the_answers(loop: Embedded, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cozeloop_magic", "demo", "--execute"]
    done = subprocess.run(
        command, env=loop.environ, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for cell in CODE:
        assert f">>> {cell.source.splitlines()[0]}" in done.stdout
    assert "machine learning" in done.stdout.lower()
    assert "did you mean user_request?" in done.stdout
    assert list(tmp_path.iterdir()) == []
