"""What a client sends, and the four ways to run a prompt."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from cozeloop_magic import Client, errors, new_client
from cozeloop_magic.entities.prompt import (
    ContentPart,
    ContentType,
    Function,
    Message,
    Role,
    Tool,
    ToolCallConfig,
    ToolChoiceType,
)
from tests.client.ways import ALL_WAYS, ClientOf, Serve
from tests.conftest import TOKEN
from tests.wire_server import (
    GOOD,
    STREAMED,
    WHOLE,
    answer,
    by_path,
    delta,
    last,
    stream,
)


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

    @pytest.mark.parametrize("timeout", [0, -1, True, "5", float("nan"), float("inf"), 2**32 / 1000])
    def test_an_odd_timeout_is_refused(self, serve: Serve, client_of: ClientOf, timeout: Any) -> None:
        server = serve(WHOLE)
        with pytest.raises(errors.InvalidRequest, match="number of seconds, above 0"):
            client_of(server).execute_prompt("greet", timeout=timeout)
        assert not server.requests

    def test_nothing_is_sent_where_a_value_has_no_json_form(self, serve: Serve, client_of: ClientOf) -> None:
        server = serve(WHOLE)
        with pytest.raises(errors.VariableError, match=r"x\['a'\]"):
            client_of(server).execute_prompt("greet", variable_vals={"x": {"a": float("nan")}})
        assert not server.requests


@pytest.mark.parametrize("read", ALL_WAYS)
class TestRequestOfEveryWay:
    def test_sends_what_replaces_the_prompts_own(self, serve: Serve, client_of: ClientOf, read: Any) -> None:
        server = serve(GOOD)
        read(
            client_of(server),
            custom_model_config={"model_id": "7", "temperature": 0.5, "thinking": {"budget_tokens": 9}},
            custom_tools=[Tool(function=Function("add", "adds", '{"type": "object"}'))],
            custom_tool_call_config=ToolCallConfig(ToolChoiceType.AUTO),
        )
        assert server.requests[0].body == {
            "workspace_id": "73917",
            "prompt_identifier": {"prompt_key": "greet"},
            "custom_model_config": {"model_id": "7", "temperature": 0.5, "thinking": {"budget_tokens": 9}},
            "custom_tools": [
                {
                    "type": "function",
                    "function": {"name": "add", "description": "adds", "parameters": '{"type": "object"}'},
                }
            ],
            "custom_tool_call_config": {"tool_choice": "auto"},
        }

    def test_takes_the_prompts_tools_away_by_an_empty_list(
        self, serve: Serve, client_of: ClientOf, read: Any
    ) -> None:
        server = serve(GOOD)
        read(client_of(server), custom_tools=[])
        assert server.requests[0].body["custom_tools"] == []

    def test_is_not_sent_where_the_server_would_ignore_a_part(
        self, serve: Serve, client_of: ClientOf, read: Any
    ) -> None:
        server = serve(GOOD)
        with pytest.raises(errors.InvalidRequest, match="holds no model_id"):
            read(client_of(server), custom_model_config={"temperature": 0.5})
        assert not server.requests

    @pytest.mark.parametrize(
        ("message", "says"),
        [
            (Message(Role.USER, 5), "content is of type int"),  # type: ignore[arg-type]
            (Message(Role.USER, b"hi"), "content is of type bytes"),  # type: ignore[arg-type]
            (Message(Role.USER, parts=["hi"]), "part of type str"),  # type: ignore[list-item]
        ],
    )
    def test_is_not_sent_where_a_message_is_no_text(
        self, serve: Serve, client_of: ClientOf, read: Any, message: Message, says: str
    ) -> None:
        server = serve(GOOD)
        with pytest.raises(errors.InvalidRequest, match=f"messages holds a message .*{says}"):
            read(client_of(server), messages=[message])
        with pytest.raises(errors.InvalidRequest, match=f"Variable history holds a message .*{says}"):
            read(client_of(server), variable_vals={"history": [message]})
        assert not server.requests


class TestFourWays:
    def test_sync_whole(self, serve: Serve, client_of: ClientOf) -> None:
        result = client_of(serve(WHOLE)).execute_prompt("greet")
        assert str(result) == "Hello world"
        assert result.finish_reason == "stop"
        assert result.usage and (result.usage.input_tokens, result.usage.output_tokens) == (5, 3)
        assert result.log_id == "log-1"

    @pytest.mark.parametrize(
        "asked",
        [
            {"prompt_key": "gr\ud83d"},
            {"version": "\ude00"},
            {"messages": [Message(Role.USER, "Hi \ud83d")]},
            {"custom_model_config": {"model_id": "\ud83d"}},
        ],
        ids=lambda asked: next(iter(asked)),
    )
    def test_half_a_character_is_refused(self, serve: Serve, client_of: ClientOf, asked: dict[str, Any]) -> None:
        server = serve(WHOLE)
        with pytest.raises(errors.InvalidRequest, match=r"holds half a character .* Take it out"):
            client_of(server).execute_prompt(**{"prompt_key": "greet", **asked})
        assert not server.requests

    def test_text_in_any_script_goes_as_it_is(self, serve: Serve, client_of: ClientOf) -> None:
        server = serve(WHOLE)
        client_of(server).execute_prompt("greet", messages=[Message(Role.USER, "你好 😀 \u2028")])
        assert server.requests[0].body["messages"][0]["content"] == "你好 😀 \u2028"

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

    @pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
    @pytest.mark.parametrize("chunked", [True, False])
    def test_a_piece_is_there_before_the_next_is_sent(
        self, serve: Serve, client_of: ClientOf, chunked: bool, line_end: bytes
    ) -> None:
        go_on = threading.Event()
        first, second, end = (piece.replace(b"\n", line_end) for piece in (delta("first"), delta("second"), last()))
        server = serve(stream([first, go_on, second, end], chunked=chunked))
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

    def test_one_without_a_version_is_no_other_labels(self, serve: Serve, client_of: ClientOf) -> None:
        prompt = {key: value for key, value in PROMPT.items() if key != "version"}
        server = serve(answer({"code": 0, "data": {"items": [{"query": {}, "prompt": prompt}]}}))
        client = client_of(server)
        client.get_prompt("greet")
        client.get_prompt("greet", label="beta")
        assert len(server.requests) == 2

    @pytest.mark.parametrize("data", [None, [], {"prompts": "abc", "total": 5}])
    def test_a_list_that_cannot_be_read_is_an_error(self, serve: Serve, client_of: ClientOf, data: Any) -> None:
        with pytest.raises(errors.UnexpectedContent, match=r"list of prompts from .* cannot be read"):
            client_of(serve(answer({"code": 0, "data": data}))).list_prompts()

    @pytest.mark.parametrize(
        "asked",
        [
            {"variable_vals": ["a"]},
            {"messages": Message(Role.USER, "x")},
            {"custom_tools": [{"type": "function"}]},
            {"custom_tool_call_config": {"tool_choice": "auto"}},
            {"custom_model_config": ["x"]},
        ],
    )
    def test_json_in_place_of_a_value_is_told_before_anything_is_sent(
        self, serve: Serve, client_of: ClientOf, asked: dict[str, Any]
    ) -> None:
        server = serve(WHOLE)
        with pytest.raises(errors.InvalidRequest, match=f"^{next(iter(asked))} "):
            client_of(server).execute_prompt("greet", **asked)
        assert not server.requests

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
