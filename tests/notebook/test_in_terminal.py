"""An author in IPython, on a terminal of its own: what is typed, and what stands there."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TOKEN
from tests.platform import Platform
from tests.wire_server import WireServer

PATIENCE = 60.0  # seconds without a word
PROMPT = re.compile(r"In \[\d+\]: $")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\r")


class Terminal:
    """IPython behind a pseudo-terminal."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor"]
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ)
        os.close(theirs)
        self.until_prompt()

    def until_prompt(self) -> str:
        """Read what comes, up to the next prompt."""
        said = ""
        while not PROMPT.search(said):
            assert select.select([self._ours], [], [], PATIENCE)[0], said
            said = ESCAPE.sub("", said + os.read(self._ours, 65536).decode(errors="replace"))
        return said

    def run(self, cell: str) -> str:
        """Type a cell, and give what stands below it; to IPython an empty one ends a cell magic."""
        os.write(self._ours, f"{cell}\n".encode() + (b"\n\n" if cell.startswith("%%") else b""))
        return self.until_prompt()

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture
def terminal(serve: Any, platform: Platform, tmp_path: Path) -> Iterator[Terminal]:
    server: WireServer = serve(platform)
    environ = os.environ | {
        "COZELOOP_API_BASE_URL": server.url,
        "COZELOOP_WORKSPACE_ID": "73917",
        "COZELOOP_API_TOKEN": TOKEN,
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "COLUMNS": "120",
        "TERM": "xterm",
    }
    started = Terminal(environ)
    started.run("%load_ext cozeloop_magic")
    yield started
    started.end()


def test_from_nothing_to_an_own_prompt_and_its_next_version(
    terminal: Terminal, platform: Platform, tmp_path: Path
) -> None:
    assert "There is no committed prompt yet; %loop new KEY --define begins one." in terminal.run("%loop prompts")
    body = "@system\nYou greet.\n@user\nGreet {{name}}."
    assert "greeting @ 0.1.0 is committed" in terminal.run(f"%%loop_define greeting -m first\n{body}")
    changed = terminal.run(f"%%loop_define greeting --bump minor\n{body.replace('greet.', 'greet warmly.')}")
    assert "greeting @ 0.2.0 is committed, against 0.1.0" in changed and "{+ warmly+}" in changed
    assert re.search(r"greeting +greeting +0\.2\.0\b", terminal.run("%loop prompts"))
    assert re.search(r"0\.1\.0 +\d{4}-\d\d-\d\d \d\d:\d\d +73 +first", terminal.run("%loop versions greeting"))
    assert "{+ warmly+}" in terminal.run("%loop diff greeting 0.1.0 0.2.0")
    assert "Greet {{name}}." in terminal.run("%loop show greeting")
    assert "lists no labels" in terminal.run("%loop show greeting")
    assert "1 of 1 written" in terminal.run(f"%loop export --all {tmp_path}/out")
    assert "same" in terminal.run(f"%loop import {tmp_path}/out --dry-run")
    assert "%%loop_prompt greeting: a new cell holds it." in terminal.run("%loop new greeting")
    told = terminal.run("%loop doctor")
    assert "Nothing is wrong." in told and "✓   write prompts" in told and "ipython" in told
    assert len(next(iter(platform.prompts.values()))["commits"]) == 2


def test_a_slip_is_one_sentence(terminal: Terminal) -> None:
    for line, said in (
        ("%loop promts", "did you mean prompts?"),
        ("%loop show nothing", "There is no prompt nothing"),
        ("%%loop_define x --version 1.10\n@user\nHi", "1.10 is no version."),
        ("%%loop_define x\n@usr\nHi", "there is no role 'usr'"),
    ):
        shown = terminal.run(line)
        assert said in " ".join(shown.split()) and "Traceback" not in shown and TOKEN not in shown
