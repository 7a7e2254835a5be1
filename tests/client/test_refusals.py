"""What a server says when it does not answer."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cozeloop_magic import errors
from tests.client.faults import REFUSED
from tests.client.ways import ALL_WAYS, ClientOf, Serve, read_stream
from tests.conftest import TOKEN
from tests.wire_server import GOOD, WHOLE, answer


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
        with pytest.raises(errors.ConnectFailed, match="cannot be reached: connection refused"):
            read(client_of(server))

    def test_a_token_that_the_server_echoes_is_not_shown(self, serve: Serve, client_of: ClientOf, read: Any) -> None:
        with pytest.raises(errors.LoopError) as caught:
            read(client_of(serve(answer({"code": 1, "msg": f"bad token {TOKEN}"}))))
        assert TOKEN not in str(caught.value) and "••••••" in str(caught.value)


class TestWholeAnswer:
    @pytest.mark.parametrize("data", [None, {}, {"message": {"role": "assistant", "content": "x"}}, []])
    def test_without_message_or_finish_reason_is_an_error(self, serve: Serve, client_of: ClientOf, data: Any) -> None:
        with pytest.raises(errors.UnexpectedContent, match="without a complete message"):
            client_of(serve(answer({"code": 0, "msg": "", "data": data}))).execute_prompt("greet")

    def test_json_where_a_stream_was_asked_for_is_told(self, serve: Serve, client_of: ClientOf) -> None:
        with pytest.raises(errors.UnexpectedContent, match="where a stream was asked for"):
            read_stream(client_of(serve(WHOLE)))
