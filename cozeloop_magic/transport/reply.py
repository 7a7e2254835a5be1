"""Whole answers: what is JSON, what is none, and what it says went wrong."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple
from urllib.parse import unquote

import requests

from cozeloop_magic.errors import (
    AuthenticationFailed,
    LoopError,
    StreamInterrupted,
    UnexpectedContent,
)
from cozeloop_magic.transport.call import Call
from cozeloop_magic.transport.causes import strip_tracebacks
from cozeloop_magic.transport.endpoint import Endpoint
from cozeloop_magic.transport.error_responses import error_code, error_from_body, error_message, excerpt, parse_json
from cozeloop_magic.transport.faults import LARGEST, READ_ERRORS, pluralize, reason, timed_out
from cozeloop_magic.transport.retry import read_retry_after

__all__ = ["LINGER", "Reply", "log_id_of", "model_of", "notes_of", "read_reply", "safe_notes"]

LINGER = 0.05
"""Seconds that an answer which is complete may take to end its body before its connection is given up."""

_READ_SIZE = 65536
_ERROR_BODY_TIMEOUT = 2.0  # seconds that a server which gives no answer may take to say why


class Reply(NamedTuple):
    """A JSON answer, with what its headers tell and the endpoint that gave it."""

    body: dict[str, Any]
    log_id: str | None
    model: str | None
    endpoint: Endpoint
    notes: tuple[str, ...] = ()

    @property
    def excerpt(self) -> str:
        """Some of it, safe to show."""
        return excerpt(json.dumps(self.body, ensure_ascii=False), self.endpoint)


def log_id_of(response: requests.Response, endpoint: Endpoint) -> str | None:
    """Give the server's id of the call, without what no id holds: it is shown with every error."""
    log_id = response.headers.get("x-tt-logid") or response.headers.get("X-Log-ID")
    return re.sub(r"[^!-~•]", "�", excerpt(log_id, endpoint)[:128]) if log_id else None


def model_of(headers: Mapping[str, str], endpoint: Endpoint) -> str | None:
    """Give the name of the model that answers, where the embedded Loop tells it; safe to show."""
    model = headers.get("X-Loop-Model")
    return excerpt(model, endpoint) if model else None


def notes_of(headers: Mapping[str, str], endpoint: Endpoint) -> tuple[str, ...]:
    """Return the embedded Loop's or a tape's remarks on a call; safe to show."""
    return safe_notes(unquote(headers.get("X-Loop-Notes", "")).split("\n"), endpoint)


def safe_notes(lines: Any, endpoint: Endpoint) -> tuple[str, ...]:
    """Return remarks as they may be shown, where it is the embedded Loop or a tape that makes them."""
    if not ((endpoint.local or endpoint.tape) and isinstance(lines, list)):
        return ()
    return tuple(excerpt(line, endpoint) for line in lines if line and isinstance(line, str))


def read_reply(response: requests.Response, endpoint: Endpoint, call: Call, *, bare: bool = False) -> Reply:
    """Read a JSON answer and raise what it says went wrong; where it may be `bare`, a code 0 alone is an answer."""
    log_id, status, headers = log_id_of(response, endpoint), response.status_code, response.headers
    content = _content(response, endpoint, call)
    body = parse_json(content)
    if (
        isinstance(body, dict)
        and status == 200
        and not error_code(body)
        and (_has_answer(body) or not error_message(body) or (bare and body.get("code") == 0))
    ):
        return Reply(body, log_id, model_of(headers, endpoint), endpoint, notes_of(headers, endpoint))
    error: LoopError
    if status == 200 and body is None and _begins_json(content):
        error = _no_json(content, response, endpoint)
    else:
        error = error_from_body(content, endpoint, http_status=status, headers=headers, log_id=log_id)
    wait = error.retry_after = read_retry_after(headers.get("Retry-After"))
    if wait:
        error.hint = f"Run it again in {math.ceil(wait):,} s, as it asks."
    if isinstance(error, AuthenticationFailed) and not call.renewed:
        call.renewed = endpoint.auth.refused(endpoint.auth(), call)
        if call.renewed:
            error.repeatable, error.retry_after = True, 0.0
    raise error


def _has_answer(body: Mapping[str, Any]) -> bool:
    """Tell whether a Loop server's or an OAuth server's answer is in a JSON object, rather than words alone."""
    return isinstance(body.get("data"), dict) or "access_token" in body


def _begins_json(content: bytes) -> bool:
    return content.lstrip()[:1] in (b"", b"{")


def _no_json(content: bytes, response: requests.Response, endpoint: Endpoint) -> LoopError:
    """Make the error for an answer that begins as JSON and is none."""
    why = "is nested too deep to be read"
    try:
        json.loads(content.decode(), strict=False)
    except RecursionError:
        pass
    except UnicodeDecodeError:
        why = "is not UTF-8"
    except json.JSONDecodeError as error:
        if error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated"):
            what = "its JSON is not complete" if content else "nothing of it came"
            return _incomplete(response, endpoint, what, len(content))
        why = f"is JSON that cannot be read: {error.msg.lower()} at character {error.pos + 1}"
    return UnexpectedContent(
        f"The answer from {endpoint.name} {why} ({pluralize(len(content), 'byte')} received).",
        hint="Run it again; if it stays, ask whoever runs the server.",
        http_status=response.status_code,
        log_id=log_id_of(response, endpoint),
    )


def _content(response: requests.Response, endpoint: Endpoint, call: Call) -> bytes:
    """Read a whole body, or as much as there is of one that only says why there is no answer."""
    content = bytearray()
    failed = response.status_code >= 400
    try:
        with call.fail_after(_ERROR_BODY_TIMEOUT) if failed else nullcontext():
            while piece := response.raw.read1(_READ_SIZE, decode_content=True):
                content += piece
                if len(content) > LARGEST:
                    raise _too_large(response, endpoint)
                endless = response.raw.length_remaining is None
                if endless and content.endswith(b"}") and parse_json(bytes(content)) is not None:
                    _await_end(response, call)
                    break
    except READ_ERRORS as error:
        if call.cancelled:
            raise call.cancelled_error() from strip_tracebacks(error)
        if failed and not call.expired:
            return bytes(content)
        if timed_out(error):
            raise call.timeout_error(endpoint.name, log_id_of(response, endpoint)) from strip_tracebacks(error)
        raise _incomplete(response, endpoint, reason(error), len(content)) from strip_tracebacks(error)
    if call.cancelled:  # which ends a body that ends with its connection
        raise call.cancelled_error()
    return bytes(content)


def _await_end(response: requests.Response, call: Call) -> None:
    """Give a body that is complete a moment to end: a connection that is at its end serves again."""
    try:
        with call.fail_after(LINGER):
            response.raw.read1(_READ_SIZE, decode_content=True)
    except READ_ERRORS:
        pass  # it is closed


def _too_large(response: requests.Response, endpoint: Endpoint) -> UnexpectedContent:
    return UnexpectedContent(
        f"The answer from {endpoint.name} is larger than {LARGEST // 10**6} MB.",
        hint="Check COZELOOP_API_BASE_URL, or ask the prompt for less.",
        http_status=response.status_code,
        log_id=log_id_of(response, endpoint),
    )


def _incomplete(response: requests.Response, endpoint: Endpoint, why: str, count: int) -> StreamInterrupted:
    return StreamInterrupted(
        f"The answer from {endpoint.name} broke off: {why} ({pluralize(count, 'byte')} received).",
        hint="Run it again.",
        http_status=response.status_code,
        log_id=log_id_of(response, endpoint),
    )
