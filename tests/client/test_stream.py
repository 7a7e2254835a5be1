"""What a complete stream may look like."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from cozeloop_magic import errors
from cozeloop_magic.entities.prompt import TokenUsage
from cozeloop_magic.entities.stream import join_results
from tests.client.ways import STREAM_WAYS, ClientOf, Serve, read_stream
from tests.wire_server import FRAMINGS, STREAMED, Script, delta, event, framed, last, reset, send, stream


@pytest.mark.parametrize("read", STREAM_WAYS)
@pytest.mark.parametrize("message", ["hello", [{"content": "hello"}], 5])
def test_a_message_that_is_none_is_not_passed_over(
    serve: Serve, client_of: ClientOf, read: Any, message: Any
) -> None:
    with pytest.raises(errors.UnreadableEvent, match="holds a message that cannot be read"):
        read(client_of(serve(stream([event({"message": message}), last()]))))


class TestCompleteStream:
    CASES: ClassVar[dict[str, Script]] = {
        "a byte order mark": stream([b"\xef\xbb\xbf" + delta("Hello"), last()]),
        "comments": stream([b": keep-alive\n\n", delta("Hello"), b": again\n", last()]),
        "carriage returns": stream([delta("Hello").replace(b"\n", b"\r\n"), last().replace(b"\n", b"\r")]),
        "one byte at a time": stream([bytes([b]) for b in delta("Hello") + last()]),
        "no closing blank line": stream([delta("Hello"), last().rstrip(b"\n")], chunked=False),
        "an unknown event": stream([event("pong", "ping"), event("{}", "news"), delta("Hello"), last()]),
        "an unknown event with a code": stream([event({"code": 7}, "news"), delta("Hello"), last()]),
        "an unknown role": stream([delta("Hello").replace(b"assistant", b"oracle"), last()]),
        "finish reasons that are none": stream([delta("Hel", False), delta("lo", 0), last()]),  # type: ignore[arg-type]
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

    @pytest.mark.parametrize("read", STREAM_WAYS)
    @pytest.mark.parametrize("framing", FRAMINGS)
    def test_a_body_that_never_ends_is_no_reason_to_wait(
        self, serve: Serve, client_of: ClientOf, read: Any, framing: str
    ) -> None:
        parts = framed([delta("Hello"), last(), b": more\n\n"], framing)
        server = serve(send(parts[:3], lambda connection: connection.recv(1)))
        assert read(client_of(server)) == "Hello"  # else it would wait for the call's ten minutes

    @pytest.mark.parametrize("ends", [True, False])
    def test_usage_may_follow_the_finish_reason(self, serve: Serve, client_of: ClientOf, ends: bool) -> None:
        usage = event({"usage": {"input_tokens": 5, "output_tokens": 3}, "cost": "0.1"})
        parts = framed([delta("Hello"), delta("", "stop"), usage], "chunked")
        server = serve(send(parts if ends else parts[:-1], lambda connection: connection.recv(1)))
        with client_of(server).execute_prompt("greet", stream=True) as reader:
            *_, piece = reader
            result = reader.partial
        assert result and (str(result), result.finish_reason, result.extra) == ("Hello", "stop", {"cost": "0.1"})
        assert piece.finish_reason == "stop" and piece.usage == result.usage == TokenUsage(5, 3)

    @pytest.mark.parametrize("read", STREAM_WAYS)
    def test_one_that_the_server_takes_back_is_an_error(self, serve: Serve, client_of: ClientOf, read: Any) -> None:
        refusal = event({"code": 600505014, "msg": "too risky"}, "error")
        with pytest.raises(errors.ContentRejected, match="too risky") as caught:
            read(client_of(serve(stream([delta("Hello"), last(), refusal]))))
        assert caught.value.partial and caught.value.partial.finish_reason == "stop"

    @pytest.mark.parametrize("read", STREAM_WAYS)
    @pytest.mark.parametrize("framing", FRAMINGS)
    def test_the_last_event_counts_though_the_connection_breaks_behind_it(
        self, serve: Serve, client_of: ClientOf, read: Any, framing: str
    ) -> None:
        parts = framed([delta("Hello"), last().rstrip(b"\n"), b"\n\n"], framing)
        assert read(client_of(serve(send(parts[:3], reset)))) == "Hello"

    def test_an_event_of_very_many_lines_is_read(self, serve: Serve, client_of: ClientOf) -> None:
        numbers = list(range(30_000))
        written = json.dumps({"message": {"content": "Hello"}, "numbers": numbers}, indent=0)
        lines = b"".join(b"data: %s\n" % line.encode() for line in written.split("\n"))
        result = join_results(client_of(serve(stream([lines + b"\n", last()]))).execute_prompt("greet", stream=True))
        assert str(result) == "Hello" and result.extra == {"numbers": numbers}

    def test_the_connection_is_used_again(self, serve: Serve, client_of: ClientOf) -> None:
        server = serve(STREAMED)
        client = client_of(server)
        for _ in range(3):
            read_stream(client)
        assert len(server._connections) == 1

    def test_remarks_are_the_embedded_loop_s_alone(self, serve: Serve, client_of: ClientOf) -> None:
        script = stream([delta("Hello", x_loop_notes=["a remark"]), last()])
        result = join_results(client_of(serve(script)).execute_prompt("greet", stream=True))
        assert (result.text, result.notes) == ("Hello", ())
