"""Spans as OpenTelemetry sends them, and files beside them."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PROTOBUF, JSON = "application/x-protobuf", "application/json"


def exported(trace_id, **attributes):
    """Make what an exporter sends: one service with one span."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    add(resource.resource.attributes, "service.name", "a service")
    span = resource.scope_spans.add().spans.add(
        trace_id=bytes.fromhex(trace_id), span_id=b"\x01" * 8, parent_span_id=b"\x02" * 8, name="answer",
        start_time_unix_nano=1_700_000_000_000_000_000, end_time_unix_nano=1_700_000_000_007_000_000,
    )  # fmt: skip
    for name, value in attributes.items():
        add(span.attributes, name, value)
    return message


def add(attributes, key, value):
    added = attributes.add(key=key).value
    if isinstance(value, list):
        for each in value:
            added.array_value.values.add(string_value=each)
    elif isinstance(value, dict):
        for name, each in value.items():
            add(added.kvlist_value.values, name, each)
    else:
        kind = {
            str: "string_value",
            bool: "bool_value",
            int: "int_value",
            float: "double_value",
            bytes: "bytes_value",
        }
        setattr(added, kind[type(value)], value)


def as_json(trace_id):
    """What an exporter sends as JSON, as OTLP's own documentation writes it."""
    span = {
        "traceId": trace_id,
        "spanId": "EEE19B7EC3C1B174",
        "parentSpanId": "",
        "name": "I'm a span",
        "startTimeUnixNano": "1700000000000000000",
        "endTimeUnixNano": "1700000000001000000",
        "kind": 2,
        "attributes": [{"key": "my.span.attr", "value": {"stringValue": "some value"}}],
        "status": {"code": 2, "message": "it broke"},
        "flags": 256,
        "unknownField": 1,
    }
    return {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"scope": {}, "spans": [span]}]}]}


