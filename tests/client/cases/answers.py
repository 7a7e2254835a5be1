"""Answers that are none, or no whole ones."""

from __future__ import annotations

from typing import Any

from cozeloop_magic import errors
from tests.client.cases.stage import Case, each, says, streamed, whole
from tests.client.faults import BROKEN_OFF, JSON_HEAD, NOT_WHOLE, REFUSED, UNREADABLE
from tests.client.ways import read_whole
from tests.conftest import TOKEN
from tests.wire_server import STREAMED, WHOLE, answer, delta, event, framed, last, send, stream

_REFUSED = {name: script for name, (script, _, _) in REFUSED.items()}
_HALF = event('{"message": {"content": "a\\ud83d"}, "finish_reason": ""}')
_CALL = {"tool_calls": [{"index": 0, "function_call": {"name": "add", "arguments": '{"a": '}}]}
_ERROR = {"code": 600505014, "msg": "too risky"}
_PAGE = "<html><head><title>Oops</title></head><body>Something went wrong</body></html>"
_LARGE = [b"data: " + bytes(50_000_000), bytes(50_000_000), bytes(1_000_000)]


def after_two_pieces(*events: bytes) -> Case:
    return streamed(stream([delta("Hel"), delta("lo"), *events]))


IN_A_STREAM: dict[str, Case] = {
    **each(
        streamed,
        BROKEN_OFF,
        "cut before the body, close",
        "cut between two pieces, chunked",
        "cut between two pieces, length",
        "cut between two pieces, close",
        "cut within a piece, close",
        "reset between two pieces, chunked",
    ),
    **each(streamed, NOT_WHOLE),
    "an end after one piece": streamed(stream([delta("Hel")])),
    "an end after [DONE]": after_two_pieces(b"data: [DONE]\n\n"),
    "an end after half a tool call": streamed(stream([event({"message": _CALL, "finish_reason": ""})])),
    "an end after half a character": streamed(stream([_HALF])),
    "an end after an event of an unknown kind": after_two_pieces(event("the model is overloaded", "notice")),
    "a finish reason that is not text": after_two_pieces(event({"message": {"content": ""}, "finish_reason": 5})),
    **each(streamed, UNREADABLE),
    "a first event that is not JSON": streamed(stream([event("no json"), last()])),
    "a message that is text": after_two_pieces(event({"message": "hello"})),
    "an event of more than 100 MB": streamed(send(framed(_LARGE, "length"))),
}

IN_A_WHOLE: dict[str, Case] = {
    **each(
        whole,
        BROKEN_OFF,
        "cut before the headers, close",
        "reset before the headers, close",
        "cut in the status line, close",
        "cut in the headers, close",
        "cut between two pieces, chunked",
        "cut between two pieces, length",
        "cut between two pieces, close",
        "reset between two pieces, length",
    ),
    **each(whole, NOT_WHOLE),
    "a finish reason that is not text": says({"data": {"message": {"content": "Hello"}, "finish_reason": 5}}),
    "a message that is text": says({"data": {"message": "Hello", "finish_reason": "stop"}}),
    "data without a message": says({"data": {"finish_reason": "stop"}}),
    "no data": says({"code": 0, "msg": "", "data": None}),
    "what is not UTF-8": says(b'{"data": {"message": {"content": "\xff"}}}'),
    "a single byte": says("{"),
    "JSON with a mistake": says('{"data": nothing}'),
    "JSON that is nested too deep": says('{"a":' * 100_000),
    "an answer of more than 100 MB": whole(send(framed(_LARGE, "length", JSON_HEAD))),
}

_STATUSES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    413: "Content Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


def status(number: int, body: Any = "", **headers: str) -> Case:
    kind = "text/html" if body == _PAGE else "application/json"
    return says(body, f"{number} {_STATUSES[number]}", kind, **headers)


