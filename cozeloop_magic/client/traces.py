"""What a server keeps of runs: their spans."""

from __future__ import annotations

import time

from cozeloop_magic.client.caller import Caller
from cozeloop_magic.client.replies import checked, read_spans
from cozeloop_magic.entities.trace import Span
from cozeloop_magic.errors import InvalidRequest, UnexpectedContent

__all__ = ["Traces"]

_SEARCH = "/v1/loop/traces/search"
_PAGE = 100
_DAY = 24 * 60 * 60 * 1000  # milliseconds


class Traces:
    """The traces of a client's workspace: ``client.traces``. Thread-safe."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def search(self, log_id: str = "", *, trace_id: str = "", days: float = 7) -> list[Span]:
        """Find the spans of a run, in the order they began (``POST /v1/loop/traces/search``).

        The span whose `span_type` is ``model`` tells what the model really got: its `messages`. Servers write spans a
        moment after the answer, and keep them for some days; the embedded Loop keeps the last ones in memory.

        Parameters
        ----------
        log_id : str
            The server's id of the call: an answer's or an error's ``log_id``.
        trace_id : str
            The id of the trace, in its place or beside it.
        days : float
            How far to look back.

        Raises
        ------
        InvalidRequest
            If there is neither id.
        """
        if not (log_id or trace_id):
            raise InvalidRequest("search needs a log id or a trace id.", hint="An answer has its log_id.")
        now = time.time_ns() // 1_000_000
        body = {"logid": log_id, "trace_id": trace_id, "page_size": _PAGE, "limit": _PAGE}
        body = {name: value for name, value in body.items() if value}
        times = {"start_time": str(now - round(days * _DAY)), "end_time": str(now + _DAY)}
        found: list[Span] = []
        token = ""
        while True:
            asked = {**body, **times} | ({"page_token": token} if token else {})
            page = checked(read_spans(self._caller.read(_SEARCH, asked)))
            found += page.spans
            if not page.has_more:
                return found
            if page.next_page_token in ("", token):
                raise UnexpectedContent(
                    "The server's list of spans goes on, but it does not say where.",
                    hint="Ask whoever runs the server.",
                )
            token = page.next_page_token
