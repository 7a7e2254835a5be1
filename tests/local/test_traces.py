"""Spans: those that SDKs send, and those that each run writes itself."""

from __future__ import annotations

import json
import threading
import time

import pytest

from cozeloop_magic.local.spans import Span, Spans
from tests.local.conftest import Parrot, asked


def call(server, path, body):
    body = {"workspace_id": server.workspace_id, **body}
    return server.session.post(f"{server.url}/v1/loop/{path}", json=body, timeout=30).json()


def ok(answer):
    assert answer["code"] == 0, answer
    return answer


def spans_of(server, log_id, **fields):
    return ok(call(server, "traces/search", {"logid": log_id, **fields}))["data"]["spans"]


def run(server, body, path="/execute"):
    response = server.post(path, body)
    return response, response.headers["x-tt-logid"]


def sent(server, **fields):
    """An InputSpan as the official SDK writes it."""
    return {
        "started_at_micros": 1_700_000_000_000_000,
        "log_id": "",
        "span_id": "s1",
        "parent_id": "0",
        "trace_id": "t1",
        "duration_micros": 2500,
        "service_name": "a service",
        "workspace_id": server.workspace_id,
        "span_name": "root",
        "span_type": "custom",
        "status_code": 0,
        "input": "in",
        "output": "out",
        "object_storage": "",
        "system_tags_string": {"runtime": "python"},
        "system_tags_long": {},
        "system_tags_double": {},
        "tags_string": {"word": "w"},
        "tags_long": {"n": 3},
        "tags_double": {"x": 0.5},
        "tags_bool": {"yes": True},
        **fields,
    }


class TestARun:
    def test_what_the_model_really_got_can_be_looked_up(self, server):
        _, log_id = run(server, asked(messages=[{"role": "user", "content": "{{topic}}?"}]))
        spans = {span["span_name"]: span for span in spans_of(server, log_id)}
        assert set(spans) == {"PromptExecutor", "PromptHub", "Sequence", "PromptTemplate", "parrot"}
        got = json.loads(spans["parrot"]["input"])["messages"]
        assert [message["content"] for message in got] == [
            "You are a helpful assistant for tea.",
            "Please help me with brewing it",
            "tea?",
        ]
        template = spans["PromptTemplate"]
        assert (
            json.loads(template["input"])["templates"][0]["content"] == "You are a helpful assistant for {{topic}}."
        )
        assert json.loads(template["output"])["prompts"] == got
        said = json.loads(spans["PromptExecutor"]["output"])["choices"][0]
        assert said["finish_reason"] == "stop" and said["message"]["content"].endswith("user: tea? ")
        tags = spans["parrot"]["custom_tags"]
        assert (tags["model_name"], tags["input_tokens"], tags["tokens"]) == ("parrot", "3", "20")
        assert (tags["prompt_key"], tags["prompt_version"], tags["stream"]) == ("ptaas_demo", "0.0.1", "false")
        assert json.loads(tags["call_options"]) == {"temperature": 0.2, "max_tokens": 320}

    def test_its_steps_stand_in_each_other(self, server):
        spans = {span["span_name"]: span for span in spans_of(server, run(server, asked())[1])}
        root, sequence = spans["PromptExecutor"], spans["Sequence"]
        assert root["parent_id"] == "0" and len({span["trace_id"] for span in spans.values()}) == 1
        assert spans["PromptHub"]["parent_id"] == sequence["parent_id"] == root["span_id"]
        assert spans["PromptTemplate"]["parent_id"] == spans["parrot"]["parent_id"] == sequence["span_id"]

    def test_a_stream_leaves_the_same(self, server):
        _, log_id = run(server, asked(), "/execute_streaming")
        model = {span["span_name"]: span for span in spans_of(server, log_id)}["parrot"]
        assert json.loads(model["output"])["choices"][0]["message"]["content"].endswith("brewing it ")
        assert model["custom_tags"]["stream"] == "true" and model["custom_tags"]["output_tokens"] == "15"

    def test_tools_are_among_what_it_got(self, server):
        tool = {"type": "function", "function": {"name": "look", "parameters": "{}"}}
        _, log_id = run(server, asked(custom_tools=[tool]))
        got = json.loads(spans_of(server, log_id)[-1]["input"])
        assert got["tools"] == [tool] and got["tool_choice"] == "auto"

    @pytest.mark.parametrize(
        ("body", "failed", "last"),
        [
            (asked("nobody"), {"PromptExecutor", "PromptHub"}, "PromptHub"),
            (asked(version="0.0.2", variable_vals=[]), {"PromptExecutor", "Sequence", "PromptTemplate"}, "Sequence"),
        ],
    )
    def test_a_failure_stands_where_it_happened(self, server, body, failed, last):
        response, log_id = run(server, body)
        spans = spans_of(server, log_id)
        assert {span["span_name"] for span in spans if span["status"] == "error"} == failed
        for span in spans:
            if span["status"] == "error":
                assert span["status_code"] == response.json()["code"]
                assert span["custom_tags"]["error"] == response.json()["msg"]

    def test_a_model_that_fails_in_the_middle_leaves_what_it_said(self, start):
        server = start(Parrot(fails_after=3))
        _, log_id = run(server, asked(), "/execute_streaming")
        spans = {span["span_name"]: span for span in spans_of(server, log_id)}
        assert spans["parrot"]["status"] == "error" and spans["PromptTemplate"]["status"] == "success"
        assert json.loads(spans["parrot"]["output"])["choices"][0]["message"]["content"] == "system: You are "

    def test_a_caller_who_leaves_is_noted(self, start):
        server = start(Parrot(seconds_a_word=0.02))
        long = asked(messages=[{"role": "user", "content": "word " * 500}])
        response = server.post("/execute_streaming", long, stream=True)
        next(response.iter_lines())
        response.close()
        until = time.monotonic() + 60
        while not (spans := spans_of(server, response.headers["x-tt-logid"])) and time.monotonic() < until:
            time.sleep(0.05)
        model = {span["span_name"]: span for span in spans}["parrot"]
        assert model["status_code"] == -1 and "left" in model["custom_tags"]["error"]
        assert json.loads(model["output"])["choices"][0]["finish_reason"] == ""

    def test_a_call_that_is_not_for_this_workspace_leaves_nothing(self, server):
        _, log_id = run(server, asked(workspace_id="1"))
        assert spans_of(server, log_id) == []


