"""Bodies that nobody should send: each is told with a code of the caller's, and none is the Loop's failure."""

from __future__ import annotations

import json

import pytest

ODD = (None, 10**400, "\ud800", [None], {"a": 1})
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": "{}"}}
CHOICE = {"tool_choice": "specific", "tool_choice_specification": {"type": "function", "name": "f"}}
MESSAGE = {"role": "user", "content": "x", "parts": [{"type": "text", "text": "x"}], "skip_render": True}
VALUE = {"key": "topic", "value": "1", "placeholder_messages": [MESSAGE], "multi_part_values": [{"type": "text"}]}
DETAIL = {
    "prompt_template": {"messages": [MESSAGE], "variable_defs": [{"key": "a", "type": "string", "desc": "d"}]},
    "tools": [TOOL],
    "tool_call_config": CHOICE,
    "model_config": {"model_id": "1", "temperature": 0.5},
}
SPAN = {"trace_id": "t", "span_id": "s", "started_at_micros": 1, "tags_long": {"a": 1}, "tags_bool": {"b": True}}
FILTER = {"field_name": "n", "field_type": "long", "values": ["1"], "sub_filter": {"filter_fields": []}}
OTLP_SPAN = {"traceId": "aa", "spanId": "bb", "attributes": [{"key": "k", "value": {"intValue": "5"}}]}
BODIES = {
    "prompts/execute": {
        "prompt_identifier": {"prompt_key": "ptaas_demo", "version": "0.0.1"},
        "variable_vals": [VALUE],
        "messages": [MESSAGE],
        "custom_model_config": {"model_id": "1", "temperature": 1},
        "custom_tools": [TOOL],
        "custom_tool_call_config": CHOICE,
    },
    "prompts/mget": {"queries": [{"prompt_key": "chat", "version": "1.0.0", "label": ""}]},
    "prompts/list": {"page_number": 1, "page_size": 5, "key_word": "", "creator": ""},
    "prompts": {"prompt_key": "chat", "prompt_name": "n", "prompt_description": "d", "prompt_type": "normal"},
    "prompts/1/drafts/save": {"prompt_draft": {"detail": DETAIL, "draft_info": {"base_version": ""}}},
    "prompts/1/drafts/commit": {"commit_version": "0.0.1", "commit_description": "x"},
    "prompts/1/commits/list": {"page_size": 5, "page_token": ""},
    "traces/ingest": {"spans": [SPAN]},
    "traces/search": {"trace_id": "t", "span_ids": ["s"], "limit": 5, "filters": {"filter_fields": [FILTER]}},
    "spans/search": {"start_time": "0", "order_bys": [{"field": "start_time", "is_asc": True}], "page_token": ""},
    "opentelemetry/v1/traces": {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [OTLP_SPAN]}]}]},
}


def places(value, at=()):
    """Give the path to everything in a JSON value."""
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*at, key))


def replaced(value, at, new):
    if not at:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = replaced(value[at[0]], at[1:], new)
    return copy


@pytest.mark.parametrize("path", BODIES)
def test_an_odd_value_anywhere_is_the_caller_s_mistake_or_none(server, path):
    body = {"workspace_id": server.workspace_id, **BODIES[path]}
    for at in places(body):
        for odd in ODD:
            written = json.dumps(replaced(body, at, odd))
            headers = {"Content-Type": "application/json"}
            response = server.session.post(f"{server.url}/v1/loop/{path}", written, headers=headers, timeout=20)
            answer = response.json()
            assert response.status_code in (200, 400) and answer.get("code") != 1, (at, odd, answer)


@pytest.mark.parametrize(
    "body",
    [b"\xff\xfe", b"{", b"[]", b"null", b'{"a":' * 100_000, b'{"a":NaN}', b"\x00", b"9" * 5000],
)
@pytest.mark.parametrize("path", BODIES)
def test_what_is_no_object_is_told(server, path, body):
    headers = {"Content-Type": "application/json"}
    response = server.session.post(f"{server.url}/v1/loop/{path}", body, headers=headers, timeout=20)
    assert response.json()["code"] in (600500201, 600500202)


@pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH", "OPTIONS", "TRACE", "FOO"])
def test_another_method_is_told_which_there_are(server, method):
    response = server.session.request(method, f"{server.url}/v1/loop/prompts/execute", timeout=20)
    assert response.status_code == 405
    assert method == "HEAD" or "POST /v1/loop/prompts/execute" in response.json()["msg"]


def test_what_is_of_another_type_is_never_left_out_or_taken_for_text(server):
    """A picture, a value or a choice that a model never saw would pass for one that it saw."""
    path, never = "prompts/execute", ("metadata", "tool_choice_specification", "extra")
    body = {"workspace_id": server.workspace_id, **BODIES[path]}
    checked = [at for at in places(body) if len(at) > 1 and isinstance(at[-1], str) and not set(at) & set(never)]
    checked = [at for at in checked if at[0] not in ("prompt_identifier", "custom_model_config")]
    assert len(checked) > 20
    for at in checked:
        code, message = server.refusal("/execute", replaced(BODIES[path], at, 7))
        assert code == 600500202 and ".".join(map(str, at[-1:])) in message, (at, message)
