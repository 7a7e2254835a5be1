"""A streamed answer is complete, or an error that keeps what came."""

from __future__ import annotations

import threading
import time
from typing import Any, ClassVar

import pytest

from cozeloop_magic import errors
from tests.client.ways import STREAM_WAYS, ClientOf, Serve, read_stream
from tests.wire_server import (
    STREAMED,
    Script,
    delta,
    event,
    last,
    stream,
)


@pytest.mark.parametrize("read", STREAM_WAYS)
class TestBrokenStream:
    """An answer is complete only if a finish reason came; else it is an error that keeps the text."""

    CASES: ClassVar[dict[str, Script]] = {
        "ends without a finish reason": stream([delta("Hel"), delta("lo")]),
        "ends without a finish reason, close-delimited": stream([delta("Hel"), delta("lo")], chunked=False),
        "is cut between chunks": stream([delta("Hel"), delta("lo")], end=False),
        "is cut in mid-event": stream([delta("Hel"), delta("lo"), b'event: data\ndata: {"mess'], chunked=False),
        "is done too early": stream([delta("Hel"), delta("lo"), b"data: [DONE]\n\n"]),
        "holds what is not JSON": stream([delta("Hel"), delta("lo"), event("no json"), last()]),
        "holds a JSON list": stream([delta("Hel"), delta("lo"), event("[1]"), last()]),
        "holds what is not UTF-8": stream([delta("Hel"), delta("lo"), b"data: \xff\xfe\n\n", last()]),
    }

    @pytest.mark.parametrize("case", CASES)
    def test_keeps_what_came(self, serve: Serve, client_of: ClientOf, read: Any, case: str) -> None:
        with pytest.raises(errors.StreamInterrupted) as caught:
            read(client_of(serve(self.CASES[case])))
        assert str(caught.value.partial) == "Hello"
        assert caught.value.log_id == "log-1" and "log id log-1" in str(caught.value)

    def test_an_empty_body_is_an_error(self, serve: Serve, client_of: ClientOf, read: Any) -> None:
        with pytest.raises(errors.StreamInterrupted, match="0 events, 0 bytes") as caught:
            read(client_of(serve(stream([]))))
        assert caught.value.partial is None

    @pytest.mark.parametrize(
        ("data", "kind"),
        [
            ({"code": 600502002, "msg": "qps limit", "biz_extra": {}}, errors.RateLimited),
            ({"code": 0, "msg": "model went away"}, errors.RemoteError),
            ("plain words", errors.RemoteError),
        ],
    )
    def test_an_error_event_is_raised(
        self, serve: Serve, client_of: ClientOf, read: Any, data: Any, kind: type[Exception]
    ) -> None:
        said = data["msg"] if isinstance(data, dict) else data
        with pytest.raises(kind, match=said) as caught:
            read(client_of(serve(stream([delta("Hel"), event(data, "error")]))))
        assert str(caught.value.partial) == "Hel"  # type: ignore[attr-defined]

    def test_an_error_in_a_data_event_is_raised(self, serve: Serve, client_of: ClientOf, read: Any) -> None:
        with pytest.raises(errors.ContentRejected, match="risky"):
            read(client_of(serve(stream([delta("Hel"), event({"code": 600505014, "msg": "risky"})]))))


class TestCompleteStream:
    CASES: ClassVar[dict[str, Script]] = {
        "a byte order mark": stream([b"\xef\xbb\xbf" + delta("Hello"), last()]),
        "comments": stream([b": keep-alive\n\n", delta("Hello"), b": again\n", last()]),
        "carriage returns": stream([delta("Hello").replace(b"\n", b"\r\n"), last().replace(b"\n", b"\r")]),
        "one byte at a time": stream([bytes([b]) for b in delta("Hello") + last()]),
        "no closing blank line": stream([delta("Hello"), last().rstrip(b"\n")], chunked=False),
        "an unknown event": stream([event("pong", "ping"), event("{}", "news"), delta("Hello"), last()]),
        "an unknown role": stream([delta("Hello").replace(b"assistant", b"oracle"), last()]),
        "odd usage": stream([event({"usage": {"input_tokens": "many"}}), delta("Hello"), last()]),
    }

    @pytest.mark.parametrize("case", CASES)
    def test_reads_with(self, serve: Serve, client_of: ClientOf, case: str) -> None:
        pieces = client_of(serve(self.CASES[case])).execute_prompt("greet", stream=True)
        assert "".join(map(str, pieces)) == "Hello"

    def test_line_separators_inside_json_are_text(self, serve: Serve, client_of: ClientOf) -> None:
        text = "a\u2028b\u2029c\u0085d"
        pieces = client_of(serve(stream([delta(text), last()]))).execute_prompt("greet", stream=True)
        assert "".join(map(str, pieces)) == text

    def test_a_body_that_never_ends_is_no_reason_to_wait(self, serve: Serve, client_of: ClientOf) -> None:
        server = serve(stream([delta("Hello"), last(), threading.Event()]))
        started = time.monotonic()
        assert len(list(client_of(server).execute_prompt("greet", stream=True))) == 2
        assert time.monotonic() - started < 5

    def test_the_connection_is_used_again(self, serve: Serve, client_of: ClientOf) -> None:
        server = serve(STREAMED)
        client = client_of(server)
        for _ in range(3):
            read_stream(client)
        assert len(server._connections) == 1