class TestIngest:
    def test_what_an_sdk_sends_is_found_again(self, server):
        ok(call(server, "traces/ingest", {"spans": [sent(server, trace_id="found", log_id="L1")]}))
        (span,) = ok(call(server, "traces/search", {"trace_id": "found"}))["data"]["spans"]
        assert span == spans_of(server, "L1")[0]
        assert (span["span_name"], span["type"], span["call_type"]) == ("root", "unknown", "Custom")
        assert (span["started_at"], span["duration"]) == ("1700000000000", "2")
        assert span["custom_tags"] == {"word": "w", "n": "3", "x": "0.5", "yes": "true"}
        assert span["system_tags"] == {"runtime": "python"}

    def test_numbers_may_be_text_and_what_is_unknown_left_out(self, server):
        bare = {"trace_id": "bare", "span_id": "1", "workspace_id": int(server.workspace_id)}
        bare |= {"started_at_micros": "1700000000000000", "duration": "3000", "status_code": 500}
        ok(call(server, "traces/ingest", {"spans": [bare]}))
        (span,) = ok(call(server, "traces/search", {"trace_id": "bare"}))["data"]["spans"]
        assert (span["parent_id"], span["duration"], span["status"]) == ("0", "3", "error")

    def test_one_that_is_sent_twice_is_there_once(self, server):
        for name in ("first", "second"):
            ok(call(server, "traces/ingest", {"spans": [sent(server, trace_id="twice", span_name=name)]}))
        (span,) = ok(call(server, "traces/search", {"trace_id": "twice"}))["data"]["spans"]
        assert span["span_name"] == "second"

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"workspace_id": "1"}, 600500101),
            ({"trace_id": ""}, 600500202),
            ({"span_id": None}, 600500202),
            ({"span_name": 5}, 600500202),
            ({"input": {"a": 1}}, 600500202),
            ({"started_at_micros": "soon"}, 600500202),
            ({"duration_micros": 2**63}, 600500202),
            ({"status_code": True}, 600500202),
            ({"tags_string": ["x"]}, 600500202),
            ({"tags_long": {"x": []}}, 600500202),
        ],
    )
    def test_what_is_no_span_is_told(self, server, change, code):
        assert call(server, "traces/ingest", {"spans": [sent(server, **change)]})["code"] == code

    @pytest.mark.parametrize("spans", [None, [], "x", [1], [{}] * 1001])
    def test_nor_is_this(self, server, spans):
        assert call(server, "traces/ingest", {"spans": spans})["code"] == 600500202


