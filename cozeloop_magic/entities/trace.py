"""Spans: the steps of a run, named as in the open API of the Coze Loop server (``OutputSpan``)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cozeloop_magic.entities import wire
from cozeloop_magic.entities.prompt import Message
from cozeloop_magic.entities.wire import Wire

__all__ = ["Span", "SpanPage"]


@dataclass(frozen=True, repr=False)
class Span(Wire):
    """One step of a run.

    Attributes
    ----------
    trace_id, span_id, parent_id : str
        Its run, itself, and the step it is a part of; ``0`` for none.
    span_name, span_type : str
        What it is called, and of which kind it is: ``model`` is a model's answer.
    status : str or None
        ``success`` or ``error``.
    status_code : int or None
        0, or what went wrong; -1 where no code says it.
    started_at, duration : int or None
        In milliseconds, since 1970 and long.
    input, output : str or None
        What it got and gave, most often as JSON.
    logid : str or None
        The server's id of the call it belongs to.
    custom_tags, system_tags : Mapping[str, str] or None
        What else is told of it: ``model_name``, ``input_tokens``, ``error``, ...
    """

    trace_id: str = wire.absent(wire.as_text, "")
    span_id: str = wire.absent(wire.as_text, "")
    parent_id: str = wire.absent(wire.as_text, "")
    span_name: str = wire.absent(wire.as_text, "")
    span_type: str = wire.absent(wire.as_text, "")
    status: str | None = wire.text()
    status_code: int | None = wire.kept()
    started_at: int | None = wire.count()
    duration: int | None = wire.count()
    input: str | None = wire.text()
    output: str | None = wire.text()
    logid: str | None = wire.text()
    custom_tags: Mapping[str, str] | None = wire.kept()
    system_tags: Mapping[str, str] | None = wire.kept()

    @property
    def messages(self) -> Sequence[Message]:
        """The messages that a model got; empty where none can be read in `input`."""
        try:
            written = json.loads(self.input or "{}")["messages"]
            return tuple(Message.from_json(each) for each in written if isinstance(each, Mapping))
        except (ValueError, KeyError, TypeError, RecursionError):
            return ()


@dataclass(frozen=True, repr=False)
class SpanPage(Wire):
    """Some spans of a run, and what asks for the next ones."""

    spans: Sequence[Span] = wire.many(Span, ())
    has_more: bool = wire.flag(False)
    next_page_token: str = wire.text("")
