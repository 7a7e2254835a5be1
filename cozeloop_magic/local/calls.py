"""What every call of the API has in common: reading it, checking its workspace, answering it."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from cozeloop_magic.entities.strict import misread
from cozeloop_magic.entities.wire import Wire
from cozeloop_magic.errors import RemoteError, StoreError, remote_error
from cozeloop_magic.local.models import INTERNAL, INVALID_PARAMETER, MODEL_ID, Model
from cozeloop_magic.local.queue import FairQueue
from cozeloop_magic.local.spans import Spans
from cozeloop_magic.local.store import Store

__all__ = [
    "BAD_REQUEST",
    "Call",
    "Loop",
    "answer",
    "check_workspace",
    "dumps",
    "endpoint",
    "failure",
    "invalid",
    "on_error",
    "parse",
    "read_call",
    "whole",
]

BAD_REQUEST = 600500201
NO_PERMISSION = 600500101
# Python reads JSON in one go under the interpreter's lock, at about a third of a microsecond a value.
MOST_VALUES = 200_000
LONGEST_TEXT = 10_000  # characters of a name, an id, a description
SMALL_BODY = 64 * 1024
_SEPARATORS = (b",", b"[", b"{")

W = TypeVar("W", bound=Wire)


@dataclass(frozen=True)
class Loop:
    """What the calls of one token work with.

    Attributes
    ----------
    store : Store
        The prompts it sees.
    models : sequence of Model
        Those that answer; the first where none is asked for.
    token : str
        What its calls bear.
    workspace_id : str
        The workspace, a 64-bit number as text.
    spans : Spans
        The traces it has sent.
    queue : FairQueue
        Where its calls wait, with those of other tokens.
    owner : str
        Whose token it is; empty where there is only one.
    max_tokens : int or None
        The most that an answer may have.
    """

    store: Store
    models: Sequence[Model]
    token: str = field(repr=False)
    workspace_id: str
    spans: Spans = field(default_factory=Spans)
    queue: FairQueue = field(default_factory=FairQueue)
    owner: str = ""
    max_tokens: int | None = None

    @property
    def model(self) -> Model:
        """The model that answers where none is asked for."""
        return self.models[0]

    def find_model(self, model_id: str) -> Model | None:
        """Give the model of an id, which is its name; `MODEL_ID` is the first one."""
        return self.model if model_id == MODEL_ID else next((m for m in self.models if m.name == model_id), None)


@dataclass(frozen=True)
class Call:
    """A call: its body, its query and the parameters in its path."""

    loop: Loop
    body: Mapping[str, Any]
    query: Mapping[str, str]
    path: Mapping[str, Any]

    def text(self, name: str, *, most: int = LONGEST_TEXT) -> str:
        """Give a text of the body, of at most so many characters; empty if it is missing or null."""
        value = self.body.get(name)
        if value is not None and not isinstance(value, str):
            raise invalid(f"{name} must be text.")
        if value and len(value) > most:
            raise invalid(f"{name} must have at most {most:,} characters.")
        return value or ""

    def number(self, name: str, *, default: int, most: int) -> int:
        """Give a number of the body, from 1 to `most`."""
        value = self.body.get(name)
        value = default if value is None else value
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise invalid(f"{name} must be a whole number from 1 to {most}.")
        return value

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """Give one of several words of the body."""
        value = self.text(name) or default
        if value not in choices:
            raise invalid(f"{name} must be one of: {', '.join(choices)}.")
        return value

    def flag(self, name: str) -> bool:
        """Give a flag of the query or the body."""
        return self.query.get(name, self.body.get(name)) in (True, "true", "True", "1")

    def object(self, name: str) -> Mapping[str, Any]:
        """Give an object of the body; empty if it is missing or null."""
        value = self.body.get(name)
        if value is not None and not isinstance(value, dict):
            raise invalid(f"{name} must be an object.")
        return value or {}

    def many(self, name: str, kind: type[W]) -> list[W]:
        """Give a list of wire values of the body; empty if it is missing or null."""
        items = self.body.get(name)
        if items is not None and not isinstance(items, list):
            raise invalid(f"{name} must be a list.")
        given = [item for item in items or () if item is not None]
        return [_read(kind, item, f"{name}[{number}]") for number, item in enumerate(given)]

    def one(self, name: str, kind: type[W]) -> W | None:
        """Give a wire value of the body; None if it is missing, null or empty."""
        value = self.object(name)
        return _read(kind, value, name) if value else None

    def check_workspace(self) -> None:
        """Refuse a call for another workspace."""
        check_workspace(self.loop, self.query.get("workspace_id", self.body.get("workspace_id")))


def _read(kind: type[W], given: Any, where: str) -> W:
    """Read what must be of its types: nothing that was asked for is left out without a word."""
    if not isinstance(given, dict):
        raise invalid(f"{where} must be an object.")
    value = kind.from_json(given)
    if field := misread(value, given):
        raise invalid(f"{where}.{field} is of another type than it must be.")
    return value


def check_workspace(loop: Loop, given: Any) -> None:
    """Refuse what is for another workspace, or for none."""
    if given in (None, ""):
        raise invalid("workspace_id is missing.")
    if str(given) != loop.workspace_id:
        message = (
            f"This Loop has one workspace, {loop.workspace_id}; the call is for {str(given)[:40]}. "
            "Check COZELOOP_WORKSPACE_ID."
        )
        raise remote_error(message, code=NO_PERMISSION)


async def read_call(request: Request) -> Call:
    """Read a call from a request."""
    written = await request.body() if request.method == "POST" else b""
    body = parse(written) if len(written) <= SMALL_BODY else await run_in_threadpool(parse, written)
    return Call(request.scope["loop"], body, request.query_params, request.path_params)


def parse(written: bytes) -> Mapping[str, Any]:
    """Read a JSON object; an empty body is an empty one."""
    if _count_values(written) > MOST_VALUES:
        raise remote_error(f"The body holds more than {MOST_VALUES:,} values.", code=BAD_REQUEST)
    try:
        body = json.loads(written or b"{}", parse_constant=_no_constant)
    except ValueError:
        raise remote_error("The body is not JSON.", code=BAD_REQUEST) from None
    if not isinstance(body, dict):
        raise remote_error("The body must be a JSON object.", code=BAD_REQUEST)
    return body


def _count_values(written: bytes) -> int:
    """Count what separates the values of a JSON text; the texts in it are told apart only where that is too much."""
    count = sum(map(written.count, _SEPARATORS))
    if count <= MOST_VALUES:
        return count
    count, in_text = 0, False
    unescaped = written.replace(b"\\\\", b"").replace(b'\\"', b"")
    for start in range(0, len(unescaped), SMALL_BODY):  # piece by piece, as each step keeps the interpreter's lock
        pieces = unescaped[start : start + SMALL_BODY].split(b'"')
        between = b"".join(pieces[1 if in_text else 0 :: 2])
        count += sum(map(between.count, _SEPARATORS))
        in_text ^= len(pieces) % 2 == 0
    return count


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def endpoint(handler: Callable[[Call], Mapping[str, Any]]) -> Callable[[Request], Awaitable[Response]]:
    """Make an endpoint of a function from a call to the fields of its answer; it may block."""

    async def respond(request: Request) -> Response:
        call = await read_call(request)
        return await run_in_threadpool(lambda: answer(handler(call)))

    return respond


def answer(
    fields: Mapping[str, Any], *, headers: Mapping[str, str] | None = None, http_status: int = 200
) -> Response:
    """Make the envelope that every answer comes in."""
    body = dumps({"code": 0, "msg": "", **fields})
    return Response(body, http_status, headers, media_type="application/json")


def failure(error: RemoteError) -> dict[str, Any]:
    """Give an error as the API tells it. The client adds what to do, so only the message goes out."""
    return {"code": error.code or INTERNAL, "msg": error.message}


def on_error(request: Request, error: Exception) -> Response:
    """Answer an error: the platform's own with HTTP 200 and its code, as the open-source server does."""
    if isinstance(error, RemoteError):
        if error.retry_after is not None:
            headers = {"Retry-After": str(math.ceil(error.retry_after))}
            return answer(failure(error), headers=headers, http_status=error.http_status or 429)
        return answer(failure(error))
    if isinstance(error, StoreError):
        return answer({"code": INTERNAL, "msg": f"{error.message} {error.hint}".strip()})
    if isinstance(error, HTTPException):
        calls = "; ".join(
            f"{method} {route.path.replace(':digits', '')}"
            for route in request.app.routes
            for method in sorted(route.methods - {"HEAD"})
        )
        message = f"There is no call {request.method} {request.url.path[:80]}. There are: {calls}."
        return answer({"code": BAD_REQUEST, "msg": message}, http_status=error.status_code)
    if isinstance(error, RecursionError):
        return answer({"code": BAD_REQUEST, "msg": "The body is nested too deep."})
    if isinstance(error, ClientDisconnect):
        return Response(status_code=499)  # nobody is there to read it
    log_id = request.scope["log_id"]
    logging.getLogger(__name__).error("%s failed (log id %s)", request.url.path, log_id, exc_info=error)
    return answer({"code": INTERNAL, "msg": "The embedded Loop failed; its log says why."})


def dumps(value: Any) -> bytes:
    """Write compact JSON; a lone surrogate, which UTF-8 cannot hold, becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def whole(holder: Mapping[str, Any], name: str) -> int:
    """Give a whole number of 64 bits, which may be written as text; 0 if it is missing or null."""
    value = holder.get(name)
    value = 0 if value in (None, "") else value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value, re.ASCII):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**63:
        raise invalid(f"{name} must be a whole number of 64 bits.")
    return value


def invalid(message: str) -> RemoteError:
    """Make the error of a parameter that cannot be used."""
    return remote_error(message, code=INVALID_PARAMETER)
