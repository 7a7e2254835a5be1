"""The terminal commands that need no model."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

import psutil
import pytest

from cozeloop_magic.cli.commands import main
from tests.conftest import TOKEN
from tests.notebook.greet import GREET, MGET
from tests.wire_server import Script, WireServer, by_path, delta, stream

Serve = Callable[[Script], WireServer]


def configure(monkeypatch: pytest.MonkeyPatch, server: WireServer) -> None:
    monkeypatch.setenv("COZELOOP_API_BASE_URL", server.url)
    monkeypatch.setenv("COZELOOP_WORKSPACE_ID", "1")
    monkeypatch.setenv("COZELOOP_API_TOKEN", TOKEN)


def test_run_streams_an_answer(serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    server = serve(GREET)
    configure(monkeypatch, server)
    assert main(["run", "greet", "--var", "name=Ada", "--var", "note={}", "--message", "Be brief."]) == 0
    out, err = capsys.readouterr()
    assert out == "Hello Ada\n" and "greet @ 1.2.0" in err
    assert server.requests[-1].body["messages"] == [{"role": "user", "content": "Be brief."}]


def test_run_tells_what_went_wrong_and_fails(serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    configure(monkeypatch, serve(by_path(mget=MGET, execute_streaming=stream([delta("Hel")]))))
    assert main(["run", "greet", "--var", "name=Ada", "--var", "note={}"]) == 1
    out, err = capsys.readouterr()
    assert out == "Hel\n" and "StreamInterrupted: " in err and "Traceback" not in err


@pytest.mark.parametrize("option", ["--version", "--label"])
def test_an_option_that_is_empty_does_not_run_the_latest(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: Any, option: str
) -> None:
    server = serve(GREET)
    configure(monkeypatch, server)
    assert main(["run", "greet", option, " ", "--var", "name=Ada", "--var", "note={}"]) == 1
    assert f"InvalidRequest: {option} is empty. Leave the option out" in capsys.readouterr().err
    assert not server.requests


def test_run_ends_quietly_where_nobody_reads_its_answer(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, serve(GREET))
    command = [sys.executable, "-m", "cozeloop_magic", "run", "greet", "--var", "name=Ada", "--var", "note={}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout and run.stderr
        run.stdout.close()
        assert run.stderr.read() == ""
    assert run.returncode == 141


def test_demo_opens_the_lesson_also_where_the_environment_is_not_activated(tmp_path: Path) -> None:
    places = {
        name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    }
    environ = os.environ | places | {"PATH": os.defpath, "BROWSER": "true"}
    command = [sys.executable, "-m", "cozeloop_magic", "demo"]
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stderr
        said = list(takewhile(lambda line: "is running at" not in line, demo.stderr))
        address = demo.stderr.readline()
        for server in psutil.Process(demo.pid).children():
            server.terminate()
        demo.stderr.read()
    assert f"Copied the lesson to {tmp_path / 'demo.ipynb'}." in said[0]
    assert (tmp_path / "demo.ipynb").exists()
    assert "/lab/tree/demo.ipynb?token=" in address


def test_half_a_configuration_is_told(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("COZELOOP_API_TOKEN", TOKEN)
    assert main(["run", "greet"]) == 1
    assert "COZELOOP_WORKSPACE_ID missing" in capsys.readouterr().err


def test_no_command_shows_the_commands(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert "usage: cozeloop-magic" in capsys.readouterr().err