@pytest.fixture(scope="module")
def many(server):
    """Ten runs, each with a root and a model's span, a second apart; times in milliseconds."""
    begin = 1_600_000_000_000
    for number in range(10):
        at = {"trace_id": f"many{number}", "started_at_micros": (begin + 1000 * number) * 1000}
        root = sent(server, **at, span_name=f"root {number}", status_code=number % 2)
        model = sent(server, **at, span_id="s2", parent_id="s1", span_type="model", tags_long={"input_tokens": 7})
        ok(call(server, "traces/ingest", {"spans": [root, model]}))
    return {"start_time": str(begin), "end_time": begin + 9000}


class TestSearch:
    def names(self, server, **fields):
        found = [s["span_name"] for s in ok(call(server, "spans/search", fields))["data"]["spans"]]
        return [name for name in found if name != "late"]

    def test_by_time_newest_first(self, server, many):
        assert self.names(server, **many) == [f"root {n}" for n in range(9, -1, -1)]
        assert self.names(server, **many, order_bys=[{"field": "start_time", "is_asc": True}])[0] == "root 0"
        some = {"start_time": int(many["start_time"]) + 2000, "end_time": int(many["start_time"]) + 3000}
        assert self.names(server, **some) == ["root 3", "root 2"]

    def test_page_by_page_also_while_more_come(self, server, many):
        seen, token = [], ""
        while True:
            data = ok(call(server, "spans/search", {**many, "page_size": 3, "page_token": token}))["data"]
            seen += [s["span_name"] for s in data["spans"]]
            late = sent(server, trace_id=f"late{token}", started_at_micros=1_600_000_008_500_000, span_name="late")
            ok(call(server, "traces/ingest", {"spans": [late]}))
            token = data["next_page_token"]
            if not data["has_more"]:
                break
        assert [name for name in seen if name != "late"] == [f"root {n}" for n in range(9, -1, -1)]

    def test_a_page_of_large_ones_is_shorter(self, server):
        texts = {"input": "x" * 1_000_000, "output": "y" * 1_000_000}
        for number in range(5):
            ok(
                call(
                    server, "traces/ingest", {"spans": [sent(server, trace_id="large", span_id=str(number), **texts)]}
                )
            )
        seen, token = [], ""
        while True:
            data = ok(call(server, "traces/search", {"trace_id": "large", "page_token": token}))["data"]
            assert len(data["spans"]) <= 2
            seen += [s["span_id"] for s in data["spans"]]
            token = data["next_page_token"]
            if not data["has_more"]:
                break
        assert seen == ["0", "1", "2", "3", "4"]

    def test_the_models_spans_or_all(self, server, many):
        assert len(self.names(server, **many, span_list_type="llm_span")) == 10
        data = ok(call(server, "spans/search", {**many, "span_list_type": "all_span", "page_size": 100}))["data"]
        assert len([s for s in data["spans"] if s["trace_id"].startswith("many")]) == 20

    def test_a_run_tells_its_tokens(self, server, many):
        data = ok(call(server, "traces/search", {"trace_id": "many3"}))["data"]
        assert data["traces_advance_info"] == {"tokens": {"input": "7", "output": "0"}}
        assert [s["span_id"] for s in data["spans"]] == ["s1", "s2"]
        assert len(ok(call(server, "traces/search", {"trace_id": "many3", "span_ids": ["s2"]}))["data"]["spans"]) == 1

    @pytest.mark.parametrize(
        ("field", "found"),
        [
            ({"field_name": "span_name", "query_type": "eq", "values": ["root 4"]}, 1),
            ({"field_name": "span_name", "query_type": "in", "values": ["root 4", "root 5"]}, 2),
            ({"field_name": "span_name", "query_type": "match", "values": ["ROOT"]}, 10),
            ({"field_name": "span_name", "query_type": "not_match", "values": ["4"]}, 9),
            ({"field_name": "status", "query_type": "eq", "values": ["error"]}, 5),
            ({"field_name": "status_code", "field_type": "long", "query_type": "not_eq", "values": ["0"]}, 5),
            ({"field_name": "n", "field_type": "long", "query_type": "gte", "values": ["3"]}, 10),
            ({"field_name": "n", "field_type": "long", "query_type": "lt", "values": ["3"]}, 0),
            ({"field_name": "x", "field_type": "double", "query_type": "gt", "values": ["0.4"]}, 10),
            ({"field_name": "yes", "field_type": "bool", "query_type": "eq", "values": ["true"]}, 10),
            ({"field_name": "n", "query_type": "eq", "values": ["3"]}, 10),
            ({"field_name": "nothing", "query_type": "exist"}, 0),
            ({"field_name": "nothing", "query_type": "not_exist"}, 10),
            ({"field_name": "nothing", "field_type": "long", "query_type": "lte", "values": ["3"]}, 0),
            ({"field_name": "runtime", "query_type": "eq", "values": ["python"]}, 10),
            ({"field_name": "logid", "query_type": "not_in", "values": ["x"]}, 10),
            (
                {
                    "sub_filter": {
                        "query_and_or": "or",
                        "filter_fields": [
                            {"field_name": "span_name", "query_type": "eq", "values": ["root 1"]},
                            {"field_name": "span_name", "query_type": "eq", "values": ["root 2"]},
                        ],
                    }
                },
                2,
            ),
        ],
    )
    def test_by_filters(self, server, many, field, found):
        meant = {"field_name": "trace_id", "query_type": "match", "values": ["many"]}
        filters = {"query_and_or": "and", "filter_fields": [meant, field]}
        assert len(self.names(server, **many, filters=filters)) == found

    @pytest.mark.parametrize(
        "fields",
        [
            {"filters": []},
            {"filters": {"filter_fields": "x"}},
            {"filters": {"query_and_or": "xor", "filter_fields": []}},
            {"filters": {"query_and_or": ["or"], "filter_fields": []}},
            {"filters": {"filter_fields": [{}]}},
            {"filters": {"filter_fields": [{"field_name": ["x"]}]}},
            {"filters": {"filter_fields": [{"field_name": "x", "field_type": ["long"]}]}},
            {"filters": {"filter_fields": [{"field_name": "x", "query_type": "like"}]}},
            {"filters": {"filter_fields": [{"field_name": "x", "field_type": "long", "values": ["x"]}]}},
            {"filters": {"filter_fields": [{"field_name": "x", "values": [1]}]}},
            {"filters": {"filter_fields": [{"field_name": "x"}] * 101}},
            {"span_list_type": "some"},
            {"order_bys": [{"field": "tokens"}]},
            {"order_bys": "start_time"},
            {"page_size": 0},
            {"page_token": "x"},
            {"start_time": "yesterday"},
            {"end_time": 1.5},
        ],
    )
    def test_what_cannot_be_searched_is_told(self, server, fields):
        assert call(server, "spans/search", fields)["code"] == 600500202

    def test_filters_are_not_nested_for_ever(self, server):
        filters = {"filter_fields": []}
        for _ in range(50):
            filters = {"filter_fields": [{"sub_filter": filters}]}
        assert call(server, "spans/search", {"filters": filters})["code"] == 600500202

    def test_a_run_needs_an_id(self, server):
        assert call(server, "traces/search", {})["code"] == 600500202
        assert call(server, "traces/search", {"logid": 5})["code"] == 600500202
        assert call(server, "traces/search", {"logid": "x", "span_ids": "s"})["code"] == 600500202


