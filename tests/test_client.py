"""The client against a real HTTP server: what it sends, what it reads, and that it never lies."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from cozeloop_magic import Client, errors, new_client
from cozeloop_magic.entities.prompt import ContentPart, ContentType, Message, Role
from tests.conftest import TOKEN
from tests.wire_server import HEAD, Script, WireServer, answer, by_path, chunk, delta, event, last, stream

Serve = Callable[[Script], WireServer]
ClientOf = Callable[[WireServer], Client]

WHOLE = answer(
    {
        "code": 0,
        "msg": "",
        "data": {
            "message": {"role": "assistant", "content": "Hello world"},
            "finish_reason": "stop",
            "usage": {"input_tokens": 5, "output_tokens": 3},
        },
    },
    x_tt_logid="log-1",
)
STREAMED = stream([delta("Hel"), delta("lo "), delta("world"), last()])


class TestRequest:
    def test_names_the_prompt_the_workspace_and_the_token(self, serve: Serve, client_of: ClientOf) -> None:
        server = serve(WHOLE)
        client_of(server).execute_prompt("greet", version="1.0.0", label="production")
        (request,) = server.requests
        assert (request.method, request.path) == ("POST", "/v1/loop/prompts/execute")
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert request.headers["content-type"] == "application/json"
        assert request.body == {
            "workspace_id": "73917",
            "prompt_identifier": {"prompt_key": "greet", "version": "1.0.0", "label": "production"},
        }

    def test_sends_variables_as_the_sdk_does(self, serve: Serve, client_of: ClientOf) -> None:
        server = serve(WHOLE)
        picture = ContentPart(ContentType.IMAGE_URL, image_url="https://example.com/a.png")
        history = [Message(Role.USER, "hi"), Message(Role.ASSISTANT, "hello")]
        values = {"text": "{{x}}", "number": 3, "object": {"a": [True, None]}, "history": history, "picture": picture}
        client_of(server).execute_prompt("greet", variable_vals=values, messages=[Message(Role.USER, "Be brief.")])
        body = server.requests[0].body
        assert body["variable_vals"] == [
            {"key": "text", "value": "{{x}}"},
            {"key": "number", "value": "3"},
            {"key": "object", "value": '{"a": [true, null]}'},
            {
                "key": "history",
                "placeholder_messages": [
                    {"role": "user", "content": "hi"},
                    {"role": "assistant", "content": "hello"},
                ],
            },
            {
                "key": "picture",
                "multi_part_values": [{"type": "image_url", "image_url": "https://example.com/a.png"}],
            },
        ]
        assert body["messages"] == [{"role": "user", "content": "Be brief."}]

    def test_a_netrc_entry_does_not_replace_the_token(
        self, serve: Serve, client_of: ClientOf, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password other\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        server = serve(WHOLE)
        client_of(server).execute_prompt("greet")
        assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"

    @pytest.mark.parametrize("timeout", [0, -1, True, "5", float("nan")])
    def test_an_odd_timeout_is_refused(self, serve: Serve, client_of: ClientOf, timeout: Any) -> None:
        server = serve(WHOLE)
        with pytest.raises(errors.InvalidRequest, match="number of seconds above 0"):
            client_of(server).execute_prompt("greet", timeout=timeout)
        assert not server.requests

    def test_nothing_is_sent_where_a_value_has_no_json_form(self, serve: Serve, client_of: ClientOf) -> None:
        server = serve(WHOLE)
        with pytest.raises(errors.VariableError, match=r"x\['a'\]"):
            client_of(server).execute_prompt("greet", variable_vals={"x": {"a": float("nan")}})
        assert not server.requests


class TestFourWays:
    def test_sync_whole(self, serve: Serve, client_of: ClientOf) -> None:
        result = client_of(serve(WHOLE)).execute_prompt("greet")
        assert str(result) == "Hello world"
        assert result.finish_reason == "stop"
        assert result.usage and (result.usage.input_tokens, result.usage.output_tokens) == (5, 3)
        assert result.log_id == "log-1"

    @pytest.mark.parametrize("chunked", [True, False])
    def test_sync_streamed(self, serve: Serve, client_of: ClientOf, chunked: bool) -> None:
        server = serve(stream([delta("Hel"), delta("lo"), last()], chunked=chunked))
        pieces = list(client_of(server).execute_prompt("greet", stream=True))
        assert [str(piece) for piece in pieces] == ["Hel", "lo", ""]
        assert pieces[-1].finish_reason == "stop" and pieces[-1].usage

    def test_async_whole(self, serve: Serve, client_of: ClientOf) -> None:
        client = client_of(serve(WHOLE))
        assert str(asyncio.run(client.aexecute_prompt("greet"))) == "Hello world"

    def test_async_streamed(self, serve: Serve, client_of: ClientOf) -> None:
        client = client_of(serve(STREAMED))

        async def read() -> str:
            reader = await client.aexecute_prompt("greet", stream=True)
            return "".join([str(piece) async for piece in reader])

        assert asyncio.run(read()) == "Hello world"
        assert asyncio.run(read()) == "Hello world"  # another event loop, the same client

    def test_readers_and_clients_are_context_managers(self, serve: Serve) -> None:
        server = serve(STREAMED)

        async def read(client: Client) -> str:
            async with client, await client.aexecute_prompt("greet", stream=True) as reader:
                return "".join([str(piece) async for piece in reader])

        with new_client(server.url, "1", TOKEN) as client:
            with client.execute_prompt("greet", stream=True) as reader:
                assert "".join(map(str, reader)) == "Hello world"
            assert asyncio.run(read(client)) == "Hello world"
        with pytest.raises(errors.ClientClosed):
            client.execute_prompt("greet")

    @pytest.mark.parametrize("chunked", [True, False])
    def test_a_piece_is_there_before_the_next_is_sent(self, serve: Serve, client_of: ClientOf, chunked: bool) -> None:
        go_on = threading.Event()
        server = serve(stream([delta("first"), go_on, delta("second"), last()], chunked=chunked))
        with client_of(server).execute_prompt("greet", stream=True) as reader:
            assert str(next(reader)) == "first"
            assert not go_on.is_set()
            go_on.set()
            assert [str(piece) for piece in reader] == ["second", ""]

    def test_many_async_calls_run_at_once(self, serve: Serve, client_of: ClientOf) -> None:
        barrier = threading.Barrier(20)

        def wait_for_all(request: Any, connection: Any) -> None:
            barrier.wait(10)
            WHOLE(request, connection)

        client = client_of(serve(wait_for_all))

        async def all_at_once() -> list[Any]:
            return await asyncio.gather(*(client.aexecute_prompt("greet") for _ in range(20)))

        assert [str(result) for result in asyncio.run(all_at_once())] == ["Hello world"] * 20


def read_stream(client: Client) -> None:
    list(client.execute_prompt("greet", stream=True))


def read_stream_async(client: Client) -> None:
    async def read() -> None:
        async for _ in await client.aexecute_prompt("greet", stream=True):
            pass

    asyncio.run(read())


def read_whole(client: Client) -> None:
    client.execute_prompt("greet")


def read_whole_async(client: Client) -> None:
    asyncio.run(client.aexecute_prompt("greet"))


STREAM_WAYS = [read_stream, read_stream_async]
ALL_WAYS = [*STREAM_WAYS, read_whole, read_whole_async]


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

    def test_an_html_login_page_is_told(self, serve: Serve, client_of: ClientOf, read: Any) -> None:
        page = "<html><head><title>Sign in &amp; go</title></head><body>..."
        with pytest.raises(errors.UnexpectedContent, match="an HTML page, 'Sign in & go'"):
            read(client_of(serve(answer(page, content_type="text/html"))))

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

    def test_a_redirect_is_not_followed(self, serve: Serve, client_of: ClientOf, read: Any) -> None:
        elsewhere = serve(WHOLE)
        server = serve(answer("", "307 Temporary Redirect", Location=elsewhere.url + "/login"))
        with pytest.raises(errors.UnexpectedContent, match=elsewhere.url):
            read(client_of(server))
        assert not elsewhere.requests

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


class TestTime:
    def test_a_silent_server_meets_the_limit(self, serve: Serve, client_of: ClientOf) -> None:
        server = serve(stream([threading.Event()]))
        with pytest.raises(errors.DeadlineExceeded, match=r"0\.3 s"):
            list(client_of(server).execute_prompt("greet", stream=True, timeout=0.3))

    def test_keep_alives_do_not_defeat_the_limit(self, serve: Serve, client_of: ClientOf) -> None:
        def keep_alive() -> Any:
            yield delta("Hel")
            while True:
                time.sleep(0.05)
                yield b": keep-alive\n\n"

        with pytest.raises(errors.DeadlineExceeded) as caught:
            list(client_of(serve(stream(keep_alive()))).execute_prompt("greet", stream=True, timeout=0.3))
        assert str(caught.value.partial) == "Hel"


class TestLifetime:
    def test_closing_wakes_a_thread_that_reads(self, serve: Serve, client_of: ClientOf) -> None:
        reader = client_of(serve(stream([delta("Hel"), threading.Event()]))).execute_prompt("greet", stream=True)
        next(reader)
        caught: list[BaseException] = []

        def read_on() -> None:
            try:
                next(reader)
            except BaseException as error:
                caught.append(error)

        thread = threading.Thread(target=read_on)
        thread.start()
        time.sleep(0.1)
        reader.close()
        thread.join(5)
        assert not thread.is_alive()
        assert isinstance(caught[0], errors.StreamInterrupted)

    def test_a_reader_can_be_left_early(self, serve: Serve, client_of: ClientOf) -> None:
        client = client_of(serve(STREAMED))
        for _ in range(200):
            with client.execute_prompt("greet", stream=True) as reader:
                next(reader)

    def test_a_cancelled_task_closes_its_stream(self, serve: Serve, client_of: ClientOf) -> None:
        gone = threading.Event()

        def until_gone(request: Any, connection: Any) -> None:
            connection.sendall((HEAD + "Transfer-Encoding: chunked\r\n\r\n").encode() + chunk(delta("Hel")))
            if not connection.recv(1):
                gone.set()

        client = client_of(serve(until_gone))

        async def cancel() -> None:
            async def read() -> None:
                async for _ in await client.aexecute_prompt("greet", stream=True):
                    pass

            task = asyncio.create_task(read())
            await asyncio.sleep(0.3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(cancel())
        assert gone.wait(5)


PROMPT = {
    "prompt_key": "greet",
    "version": "1.2.0",
    "prompt_template": {"template_type": "normal", "variable_defs": [{"key": "name", "desc": "", "type": "string"}]},
}


class TestPrompts:
    def test_a_version_is_asked_for_once_and_the_latest_every_time(self, serve: Serve, client_of: ClientOf) -> None:
        server = serve(answer({"code": 0, "data": {"items": [{"query": {}, "prompt": PROMPT}]}}))
        client = client_of(server)
        for version in ("", "1.2.0", "1.2.0", ""):
            prompt = client.get_prompt("greet", version)
            assert (prompt.version, prompt.variable_defs[0].key) == ("1.2.0", "name")
        assert [request.body["queries"] for request in server.requests] == [[{"prompt_key": "greet"}]] * 2

    def test_no_prompt_is_an_error(self, serve: Serve, client_of: ClientOf) -> None:
        for data in ({"items": []}, {"items": [{"query": {}}]}, None):
            with pytest.raises(errors.PromptNotFound, match="greet"):
                client_of(serve(answer({"code": 0, "data": data}))).get_prompt("greet")

    def test_a_list_is_a_page(self, serve: Serve, client_of: ClientOf) -> None:
        data = {"prompts": [{"id": 7, "prompt_key": "greet", "latest_version": "1.2.0"}], "total": 3}
        server = serve(by_path(list=answer({"code": 0, "data": data})))
        page = client_of(server).list_prompts("gr", page_size=1)
        assert (page.total, page.prompts[0].prompt_key, page.prompts[0].id) == (3, "greet", "7")
        assert server.requests[0].body == {
            "workspace_id": "73917",
            "page_number": 1,
            "page_size": 1,
            "key_word": "gr",
        }


def test_no_secret_is_in_a_repr_or_a_pickle(serve: Serve, client_of: ClientOf) -> None:
    import pickle

    client = client_of(serve(answer({"code": 600502002, "msg": "slow down"}, "429 Too Many Requests")))
    with pytest.raises(errors.RateLimited) as caught:
        client.execute_prompt("greet")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.code) == (str(caught.value), 600502002)
    assert TOKEN not in repr(client) + repr(client.connect()) + repr(caught.value) + json.dumps(
        vars(copy), default=repr
    )
