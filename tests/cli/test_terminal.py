"""``cozeloop-magic run`` in a terminal of its own: what it shows there, and the code it exits with."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cli.test_commands import configure
from tests.notebook.greet import GREET, MGET
from tests.wire_server import Script, WireServer, answer, by_path, delta, last, stream

Serve = Callable[[Script], WireServer]
WORDS = ["antidisestablishmentarianism"[: 3 + n % 9] for n in range(24)]
COMMAND = [sys.executable, "-m", "cozeloop_magic"]
RUN = ["run", "greet", "--var", "name=Ada", "--var", "note={}"]


def in_terminal(*words: str, columns: int = 40, at: Callable[[bytes, int], None] | None = None) -> tuple[int, str]:
    """Run a command in a terminal; give its exit code and all that the terminal was sent.

    `at` is called with what has come so far and the process id, whenever something came.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environ = {
        name: value for name, value in os.environ.items() if name != "COLUMNS"
    }  # readline sets it behind Python
    command = [*COMMAND, *words]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True
    ) as run:
        os.close(theirs)
        came = b""
        for piece in pieces(ours):
            came += piece
            if at is not None:
                at(came, run.pid)
    os.close(ours)
    return run.returncode, came.decode().replace("\r\n", "\n")


def pieces(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:  # nobody is at the other end any more
            return
        if not piece:
            return
        yield piece


def test_an_answer_wraps_between_words(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(
        monkeypatch, serve(by_path(mget=MGET, execute_streaming=stream([delta(f"{w} ") for w in WORDS] + [last()])))
    )
    code, shown = in_terminal(*RUN)
    said = shown.rpartition("\r")[2]  # behind the line that was drawn while waiting
    assert code == 0 and " ".join(said.split()).startswith(" ".join(WORDS))
    assert max(len(line) for line in said.split("\n")) <= 40


def test_an_error_wraps_between_words(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, serve(answer({"code": 600501001, "msg": " ".join(WORDS)})))
    code, shown = in_terminal(*RUN)
    said = shown.rpartition("\r")[2]
    assert code == 1 and " ".join(WORDS) in " ".join(said.split())
    assert max(len(line) for line in said.split("\n")) <= 40


def test_a_word_that_is_wider_than_the_terminal_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COZELOOP_API_TOKEN", "x")
    code, shown = in_terminal("run", "greet", columns=12)
    assert code == 1 and "COZELOOP_WORKSPACE_ID" in shown.replace("\n", "")


def test_ctrl_c_keeps_the_text_ends_the_line_and_exits_as_shells_expect(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, interrupted = threading.Event(), threading.Event()
    configure(monkeypatch, serve(by_path(mget=MGET, execute_streaming=stream([delta("Hello you "), held]))))

    def interrupt(came: bytes, pid: int) -> None:
        if b"Hello" in came and not interrupted.is_set():
            interrupted.set()
            os.kill(pid, signal.SIGINT)

    code, shown = in_terminal(*RUN, at=interrupt)
    held.set()
    assert code == 130 and "Hello you" in shown and "Traceback" not in shown
    assert "interrupted, the answer is incomplete" in " ".join(shown.split()) and shown.endswith("\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run"], "the following arguments are required: prompt_key"),
        (["run", "greet", "--bogus"], "unrecognized arguments: --bogus"),
        (["run", "greet", "--version", "1.0.0", "-v", "2.0.0"], "--version is given twice"),
        (["run", "greet", "--timeout", "soon"], "invalid float value: 'soon'"),
        (["bogus"], "invalid choice: 'bogus'"),
        ([], "required: COMMAND"),
    ],
)
def test_a_command_line_that_cannot_be_read_exits_with_2(words: list[str], says: str) -> None:
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "") and says in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--set", "temperature"], "--set temperature has no `=`. Write --set temperature=0."),
        (["--var", "name"], "--var name has no `=`. Write --var name=value."),
        (["--timeout", "0"], "0.0"),
        (["--version", "1.2.0", "--label", "beta"], "Both a version (1.2.0) and a label (beta) are named."),
    ],
)
def test_what_cannot_be_asked_exits_with_1(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    server = serve(GREET)
    configure(monkeypatch, server)
    done = subprocess.run([*COMMAND, "run", "greet", *words], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "") and says in done.stderr and "Traceback" not in done.stderr
    assert not server.requests


def test_piped_the_answer_is_as_the_model_wrote_it(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    configure(
        monkeypatch, serve(by_path(mget=MGET, execute_streaming=stream([delta(f"{w} ") for w in WORDS] + [last()])))
    )
    done = subprocess.run([*COMMAND, *RUN], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, " ".join(WORDS) + " \n") and done.stderr.count("\n") == 1
