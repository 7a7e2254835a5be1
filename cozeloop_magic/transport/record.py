"""`RecordingTransport`: makes calls as another transport does, and puts each on a tape as it ends."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

import requests

from cozeloop_magic.errors import TransportError
from cozeloop_magic.tape import Exchange, Fault, Header, TapeWriter
from cozeloop_magic.transport.call import Call
from cozeloop_magic.transport.endpoint import Endpoint
from cozeloop_magic.transport.scrub import SHORTEST, hidden_in_text, hidden_in_value, secrets_of_environment
from cozeloop_magic.transport.secret import Secret
from cozeloop_magic.transport.transport import Transport

__all__ = ["RecordingTransport"]

_HEADERS = ("Content-Type", "Retry-After", "X-Loop-Model", "X-Loop-Notes", "X-Log-ID", "x-tt-logid")


class RecordingTransport(Transport):
    """Makes calls over another transport and records them.

    The workspace, the credentials, and whatever the environment names as a token, key, secret or password are left
    out. A call that a person stopped is not recorded.

    Parameters
    ----------
    inner : Transport
        Who calls.
    writer : TapeWriter
        Where exchanges go.
    """

    def __init__(self, inner: Transport, writer: TapeWriter) -> None:
        self._inner = inner
        self._writer = writer
        self._recorded_at = datetime.now(timezone.utc).isoformat(timespec="seconds")

    def close(self) -> None:
        """Close the other transport."""
        self._inner.close()

    def request(
        self, endpoint: Endpoint, method: str, path: str, fields: Mapping[str, Any], call: Call, accept: str
    ) -> tuple[requests.Response, Endpoint]:
        """Send a request and record what comes; see `Transport`."""
        began = time.monotonic()
        fields = {name: value for name, value in fields.items() if name != "workspace_id"}
        try:
            response, shown = self._inner.request(
                endpoint, method, path, {"workspace_id": endpoint.workspace_id, **fields}, call, accept
            )
        except TransportError as error:
            if not call.cancelled:
                fault = Fault(type(error).__name__, error.message, error.hint, error.repeatable)
                self._write(Exchange(method, path, fields, time.monotonic() - began, fault=fault), endpoint)
            raise
        at = time.monotonic() - began

        def keep(chunks: list[tuple[float, str]], complete: bool) -> None:
            if not call.cancelled:
                headers = {name: value for name in _HEADERS if (value := response.headers.get(name)) is not None}
                status, body = response.status_code, tuple(chunks)
                self._write(Exchange(method, path, fields, at, status, headers, body, complete), shown)

        response.raw = _RecordedBody(response.raw, began, keep)
        return response, shown

    def _write(self, exchange: Exchange, endpoint: Endpoint) -> None:
        model = exchange.headers.get("X-Loop-Model")
        header = Header(endpoint.origin, self._recorded_at, (model,) if model else ())
        secrets = [*endpoint.secrets(), *secrets_of_environment()]
        if len(endpoint.workspace_id) >= SHORTEST:
            secrets.append(Secret(endpoint.workspace_id))
        self._writer.write(_without_secrets(exchange, secrets), header)


class _RecordedBody:
    """A body that notes what is read of it, and when; told to `keep` once, at its end."""

    def __init__(self, raw: Any, began: float, keep: Callable[[list[tuple[float, str]], bool], None]) -> None:
        self._raw = raw
        self._began = began
        self._keep: Callable[[list[tuple[float, str]], bool], None] | None = keep
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._chunks: list[tuple[float, str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def read1(self, *args: Any, **kwargs: Any) -> bytes:
        try:
            content: bytes = self._raw.read1(*args, **kwargs)
        except Exception:
            self._end(complete=False)
            raise
        if text := self._decoder.decode(content, final=not content):
            self._chunks.append((time.monotonic() - self._began, text))
        if not content:
            self._end(complete=True)
        return content

    def close(self) -> None:
        self._end(complete=self._raw.length_remaining == 0)
        self._raw.close()

    def release_conn(self) -> None:
        self._end(complete=True)
        self._raw.release_conn()

    def _end(self, *, complete: bool) -> None:
        keep, self._keep = self._keep, None
        if keep is not None:
            keep(self._chunks, complete)


def _without_secrets(exchange: Exchange, secrets: Iterable[Secret]) -> Exchange:
    """Return the exchange with dots where any text of it holds a secret, in whatever pieces that came."""
    line = exchange.to_json()
    if "chunks" in line:
        whole = "".join(text for _, text in exchange.chunks)
        hidden = hidden_in_text(whole, secrets)
        if hidden != whole:
            line["chunks"] = [[exchange.chunks[-1][0], hidden]]  # when it was whole: its pieces may each hold a part
    return Exchange.from_json(hidden_in_value(line, secrets))
