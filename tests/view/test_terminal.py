"""A run as text in a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from cozeloop_magic.entities.prompt import ExecuteRequest, ExecuteResult, FunctionCall, Message, Role, ToolCall
from cozeloop_magic.errors import ServerFailed
from cozeloop_magic.printable import printable
from cozeloop_magic.run.state import (
    Arrived,
    Event,
    Failed,
    Finished,
    Interrupted,
    Prepared,
    Preparing,
    RunState,
    fold,
)
from cozeloop_magic.view.terminal import TerminalView
from cozeloop_magic.view.word_wrap import WordWrap


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def piece(text: str, reasoning: str | None = None) -> Event:
    return Arrived(0.1, ExecuteResult(Message(Role.ASSISTANT, text, reasoning_content=reasoning)))


def show(*events: Event, status: StringIO | None = None) -> tuple[str, str]:
    out, status = StringIO(), status or StringIO()
    view, state = TerminalView(out, status), RunState(ExecuteRequest("key"))
    for event in events[:-1]:
        state = fold(state, event)
        view.update(state)
    view.finish(fold(state, events[-1]))
    return out.getvalue(), status.getvalue()


def test_text_is_written_as_it_comes_and_the_status_line_goes_elsewhere() -> None:
    out, status = show(piece("Hel"), piece("lo"), Finished(1))
    assert out == "Hello\n"
    assert status == "done · key · first token 0.10 s · 1.0 s · tokens not told\n"


def test_a_line_that_is_ended_is_not_ended_again() -> None:
    assert show(piece("Hello\n"), Finished(1))[0] == "Hello\n"


def test_an_interrupted_answer_says_so() -> None:
    out, status = show(piece("Hel"), Interrupted(1))
    assert out == "Hel\n"
    assert "interrupted" in status


def test_a_failure_before_the_answer_leaves_the_word_to_the_error() -> None:
    assert show(Failed(1, ServerFailed("no"))) == ("", "")


@pytest.mark.parametrize(("text", "shown"), [("", ""), ("So:", "So:\n"), ("So:\n", "So:\n")])
def test_the_tools_it_asks_for_end_an_answer(text: str, shown: str) -> None:
    call = ToolCall(0, None, None, FunctionCall("add", '{"a": "\x1b[2J"}'))
    asked = Arrived(0.2, ExecuteResult(Message(Role.ASSISTANT, "", tool_calls=(call,)), "tool_calls"))
    out, status = show(piece(text), asked, Finished(1))
    assert out == shown + 'add({"a": "␛[2J"})\n'
    assert status.startswith("asks for tools (tool_calls) · key")


def test_reasoning_is_counted_not_written() -> None:
    out, status = show(piece("", "hm, so"), piece("42"), Finished(1))
    assert out == "42\n"
    assert status.endswith("· 6 characters of reasoning\n")


def test_preparing_is_a_line_for_each_change_where_nothing_can_be_erased() -> None:
    events = [Preparing("fetching"), Preparing("fetching"), Preparing("starting"), Prepared("embedded"), piece("x")]
    assert show(*events, Finished(1))[1].startswith("fetching\nstarting\ndone · key")


def test_what_is_waited_for_stands_in_one_place_on_a_terminal_and_is_gone_in_the_end() -> None:
    events = [Preparing("fetching"), Prepared("embedded"), Prepared("embedded"), piece("x"), Finished(1)]
    status = show(*events, status=Terminal())[1]
    waiting = "waiting… · key · embedded"
    assert status.startswith(f"fetching\r        \r{waiting}\r{' ' * len(waiting)}\rdone · key")


def test_waiting_alone_writes_nothing_where_nothing_can_be_erased() -> None:
    assert show(Prepared("embedded"), piece("x"), Finished(1))[1].startswith("done · key")


def test_a_narrow_terminal_breaks_the_status_line_between_its_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "24")
    status = show(Preparing("fetching a large model, 12 MB"), piece("x"), Finished(1), status=Terminal())[1]
    assert (
        status
        == "fetching a large model,\r" + 23 * " " + "\rdone · key\nfirst token 0.10 s\n1.0 s · tokens not told\n"
    )
    monkeypatch.setenv("COLUMNS", "80")
    assert (
        show(piece("x"), Finished(1), status=Terminal())[1]
        == "done · key · first token 0.10 s · 1.0 s · tokens not told\n"
    )


def test_terminal_escapes_are_shown_not_obeyed() -> None:
    assert show(piece("\x1b]0;title\x07 \x1b[2J \x9b2J a\u202eb\tc"), Finished(1))[0] == (
        "␛]0;title‹U+0007› ␛[2J ‹U+009B›2J a‹U+202E›b\tc\n"
    )


@given(st.lists(st.text(alphabet="a\r\n\x1b[\u202e\t", max_size=4), max_size=8))
def test_pieces_cut_anywhere_read_as_the_whole(pieces: list[str]) -> None:
    whole = printable("".join(pieces))
    expected = whole if whole.endswith("\n") or not whole else whole + "\n"
    assert show(*map(piece, pieces), Finished(1))[0] == expected
    assert not set(expected) & set("\x1b\r\u202e")


def wrapped(text: str, width: int, step: int = 3) -> str:
    wrap = WordWrap(lambda: width)
    return "".join(wrap.feed(text[i : i + step]) for i in range(0, len(text), step)) + wrap.flush()


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", 8, ["one two", "three"]),
        ("one two\n\nthree", 20, ["one two", "", "three"]),
        ("anextraordinarilylongword a", 10, ["anextraordinarilylongword", "a"]),
        ("机器学习，是什么？", 8, ["机器学", "习，是什", "么？"]),
        ("| a | b | c | d |", 8, ["| a | b | c | d |"]),
        ("```py\nx = 1 + 2 + 3\n```\none two three", 8, ["```py", "x = 1 + 2 + 3", "```", "one two", "three"]),
        ("    x = 1 + 2 + 3", 8, ["    x = 1 + 2 + 3"]),
        ("- an item\n  of it", 8, ["- an", "item", "  of it"]),
        ("", 8, [""]),
    ],
)
def test_a_terminals_lines_are_broken_between_words(text: str, width: int, lines: list[str]) -> None:
    for step in (1, 2, 5, 100):
        assert wrapped(text, width, step).split("\n") == lines


@given(st.text(alphabet="ab 学。\n\t|`", max_size=60), st.integers(4, 20), st.integers(1, 7))
def test_wrapping_changes_nothing_but_blanks(text: str, width: int, step: int) -> None:
    assert "".join(wrapped(text, width, step).split()) == "".join(text.split())


@given(st.lists(st.text(alphabet="ab学", min_size=1, max_size=8), max_size=12), st.integers(8, 20), st.integers(1, 7))
def test_no_line_of_words_is_wider_than_the_terminal(words: list[str], width: int, step: int) -> None:
    lines = wrapped(" ".join(words), width, step).split("\n")
    assert all(wcswidth(line.rstrip()) <= width for line in lines)


CTRL_C = """
import fcntl, termios, time
from cozeloop_magic.entities.prompt import *
from cozeloop_magic.run.state import *
from cozeloop_magic.view.terminal import TerminalView
from cozeloop_magic.view.word_wrap import WordWrap
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
view, state = TerminalView(), RunState(ExecuteRequest("key"))
state = fold(state, Arrived(0.1, ExecuteResult(Message(Role.ASSISTANT, "Half an answer and"))))
try:
    view.update(state)
    print("<", end="", flush=True)
    time.sleep(30)
except KeyboardInterrupt:
    view.finish(fold(state, Interrupted(1.0)))
print(">", end="", flush=True)
time.sleep(30)
"""


def read_until(master: int, sign: bytes) -> bytes:
    said = b""
    while sign not in said:
        said += os.read(master, 1000)
    return said


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_ctrl_c_leaves_the_text_clean_and_the_terminal_as_it_was() -> None:
    import termios

    master, slave = os.openpty()
    before = termios.tcgetattr(slave)
    with subprocess.Popen(
        [sys.executable, "-c", CTRL_C], stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    ) as process:
        try:
            said = read_until(master, b"<")
            os.write(master, b"\x03")
            said += read_until(master, b">")
        finally:
            process.kill()
    assert said.decode().splitlines() == [
        "Half an answer< and",
        "interrupted, the answer is incomplete · key · first token 0.10 s · 1.0 s",
        ">",
    ]
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)
