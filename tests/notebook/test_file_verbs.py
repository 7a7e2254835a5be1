"""``%loop export`` and ``%loop import``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cozeloop_magic.local.seeds import read_seeds
from tests.local.conftest import Server


@pytest.fixture
def notebook(shell: Any, loop: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.chdir(tmp_path)
    return shell


def test_all_prompts_go_out_and_what_was_edited_comes_in(notebook: Any, loop: Server, capsys: Any) -> None:
    exported = notebook.run_cell("%loop export --all prompts").result
    assert sorted(row["key"] for row in exported) == sorted(read_seeds()) and all(row["written"] for row in exported)
    path = Path("prompts/chat.prompt.md")
    path.write_text(path.read_text().replace("a friendly tutor", "a friendly teacher"))

    listing, changed = notebook.run_cell("%loop import prompts --dry-run").result
    assert {row["key"]: row["words"] for row in listing}["chat"] == "+1 −1"
    assert changed.title == "chat against 1.0.0" and "{+teacher+}" in str(changed)
    assert "Nothing was committed" in listing.note and loop.store.prompt_by_key("chat").latest_version == "1.0.0"

    imported = notebook.run_cell('%loop import prompts -m "a word" --bump minor').result
    assert {row["key"]: row["version"] for row in imported[0] if row["version"]} == {"chat": "1.1.0"}
    assert "text/markdown" in imported._repr_mimebundle_()
    assert [row["state"] for row in notebook.run_cell("%loop import prompts").result[0]] == ["same"] * len(
        read_seeds()
    )


def test_one_file_that_cannot_be_read_fails_the_cell_and_shows_which(notebook: Any, capsys: Any) -> None:
    notebook.run_cell("%loop export chat prompts")
    Path("prompts/broken.prompt.md").write_text("nothing")
    capsys.readouterr()
    assert not notebook.run_cell("%loop import prompts").success
    said = " ".join(capsys.readouterr().out.split())
    assert "1 of 2 files could not be imported; broken: Line 1" in said and "failed" in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("export chat", "Write KEY DIR, or --all DIR"),
        ("export --all chat prompts", "Write KEY DIR, or --all DIR"),
        ("export nobody prompts", "There is no prompt nobody"),
        ("import prompts", "There is no directory prompts"),
        ("import .", "There is no file *.prompt.md"),
    ],
)
def test_what_cannot_be_done_is_told(notebook: Any, capsys: Any, line: str, said: str) -> None:
    assert not notebook.run_cell(f"%loop {line}").success
    assert said in " ".join(capsys.readouterr().out.split())