def send(server, body, kind=PROTOBUF, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"{server.url}/v1/loop/opentelemetry/v1/traces"
    return server.session.post(url, data=body, headers={"Content-Type": kind, **named}, timeout=30)


def found(server, trace_id):
    body = {"workspace_id": server.workspace_id, "trace_id": trace_id}
    answer = server.session.post(f"{server.url}/v1/loop/traces/search", json=body, timeout=30).json()
    return answer["data"]["spans"]


class TestProtobuf:
    def test_it_is_kept_as_the_platform_names_it(self, server):
        attributes = {
            "cozeloop.input": "in", "cozeloop.output": "out", "cozeloop.logid": "L9", "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 5, "flag": True, "share": 0.5, "raw": b"x",
            "some": ["a", "b"], "deep": {"a": 1}, "cozeloop.workspace_id": server.workspace_id,
        }  # fmt: skip
        message = exported("aa" * 16, **attributes)
        response = send(server, message.SerializeToString())
        assert response.status_code == 200 and response.headers["content-type"] == PROTOBUF
        assert ExportTraceServiceResponse.FromString(response.content) == ExportTraceServiceResponse()
        (span,) = found(server, "aa" * 16)
        assert (span["span_id"], span["parent_id"]) == ("01" * 8, "02" * 8)
        assert (span["span_name"], span["span_type"], span["service_name"]) == ("answer", "model", "a service")
        assert (span["input"], span["output"], span["logid"], span["duration"]) == ("in", "out", "L9", "7")
        assert span["custom_tags"] == {
            "model_name": "m", "input_tokens": "5", "flag": "true", "share": "0.5", "some": '["a", "b"]',
            "deep": '{"a": 1}',
        }  # fmt: skip

    def test_it_may_be_packed(self, server):
        packed = gzip.compress(exported("bb" * 16).SerializeToString(), mtime=0)
        assert send(server, packed, Content_Encoding="gzip").status_code == 200
        assert len(found(server, "bb" * 16)) == 1

    def test_another_workspace_is_refused(self, server):
        response = send(server, exported("cc" * 16).SerializeToString(), cozeloop_workspace_id="1")
        assert response.status_code == 400 and response.json()["code"] == 600500101
        assert not found(server, "cc" * 16)
        message = exported("cc" * 16, **{"cozeloop.workspace_id": "1"})
        named = {"cozeloop_workspace_id": server.workspace_id}
        assert send(server, message.SerializeToString(), **named).json()["code"] == 600500101

    @pytest.mark.parametrize("body", [b"\xff\xff", b"{}", exported("dd" * 16).SerializeToString()[:-3]])
    def test_what_is_none_is_told(self, server, body):
        response = send(server, body)
        assert response.status_code == 400 and "protobuf" in response.json()["msg"]


class TestJson:
    def test_its_ids_are_hexadecimal_digits(self, server):
        response = send(server, json.dumps(as_json("5B8EFFF798038103D269B633813FC60C")), f"{JSON}; charset=utf-8")
        assert (response.status_code, response.json()) == (200, {})
        (span,) = found(server, "5b8efff798038103d269b633813fc60c")
        assert (span["span_id"], span["parent_id"], span["status"]) == ("eee19b7ec3c1b174", "0", "error")
        assert span["custom_tags"] == {"my.span.attr": "some value", "error": "it broke"}

    @pytest.mark.parametrize(
        "body",
        [
            "x",
            "[]",
            "[" * 100_000,
            '{"resourceSpans": 5}',
            '{"resourceSpans": ["\\ud800"]}',
            json.dumps(as_json("odd")),
            json.dumps(as_json(["x"])),
            '{"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": "1e400"}]}]}]}',
        ],
    )
    def test_what_is_none_is_told(self, server, body):
        response = send(server, body, JSON)
        assert response.status_code == 400 and "JSON" in response.json()["msg"]


class TestPacking:
    @pytest.mark.parametrize(
        ("body", "encoding", "words"),
        [
            (b"xyz", "gzip", "not gzip"),
            (gzip.compress(b"x" * 1000, mtime=0)[:-10], "gzip", "cut off"),
            (b"x", "br", "must be gzip"),
            (gzip.compress(bytes(20 * 1024 * 1024), mtime=0), "gzip", "longer than 16 MB"),
            (zlib.compress(b"x"), "gzip", "not gzip"),
        ],
    )
    def test_what_cannot_be_unpacked_is_told(self, server, body, encoding, words):
        response = send(server, body, Content_Encoding=encoding)
        assert response.status_code == 400 and words in response.json()["msg"]

    def test_the_kind_must_be_known(self, server):
        assert send(server, b"", "text/plain").status_code == 400


class TestFiles:
    def upload(self, server, **kwargs):
        return server.session.post(f"{server.url}/v1/loop/files/upload", timeout=30, **kwargs)

    def test_one_is_taken_and_its_size_told(self, server):
        data = {"workspace_id": server.workspace_id}
        response = self.upload(server, data=data, files={"file": ("t_s_input_text", b"\xe9" * 3_000_000)})
        assert response.json()["data"] == {"bytes": "3000000", "file_name": "t_s_input_text"}

    @pytest.mark.parametrize(
        ("data", "files", "code"),
        [
            ({"workspace_id": "1"}, {"file": ("a", b"x")}, 600500101),
            ({}, {"file": ("a", b"x")}, 600500202),
            ({"workspace_id": "W", "file": "text"}, {"other": ("a", b"x")}, 600500202),
        ],
    )
    def test_what_is_missing_is_told(self, server, data, files, code):
        data = {name: server.workspace_id if value == "W" else value for name, value in data.items()}
        assert self.upload(server, data=data, files=files).json()["code"] == code

    @pytest.mark.parametrize(
        ("body", "kind"), [(b"x", "multipart/form-data"), (b"x", "multipart/form-data; boundary=b"), (b"{}", JSON)]
    )
    def test_what_is_no_form_is_told(self, server, body, kind):
        answer = self.upload(server, data=body, headers={"Content-Type": kind}).json()
        assert answer["code"] in (600500201, 600500202)

    def test_two_files_are_one_too_many(self, server):
        files = [("file", ("a", b"x")), ("file", ("b", b"x"))]
        assert (
            self.upload(server, data={"workspace_id": server.workspace_id}, files=files).json()["code"] == 600500201
        )

    def test_one_that_does_not_say_how_long_it_is_is_counted(self, server):
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = self.upload(server, data=(bytes(1024 * 1024) for _ in range(20)), headers=headers).json()
        assert answer["code"] == 600500201
