"""Which spans a search means: the open API's ``filters``, as a test of one span."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cozeloop_magic.local.calls import invalid
from cozeloop_magic.local.spans import Span

__all__ = ["span_filter"]

MOST_LEVELS = 8
MOST_FIELDS = 100

Value = str | int | float | bool | None
IsMeant = Callable[[Span], bool]
_Compare = Callable[[Value, Sequence[Value]], bool]

_FIELDS: Mapping[str, Callable[[Span], Value]] = {
    "trace_id": lambda span: span.trace_id,
    "span_id": lambda span: span.span_id,
    "parent_id": lambda span: span.parent_id,
    "logid": lambda span: span.log_id,
    "log_id": lambda span: span.log_id,
    "span_name": lambda span: span.span_name,
    "span_type": lambda span: span.span_type,
    "psm": lambda span: span.service_name,
    "service_name": lambda span: span.service_name,
    "call_type": lambda span: span.call_type,
    "start_time": lambda span: span.started_at // 1000,
    "duration": lambda span: span.duration // 1000,
    "status_code": lambda span: span.status_code,
    "status": lambda span: "error" if span.status_code else "success",
    "input": lambda span: span.input,
    "output": lambda span: span.output,
}
"""A span's own fields, times in milliseconds as in the answer; every other name is that of a tag."""


def _order(holds: Callable[[Any, Any], bool]) -> _Compare:
    def compare(value: Value, wanted: Sequence[Value]) -> bool:
        return _is_number(value) and any(_is_number(each) and holds(value, each) for each in wanted)

    return compare


def _is_number(value: Value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _match(value: Value, wanted: Sequence[Value]) -> bool:
    return any(str(each).casefold() in str(value).casefold() for each in wanted)


_QUERIES: Mapping[str, _Compare] = {
    "match": lambda value, wanted: value is not None and _match(value, wanted),
    "not_match": lambda value, wanted: value is None or not _match(value, wanted),
    "eq": lambda value, wanted: value in wanted,
    "in": lambda value, wanted: value in wanted,
    "not_eq": lambda value, wanted: value not in wanted,
    "not_in": lambda value, wanted: value not in wanted,
    "lte": _order(operator.le),
    "gte": _order(operator.ge),
    "lt": _order(operator.lt),
    "gt": _order(operator.gt),
    "exist": lambda value, wanted: value is not None,
    "not_exist": lambda value, wanted: value is None,
}
_READERS: Mapping[str, Callable[[str], Value]] = {
    "string": str,
    "long": int,
    "double": float,
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
}


def span_filter(filters: Any) -> IsMeant:
    """Make a test of a search's ``filters``; without any, every span is meant.

    Raises
    ------
    RemoteError
        If it is no filter: an invalid parameter.
    """
    return _all_of(filters, MOST_LEVELS)


def _all_of(filters: Any, levels: int) -> IsMeant:
    if filters is None:
        return lambda span: True
    if not levels:
        raise invalid(f"filters are nested more than {MOST_LEVELS} deep.")
    fields = filters.get("filter_fields") if isinstance(filters, dict) else None
    relation = (filters.get("query_and_or") or "and") if isinstance(filters, dict) else None
    if not isinstance(fields, (list, type(None))) or relation not in ("and", "or"):
        raise invalid("filters must be an object with filter_fields, a list, and query_and_or: and, or.")
    if len(fields or ()) > MOST_FIELDS:
        raise invalid(f"filters has more than {MOST_FIELDS} fields.")
    tests = [_field(each, levels) for each in fields or ()]
    if not tests:
        return lambda span: True
    joined = all if relation == "and" else any
    return lambda span: joined(test(span) for test in tests)


def _field(field: Any, levels: int) -> IsMeant:
    if not isinstance(field, dict):
        raise invalid("filters.filter_fields must be a list of objects.")
    name, sub_filter = field.get("field_name") or "", field.get("sub_filter")
    tests = [] if sub_filter is None else [_all_of(sub_filter, levels - 1)]
    if not isinstance(name, str) or not (name or tests):
        raise invalid("A field of filters needs its field_name.")
    if name:
        tests.append(_comparison(name, field))
    joined = any if field.get("query_and_or") == "or" else all
    return lambda span: joined(test(span) for test in tests)


def _comparison(name: str, field: Mapping[str, Any]) -> IsMeant:
    kind, query = _word(field, "field_type", _READERS, "string"), _word(field, "query_type", _QUERIES, "in")
    values = field.get("values")
    if not isinstance(values, (list, type(None))) or not all(isinstance(each, str) for each in values or ()):
        raise invalid(f"The values of {name} must be a list of texts.")
    try:
        wanted = [_READERS[kind](each) for each in values or ()]
    except (ValueError, KeyError, OverflowError):
        raise invalid(f"A value of {name} is no {kind}.") from None
    compare = _QUERIES[query]
    return lambda span: compare(_value(span, name, kind), wanted)


def _word(field: Mapping[str, Any], name: str, choices: Mapping[str, Any], default: str) -> str:
    word = field.get(name) or default
    if not isinstance(word, str) or word not in choices:
        raise invalid(f"{name} must be one of: {', '.join(choices)}.")
    return word


def _value(span: Span, name: str, kind: str) -> Value:
    """Return a field or tag as the filter's type: numbers and flags may be compared as text, too."""
    if name in _FIELDS:
        value = _FIELDS[name](span)
    else:
        value = span.tags.get(name, span.system_tags.get(name))
    if kind == "string" and value is not None and not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value
