"""Lessons play from their tapes alone, and the exercise's checks tell a solution from what is none."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from cozeloop_magic.tape import Tape

LESSONS = Path(__file__).parents[1] / "lessons"
NAMES = [path.stem for path in sorted(LESSONS.glob("*.ipynb"))]


def read(name: str) -> Any:
    return nbformat.read(LESSONS / f"{name}.ipynb", as_version=4)


def run(notebook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tape: str) -> str:
    """Run a notebook from a tape and give all that it printed."""
    shutil.copy(LESSONS / tape, tmp_path)
    monkeypatch.setenv("COZELOOP_MAGIC_TAPE", str(tmp_path / tape))
    monkeypatch.setenv("COZELOOP_MAGIC_TAPE_SPEED", "instant")
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "\n".join(each.get("text") or each.get("data", {}).get("text/plain", "") for each in outputs)


@pytest.mark.kernel
@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_plays_from_its_tape_with_nothing_else(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("COZELOOP_MAGIC_HOME", str(home))
    printed = run(read(name), tmp_path, monkeypatch, f"{name}.loop")
    assert f"recorded {Tape.read(LESSONS / f'{name}.loop').header.date}" in printed or name == "exercise"
    assert [path.name for path in home.rglob("*") if path.suffix in (".gguf", ".json")] == []  # no Loop was started


@pytest.mark.kernel
def test_the_lesson_shows_what_its_text_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = run(read("is-it-better"), tmp_path, monkeypatch, "is-it-better.loop")
    answers = re.findall(r"^Gravity is .+", printed, re.MULTILINE)
    assert len(set(answers[:5])) == 5
    assert "Too few to decide: 4 of 4 inputs pass the checks with 0.2.0" in printed
    assert "0.2.0 is better than 0.1.0: " in printed
    assert "8 of 8 preferences went with the order." in printed
    assert "my_review@0.1.0 is worse than classify_review@0.2.0: 15 of 30 inputs" in printed


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("my_review --inputs", "my_review@1.0.0 --repeat 1 --inputs few"), "few"),
        (("assert right >= 24", "right = 15\nassert right >= 24"), "who always says the same word gets 15"),
        (('mine.verdict == "better"', 'mine.verdict == "worse"'), "read its first sentence"),
    ],
)
def test_the_exercise_says_what_is_missing(
    change: tuple[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = read("exercise")
    for cell in notebook.cells:
        cell.source = cell.source.replace(*change)
    with pytest.raises(CellExecutionError, match=said):
        run(notebook, tmp_path, monkeypatch, "exercise.loop")


def test_no_lesson_is_kept_with_outputs_and_no_tape_with_a_workspace() -> None:
    for name in NAMES:
        notebook = read(name)
        nbformat.validate(notebook)
        assert not [cell for cell in notebook.cells if cell.get("outputs")]
        text = (LESSONS / f"{name}.loop").read_text("utf-8")
        assert not re.search(r"workspace_id\W+\d", text) and "Authorization" not in text