class TestTheBounds:
    def span(self, number, **fields):
        return Span("t", str(number), started_at=number, **fields)

    def kept(self, spans):
        return [span.started_at for span in spans.search(lambda span: True, newest_first=False)]

    def test_the_oldest_go_first(self):
        spans = Spans(most=3)
        spans.add(map(self.span, range(5)))
        assert self.kept(spans) == [2, 3, 4]

    def test_bytes_are_bounded_too(self):
        spans = Spans(most_bytes=10_000)
        for number in range(9):
            spans.add([self.span(number, input="x" * 3500)])
        assert self.kept(spans) == [7, 8]
        spans.add([self.span(10, tags={"x": "y" * 5000})])
        assert self.kept(spans) == [10]
        spans.add([self.span(11, output="z" * 20_000)])
        assert self.kept(spans) == []

    def test_what_takes_the_place_of_another_counts_once(self):
        spans = Spans(most_bytes=10_000)
        for _ in range(9):
            spans.add([self.span(1, input="x" * 3500)])
        assert self.kept(spans) == [1]

    def test_threads_may_add_and_search_at_once(self):
        spans = Spans(most=100)
        threads = [
            threading.Thread(target=lambda: [(spans.add([self.span(n)]), self.kept(spans)) for n in range(200)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert self.kept(spans) == list(range(100, 200))
