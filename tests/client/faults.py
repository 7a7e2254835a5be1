"""What can go wrong with an answer, as tables of scripts for a server: each serves the stream and the whole."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Callable, Sequence

from cozeloop_magic import errors
from tests.wire_server import (
    ANSWER,
    FRAMINGS,
    HEAD,
    PIECES,
    Script,
    answer,
    delta,
    either,
    event,
    framed,
    hang_up,
    last,
    reset,
    send,
    stream,
)

JSON_HEAD = HEAD.replace("text/event-stream", "application/json")
_TEXT = json.dumps(ANSWER).encode()
JSON_PIECES = [_TEXT[i : i + 40] for i in range(0, len(_TEXT), 40)]

PLACES: dict[str, Callable[[Sequence[bytes]], list[bytes]]] = {
    "before the headers": lambda parts: [],
    "in the status line": lambda parts: [parts[0][:10]],
    "in the headers": lambda parts: [parts[0][:40]],
    "before the body": lambda parts: [parts[0]],
    "between two pieces": lambda parts: [*parts[:3]],
    "within a piece": lambda parts: [*parts[:3], parts[3][:12]],
}
ENDS: dict[str, Callable[[socket.socket], None]] = {"cut": hang_up, "reset": reset}


def _broken_off(framing: str, place: str, end: str) -> Script:
    kept = PLACES[place]
    streamed = send(kept(framed([delta("Hel"), delta("lo"), delta(" world"), last()], framing)), ENDS[end])
    whole = send(kept(framed(JSON_PIECES, framing, JSON_HEAD)), ENDS[end])
    return either(streamed, whole)


BROKEN_OFF: dict[str, Script] = {
    f"{end} {place}, {framing}": _broken_off(framing, place, end)
    for end in ENDS
    for place in PLACES
    for framing in FRAMINGS
}


def _zipped(pieces: Sequence[bytes], head: str) -> list[bytes]:
    body = gzip.compress(b"".join(pieces))
    return framed([body[:20], body[20:]], "close", head + "Content-Encoding: gzip\r\n")


def _in_stream(*pieces: bytes) -> Script:
    return stream([delta("Hel"), delta("lo"), *pieces])


NOT_WHOLE: dict[str, Script] = {
    "no finish reason": either(_in_stream(), answer({"code": 0, "data": {"message": {"content": "Hello"}}})),
    "gzip that is cut": either(
        send(_zipped(PIECES, HEAD)[:2]),
        send(_zipped(JSON_PIECES, JSON_HEAD)[:2]),
    ),
    "gzip that is none": send(framed([b"data: {}\n\n"], "length", HEAD + "Content-Encoding: gzip\r\n")),
    "a chunk without a size": send([*framed([delta("Hello")], "chunked")[:2], b"zz\r\n"]),
    "nothing": either(stream([]), answer("")),
}
"""More answers of which a part came, or nothing."""

UNREADABLE: dict[str, Script] = {
    "what is not JSON": _in_stream(event("no json"), last()),
    "JSON that is cut": _in_stream(event('{"message": {"content": "'), last()),
    "JSON that is nested too deep": _in_stream(event('{"a":' * 100_000), last()),
    "a JSON list": _in_stream(event("[1]"), last()),
    "a JSON number": _in_stream(event("5"), last()),
    "what is not UTF-8": _in_stream(b"data: \xff\xfe\n\n", last()),
}
"""Streams that hold an event that cannot be read, after two that can."""

_PAGE = "<html><head><title>Sign in &amp; go</title></head><body>..."
_ERROR = {"code": 600505014, "msg": "too risky"}
_WHOLE_ERROR = answer(_ERROR, x_tt_logid="log-1")

REFUSED: dict[str, tuple[Script, type[errors.LoopError], str]] = {
    "HTML at 200": (
        answer(_PAGE, content_type="text/html"),
        errors.UnexpectedContent,
        "an HTML page, 'Sign in & go'",
    ),
    "plain text at 200": (
        answer("Hello?", content_type="text/plain"),
        errors.UnexpectedContent,
        "no Loop answer: Hello?",
    ),
    "a JSON list at 200": (answer("[1]"), errors.UnexpectedContent, r"no Loop answer: \[1\]"),
    "a code at 200": (_WHOLE_ERROR, errors.ContentRejected, "too risky"),
    "a code at 200 that is called a stream": (
        answer(_ERROR, content_type="text/event-stream"),
        errors.ContentRejected,
        "too risky",
    ),
    "a page that is called a stream": (
        answer(_PAGE, content_type="text/event-stream"),
        errors.UnexpectedContent,
        "an HTML page, 'Sign in & go'",
    ),
    "an error event": (either(_in_stream(event(_ERROR, "error")), _WHOLE_ERROR), errors.ContentRejected, "too risky"),
    "an error event first": (
        either(stream([event(_ERROR, "error")]), _WHOLE_ERROR),
        errors.ContentRejected,
        "too risky",
    ),
    "an error in a data event": (
        either(_in_stream(event(_ERROR)), _WHOLE_ERROR),
        errors.ContentRejected,
        "too risky",
    ),
    "an error event with code 0": (
        either(
            _in_stream(event({"code": 0, "msg": "model went away"}, "error")),
            answer({"code": 1, "msg": "model went away"}),
        ),
        errors.RemoteError,
        "(refused|failed): model went away",
    ),
    "an error event of plain words": (
        either(_in_stream(event("plain words", "error")), answer("plain words", "500 Internal Server Error")),
        errors.RemoteError,
        "plain words",
    ),
    "an error event without words": (
        either(_in_stream(event("", "error")), answer("", "500 Internal Server Error")),
        errors.RemoteError,
        "gave no reason|without a word",
    ),
}
"""Answers by which a server says no: after two pieces, or in place of an answer."""
