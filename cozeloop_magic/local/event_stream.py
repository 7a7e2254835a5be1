"""Server-sent events, as endpoints write them; and a body that is no stream of events, whole.

A line ends at a line feed, a carriage return or both, and nowhere else: an answer may hold other characters that some
call a line's end (https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

__all__ = ["Body", "read_body"]

_FIELDS = ("data", "event", "id", "retry")


class Body(NamedTuple):
    """A part of a body: an event, or all that is none.

    Attributes
    ----------
    text : str
        The event's data, its lines joined; or the body's other lines, at its end.
    event : str
        What kind of event it is; empty where it does not say.
    is_event : bool
        Whether it is one.
    """

    text: str
    event: str = ""
    is_event: bool = True


def read_body(chunks: Iterable[bytes]) -> Iterator[Body]:
    """Yield each event as soon as it is there, and then what is none, if it is not blank.

    An event ends at a blank line. Where a server writes none, it ends before the next ``data`` if it is JSON by then.
    """
    return (body for body in _bodies(chunks) if body.text.strip())


def _bodies(chunks: Iterable[bytes]) -> Iterator[Body]:
    others: list[str] = []
    data: list[str] = []
    event, streamed = "", False
    for line in _lines(chunks):
        name, _, value = line.partition(":")
        if not line.strip():
            if data:
                yield Body("\n".join(data), event)
            elif not streamed:
                others.append(line)
            data, event = [], ""
        elif name == "data":
            if data and _is_json("\n".join(data)):
                yield Body("\n".join(data), event)
                data, event = [], ""
            streamed = True
            data.append(value.removeprefix(" "))
        elif name == "event":
            event = value.strip()
        elif name and name not in _FIELDS:
            others.append(line)
    if data:
        yield Body("\n".join(data), event)
    if others:
        yield Body("\n".join(others).strip(), is_event=False)


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8-sig")("replace"), translate=True)
    pending = ""
    for chunk in chunks:
        *lines, pending = (pending + decoder.decode(chunk)).split("\n")
        yield from lines
    yield from (pending + decoder.decode(b"", final=True)).split("\n")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return text.strip() == "[DONE]"
    return True
