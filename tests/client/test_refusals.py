"""What a server says when it does not answer."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cozeloop_magic import errors
from tests.client.faults import REFUSED
from tests.client.ways import ALL_WAYS, ClientOf, Serve, read_stream
from tests.conftest import TOKEN
from tests.growth import c_grows_alike
from tests.wire_server import GOOD, WHOLE, answer, chunk, delta, either, event, in_turn, last, send, stream

SAID: list[dict[str, Any]] = [
    {"code": 0, "msg": "no more today"},
    {"msg": "no more today"},
    {"message": "no more today"},
    {"error": {"message": "no more today", "type": "quota"}},
    {"error": "quota", "error_message": "no more today"},
    {"detail": "no more today"},
]


@pytest.mark.parametrize("read", ALL_WAYS)
class TestRefusals:
    @pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "500 Internal Server Error"])
    def test_a_code_is_an_error_at_any_status(
        self, serve: Serve, client_of: ClientOf, read: Any, status: str
    ) -> None:
        server = serve(answer({"code": 600501001, "msg": "prompt not exist"}, status, x_tt_logid="log-7"))
        with pytest.raises(errors.PromptNotFound, match="prompt not exist") as caught:
            read(client_of(server))
        assert (caught.value.code, caught.value.log_id) == (600501001, "log-7")
        assert caught.value.http_status == int(status[:3])

    @pytest.mark.parametrize("case", REFUSED)
    def test_what_is_no_answer_is_an_error(self, serve: Serve, client_of: ClientOf, read: Any, case: str) -> None:
        script, kind, says = REFUSED[case]
        with pytest.raises(kind, match=says) as caught:
            read(client_of(serve(script)))
        assert "Hello".startswith(str(getattr(caught.value, "partial", None) or ""))

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            ("401 Unauthorized", errors.AuthenticationFailed),
            ("403 Forbidden", errors.PermissionDenied),
            ("429 Too Many Requests", errors.RateLimited),
            ("502 Bad Gateway", errors.ServerFailed),
        ],
    )
    @pytest.mark.parametrize("body", ["", "<html><body>nope</body></html>", '{"msg": "nope"}', "[1]"])
    def test_a_status_is_an_error_with_any_body(
        self, serve: Serve, client_of: ClientOf, read: Any, status: str, kind: type[Exception], body: str
    ) -> None:
        with pytest.raises(kind) as caught:
            read(client_of(serve(answer(body, status))))
        assert "Expecting value" not in str(caught.value)

    @pytest.mark.parametrize("unit", [b"<", b"<title>"])
    def test_no_page_takes_out_of_proportion_to_read(
        self, serve: Serve, client_of: ClientOf, read: Any, unit: bytes
    ) -> None:
        def refused(size: int) -> None:
            with pytest.raises(errors.ServerFailed, match="HTTP 502"):
                read(client_of(serve(answer(unit * (size // len(unit)), "502 Bad Gateway", "text/html"))))

        assert c_grows_alike(refused, 125_000)

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed(self, serve: Serve, client_of: ClientOf, read: Any, status: int) -> None:
        elsewhere = serve(GOOD)
        server = serve(answer("", f"{status} Elsewhere", Location=elsewhere.url + "/login", x_tt_logid="log-7"))
        with pytest.raises(errors.UnexpectedContent, match=f"redirects to {elsewhere.url}") as caught:
            read(client_of(server))
        assert (caught.value.http_status, caught.value.log_id) == (status, "log-7")
        assert len(server.requests) == 1 and not elsewhere.requests

    @pytest.mark.parametrize(
        ("location", "shown"),
        [("http://[::1", "http://[::1"), ("", "nowhere"), ("//host/x", "//host"), ("https://h/?t=s", "https://h")],
    )
    def test_any_redirect_can_be_told(
        self, serve: Serve, client_of: ClientOf, read: Any, location: str, shown: str
    ) -> None:
        with pytest.raises(errors.UnexpectedContent, match=f"redirects to {re.escape(shown)};"):
            read(client_of(serve(answer("", "302 Found", Location=location))))

    def test_nor_is_one_on_the_same_host(self, serve: Serve, client_of: ClientOf, read: Any) -> None:
        server = serve(answer("", "307 Temporary Redirect", Location="/v2/somewhere"))
        with pytest.raises(errors.UnexpectedContent, match="redirects to /v2/somewhere"):
            read(client_of(server))
        assert len(server.requests) == 1

    def test_the_web_port_of_a_self_hosted_loop_is_named(self, serve: Serve, client_of: ClientOf, read: Any) -> None:
        with pytest.raises(errors.RemoteError, match="port of its own"):
            read(client_of(serve(answer("", "405 Method Not Allowed"))))

    def test_a_server_that_is_not_there_is_told(self, serve: Serve, client_of: ClientOf, read: Any) -> None:
        server = serve(WHOLE)
        server.stop()
        with pytest.raises(errors.ConnectFailed, match=r"No connection to .*: connection refused"):
            read(client_of(server))

    @pytest.mark.parametrize("body", SAID)
    def test_what_the_server_says_is_told_whatever_it_calls_it(
        self, serve: Serve, client_of: ClientOf, read: Any, body: dict[str, Any]
    ) -> None:
        whole = answer(body, x_tt_logid="log-1")
        in_mid_stream = either(stream([delta("Hel"), event(body), last()]), whole)
        for script in [whole] if "message" in body else [whole, in_mid_stream]:
            with pytest.raises(errors.RemoteError, match=r"refused: no more today\.") as caught:
                read(client_of(serve(script)))
            assert caught.value.log_id == "log-1"

    @pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
    def test_a_status_that_asks_to_come_again_wins_over_a_code(
        self, serve: Serve, client_of: ClientOf, read: Any, status: str
    ) -> None:
        refusal = answer({"code": 600500201, "msg": "busy"}, status, Retry_After="0")
        assert read(client_of(serve(in_turn(refusal, GOOD)), max_retries=1)) == "Hello world"

    def test_a_body_that_breaks_off_does_not_hide_the_status(
        self, serve: Serve, client_of: ClientOf, read: Any
    ) -> None:
        server = serve(send([b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 99\r\n\r\nupstream is dow"]))
        with pytest.raises(errors.ServerFailed, match=r"HTTP 502 .* upstream is dow"):
            read(client_of(server))

    @pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error"])
    @pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
    def test_a_refusal_whose_body_never_ends_is_told_at_once(
        self, serve: Serve, client_of: ClientOf, read: Any, status: str, kind: str
    ) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        body = chunk(b'\n{"code": 1, "msg": "model is down"}')
        with pytest.raises(errors.ServerFailed, match="model is down"):
            read(client_of(serve(send([head + body], lambda connection: connection.recv(1)))))

    @pytest.mark.parametrize(
        ("status", "body", "what"),
        [
            ("200 OK", "\xef\xbb\xbfupstream connect error", "upstream connect error"),
            ("200 OK", "upstream connect error", "upstream connect error"),
            ("500 Internal Server Error", 'event: error\ndata: {"code": 1, "msg": "no model"}\n\n', "no model"),
        ],
    )
    def test_words_that_are_called_a_stream_are_told(
        self, serve: Serve, client_of: ClientOf, read: Any, status: str, body: str, what: str
    ) -> None:
        with pytest.raises(errors.LoopError, match=what):
            read(client_of(serve(answer(body.encode("latin-1"), status, "text/event-stream"))))

    def test_the_answer_comes_after_whatever_is_said_ahead_of_it(
        self, serve: Serve, client_of: ClientOf, read: Any
    ) -> None:
        def early(request: Any, connection: Any) -> None:
            for status in "100 Continue", "102 Processing", "103 Early Hints":
                connection.sendall(f"HTTP/1.1 {status}\r\nLink: </x>\r\n\r\n".encode())
            GOOD(request, connection)

        client = client_of(serve(early))
        assert [read(client), read(client)] == ["Hello world"] * 2

    @pytest.mark.parametrize("echoed", [TOKEN, TOKEN.replace("-", "-\n  "), "x" * 3990 + TOKEN, "k3y-of-the-callers"])
    def test_no_secret_that_a_server_echoes_is_shown(
        self, serve: Serve, client_of: ClientOf, read: Any, echoed: str
    ) -> None:
        page = answer(f"<p>{'<i></i>' * 500} {echoed}</p>", "403 Forbidden", "text/html", x_tt_logid=TOKEN)
        for script in answer({"code": 1, "msg": f"bad {echoed}"}), page:
            with pytest.raises(errors.LoopError) as caught:
                read(client_of(serve(script), headers={"X-Key": "k3y-of-the-callers"}))
            text = "".join(str(caught.value).split())
            assert "s3cr3t" not in text and "k3y" not in text

    def test_a_token_that_the_server_echoes_is_not_shown(self, serve: Serve, client_of: ClientOf, read: Any) -> None:
        with pytest.raises(errors.LoopError) as caught:
            read(client_of(serve(answer({"code": 1, "msg": f"bad token {TOKEN}"}))))
        assert TOKEN not in str(caught.value) and "••••••" in str(caught.value)


class TestWholeAnswer:
    @pytest.mark.parametrize("data", [None, {}, [], {"message": "plain words", "finish_reason": "stop"}])
    def test_without_a_message_is_an_error(self, serve: Serve, client_of: ClientOf, data: Any) -> None:
        with pytest.raises(errors.UnexpectedContent, match=r"answer from .* cannot be read") as caught:
            client_of(serve(answer({"code": 0, "msg": "", "data": data}))).execute_prompt("greet")
        assert not data or "plain words" in str(caught.value)

    def test_without_a_finish_reason_is_not_complete(self, serve: Serve, client_of: ClientOf) -> None:
        data = {"message": {"role": "assistant", "content": "Hello"}}
        with pytest.raises(errors.StreamInterrupted, match="came without a finish reason") as caught:
            client_of(serve(answer({"code": 0, "msg": "", "data": data}))).execute_prompt("greet")
        assert str(caught.value.partial) == "Hello"

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (b'{"data": {"message": {"content": "\xff"}}}', "is not UTF-8"),
            (b'{"data": nothing}', "is JSON that cannot be read: expecting value at character 10"),
            (b'{"a":' * 100_000, "is nested too deep"),
            (b'{"data": {"message": {"content": "Hel', "broke off: its JSON is not complete"),
        ],
    )
    def test_that_cannot_be_read_says_why(self, serve: Serve, client_of: ClientOf, content: bytes, why: str) -> None:
        with pytest.raises(errors.TransportError, match=rf"{why}.*\d+ bytes"):
            client_of(serve(answer(content))).execute_prompt("greet")

    def test_line_breaks_and_a_code_written_as_text_do_no_harm(self, serve: Serve, client_of: ClientOf) -> None:
        content = b'{"code": "0", "data": {"message": {"content": "a\nb\t"}, "finish_reason": "stop"}}'
        assert str(client_of(serve(answer(content))).execute_prompt("greet")) == "a\nb\t"

    def test_json_where_a_stream_was_asked_for_is_told(self, serve: Serve, client_of: ClientOf) -> None:
        with pytest.raises(errors.UnexpectedContent, match="where a stream was asked for"):
            read_stream(client_of(serve(WHOLE)))
