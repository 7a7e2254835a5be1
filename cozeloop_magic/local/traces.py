"""Taking the spans that SDKs send, and searching what is kept of runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cozeloop_magic.local.calls import Call, check_workspace, invalid, whole
from cozeloop_magic.local.filters import span_filter
from cozeloop_magic.local.spans import LONGEST_TEXT, MODEL_TYPES, ROOT, Span, Tag

__all__ = ["ingest", "search_spans", "search_trace"]

MOST_SPANS = 1000
MOST_BYTES = 4 * 1024 * 1024
"""About how much memory the spans of one answer may take: writing them holds up all else that goes on."""
_TYPES = (
    "prompt", "model", "parser", "embedding", "memory", "plugin", "function", "graph", "remote", "loader",
    "transformer", "vector_store", "vector_retriever", "agent", "LLMCall",
)  # fmt: skip
_TAGS = ("string", "long", "double", "bool")

Fields = dict[str, Any]


def ingest(call: Call) -> Fields:
    """Keep the spans of an SDK."""
    given = call.body.get("spans")
    if not isinstance(given, list) or not given or not all(isinstance(each, dict) for each in given):
        raise invalid("spans must be a list of objects, and not empty.")
    if len(given) > MOST_SPANS:
        raise invalid(f"spans must be at most {MOST_SPANS}.")
    for each in given:
        check_workspace(call.loop, each.get("workspace_id"))
    call.loop.spans.add([_read(each) for each in given])
    return {}


def search_trace(call: Call) -> Fields:
    """Give the spans of one run, by its trace id or log id, in the order they began."""
    call.check_workspace()
    trace_id, log_id = call.text("trace_id"), call.text("logid")
    if not (trace_id or log_id):
        raise invalid("trace_id or logid is missing.")
    ids = call.body.get("span_ids") or ()
    if not isinstance(ids, (list, tuple)) or not all(isinstance(each, str) for each in ids):
        raise invalid("span_ids must be a list of texts.")

    def is_meant(span: Span) -> bool:
        named = (not trace_id or span.trace_id == trace_id) and (not log_id or span.log_id == log_id)
        return named and (not ids or span.span_id in ids)

    found = _within(call, is_meant, newest_first=False)
    tokens = {side: str(_tokens(found, f"{side}_tokens")) for side in ("input", "output")}
    limit = call.number("limit", default=100, most=MOST_SPANS) if call.body.get("limit") else 100
    size = call.number("page_size", default=limit, most=MOST_SPANS)
    return {"data": {**_page(call, found, size), "traces_advance_info": {"tokens": tokens}}}


def search_spans(call: Call) -> Fields:
    """Give spans by time and filters, newest first: of each run the root, unless the call asks for others."""
    call.check_workspace()
    kind = call.choice("span_list_type", ("root_span", "all_span", "llm_span"), "root_span")
    tests = {
        "root_span": lambda span: span.is_root,
        "all_span": lambda span: True,
        "llm_span": lambda span: span.span_type in MODEL_TYPES,
    }
    found = _within(call, tests[kind], newest_first=not _is_ascending(call))
    return {"data": _page(call, found, call.number("page_size", default=20, most=MOST_SPANS))}


def _is_ascending(call: Call) -> bool:
    orders = call.body.get("order_bys") or ()
    if not isinstance(orders, (list, tuple)) or not all(isinstance(each, dict) for each in orders):
        raise invalid("order_bys must be a list of objects.")
    if any(each.get("field") not in (None, "", "start_time", "started_at") for each in orders):
        raise invalid("Spans are ordered by start_time only.")
    return any(each.get("is_asc") is True for each in orders)


def _within(call: Call, is_meant: Any, *, newest_first: bool) -> Sequence[Span]:
    """Return the spans that are meant, pass the filters, and began between the call's times."""
    passes = span_filter(call.body.get("filters"))
    begin, end = whole(call.body, "start_time"), whole(call.body, "end_time")

    def is_in(span: Span) -> bool:
        began = span.started_at // 1000
        return (not begin or began >= begin) and (not end or began <= end) and is_meant(span) and passes(span)

    return call.loop.spans.search(is_in, newest_first=newest_first)


