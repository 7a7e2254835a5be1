"""An answer is complete, or an error that keeps what came."""

from __future__ import annotations

from typing import Any

import pytest

from cozeloop_magic import errors
from tests.client.faults import BROKEN_OFF, NOT_WHOLE, UNREADABLE
from tests.client.ways import ALL_WAYS, STREAM_WAYS, ClientOf, Serve
from tests.wire_server import delta, event, last, send, stream


@pytest.mark.parametrize("read", ALL_WAYS)
class TestAnyAnswer:
    @pytest.mark.parametrize("case", BROKEN_OFF)
    def test_that_breaks_off_is_an_error(self, serve: Serve, client_of: ClientOf, read: Any, case: str) -> None:
        with pytest.raises(errors.StreamInterrupted, match=r"ended before an answer came|broke off") as caught:
            read(client_of(serve(BROKEN_OFF[case])))
        assert "Hello".startswith(str(caught.value.partial or ""))
        assert caught.value.log_id == (None if "before an answer" in str(caught.value) else "log-1")

    @pytest.mark.parametrize("case", NOT_WHOLE)
    def test_of_which_a_part_is_missing_is_an_error(
        self, serve: Serve, client_of: ClientOf, read: Any, case: str
    ) -> None:
        with pytest.raises((errors.StreamInterrupted, errors.UnexpectedContent)) as caught:
            read(client_of(serve(NOT_WHOLE[case])))
        assert "Hello".startswith(str(caught.value.partial or ""))

    @pytest.mark.parametrize("body", ["no HTTP at all\r\n\r\n", "\x15\x03\x01\x00\x02\x02\x16\r\n"])
    def test_that_is_no_http_is_an_error(self, serve: Serve, client_of: ClientOf, read: Any, body: str) -> None:
        with pytest.raises(errors.UnexpectedContent, match=r"The answer from .* is not proper HTTP"):
            read(client_of(serve(send([body.encode()]))))


@pytest.mark.parametrize("read", STREAM_WAYS)
class TestStream:
    @pytest.mark.parametrize("place", ["between two pieces", "within a piece"])
    @pytest.mark.parametrize("framing", ["chunked", "length", "close"])
    def test_keeps_the_text_that_came(
        self, serve: Serve, client_of: ClientOf, read: Any, place: str, framing: str
    ) -> None:
        with pytest.raises(errors.StreamInterrupted, match=r"\(2 events, [0-9]+ bytes received\)") as caught:
            read(client_of(serve(BROKEN_OFF[f"cut {place}, {framing}"])))
        assert str(caught.value.partial) == "Hello"
        assert "The text so far is kept" in str(caught.value) and "log id log-1" in str(caught.value)

    @pytest.mark.parametrize("case", UNREADABLE)
    def test_with_an_event_that_cannot_be_read_keeps_what_came_before(
        self, serve: Serve, client_of: ClientOf, read: Any, case: str
    ) -> None:
        with pytest.raises(errors.UnreadableEvent, match="Event 3 of the answer") as caught:
            read(client_of(serve(UNREADABLE[case])))
        assert str(caught.value.partial) == "Hello" and caught.value.log_id == "log-1"

    def test_that_is_done_without_a_finish_reason_is_not_complete(
        self, serve: Serve, client_of: ClientOf, read: Any
    ) -> None:
        with pytest.raises(errors.StreamInterrupted, match="without a finish reason") as caught:
            read(client_of(serve(stream([delta("Hello"), b"data: [DONE]\n\n"]))))
        assert str(caught.value.partial) == "Hello"

    @pytest.mark.parametrize("strange", [{"code": 0, "data": {"message": {"content": "Hi"}}}, {"choices": [{}]}])
    def test_whose_text_is_not_where_it_should_be_is_no_empty_answer(
        self, serve: Serve, client_of: ClientOf, read: Any, strange: dict[str, Any]
    ) -> None:
        with pytest.raises(errors.UnreadableEvent, match="no piece of an answer: "):
            read(client_of(serve(stream([event(strange), last()]))))

    @pytest.mark.parametrize(
        "strange",
        [
            event({"message": {"content": "Hi"}, "error": {"message": "out of quota"}}),
            event({"error": "out of quota"}, "fail"),
            event("out of quota", "Error"),
        ],
    )
    def test_that_speaks_of_an_error_is_one(
        self, serve: Serve, client_of: ClientOf, read: Any, strange: bytes
    ) -> None:
        with pytest.raises(errors.RemoteError, match="out of quota"):
            read(client_of(serve(stream([delta("Hel"), strange, last()]))))

    def test_without_a_byte_has_no_text_to_keep(self, serve: Serve, client_of: ClientOf, read: Any) -> None:
        with pytest.raises(
            errors.StreamInterrupted, match=r"\(0 events, 0 bytes received\)\. Run it again"
        ) as caught:
            read(client_of(serve(stream([]))))
        assert caught.value.partial is None
