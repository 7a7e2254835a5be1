"""Every verb of authors over real HTTP, against what the open source platform answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cozeloop_magic.cli.commands import main
from tests.conftest import TOKEN, soon
from tests.notebook.test_completion import offered as completed
from tests.platform import Platform
from tests.wire_server import WireServer

TEXT = """\
description: Says hello
model: {model_id: '1706077826', temperature: 0.2}
variables:
  name: {type: string, description: Whom to greet}
---
@system
You greet.

@user
Greet {{name}}.
"""
WARMER = TEXT.replace("You greet.", "You greet warmly.")


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture
def notebook(shell: Any, platform: Platform, configured: Callable[..., WireServer]) -> Any:
    """A notebook whose Loop is a platform with one prompt in two versions, the first of which is in production."""
    server = configured(platform)
    run(shell, f"%%loop_define greeting -m 'the first one'\n{TEXT}")
    run(shell, f"%%loop_define greeting --bump minor -m warmer\n{WARMER}")
    platform.labels["greeting", "production"] = "0.1.0"
    yield shell
    assert server.errors == []


def run(shell: Any, cell: str) -> Any:
    result = shell.run_cell(cell)
    assert result.success, result.error_in_exec
    return result.result


def refusal(shell: Any, capsys: pytest.CaptureFixture[str], cell: str) -> str:
    capsys.readouterr()
    assert not shell.run_cell(cell).success
    out = " ".join(capsys.readouterr().out.split())
    assert TOKEN not in out and "Traceback" not in out
    return out


def test_what_there_is(notebook: Any) -> None:
    overview = str(run(notebook, "%loop"))
    assert "73917" in overview and "a token, not shown" in overview and TOKEN not in overview
    (row,) = run(notebook, "%loop prompts")
    assert (row["key"], row["version"], row["what it is for"]) == ("greeting", "0.2.0", "Says hello")
    listed = run(notebook, "%loop versions greeting")
    assert [(row["version"], row["by"], row["why"], row["from"]) for row in listed] == [
        ("0.2.0", "73", "warmer", "0.1.0"),
        ("0.1.0", "73", "the first one", ""),
    ]
    assert all(row["committed"].year >= 2026 for row in listed)
    changed = str(run(notebook, "%loop diff greeting production 0.2.0"))
    assert "greeting: 0.1.0 (production) → 0.2.0" in changed and "{+ warmly+}" in changed


def test_labels_that_no_call_lists_are_said_to_be_elsewhere(
    notebook: Any, platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = run(notebook, "%loop show greeting")
    for said in (str(shown), shown._repr_mimebundle_()["text/html"]):
        assert "production: 0.1.0" in said and "lists no labels" in said
        assert "production, beta and test were asked for" in said and "/pe/prompts/75" in said
    platform.labels["greeting", "exam"] = "0.1.0"
    assert run(notebook, "%loop show greeting -l exam").title == "greeting @ 0.1.0 (production, exam)"
    told = refusal(notebook, capsys, "%loop label greeting 0.2.0 production")
    assert "can be read through its API, but not set" in told and "/pe/prompts/75" in told


def test_a_cell_that_runs_and_one_that_writes(notebook: Any, platform: Platform) -> None:
    assert run(notebook, "%loop new greeting -l production").splitlines() == [
        "%%loop_prompt greeting --label production --out answer",
        "# string: Whom to greet",
        "name: ",
    ]
    writes = run(notebook, "%loop new greeting --define")
    assert writes == f"%%loop_define greeting --bump minor --base 0.2.0\n{WARMER}".rstrip("\n")
    begun = run(notebook, "%loop new farewell --define")
    assert "model_id: '1706077826'" in begun  # a platform runs no prompt without a model
    run(notebook, begun)
    assert [each["key"] for each in platform.prompts.values()] == ["greeting", "farewell"]


def test_versions_and_drafts(notebook: Any, platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    (prompt,) = platform.prompts.values()
    assert "has a version 0.1.0 already" in refusal(
        notebook, capsys, f"%%loop_define greeting --version 0.1.0\n{TEXT}"
    )
    run(notebook, f"%%loop_define greeting --draft\n{TEXT}")
    assert prompt["draft"] is not None and len(prompt["commits"]) == 2
    prompt["draft"]["draft_info"]["updated_at"] = "1"  # written on the prompt's page since
    prompt["draft"]["detail"] = {"prompt_template": {"messages": []}}
    told = refusal(notebook, capsys, f"%%loop_define greeting --bump minor\n{TEXT}")
    assert "The prompt has a draft by 73" in told and "--replace-draft drops it" in told
    run(notebook, "%loop diff greeting 0.2.0 draft")
    run(notebook, f"%%loop_define greeting --bump minor --replace-draft\n{TEXT}")
    assert prompt["draft"] is None and prompt["commits"][-1][0]["version"] == "0.3.0"


def test_a_version_of_another_person_is_not_overruled(
    notebook: Any, platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    (prompt,) = platform.prompts.values()
    prompt["commits"].append(({"version": "0.3.0", "committed_by": "99"}, prompt["commits"][0][1]))
    told = refusal(notebook, capsys, f"%%loop_define greeting --bump minor\n{WARMER}more")
    assert "greeting @ 0.3.0 was committed by 99, and this text was begun from 0.2.0; nothing was saved." in told
    assert prompt["draft"] is None
    run(notebook, f"%%loop_define greeting --bump minor --base 0.3.0\n{WARMER}more")


def test_trying_it_only_renders(notebook: Any, platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    run(notebook, f"%%loop_define greeting --try --var name=Ada\n{TEXT}")
    shown = capsys.readouterr().out
    assert "no model was called" in shown and "Greet Ada." in shown
    assert next(iter(platform.prompts.values()))["draft"] is None


def test_out_and_in_again(notebook: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(notebook, f"%loop export --all {tmp_path}")
    file = tmp_path / "greeting.prompt.md"
    assert file.read_text() == WARMER
    file.write_text(TEXT)
    assert "changed" in str(run(notebook, f"%loop import {tmp_path} --dry-run"))
    assert len(run(notebook, "%loop versions greeting")) == 2
    run(notebook, f"%loop import {tmp_path} -m again")
    assert run(notebook, "%loop versions greeting")[0]["version"] == "0.2.1"
    run(notebook, f"%loop export greeting {tmp_path}")
    assert file.read_text() == TEXT


def test_what_there_is_none_of_is_told_with_the_near_one(notebook: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean greeting?" in refusal(notebook, capsys, "%loop show greting")
    assert "did you mean versions?" in refusal(notebook, capsys, "%loop version greeting")
    told = refusal(notebook, capsys, "%loop show greeting -v 0.9.0")
    assert "greeting has no version 0.9.0. Its latest version is 0.2.0; %loop versions greeting lists all." in told
    assert "log-7" in told
    assert "greeting has no label nightly." in refusal(notebook, capsys, "%loop show greeting -l nightly")


def test_doctor_writes_nothing(notebook: Any, platform: Platform) -> None:
    before = json.dumps(list(platform.prompts.values()))
    rows = {row["check"]: row["ok"] for row in run(notebook, "%loop doctor")}
    assert [rows[f"{may} prompts"] for may in ("list", "read", "run", "create", "write")] == [True] * 5
    assert json.dumps(list(platform.prompts.values())) == before


def test_the_same_in_a_terminal(notebook: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*line: str, code: int = 0) -> str:
        capsys.readouterr()
        assert main(list(line)) == code
        out, err = capsys.readouterr()
        assert TOKEN not in out + err and "Traceback" not in err
        return out + err

    assert json.loads(told("prompts", "--json"))[0]["key"] == "greeting"
    shown = json.loads(told("show", "greeting", "-l", "production", "--json"))
    assert shown["labels"] == {"production": "0.1.0"} and shown["text"] == TEXT
    assert [row["version"] for row in json.loads(told("versions", "greeting", "--json"))] == ["0.2.0", "0.1.0"]
    told("diff", "greeting", "0.1.0", "0.2.0", "--exit-code", code=3)
    file = tmp_path / "greeting.prompt.md"
    file.write_text(TEXT + "Please.\n")
    assert "begun from 0.1.0" in told("define", "greeting", str(file), "--bump", "minor", "--base", "0.1.0", code=1)
    made = json.loads(told("define", "greeting", str(file), "--bump", "minor", "--base", "0.2.0", "--json"))
    assert made["version"] == "0.3.0" and made["base_version"] == "0.2.0"
    told("export", "--all", str(tmp_path))
    told("import", str(tmp_path), "--dry-run", "--exit-code")
    told("doctor")


def test_completion_knows_what_the_platform_tells(notebook: Any) -> None:
    offered = partial(completed, notebook)

    assert soon(lambda: offered("%loop show gre") == ["greeting"])
    assert soon(lambda: offered("%loop show greeting -v ") == ["0.2.0", "0.1.0"])
    assert soon(lambda: offered("%loop show greeting -l ") == ["production"])
    assert soon(lambda: offered("%%loop_define greeting --base ") == ["0.2.0", "0.1.0"])
    assert soon(lambda: offered("%%loop_prompt greeting\nna") == ["name: "])