REFUSALS: dict[str, Case] = {
    **each(
        streamed,
        _REFUSED,
        "an error event",
        "an error event first",
        "an error in a data event",
        "an error event with code 0",
        "an error event of plain words",
        "an error event without words",
    ),
    "an error event after the finish reason": after_two_pieces(last(), event(_ERROR, "error")),
    "words in place of a piece": after_two_pieces(event({"code": 0, "msg": "no more today"})),
    "a gateway's words in place of a piece": after_two_pieces(event({"error": {"message": "no more today"}})),
    **{f"code {number}": says({"code": number, "msg": "its words"}) for number in errors._BY_CODE},
    "a code that is not known": says({"code": 4100, "msg": "its words"}),
    "a code that is a word": says({"code": "E42", "msg": "its words"}),
    "a code without words": says({"code": 600500101, "msg": ""}),
    "words without a code": says({"code": 0, "msg": "no more today"}),
    "OAuth's words at HTTP 200": says({"error": "invalid_token", "error_message": "token expired"}),
    "words that end their sentence": says({"code": 1, "msg": "It broke!"}),
    "words in Chinese": says({"code": 600502001, "msg": "请求过于频繁，请稍后再试。"}),
    "very many words": says({"code": 1, "msg": "very " * 100 + "long"}),
    "words over several lines": says({"code": 1, "msg": "Traceback:\n  line 1\n\x1b[31mline 2"}),
    "words that repeat the token": says({"code": 1, "msg": f"bad token {TOKEN}"}),
    "a code at HTTP 400": status(400, {"code": 600500202, "msg": "its words"}),
    "a code at HTTP 429": status(429, {"code": 1, "msg": "its words"}),
    "HTTP 400 with words": status(400, {"message": "its words"}),
    "HTTP 400 with a page": status(400, _PAGE),
    "HTTP 401 with words": status(401, {"message": "its words"}),
    "HTTP 401 without a word": status(401),
    "HTTP 403 with words": status(403, {"message": "its words"}),
    "HTTP 403 with a page": status(403, _PAGE),
    "HTTP 404 with words": status(404, {"message": "no Route matched with those values"}),
    "HTTP 404 without a word": status(404),
    "HTTP 405 with a page": status(405, _PAGE),
    "HTTP 407 without a word": status(407),
    "HTTP 413 without a word": status(413),
    "HTTP 429 without a word": status(429),
    "HTTP 429 that asks for 30 seconds": status(429, Retry_After="30"),
    "HTTP 429 that asks for an hour": status(429, {"code": 1, "msg": "daily limit"}, Retry_After="3600"),
    "HTTP 500 with words": status(500, {"message": "its words"}),
    "HTTP 500 with a page": status(500, _PAGE),
    "HTTP 500 with a stream": streamed(
        answer(event(_ERROR, "error"), "500 Internal Server Error", "text/event-stream", x_tt_logid="log-1")
    ),
    "HTTP 500 whose words break off": whole(send([b"HTTP/1.1 500 Oh\r\nContent-Length: 99\r\n\r\nupstream is dow"])),
    "HTTP 503 without a word": status(503),
    "a refusal of the embedded Loop": lambda stage: read_whole(
        stage.embedded(answer({"code": 600501001, "msg": "There is no prompt greet; there are chat and summarize."}))
    ),
}

ELSEWHERE: dict[str, Case] = {
    **each(whole, _REFUSED, "HTML at 200", "plain text at 200", "a JSON list at 200"),
    **each(streamed, _REFUSED, "a page that is called a stream"),
    "words that are called a stream": streamed(answer("upstream error", content_type="text/event-stream")),
    "JSON where a stream was asked for": streamed(WHOLE),
    "a stream where JSON was asked for": whole(STREAMED),
    "HTTP 204": says("", "204 No Content"),
    "a redirect to a login page": says("", "302 Found", Location="https://login.example/?next=loop"),
    "a redirect on the same host": says("", "307 Temporary Redirect", Location="/login?next=loop"),
    "a redirect to nowhere": says("", "302 Found"),
    "what is not HTTP": whole(send([b"SSH-2.0-OpenSSH_9.6\r\n"])),
    "an alert of TLS": whole(send([b"\x15\x03\x01\x00\x02\x02\x16"])),
    "headers without end": whole(send([b"HTTP/1.1 200 OK\r\nX: " + b"x" * 99_999])),
}
