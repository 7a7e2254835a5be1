"""A lesson plays from its tape where Python has no threads and no sockets: in Pyodide, as in a browser alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright._impl._driver import compute_driver_executable

from tests.conftest import TOKEN
from tests.lab.loop import fake_loop

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
LESSON = [
    "%%loop_prompt greet -v 1.0.0 --out answer\ntext: hello",
    "print('answer:', answer, answer.complete)",
    "rows = [{'text': f'text {n}', 'label': 'good'} for n in range(12)]",
    "%loop_compare greet -v 1.0.0 -v 2.0.0 --inputs rows --expect label --check equals --out cmp",
    "print('verdict:', cmp.verdict, len(cmp))",
    "table = %loop_batch rows --prompt greet -v 2.0.0 --map text=text --column said",
    "print('said:', [row['said'] for row in _loop])",
]


def record(shell: Any, tape: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Record the lesson, and give what it printed."""

    def reply(version: str, text: str) -> str:
        return "perhaps" if version == "1.0.0" else "good"

    with fake_loop(reply) as loop:
        monkeypatch.setenv("COZELOOP_API_BASE_URL", loop.server.url)
        monkeypatch.setenv("COZELOOP_WORKSPACE_ID", "73917")
        monkeypatch.setenv("COZELOOP_API_TOKEN", TOKEN)
        for code in (f"%loop record {tape}", *LESSON, "%loop record stop"):
            assert shell.run_cell(code).success, code
    return str(tape)


def printed(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("answer:", "verdict:", "said:"))]


def test_a_lesson_plays_in_pyodide_as_it_was_recorded(
    shell: Any, pyodide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    tape = tmp_path / "lesson.loop"
    record(shell, tape, monkeypatch)
    live = printed(capsys.readouterr().out)
    assert live[0] == "answer: perhaps True" and live[1] == "verdict: better 24"
    packages = [path for path in sys.path if "site-packages" in path]
    program = tmp_path / "lesson.py"
    program.write_text(
        f"import os, sys\n"
        f"os.environ['COZELOOP_MAGIC_HOME'] = '/tmp/home'\n"
        f"sys.path[:0] = [{str(ROOT)!r}, *{packages!r}]\n"
        f"from IPython.core.interactiveshell import InteractiveShell\n"
        f"shell = InteractiveShell()\n"
        f"shell.run_line_magic('load_ext', 'cozeloop_magic')\n"
        f"for code in {['%loop replay ' + str(tape), *LESSON]!r}:\n"
        f"    assert shell.run_cell(code).success, code\n",
        encoding="utf-8",
    )
    node, _ = compute_driver_executable()
    ran = subprocess.run(
        [node, ROOT / "tests/browser/pyodide.mjs", pyodide, program, ROOT, tmp_path, *packages],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert printed(ran.stdout) == live
    assert "recorded 20" in ran.stdout + ran.stderr
