"""Calls to one Loop server, whatever they ask: where it is, how long a call may take, when it is made again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from cozeloop_magic.client.attempts import Attempts
from cozeloop_magic.errors import ClientClosed, InvalidRequest, LoopError
from cozeloop_magic.forks import register_after_fork
from cozeloop_magic.transport import EventStream, Reply, Transport
from cozeloop_magic.transport.call import Call, Timeouts, seconds_error
from cozeloop_magic.transport.endpoint import Connector, Endpoint
from cozeloop_magic.transport.retry import is_repeatable_read, is_repeatable_write

__all__ = ["Caller"]

T = TypeVar("T")


class Caller:
    """Makes calls to one Loop server. Thread-safe, and usable in a forked process.

    Parameters
    ----------
    find : Connector
        Finds the server; called at the first call.
    transport : Transport
        Does the HTTP.
    timeouts : Timeouts
        Limits of a call that names none.
    max_retries : int
        How many times a call may be made again.
    """

    def __init__(self, find: Connector, transport: Transport, timeouts: Timeouts, max_retries: int) -> None:
        self._find = find
        self._transport = transport
        self._timeouts = timeouts
        self._max_retries = max_retries
        self.endpoint: Endpoint | None = None
        self.closed = False
        self.after_fork()
        register_after_fork(self)

    def after_fork(self) -> None:
        """Leave the parent's lock to the parent."""
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close every connection, also under a call or a stream."""
        self.closed = True
        self._transport.close()

    def check_open(self) -> None:
        """Raise `ClientClosed` where it was closed."""
        if self.closed:
            raise ClientClosed("The client is closed.")

    def connect(self, progress: Callable[[str], None] | None = None) -> Endpoint:
        """Find the server. `progress` is told what takes time.

        The embedded Loop is looked for every time: it may have ended, and its port be another program's by now.
        """
        self.check_open()
        with self._lock:
            if self.endpoint is None or self.endpoint.local:
                self.endpoint = self._find(progress=progress)
            return self.endpoint

    def call(self, timeout: float | None = None, *, streamed: bool = False) -> Call:
        """Begin a call: its time runs from now."""
        if timeout is None:
            return Call(self._timeouts, streamed=streamed)
        if problem := seconds_error("timeout", timeout):
            raise InvalidRequest(problem)
        return Call(replace(self._timeouts, total=float(timeout)), streamed=streamed)

    def attempts(self, call: Call) -> Attempts:
        """Begin the attempts of a call."""
        return Attempts(call, self.connect(), self._reconnect, self._max_retries)

    def post(self, path: str, body: Mapping[str, Any], call: Call) -> Reply:
        """Make the call that spends tokens: again only where the server cannot have begun it, or asks for that."""
        return self.attempts(call).run(lambda at: self._transport.call(at, path, _in_workspace(body, at), call))

    def stream(self, at: Endpoint, path: str, body: Mapping[str, Any], call: Call) -> EventStream:
        """Make one attempt at a call whose answer is a stream."""
        return self._transport.stream(at, path, _in_workspace(body, at), call)

    def read(self, path: str, body: Mapping[str, Any], timeout: float | None = None) -> Reply:
        """Post what only reads: it may be made again whatever became of it."""
        return self._manage("POST", path, body, is_repeatable_read, timeout)

    def get(self, path: str, query: Mapping[str, str], timeout: float | None = None) -> Reply:
        """Read by a query."""
        return self._manage("GET", path, query, is_repeatable_read, timeout)

    def write(self, path: str, body: Mapping[str, Any]) -> Reply:
        """Post what changes something: it is made again only where the server has surely not heard it."""
        return self._manage("POST", path, body, is_repeatable_write)

    def delete(self, path: str) -> Reply:
        """Delete what stands at a path."""
        return self._manage("DELETE", path, {}, is_repeatable_write)

    def _manage(
        self,
        method: str,
        path: str,
        fields: Mapping[str, Any],
        is_repeatable: Callable[[LoopError], bool],
        timeout: float | None = None,
    ) -> Reply:
        call = self.call(timeout)

        def attempt(at: Endpoint) -> Reply:
            try:
                return self._transport.call(at, path, _in_workspace(fields, at), call, method=method, bare=True)
            except LoopError as fault:
                fault.repeatable = is_repeatable(fault)
                raise

        return self.attempts(call).run(attempt)

    def _reconnect(self, failed: Endpoint) -> Endpoint:
        with self._lock:
            if self.endpoint is failed:
                self.endpoint = self._find(failed=failed)
            return self.endpoint or failed


def _in_workspace(fields: Mapping[str, Any], at: Endpoint) -> dict[str, Any]:
    return {"workspace_id": at.workspace_id, **fields}
