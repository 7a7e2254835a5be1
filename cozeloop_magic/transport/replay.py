"""`ReplayTransport`: answers from a tape, at the pace it was recorded at, with no network."""

from __future__ import annotations

import difflib
import errno
import json
import math
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

import requests

from cozeloop_magic import errors
from cozeloop_magic.errors import ClientClosed, LoopError, TapeError
from cozeloop_magic.tape import Exchange, Fault, Tape
from cozeloop_magic.tape.exchange import key_of
from cozeloop_magic.transport.call import Call
from cozeloop_magic.transport.endpoint import Endpoint
from cozeloop_magic.transport.scrub import hidden_in_value, secrets_of_environment
from cozeloop_magic.transport.transport import Transport

__all__ = ["ReplayTransport"]

_EXECUTE = "/v1/loop/prompts/execute"
_MOST_NAMED = 3  # differences from the nearest recorded request
_WORDS = 60  # characters of a value that an error quotes
_COMPARED = 500  # characters of a value that tell how like another it is: a value may have millions
_NOT_GIVEN = "not given"


class ReplayTransport(Transport):
    """Answers each request as the tape has it; the order of requests does not matter, and repeats come in turn.

    Parameters
    ----------
    tape : Tape
        What was recorded.
    speed : float
        How many times as fast as it was recorded; infinity waits for nothing.
    """

    def __init__(self, tape: Tape, speed: float = 1.0) -> None:
        self._tape = tape
        self._speed = speed
        self._closed = False
        self._lock = threading.Lock()
        self._by_key: dict[str, list[Exchange]] = defaultdict(list)
        self._played: dict[str, int] = defaultdict(int)
        for exchange in tape.exchanges:
            self._by_key[exchange.key].append(exchange)

    def close(self) -> None:
        """Let no other call begin."""
        self._closed = True

    def request(
        self, endpoint: Endpoint, method: str, path: str, fields: Mapping[str, Any], call: Call, accept: str
    ) -> tuple[requests.Response, Endpoint]:
        """Answer a request from the tape; see `Transport`.

        Raises
        ------
        TapeError
            If it is not on the tape; what differs from the nearest recorded request is named.
        """
        if self._closed:
            raise ClientClosed("The client is closed.")
        exchange = self._next(method, path, hidden_in_value(fields, tuple(secrets_of_environment())))
        call.attempt()
        call.connected = call.answered = True
        body = _Body(exchange, self._speed, call)
        try:
            body.wait_until(exchange.at)
        except TimeoutError:
            raise call.timeout_error(endpoint.name) from None
        except ConnectionAbortedError:
            raise call.cancelled_error() from None
        if exchange.fault is not None:
            raise _error(exchange.fault)
        return self._response(exchange, body), endpoint

    def _next(self, method: str, path: str, fields: Mapping[str, Any]) -> Exchange:
        key = key_of(method, path, fields)
        with self._lock:
            takes = self._by_key.get(key)
            if not takes:
                raise self._not_recorded(path, fields)
            turn = self._played[key]
            self._played[key] += 1
        return takes[turn % len(takes)]

    def _response(self, exchange: Exchange, body: _Body) -> requests.Response:
        response = requests.Response()
        response.status_code = exchange.status
        response.headers.update(exchange.headers)
        if exchange.path.startswith(_EXECUTE):
            notes = [unquote(exchange.headers.get("X-Loop-Notes", "")), f"recorded {self._tape.header.date}"]
            response.headers["X-Loop-Notes"] = quote("\n".join(filter(None, notes)))
        body.headers = response.headers
        response.raw = body
        return response

    def _not_recorded(self, path: str, fields: Mapping[str, Any]) -> TapeError:
        asked = _flat(fields)
        others = [_flat(each.fields) for each in self._tape.exchanges if each.path == path]
        hint = "Ask for what was recorded, record it too, or end it with %loop replay stop."
        if not others:
            return TapeError(f"The tape {self._tape.name} has no call of {path}.", hint=hint)
        nearest = max(others, key=lambda other: _likeness(asked, other))
        different = "; ".join(_differences(asked, nearest))
        return TapeError(f"This is not on the tape {self._tape.name}. The nearest there: {different}.", hint=hint)


