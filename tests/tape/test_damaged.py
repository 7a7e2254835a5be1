"""Tapes that editors, other systems, full disks and dying kernels spoiled: played as far as they go, or named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cozeloop_magic.errors import TapeError
from cozeloop_magic.tape import Exchange, Header, Tape, TapeWriter

HEADER = Header("api.example.com", "2026-11-12T14:03:00+00:00", ("small",))
PATH = "/v1/loop/prompts/execute"
CHUNKS = ((0.1, '{"code": 0, "msg": "中文 🙂"}\r\n'),)


def exchange(number: int) -> Exchange:
    return Exchange("POST", PATH, {"n": number}, 0.1, 200, {"Content-Type": "application/json"}, CHUNKS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.loop"
    writer = TapeWriter(path)
    for number in range(3):
        writer.write(exchange(number), HEADER)
    return path


def numbers(path: Path) -> list[Any]:
    return [each.fields["n"] for each in Tape.read(path).exchanges]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content.replace(b"\n", b"\r\n"),  # as git checks out on Windows
        lambda content: b"\xef\xbb\xbf" + content,  # as an editor there saves
        lambda content: content.removesuffix(b"\n"),  # as another editor does
        lambda content: content.replace(b"\n", b"\n\n") + b"\n",
        lambda content: content + b'{"request": ["POST", "/v1',  # as a kernel that died leaves it
        lambda content: b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n") + b'{"request',
    ],
)
def test_what_editors_and_systems_do_to_lines_changes_nothing_and_recording_goes_on(path: Path, spoil: Any) -> None:
    before = Tape.read(path)
    path.write_bytes(spoil(path.read_bytes()))
    assert Tape.read(path) == before
    writer = TapeWriter(path, append=True)
    assert writer.count == 3
    writer.write(exchange(3), HEADER)
    assert numbers(path) == [0, 1, 2, 3] and Tape.read(path).exchanges[:3] == before.exchanges


def test_a_tape_that_ends_anywhere_is_played_as_far_as_it_goes(path: Path) -> None:
    content = path.read_bytes()
    most = 0
    for end in range(1, len(content)):  # also within a character
        path.write_bytes(content[:end])
        try:
            found = numbers(path)
        except TapeError as error:
            assert "is empty" in str(error) and most == 0
        else:
            assert found == list(range(len(found))) and len(found) in (most, most + 1)
            most = len(found)
    assert most == 3


def test_a_line_that_a_full_disk_cut_is_not_gone_on_with(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = TapeWriter(path, append=True)

    def half(line: Any) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line)[:20])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(writer, "_append", half)
        with pytest.raises(TapeError, match="No space left on device"):
            writer.write(exchange(3), HEADER)
    writer.write(exchange(4), HEADER)
    assert numbers(path) == [0, 1, 2, 4]


def test_a_tape_that_was_taken_away_is_told_and_not_begun_without_a_header(path: Path) -> None:
    writer = TapeWriter(path, append=True)
    path.unlink()
    with pytest.raises(TapeError, match="No such file or directory"):
        writer.write(exchange(3), HEADER)
    assert not path.exists()


def test_an_empty_tape_is_gone_on_with(tmp_path: Path) -> None:
    TapeWriter(tmp_path / "a.loop")
    TapeWriter(tmp_path / "a.loop", append=True).write(exchange(0), HEADER)
    assert numbers(tmp_path / "a.loop") == [0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(st.sampled_from(["request", "fields", "at", "status", "headers", "chunks", "complete", "fault"]), JSON)
def test_a_field_that_is_something_else_is_read_or_named(path: Path, name: str, value: Any) -> None:
    header, line, *rest = path.read_text("utf-8").splitlines()
    text = json.dumps(json.loads(line) | {name: value})
    spoiled = path.with_name("spoiled.loop")
    spoiled.write_text("\n".join([header, text, *rest, ""]), encoding="utf-8")
    try:
        tape = Tape.read(spoiled)
    except TapeError as error:
        assert "Line 2 of the tape" in str(error)
    else:
        assert all(isinstance(value, str) for each in tape.exchanges for value in each.headers.values())


@pytest.mark.parametrize("value", ["[" * 10**5 + "\n", '{"tape": 1, "at": ' + "[" * 10**5 + "\n", "[" * 10**5])
def test_json_too_deep_to_be_read_is_named(path: Path, value: str) -> None:
    path.write_text(value, encoding="utf-8")
    with pytest.raises(TapeError, match=r"no header|is empty"):
        Tape.read(path)
