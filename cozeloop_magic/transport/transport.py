"""`Transport`: how calls are made and their answers read, wherever the bytes come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import requests

from cozeloop_magic.errors import UnexpectedContent
from cozeloop_magic.transport.call import Call
from cozeloop_magic.transport.endpoint import Endpoint
from cozeloop_magic.transport.events import EventStream
from cozeloop_magic.transport.reply import Reply, log_id_of, read_reply

__all__ = ["JSON", "STREAM", "Transport"]

JSON = "application/json"
STREAM = "text/event-stream, application/json"


class Transport(ABC):
    """Makes calls. Its kinds differ in where an answer's bytes come from: a server, or a tape."""

    def call(
        self,
        endpoint: Endpoint,
        path: str,
        fields: Mapping[str, Any],
        call: Call,
        *,
        method: str = "POST",
        bare: bool = False,
    ) -> Reply:
        """Make a call and give its JSON answer.

        Parameters
        ----------
        fields : Mapping[str, Any]
            Go as a JSON body with POST, as a query with any other method.
        bare : bool
            Whether the answer may be nothing but its code 0.

        Raises
        ------
        LoopError
            A `TransportError` if no answer came that can be read, a `RemoteError` if the server said no.
        """
        response, endpoint = self.request(endpoint, method, path, fields, call, JSON)
        with response:
            return read_reply(response, endpoint, call, bare=bare)

    def stream(self, endpoint: Endpoint, path: str, body: Mapping[str, Any], call: Call) -> EventStream:
        """Post a JSON body and give the answer's server-sent events.

        Raises
        ------
        LoopError
            As `call`; also where the server answers with JSON in place of a stream.
        """
        response, endpoint = self.request(endpoint, "POST", path, body, call, STREAM)
        if _is_event_stream(response):
            return EventStream(response.raw, endpoint, call, log_id_of(response, endpoint))
        with response:
            reply = read_reply(response, endpoint, call)
        raise UnexpectedContent(
            f"The answer from {endpoint.name} is one JSON object where a stream was asked for.",
            hint="Run it again without streaming (--no-stream in a cell).",
            http_status=response.status_code,
            log_id=reply.log_id,
        )

    @abstractmethod
    def request(
        self, endpoint: Endpoint, method: str, path: str, fields: Mapping[str, Any], call: Call, accept: str
    ) -> tuple[requests.Response, Endpoint]:
        """Return the answer as soon as its headers are there, and the endpoint with the credentials that were sent.

        Raises
        ------
        LoopError
            If no answer came.
        """

    @abstractmethod
    def close(self) -> None:
        """End the calls under way, and let no other begin."""


def _is_event_stream(response: requests.Response) -> bool:
    kind = response.headers.get("Content-Type", "")
    return response.status_code == 200 and kind.partition(";")[0].strip().lower() == "text/event-stream"
