"""The lesson runs, live and from its tape, and is committed with its answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from cozeloop_magic.tape import Tape
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


def run(environ: dict[str, str], place: Path) -> str:
    """Run the lesson as a user does, and give what it printed."""
    command = [sys.executable, "-m", "cozeloop_magic", "demo", "--execute"]
    done = subprocess.run(
        command, env=environ, cwd=place, capture_output=True, text=True, encoding="utf-8", timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for cell in CODE:
        assert f">>> {cell.source.splitlines()[0]}" in done.stdout
    assert "machine learning" in done.stdout.lower()
    assert "did you mean user_request?" in done.stdout
    return done.stdout


def answer_on(tape: Path) -> str:
    """Give the first answer of a tape; the model draws its words by chance, so a live run has another."""
    first = next(each for each in Tape.read(tape).exchanges if each.path.endswith("execute_streaming"))
    lines = "".join(text for _, text in first.chunks).split("\n")
    pieces = [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:")]
    return "".join(piece["message"]["content"] for piece in pieces).strip()


@pytest.mark.model
@pytest.mark.kernel
def test_it_runs_headless_and_prints_the_answers(loop: Embedded, tmp_path: Path) -> None:
    assert answer_on(DEMO.with_suffix(".loop")) not in run(loop.environ, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.kernel
def test_it_plays_from_its_tape_with_no_server_no_model_and_no_token(tmp_path: Path) -> None:
    home, place, tape = tmp_path / "home", tmp_path / "place", tmp_path / "demo.loop"
    place.mkdir()
    shutil.copy(DEMO.with_suffix(".loop"), tape)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COZELOOP_")}
    environ |= {
        "COZELOOP_MAGIC_TAPE": str(tape),
        "COZELOOP_MAGIC_TAPE_SPEED": "instant",
        "COZELOOP_MAGIC_HOME": str(home),
        "COZELOOP_MAGIC_GGUF": str(tmp_path / "no-model.gguf"),  # so that no Loop could be started
        "HTTPS_PROXY": "http://127.0.0.1:9",  # nor another one asked
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    assert answer_on(tape) in run(environ, place)
    assert list(place.iterdir()) == []
    assert [path.name for path in home.rglob("*") if path.suffix in (".gguf", ".json")] == []
