"""A tape's file: readable lines, read back as they were written, whatever the texts hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cozeloop_magic.errors import TapeError
from cozeloop_magic.tape import Exchange, Fault, Header, Tape, TapeWriter

HEADER = Header("api.example.com", "2026-11-12T14:03:00+00:00")
PATH = "/v1/loop/prompts/execute_streaming"
TEXTS = st.text() | st.sampled_from(["\u2028", "a\x85b", "\ud800", "\r\n", "\x00", "中文 🙂"])
EXCHANGES = st.builds(
    Exchange,
    st.sampled_from(["POST", "GET"]),
    st.just(PATH),
    st.dictionaries(TEXTS, st.none() | st.booleans() | st.integers() | TEXTS | st.lists(TEXTS), max_size=3),
    st.integers(0, 10**6).map(lambda n: n / 10**4),
    st.integers(200, 599),
    st.dictionaries(st.sampled_from(["Content-Type", "X-Log-ID"]), TEXTS),
    st.lists(st.tuples(st.integers(0, 10**6).map(lambda n: n / 10**4), TEXTS), max_size=4).map(tuple),
    st.booleans(),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.lists(EXCHANGES, min_size=1, max_size=3))
def test_what_was_written_is_read_and_each_exchange_is_a_line(tmp_path: Path, exchanges: list[Exchange]) -> None:
    writer = TapeWriter(tmp_path / "a.loop", overwrite=True)
    for exchange in exchanges:
        writer.write(exchange, HEADER)
    assert Tape.read(writer.path) == Tape("a.loop", HEADER, tuple(exchanges))
    assert len(writer.path.read_text("utf-8").splitlines()) == len(exchanges) + 1


def test_a_fault_is_kept_with_its_words(tmp_path: Path) -> None:
    fault = Fault("ConnectFailed", "No connection.", "Look at the cable.", repeatable=True)
    TapeWriter(tmp_path / "a.loop").write(Exchange("POST", PATH, {}, 0.1, fault=fault), HEADER)
    assert Tape.read(tmp_path / "a.loop").exchanges[0].fault == fault


def test_the_header_names_every_model_that_answered(tmp_path: Path) -> None:
    writer = TapeWriter(tmp_path / "a.loop")
    for model in ("small", "large", "small"):
        writer.write(Exchange("POST", PATH, {"n": model}), Header("embedded Loop", "2026-11-12", (model,)))
    tape = Tape.read(writer.path)
    assert tape.header.models == ("small", "large") and len(tape.exchanges) == 3 and tape.header.date == "2026-11-12"
    assert [each.name for each in tmp_path.iterdir()] == ["a.loop"]


def test_a_file_that_is_there_is_neither_lost_nor_added_to_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.loop"
    TapeWriter(path).write(Exchange("POST", PATH, {"n": 1}), HEADER)
    with pytest.raises(TapeError, match=r"already\. Add --append"):
        TapeWriter(path)
    TapeWriter(path, append=True).write(Exchange("POST", PATH, {"n": 2}), Header("api.example.com", "2026-12-01"))
    tape = Tape.read(path)
    assert [each.fields["n"] for each in tape.exchanges] == [1, 2] and tape.header == HEADER
    assert TapeWriter(path, overwrite=True).count == 0


def test_a_last_line_that_a_dying_kernel_cut_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.loop"
    TapeWriter(path).write(Exchange("POST", PATH, {}), HEADER)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"request": ["POST", "/v1')
    assert len(Tape.read(path).exchanges) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is empty: nothing was asked while it was recorded"),
        (b"hello\n", "its first line is no header"),
        (b"[]\n", "its first line is no header"),
        (b'{"tape": "x"}\n', "its first line is no header"),
        (b"\xff\xfe\n", "it is not UTF-8"),
        (b'{"tape": 99}\n', "newer version, in format 99"),
        (json.dumps(HEADER.to_json()).encode() + b"\n{}\n", "Line 2 of the tape .* is no exchange"),
        (json.dumps(HEADER.to_json()).encode() + b"\nnull\n", "Line 2 of the tape .* is no exchange"),
    ],
)
def test_what_is_no_tape_is_named(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "a.loop"
    path.write_bytes(text)
    with pytest.raises(TapeError, match=said):
        Tape.read(path)


def test_a_tape_that_is_not_there_or_not_to_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="No such file or directory"):
        Tape.read(tmp_path / "none.loop")
    with pytest.raises(TapeError, match="Is a directory"):
        TapeWriter(tmp_path, overwrite=True)
    with pytest.raises(TapeError, match="cannot be written: No such file or directory"):
        TapeWriter(tmp_path / "no" / "a.loop")


def test_neither_the_workspace_nor_the_order_of_variables_makes_a_request_another() -> None:
    first = {"workspace_id": "1", "variable_vals": [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]}
    second = {"workspace_id": "2", "variable_vals": first["variable_vals"][::-1]}
    assert Exchange("POST", PATH, first).key == Exchange("POST", PATH, second).key
    assert Exchange("POST", PATH, first).key != Exchange("GET", PATH, first).key
