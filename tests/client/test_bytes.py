"""However the bytes of an answer are cut and dressed, its text is the same."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cozeloop_magic import Client, errors
from cozeloop_magic.entities.stream import join_results
from cozeloop_magic.transport.chunked import ChunkedDecoder
from cozeloop_magic.transport.events import _lines
from tests.client.faults import JSON_HEAD
from tests.client.ways import ALL_WAYS, WHOLE_WAYS, ClientOf, Serve, read_stream, read_whole
from tests.wire_server import (
    FRAMINGS,
    GOOD,
    HEAD,
    Script,
    answer,
    chunk,
    delta,
    either,
    event,
    framed,
    hang_up,
    last,
    send,
    stay,
    stream,
)

TEXT = "Hé\u2028llo 🙂 world\u0085"


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=30)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True) if a < b]


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
    unchunker = ChunkedDecoder()
    assert b"".join(map(unchunker.feed, data.draw(cuts(framed)))) == b"".join(parts)
    assert unchunker.is_complete and not unchunker.is_malformed


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


def test_half_a_character_of_a_tool_call_that_stays_half_is_shown(serve: Serve, client_of: ClientOf) -> None:
    call = '{"index": 1, "function_call": {"name": "f", "arguments": "a\\ud83d"}}'
    half = event('{"message": {"role": "assistant", "tool_calls": [' + call + ']}, "finish_reason": ""}')
    ends = event('{"finish_reason": "tool_calls"}')
    pieces = client_of(serve(stream([half, ends]))).execute_prompt("greet", stream=True)
    (made,) = join_results(pieces).message.tool_calls
    assert (made.index, made.function_call.name, made.function_call.arguments) == (1, "f", "a\ufffd")


@pytest.mark.parametrize("lines", [50, 150])
def test_line_breaks_in_text_stay_however_many_lines_an_event_has(
    serve: Serve, client_of: ClientOf, lines: int
) -> None:
    text = "\n".join(f"line {n}" for n in range(lines))
    body = '{"message": {"role": "assistant", "content": "' + text + '"}, "finish_reason": "stop"}'
    told = "".join(f"data: {line}\n" for line in body.split("\n")) + "\n"
    assert read_stream(client_of(serve(stream([told.encode()])))) == text


def test_five_megabytes_in_one_event(serve: Serve, client_of: ClientOf) -> None:
    text = "0123456789" * 500_000
    assert read_stream(client_of(serve(stream([delta(text), last()])))) == text


@pytest.mark.parametrize("framing", FRAMINGS)
def test_gzip(serve: Serve, client_of: ClientOf, framing: str) -> None:
    zipped = gzip.compress(BODY)
    pieces = [zipped[i : i + 7] for i in range(0, len(zipped), 7)]
    server = serve(send(framed(pieces, framing, HEAD + "Content-Encoding: gzip\r\n")))
    assert read_stream(client_of(server)) == TEXT + "!"


@pytest.mark.parametrize("read", [read_stream, read_whole])
def test_what_unpacks_to_no_end_is_refused(serve: Serve, client_of: ClientOf, read: Any) -> None:
    bomb = [gzip.compress(b"data: " + bytes(150_000_000), 1)]
    heads = [head + "Content-Encoding: gzip\r\n" for head in (HEAD, JSON_HEAD)]
    streamed, whole = (send(framed(bomb, "length", head), stay) for head in heads)
    with pytest.raises(errors.TransportError, match=r"answer from .* is larger than 100 MB"):
        read(client_of(serve(either(streamed, whole))))


def test_an_odd_number_costs_no_text(serve: Serve, client_of: ClientOf) -> None:
    odd = {"message": {"role": "assistant", "content": 5}, "usage": {"input_tokens": -1}}
    assert read_stream(client_of(serve(stream([event(json.dumps(odd)), delta("!"), last()])))) == "5!"


ODD_USAGE = ["-1", "1e999", "Infinity", "1" * 400, '"many"', "null", "[]", "{}", "true"]


@pytest.mark.parametrize("read", ALL_WAYS)
@pytest.mark.parametrize("number", ODD_USAGE)
def test_odd_usage_costs_no_text(serve: Serve, client_of: ClientOf, read: Any, number: str) -> None:
    odd = f'"usage": {{"input_tokens": {number}, "output_tokens": 3}}, "finish_reason": "stop"'
    message = '{"message": {"role": "assistant", "content": "Hello"}, ' + odd + "}"
    assert read(client_of(serve(either(stream([event(message)]), answer('{"data": ' + message + "}"))))) == "Hello"


@pytest.mark.parametrize("read", WHOLE_WAYS)
def test_half_a_character_in_a_whole_answer_is_shown(serve: Serve, client_of: ClientOf, read: Any) -> None:
    body = json.dumps({"data": {"message": {"content": "a\ud83d"}, "finish_reason": "stop"}})
    assert read(client_of(serve(answer(body)))) == "a\ufffd"


# Any stream, cut anywhere, through the whole client.

LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
BETWEEN = st.sampled_from([b"", b"", b": keep-alive\n\n", b": a\n: b\n", b"\n", b"id: 7\nretry: 10\n\n"])


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, bytes]:
    """Give a text and a stream that tells it, in one of the many ways to write it."""
    text = draw(st.text(max_size=12))
    units = text.encode("utf-16-le")  # a character beyond U+FFFF is two units, which may come in two events
    places = sorted(draw(st.lists(st.integers(0, len(units) // 2), max_size=4)))
    cut = zip([0, *places], [*places, len(units) // 2], strict=True)
    parts = [units[2 * a : 2 * b].decode("utf-16-le", "surrogatepass") for a, b in cut]
    body = b"".join(draw(BETWEEN) + _written(draw, part) for part in parts) + draw(BETWEEN)
    body = draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + body + last()
    return text, body.replace(b"\n", draw(LINE_ENDS))


def _written(draw: st.DrawFn, text: str) -> bytes:
    whole = not any("\ud800" <= c <= "\udfff" for c in text)
    content = json.dumps(text, ensure_ascii=not whole or draw(st.booleans()))
    between = draw(st.sampled_from([" ", "\ndata: ", "\ndata:"]))
    name = draw(st.sampled_from(["event: data\n", "", "event:message\n"]))
    data = (
        f'{{"message":{between}{{"role": "assistant",{between}"content":{between}{content}}}, "finish_reason": ""}}'
    )
    return f"{name}data: {data}\n\n".encode()


class Now:
    """Answers by the script it was given last."""

    script: Script = staticmethod(GOOD)

    def __call__(self, request: Any, connection: Any) -> None:
        self.script(request, connection)


@pytest.fixture
def now(serve: Serve, client_of: ClientOf) -> tuple[Now, Client]:
    script = Now()
    # A connection that ended a moment after its last answer is found out at the next call, which is then made again.
    return script, client_of(serve(script), max_retries=2)


through_the_client = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("framing", FRAMINGS)
@given(data=st.data(), written=bodies())
@through_the_client
def test_any_stream_is_its_text_wherever_it_is_cut(
    now: tuple[Now, Client], framing: str, data: st.DataObject, written: tuple[str, bytes]
) -> None:
    text, body = written
    server, client = now
    server.script = send(framed(data.draw(cuts(body)), framing), hang_up if framing == "close" else stay)
    assert read_stream(client) == text


@pytest.mark.parametrize("framing", FRAMINGS)
@given(data=st.data(), written=bodies())
@through_the_client
def test_a_stream_that_is_cut_off_is_complete_or_an_error_that_keeps_its_text(
    now: tuple[Now, Client], framing: str, data: st.DataObject, written: tuple[str, bytes]
) -> None:
    text, body = written
    response = b"".join(framed([body], framing))
    kept = response[: data.draw(st.integers(0, len(response)))]
    server, client = now
    server.script = send([kept])
    try:
        assert read_stream(client) == text
    except errors.LoopError as error:
        assert text.startswith(str(error.partial or ""))
        assert len(kept) < len(response)
    else:
        assert b'"finish_reason": "stop"' in kept


@pytest.mark.parametrize("framing", FRAMINGS)
@given(data=st.data(), text=st.text(max_size=12), plain=st.booleans())
@through_the_client
def test_a_whole_answer_that_is_cut_off_is_complete_or_an_error(
    now: tuple[Now, Client], framing: str, data: st.DataObject, text: str, plain: bool
) -> None:
    answered = {"code": 0, "data": {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}}
    pieces = data.draw(cuts(json.dumps(answered, ensure_ascii=plain).encode()))
    response = b"".join(framed(pieces, framing, JSON_HEAD))
    kept = response[: data.draw(st.integers(0, len(response)))]
    server, client = now
    server.script = send([kept])
    try:
        assert read_whole(client) == text
    except errors.LoopError:
        assert len(kept) < len(response)
    else:
        assert len(kept) >= len(response) - len("\r\n0\r\n\r\n")
