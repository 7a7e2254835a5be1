"""However the bytes of an answer are cut and dressed, its text is the same."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cozeloop_magic.transport.chunked import Unchunker
from cozeloop_magic.transport.events import _lines
from tests.client.ways import ClientOf, Serve, read_stream
from tests.wire_server import chunk, delta, event, last, stream

TEXT = "Hé\u2028llo 🙂 world\u0085"


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=30)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


BODY = b"\xef\xbb\xbf: hello\n\n" + delta(TEXT) + b'data: {"message":\ndata: {"content": "!"}}\n\n' + last()


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_line_ends_become_line_feeds_wherever_they_are_cut(data: st.DataObject, line_end: bytes) -> None:
    pieces = data.draw(cuts(BODY.replace(b"\n", line_end)))
    assert b"".join(_lines(pieces)) == BODY[3:]


@given(data=st.data(), parts=st.lists(st.binary(min_size=1, max_size=40), max_size=6))
@settings(max_examples=200, deadline=None)
def test_chunks_are_joined_wherever_they_are_cut(data: st.DataObject, parts: list[bytes]) -> None:
    framed = b"".join(map(chunk, [*parts, b""]))
    unchunker = Unchunker()
    assert b"".join(map(unchunker.feed, data.draw(cuts(framed)))) == b"".join(parts)
    assert unchunker.ended and not unchunker.broken


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r", b"mixed"])
@pytest.mark.parametrize("chunked", [True, False])
def test_one_byte_at_a_time(serve: Serve, client_of: ClientOf, line_end: bytes, chunked: bool) -> None:
    if line_end == b"mixed":
        body = BODY.replace(b"\n\n", b"\n\r\n")
    else:
        body = BODY.replace(b"\n", line_end)
    server = serve(stream([bytes([byte]) for byte in body], chunked=chunked))
    assert read_stream(client_of(server)) == TEXT + "!"


def test_a_character_split_over_two_events_is_one(serve: Serve, client_of: ClientOf) -> None:
    high = event('{"message": {"role": "assistant", "content": "a\\ud83d"}, "finish_reason": ""}')
    low = event('{"message": {"role": "assistant", "content": "\\ude42b"}, "finish_reason": ""}')
    pieces = list(client_of(serve(stream([high, low, last()]))).execute_prompt("greet", stream=True))
    assert [str(piece) for piece in pieces] == ["a", "🙂b", ""]


def test_half_a_character_that_stays_half_is_shown(serve: Serve, client_of: ClientOf) -> None:
    half = event('{"message": {"role": "assistant", "content": "a\\ud83d"}, "finish_reason": ""}')
    ends = event('{"finish_reason": "stop"}')
    assert read_stream(client_of(serve(stream([half, ends])))) == "a\ufffd"


def test_five_megabytes_in_one_event(serve: Serve, client_of: ClientOf) -> None:
    text = "0123456789" * 500_000
    assert read_stream(client_of(serve(stream([delta(text), last()])))) == text


def test_gzip(serve: Serve, client_of: ClientOf) -> None:
    def zipped(request: object, connection: object) -> None:
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n"
        body = gzip.compress(BODY)
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)  # type: ignore[attr-defined]

    assert read_stream(client_of(serve(zipped))) == TEXT + "!"


def test_an_odd_number_costs_no_text(serve: Serve, client_of: ClientOf) -> None:
    odd = {"message": {"role": "assistant", "content": 5}, "usage": {"input_tokens": -1}}
    assert read_stream(client_of(serve(stream([event(json.dumps(odd)), delta("!"), last()])))) == "5!"