class _Body:
    """A recorded body, read as urllib3's is, each piece when its time has come."""

    def __init__(self, exchange: Exchange, speed: float, call: Call) -> None:
        self.status = exchange.status
        self.headers: Mapping[str, str] = {}
        self.length_remaining: int | None = None
        self._exchange = exchange
        self._chunks = iter(exchange.chunks)
        self._speed = speed
        self._call = call
        self._began = time.monotonic()

    def read1(self, amount: int = -1, decode_content: bool = True) -> bytes:
        for at, text in self._chunks:
            self.wait_until(at)
            return text.encode("utf-8", "surrogateescape")
        if self._exchange.complete:
            return b""
        raise ConnectionResetError(errno.ECONNRESET, "the recorded answer broke off here")

    def wait_until(self, at: float) -> None:
        """Wait until as much time has passed as then; a call that is ended or runs out of time does not wait on.

        Raises
        ------
        TimeoutError
            If the call's time is up before.
        ConnectionAbortedError
            If it was ended.
        """
        left = self._call.remaining()
        wait = 0.0 if math.isinf(self._speed) else self._began + at / self._speed - time.monotonic()
        if wait > 0:
            self._call.sleep(min(wait, left))
        if self._call.cancelled:
            raise ConnectionAbortedError(errno.ECONNABORTED, "the call was ended")
        if wait > left:
            raise TimeoutError

    def close(self) -> None:
        self._chunks = iter(())

    def release_conn(self) -> None:
        self.close()


def _error(fault: Fault) -> LoopError:
    kind = getattr(errors, fault.kind, None) if fault.kind in errors.__all__ else None
    error: LoopError = (kind or errors.TransportError)(fault.message, hint=fault.hint)
    error.repeatable = fault.repeatable
    return error


def _flat(value: Any, name: str = "") -> dict[str, str]:
    """Return the leaves of a request's fields by what a person calls them."""
    if isinstance(value, Mapping):
        if "key" in value and name.startswith("variable_vals"):
            return {f"the variable {value['key']}": _to_text({k: v for k, v in value.items() if k != "key"})}
        found: dict[str, str] = {}
        for key, each in value.items():
            if key not in ("workspace_id", "prompt_identifier", "queries"):
                found |= _flat(each, f"{name}.{key}" if name else str(key))
            elif key != "workspace_id":
                found |= _flat(each)
        return found
    if isinstance(value, (list, tuple)):
        return {k: v for i, each in enumerate(value) for k, v in _flat(each, f"{name}[{i}]" if name else "").items()}
    return {name: _to_text(value)}


def _to_text(value: Any) -> str:
    if isinstance(value, Mapping) and list(value) == ["value"]:
        value = value["value"]
    return json.dumps(value, ensure_ascii=False)


def _likeness(asked: Mapping[str, str], other: Mapping[str, str]) -> tuple[int, float]:
    """Return in how many fields two requests agree, and how like what differs is."""
    same = sum(other.get(name) == value for name, value in asked.items())
    first, second = ([value[:_COMPARED] for value in each.values()] for each in (asked, other))
    return same, difflib.SequenceMatcher(None, str(first), str(second), autojunk=False).quick_ratio()


def _differences(asked: Mapping[str, str], other: Mapping[str, str]) -> Iterator[str]:
    names = [name for name in dict.fromkeys([*other, *asked]) if asked.get(name) != other.get(name)]
    for name in names[:_MOST_NAMED]:
        there, here = _around_difference(other.get(name, _NOT_GIVEN), asked.get(name, _NOT_GIVEN))
        yield f"{name} is {there}, here {here}"
    if len(names) > _MOST_NAMED:
        yield f"and {len(names) - _MOST_NAMED} more"


def _around_difference(first: str, second: str) -> tuple[str, str]:
    """Cut two texts to where they begin to differ."""
    if max(len(first), len(second)) <= _WORDS:
        return first, second
    common = next((n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), 0)
    begin = max(0, common - _WORDS // 3)
    return _excerpt(first, begin), _excerpt(second, begin)


def _excerpt(text: str, begin: int) -> str:
    return ("…" if begin else "") + text[begin : begin + _WORDS] + ("…" if begin + _WORDS < len(text) else "")