def _page(call: Call, found: Sequence[Span], size: int) -> Fields:
    """Return a page: those behind the one that the token names."""
    token = call.text("page_token")
    begin = 0
    if token:
        places = [_token(span) for span in found]
        if token not in places:
            raise invalid("page_token is not one that this Loop gave out, or its span is gone.")
        begin = places.index(token) + 1
    page = _within_size(found[begin : begin + size])
    has_more = begin + len(page) < len(found)
    return {
        "spans": [_shown(span) for span in page],
        "has_more": has_more,
        "next_page_token": _token(page[-1]) if has_more else "",
    }


def _within_size(spans: Sequence[Span]) -> Sequence[Span]:
    """Return the first of them that fit in an answer, and one at least."""
    size = 0
    for number, span in enumerate(spans):
        size += span.size
        if number and size > MOST_BYTES:
            return spans[:number]
    return spans


def _token(span: Span) -> str:
    return f"{span.trace_id}.{span.span_id}"


def _tokens(spans: Iterable[Span], name: str) -> int:
    """Count tokens: those of the models' spans, as other spans only sum them up."""
    counts = (span.tags.get(name) for span in spans if span.span_type in MODEL_TYPES)
    return sum(count for count in counts if isinstance(count, int))


def _shown(span: Span) -> Fields:
    return {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "span_name": span.span_name,
        "span_type": span.span_type,
        "type": span.span_type if span.span_type in _TYPES else "unknown",
        "call_type": span.call_type,
        "service_name": span.service_name,
        "started_at": str(span.started_at // 1000),
        "duration": str(span.duration // 1000),
        "status": "error" if span.status_code else "success",
        "status_code": span.status_code,
        "input": span.input,
        "output": span.output,
        "logid": span.log_id,
        "custom_tags": {name: _tag_text(tag) for name, tag in span.tags.items()},
        "system_tags": {name: _tag_text(tag) for name, tag in span.system_tags.items()},
    }


def _tag_text(tag: Tag) -> str:
    return str(tag).lower() if isinstance(tag, bool) else str(tag)


# Reading an InputSpan. SDKs leave out what they do not know, and send numbers as numbers or as text.


def _read(given: Mapping[str, Any]) -> Span:
    words = {name: _text(given, name) for name in ("trace_id", "span_id")}
    if not all(words.values()):
        raise invalid("A span needs its trace_id and span_id.")
    return Span(
        **words,
        parent_id=_text(given, "parent_id") or ROOT,
        log_id=_text(given, "log_id"),
        span_name=_text(given, "span_name"),
        span_type=_text(given, "span_type"),
        service_name=_text(given, "service_name"),
        call_type=_text(given, "call_type") or "Custom",
        started_at=whole(given, "started_at_micros"),
        duration=whole(given, "duration_micros") or whole(given, "duration"),
        status_code=whole(given, "status_code"),
        input=_text(given, "input")[:LONGEST_TEXT],
        output=_text(given, "output")[:LONGEST_TEXT],
        tags=_tags(given, "tags"),
        system_tags=_tags(given, "system_tags"),
    )


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, (str, type(None))):
        raise invalid(f"A span's {name} must be text.")
    return value or ""


def _tags(given: Mapping[str, Any], name: str) -> dict[str, Tag]:
    """Read the tags of all types; what is sent as bytes is not kept."""
    tags: dict[str, Tag] = {}
    for kind in _TAGS:
        some = given.get(f"{name}_{kind}") or {}
        if not isinstance(some, dict) or not all(isinstance(each, (str, int, float)) for each in some.values()):
            raise invalid(f"A span's {name}_{kind} must be an object of {kind} values.")
        tags |= some
    return tags
