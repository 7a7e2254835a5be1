"""``%loop record`` and ``%loop replay``: a whole lesson is played with nobody there to answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cozeloop_magic.tape import RECORDING, Tape
from tests.conftest import TOKEN
from tests.lab.loop import FakeLoop, fake_loop

ROWS = [{"text": f"text {n}", "label": "good" if n % 3 else "bad"} for n in range(12)]
LESSON = [
    "%%loop_prompt greet -v 1.0.0 --out answer\ntext: hello",
    "%%loop_prompt greet -v 1.0.0 --out answer\ntext: hello",
    "%loop_compare greet -v 1.0.0 -v 2.0.0 --inputs rows --expect label --check equals --out cmp",
    "%loop_batch rows --prompt greet -v 2.0.0 --column said --out table",
    "%%loop_prompt greet -v 9.9.9\ntext: hello",
]


@pytest.fixture(autouse=True)
def nothing_recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("COZELOOP_MAGIC_TAPE", "COZELOOP_MAGIC_TAPE_SPEED"):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
        monkeypatch.delenv(name)
    yield
    RECORDING.writer = None


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLoop]:
    def reply(version: str, text: str) -> str:
        if text == "hello":
            return f"answer {running.executions}"
        return "perhaps" if version == "1.0.0" else "good" if int(text.split()[-1]) % 3 else "bad"

    with fake_loop(reply) as running:
        monkeypatch.setenv("COZELOOP_API_BASE_URL", running.server.url)
        monkeypatch.setenv("COZELOOP_WORKSPACE_ID", "73917")
        monkeypatch.setenv("COZELOOP_API_TOKEN", TOKEN)
        yield running


def play(shell: Any) -> list[Any]:
    """Run the lesson and give what each cell leaves behind."""
    shell.user_ns["rows"] = pd.DataFrame(ROWS)
    left: list[Any] = []
    for code in LESSON:
        result = shell.run_cell(code)
        last = shell.user_ns.get("_loop")
        value = [str(last)] if isinstance(last, str) else [last.verdict] if hasattr(last, "verdict") else last
        left.append((result.success, list(value["said"]) if isinstance(value, pd.DataFrame) else value))
    return left


def record(shell: Any, path: Path) -> list[Any]:
    assert shell.run_cell(f"%loop record {path}").success
    live = play(shell)
    assert shell.run_cell("%loop record stop").success
    return live


def test_a_lesson_is_played_without_a_server_as_it_was_recorded(
    shell: Any, loop: FakeLoop, tmp_path: Path, capsys: Any
) -> None:
    path = tmp_path / "lesson.loop"
    live = record(shell, path)
    assert [success for success, _ in live] == [True, True, True, True, False]
    assert live[0][1] == ["answer 1"] and live[1][1] == ["answer 2"] and live[2][1] == ["better"]
    assert f"{path} holds" in capsys.readouterr().out
    loop.server.stop()
    assert shell.run_cell(f"%loop replay {path} --instant").success
    assert play(shell) == live
    assert f"recorded {Tape.read(path).header.date}" in capsys.readouterr().out
    assert TOKEN not in path.read_text("utf-8") and "73917" not in path.read_text("utf-8")


def test_a_variable_of_the_environment_plays_a_tape_in_a_whole_kernel(
    shell: Any, loop: FakeLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = record(shell, tmp_path / "lesson.loop")
    loop.server.stop()
    monkeypatch.setenv("COZELOOP_MAGIC_TAPE", str(tmp_path / "lesson.loop"))
    monkeypatch.setenv("COZELOOP_MAGIC_TAPE_SPEED", "instant")
    monkeypatch.delenv("COZELOOP_API_TOKEN")
    assert play(shell) == live
    settings = {row["setting"]: row for row in shell.run_cell("%loop").result[0]}
    assert settings["tape"]["source"] == "COZELOOP_MAGIC_TAPE" and loop.server.host in settings["Loop"]["value"]


def test_what_is_kept_neither_leaves_a_gap_on_a_tape_nor_stands_in_for_it(
    shell: Any, loop: FakeLoop, tmp_path: Path
) -> None:
    shell.user_ns["rows"] = pd.DataFrame(ROWS)
    batch = LESSON[3]
    assert shell.run_cell(batch).success
    assert shell.run_cell(f"%loop record {tmp_path / 'a.loop'}").success
    assert shell.run_cell(batch).success
    assert shell.run_cell("%loop record stop").success
    assert loop.executions == 24 and len(Tape.read(tmp_path / "a.loop").exchanges) >= 13


def test_a_replay_ends_where_it_began(shell: Any, loop: FakeLoop, tmp_path: Path) -> None:
    record(shell, tmp_path / "lesson.loop")
    before = loop.executions
    assert shell.run_cell(f"%loop replay {tmp_path / 'lesson.loop'} --instant").success
    assert not shell.run_cell("%%loop_prompt greet -v 1.0.0\ntext: something else").success
    assert shell.run_cell("%loop replay stop").success
    assert shell.run_cell("%%loop_prompt greet -v 1.0.0\ntext: 3").success
    assert loop.executions == before + 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%loop record stop", "Nothing is being recorded. Begin with %loop record FILE."),
        ("%loop replay stop", "No tape is being played. Begin with %loop replay FILE."),
        ("%loop replay none.loop", "The tape none.loop cannot be read: No such file or directory."),
        ("%loop replay x.loop --speed fast", "--speed is 'fast'. Write a number above 0, such as 4, or instant."),
        ("%loop replay x.loop --speed 2 --instant", "Both --speed and --instant are given."),
        ("%loop replay x.loop --speed -1", "--speed"),
        ("%loop record", "required: FILE|stop"),
    ],
)
def test_a_slip_is_named(shell: Any, capsys: Any, line: str, said: str) -> None:
    assert not shell.run_cell(line).success
    assert said in " ".join(capsys.readouterr().out.split())


def test_two_recordings_at_once_are_one_too_many(shell: Any, tmp_path: Path, capsys: Any) -> None:
    assert shell.run_cell(f"%loop record {tmp_path / 'a.loop'}").success
    assert not shell.run_cell(f"%loop record {tmp_path / 'b.loop'}").success
    assert "is being recorded" in " ".join(capsys.readouterr().out.split())


def test_a_tape_is_no_source_of_another_whose_day_would_be_wrong(
    shell: Any, loop: FakeLoop, tmp_path: Path, capsys: Any
) -> None:
    tape, other = tmp_path / "lesson.loop", tmp_path / "other.loop"
    record(shell, tape)
    assert shell.run_cell(f"%loop replay {tape} --instant").success
    assert not shell.run_cell(f"%loop record {other}").success
    said = " ".join(capsys.readouterr().out.split())
    assert "A tape is being played" in said and "%loop replay stop" in said and not other.exists()
    assert shell.run_cell("%loop replay stop").success and shell.run_cell(f"%loop record {other}").success
    assert not shell.run_cell(f"%loop replay {tape}").success
    said = " ".join(capsys.readouterr().out.split())
    assert f"{other} is being recorded" in said and "%loop record stop" in said
    assert shell.run_cell("%loop record stop").success
    assert f"{other} is empty: nothing was asked" in " ".join(capsys.readouterr().out.split())
    assert not shell.run_cell(f"%loop replay {other}").success
    assert shell.run_cell(f"%loop record {other} --append").success


def test_a_client_of_the_notebooks_own_is_recorded_and_played(shell: Any, loop: FakeLoop, tmp_path: Path) -> None:
    ask = """
from cozeloop_magic import new_client
pieces = new_client().execute_prompt("greet", version="1.0.0", variable_vals={"text": "hello"}, stream=True)
said = "".join(map(str, pieces))
"""
    assert shell.run_cell(f"%loop record {tmp_path / 'a.loop'}").success
    assert shell.run_cell(ask).success and shell.run_cell("%loop record stop").success
    said = shell.user_ns["said"]
    loop.server.stop()
    assert shell.run_cell(f"%loop replay {tmp_path / 'a.loop'} --instant").success
    assert shell.run_cell(ask).success and shell.user_ns["said"] == said
