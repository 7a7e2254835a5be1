"""Taking spans as OpenTelemetry sends them: OTLP over HTTP, as protobuf or JSON, packed with gzip or not.

Unlike the platform's own calls, one that is refused is answered with HTTP 400, so that exporters tell it.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cozeloop_magic.errors import RemoteError, remote_error
from cozeloop_magic.local.calls import BAD_REQUEST, Loop, answer, check_workspace, failure, parse
from cozeloop_magic.local.gate import LARGEST_BODY
from cozeloop_magic.local.spans import LONGEST_TEXT, ROOT, Span, Tag

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1 import trace_pb2

__all__ = ["take_otlp"]

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
FAILED = -1
"""The status code of a span that OpenTelemetry calls an error."""

_IDS = ("traceId", "spanId", "parentSpanId")
_WORKSPACE = "cozeloop.workspace_id"
# What an attribute is to the platform; the first of each that is there counts.
_SPAN_TYPE = ("cozeloop.span_type", "gen_ai.request.type", "gen_ai.operation.name", "openinference.span.kind")
_INPUT = ("cozeloop.input", "input.value", "gen_ai.input.messages", "traceloop.entity.input")
_OUTPUT = ("cozeloop.output", "output.value", "gen_ai.output.messages", "traceloop.entity.output")
_LOG_ID = ("cozeloop.logid",)
_TAGS = {
    "gen_ai.request.model": "model_name",
    "gen_ai.response.model": "model_name",
    "gen_ai.usage.input_tokens": "input_tokens",
    "gen_ai.usage.output_tokens": "output_tokens",
    "cozeloop.prompt_key": "prompt_key",
    "cozeloop.prompt_version": "prompt_version",
}
_MODEL_TYPES = ("chat", "llm", "text_completion", "generate_content")


async def take_otlp(request: Request) -> Response:
    """Keep the spans of an exporter."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind not in (PROTOBUF, JSON):
            raise remote_error(f"Content-Type must be {PROTOBUF} or {JSON}.", code=BAD_REQUEST)
        await run_in_threadpool(_keep, request.scope["loop"], await request.body(), kind, request.headers)
    except RemoteError as error:
        return answer(failure(error), http_status=400)
    # An empty message: all was taken.
    return Response(b"" if kind == PROTOBUF else b"{}", media_type=kind)


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise remote_error("Content-Encoding must be gzip, or none.", code=BAD_REQUEST)
    inflate = zlib.decompressobj(wbits=31)
    try:
        unpacked = inflate.decompress(body, LARGEST_BODY)
    except zlib.error:
        raise remote_error("The body is not gzip.", code=BAD_REQUEST) from None
    if not inflate.eof:
        what = f"longer than {LARGEST_BODY >> 20} MB" if inflate.unconsumed_tail else "cut off"
        raise remote_error(f"The body, unpacked, is {what}.", code=BAD_REQUEST)
    return unpacked


def _keep(loop: Loop, body: bytes, kind: str, headers: Mapping[str, str]) -> None:
    body = _unpacked(body, headers.get("content-encoding", "").lower())
    message = _read_protobuf(body) if kind == PROTOBUF else _read_json(body)
    spans = []
    for resource in message.resource_spans:
        about = _values(resource.resource.attributes)
        for scope in resource.scope_spans:
            for each in scope.spans:
                values = _values(each.attributes)
                workspace = values.get(_WORKSPACE) or about.get(_WORKSPACE) or headers.get("cozeloop-workspace-id")
                if workspace:
                    check_workspace(loop, workspace)
                spans.append(_span(each, values, str(about.get("service.name") or "")))
    loop.spans.add(spans)


def _read_protobuf(body: bytes) -> ExportTraceServiceRequest:
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    try:
        return ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        raise remote_error("The body is no protobuf of an ExportTraceServiceRequest.", code=BAD_REQUEST) from None


def _read_json(body: bytes) -> ExportTraceServiceRequest:
    from google.protobuf.json_format import ParseDict
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    try:
        return ParseDict(_with_protobuf_ids(parse(body)), ExportTraceServiceRequest(), ignore_unknown_fields=True)
    except Exception:  # protobuf's own, and what it comes up with for half a character
        raise remote_error("The body is no JSON of an ExportTraceServiceRequest.", code=BAD_REQUEST) from None


def _with_protobuf_ids(message: Any) -> Any:
    """Write ids as protobuf's own JSON does, in base64; OTLP's has them in hexadecimal digits."""
    if isinstance(message, list):
        return [_with_protobuf_ids(each) for each in message]
    if not isinstance(message, dict):
        return message
    written = {name: _with_protobuf_ids(value) for name, value in message.items()}
    for name in _IDS:
        if written.get(name):
            written[name] = b64encode(bytes.fromhex(written[name])).decode()
    return written


def _span(span: trace_pb2.Span, values: Mapping[str, Tag], service: str) -> Span:
    from opentelemetry.proto.trace.v1.trace_pb2 import Status

    known = {_WORKSPACE, *_SPAN_TYPE, *_INPUT, *_OUTPUT, *_LOG_ID}
    tags = {_TAGS.get(name, name): value for name, value in values.items() if name not in known}
    if span.status.message:
        tags["error"] = span.status.message
    kind = _first(values, _SPAN_TYPE)
    return Span(
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex() or ROOT,
        _first(values, _LOG_ID),
        span.name,
        "model" if kind.lower() in _MODEL_TYPES else kind or "custom",
        service,
        "Custom",
        span.start_time_unix_nano // 1000,
        max(0, span.end_time_unix_nano - span.start_time_unix_nano) // 1000,
        FAILED if span.status.code == Status.STATUS_CODE_ERROR else 0,
        _first(values, _INPUT)[:LONGEST_TEXT],
        _first(values, _OUTPUT)[:LONGEST_TEXT],
        tags,
    )


def _first(values: Mapping[str, Tag], names: Iterable[str]) -> str:
    return next((str(values[name]) for name in names if values.get(name)), "")


def _values(attributes: Iterable[KeyValue]) -> dict[str, Tag]:
    return {each.key: value for each in attributes if (value := _plain(each.value)) is not None}


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return json.dumps([_plain(each) for each in value.array_value.values], ensure_ascii=False)
    if kind == "kvlist_value":
        return json.dumps(dict(_pairs(value.kvlist_value.values)), ensure_ascii=False)
    return None if kind in (None, "bytes_value") else getattr(value, kind)


def _pairs(values: Iterable[KeyValue]) -> Iterator[tuple[str, Any]]:
    return ((each.key, _plain(each.value)) for each in values)
