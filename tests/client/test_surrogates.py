"""Half a character (a lone surrogate) in any field, coming or going: no Unicode error, and no answer lost."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from cozeloop_magic import errors, new_client
from cozeloop_magic.entities.prompt import ContentPart, ExecuteRequest, FunctionCall, Message, Tool, ToolCall
from cozeloop_magic.entities.prompt import Function as ToolFunction
from tests.client.ways import ALL_WAYS, ClientOf, Serve
from tests.conftest import TOKEN
from tests.oauth import a_key, oauth_client, pem_of
from tests.wire_server import GOOD, answer, either, framed, send

HALF = "\ud83d"


def encoded(value: Any) -> str:
    """Show a value as what saves it does: in UTF-8."""
    text = repr(value) + json.dumps(value.to_json() if hasattr(value, "to_json") else value, ensure_ascii=False)
    return text.encode().decode()


FIELDS: dict[str, dict[str, Any]] = {
    "finish_reason": {"finish_reason": f"st{HALF}op"},
    "role": {"message": {"role": f"x{HALF}", "content": "Hello"}},
    "content": {"message": {"role": "assistant", "content": f"Hello{HALF}"}},
    "reasoning": {"message": {"role": "assistant", "content": "Hello", "reasoning_content": HALF}},
    "a part": {"message": {"role": "assistant", "content": "Hello", "parts": [{"type": HALF, "text": HALF}]}},
    "a tool call": {
        "message": {
            "role": "assistant",
            "content": "Hello",
            "tool_calls": [
                {"index": 0, "id": HALF, "type": HALF, "function_call": {"name": HALF, "arguments": HALF}}
            ],
        }
    },
    "odd tool calls": {"message": {"role": "assistant", "content": "Hello", "tool_calls": [HALF, {HALF: HALF}]}},
    "a call of no function": {
        "message": {"role": "assistant", "content": "Hello", "tool_calls": [{"function_call": HALF}]}
    },
    "metadata": {"message": {"role": "assistant", "content": "Hello", "metadata": {HALF: [HALF]}}},
    "an unknown field": {HALF: {HALF: HALF}},
    "usage": {"usage": {"input_tokens": HALF, HALF: 1}},
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("stream", [False, True])
def test_in_any_field_of_an_answer(serve: Serve, client_of: ClientOf, field: str, stream: bool) -> None:
    body = {"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop", **FIELDS[field]}
    pieces = [b"event: data\ndata: " + json.dumps(body).encode() + b"\n\n"]
    server = serve(either(send(framed(pieces, "chunked")), answer(json.dumps({"code": 0, "data": body}))))
    got = client_of(server).execute_prompt("greet", stream=stream)
    for result in list(got) if stream else [got]:
        assert "Hello" in result.text and "Hello" in encoded(result)


def test_text_cut_between_two_events_stays_whole(serve: Serve, client_of: ClientOf) -> None:
    bodies = [
        {"message": {"content": f"{HALF}", "x": HALF}},
        {"message": {"content": "\ude00"}, "finish_reason": "stop"},
    ]
    pieces = [b"data: " + json.dumps(body).encode() + b"\n\n" for body in bodies]
    reader = client_of(serve(send(framed(pieces, "chunked")))).execute_prompt("greet", stream=True)
    assert "".join(map(str, reader)) == "😀"


@pytest.mark.parametrize("read", ALL_WAYS)
@pytest.mark.parametrize("body", [{"code": 5, "msg": HALF}, {"code": HALF, "msg": "no"}, {HALF: HALF, "error": HALF}])
def test_in_what_a_server_refuses_with(serve: Serve, client_of: ClientOf, read: Any, body: Any) -> None:
    with pytest.raises(errors.LoopError) as caught:
        read(client_of(serve(answer(json.dumps(body)))))
    assert str(caught.value).encode() and "�" in str(caught.value)


def test_in_definitions_and_lists(serve: Serve, client_of: ClientOf) -> None:
    prompt = {
        "prompt_key": f"k{HALF}",
        "version": HALF,
        "prompt_template": {"messages": [{"content": HALF}]},
        HALF: 1,
    }
    data = {
        "items": [{"prompt": prompt}],
        "prompts": [{"prompt_key": HALF}],
        "total": 1,
        "prompt": {"id": "1", HALF: HALF},
    }
    client = client_of(serve(answer(json.dumps({"code": 0, "data": data}))))
    for got in (client.get_prompt("greet"), client.list_prompts(), client.prompts.get("1")):
        assert "�" in encoded(got)


REQUESTS: dict[str, ExecuteRequest] = {
    "key": ExecuteRequest(HALF),
    "version": ExecuteRequest("greet", HALF),
    "label": ExecuteRequest("greet", label=HALF),
    "variable": ExecuteRequest("greet", variable_vals={"a": HALF}),
    "variable's name": ExecuteRequest("greet", variable_vals={HALF: "a"}),
    "inside a variable": ExecuteRequest("greet", variable_vals={"a": {"b": [HALF]}}),
    "content": ExecuteRequest("greet", messages=[Message("user", HALF)]),
    "role": ExecuteRequest("greet", messages=[Message(HALF)]),
    "part": ExecuteRequest("greet", messages=[Message("user", parts=[ContentPart("text", text=HALF)])]),
    "metadata": ExecuteRequest("greet", messages=[Message("user", metadata={HALF: 1})]),
    "tool call": ExecuteRequest(
        "greet", messages=[Message("assistant", tool_calls=[ToolCall(function_call=FunctionCall(HALF))])]
    ),
    "tool": ExecuteRequest("greet", custom_tools=[Tool(function=ToolFunction("f", HALF))]),
    "model": ExecuteRequest("greet", custom_model_config={"model_id": HALF}),
}


@pytest.mark.parametrize("field", REQUESTS)
def test_in_any_field_of_a_request_is_told(serve: Serve, client_of: ClientOf, field: str) -> None:
    server = serve(GOOD)
    client = client_of(server)
    for send_it in (client.run, client.stream):
        with pytest.raises(errors.InvalidRequest, match="half a character"):
            send_it(REQUESTS[field])
    with pytest.raises(errors.InvalidRequest, match="half a character"):
        asyncio.run(client.aexecute_prompt("greet", version=HALF))
    assert not server.requests


@pytest.mark.parametrize(
    "settings",
    [
        {"api_base_url": f"http://{HALF}.example"},
        {"api_base_url": f"http://a.example/{HALF}"},
        {"workspace_id": HALF},
        {"api_token": HALF},
        {"headers": {"X-A": HALF}},
        {"headers": {HALF: "a"}},
    ],
)
def test_in_any_setting_is_told(settings: dict[str, Any]) -> None:
    given: dict[str, Any] = {
        "api_base_url": "http://127.0.0.1:9",
        "workspace_id": "1",
        "api_token": TOKEN,
        **settings,
    }
    with pytest.raises((errors.ConfigurationError, errors.InvalidRequest)) as caught:
        with new_client(**given) as client:
            client.execute_prompt("greet")
    assert str(caught.value).encode()


@pytest.mark.parametrize("name", ["jwt_oauth_client_id", "jwt_oauth_public_key_id"])
def test_in_an_oauth_setting_is_told(serve: Serve, name: str) -> None:
    settings = {"jwt_oauth_client_id": "app", "jwt_oauth_public_key_id": "kid", name: HALF}
    with pytest.raises(errors.ConfigurationError, match="half a character") as caught:
        new_client(serve(GOOD).url, "1", jwt_oauth_private_key=pem_of(a_key()), **settings)
    assert str(caught.value).encode()


def test_in_a_private_key_is_told(serve: Serve) -> None:
    with pytest.raises(errors.ConfigurationError, match="private key"):
        oauth_client(serve(GOOD), HALF)
