"""Making calls: a pool of connections, and what came back."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import weakref
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import requests

from cozeloop_magic.auth import Header, Secret
from cozeloop_magic.call import Call
from cozeloop_magic.endpoint import Endpoint
from cozeloop_magic.errors import (
    AuthenticationFailed,
    ClientClosed,
    InvalidRequest,
    LoopError,
    StreamInterrupted,
    UnexpectedContent,
    without_frames,
)
from cozeloop_magic.forks import mind_forks
from cozeloop_magic.refusal import no_answer, parsed
from cozeloop_magic.retry import read_retry_after
from cozeloop_magic.transport.connection import CALL, Adapter
from cozeloop_magic.transport.events import EventStream
from cozeloop_magic.transport.faults import LARGEST, READ_ERRORS, SEND_ERRORS, reason, timed_out, unsent
from cozeloop_magic.version import __version__

__all__ = ["Reply", "Transport"]

log = logging.getLogger("cozeloop_magic")

_READ_SIZE = 65536
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_ENVIRONMENT = (*_PROXIES, *map(str.upper, _PROXIES), "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Reply(NamedTuple):
    """A JSON answer, with what its headers tell."""

    body: dict[str, Any]
    log_id: str | None
    model: str | None


class Transport:
    """A pool of connections. Thread-safe, and fresh in a forked process.

    Parameters
    ----------
    trust_env : bool
        Whether proxies and CA bundles are taken from the environment, as requests does. Off for the embedded Loop:
        a proxy cannot reach this machine's loopback.
    headers : Mapping[str, str], optional
        Sent with every call.
    """

    def __init__(self, *, trust_env: bool = True, headers: Mapping[str, str] | None = None) -> None:
        self._trust_env = trust_env
        self._headers = {name: Secret(value) for name, value in (headers or {}).items()}
        self._inherited: list[requests.Session] = []
        self._closed = False
        self._begin()
        mind_forks(self)

    def after_fork(self) -> None:
        """Begin anew: the connections are the parent's, neither used nor closed here."""
        self._inherited.append(self._session)
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._calls: weakref.WeakSet[Call] = weakref.WeakSet()
        self._prepared: dict[tuple[str | None, ...], tuple[requests.PreparedRequest, dict[str, Any]]] = {}
        self._session = requests.Session()
        self._session.trust_env = self._trust_env
        self._session.headers["User-Agent"] = f"cozeloop-magic/{__version__}"
        self._session.headers.update(self._headers)
        adapter = Adapter(pool_connections=4, pool_maxsize=256)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def close(self) -> None:
        """Close every connection; calls under way end with an error."""
        with self._lock:
            self._closed = True
            calls = list(self._calls)
        for call in calls:
            call.cancel()
        self._session.close()

    def call(self, endpoint: Endpoint, path: str, body: Mapping[str, Any], call: Call) -> Reply:
        """Post a JSON body and give the JSON answer.

        Raises
        ------
        LoopError
            A `TransportError` if no answer came that can be read, a `RemoteError` if the server said no.
        """
        response, endpoint = self._post(endpoint, path, body, call, "application/json")
        with response:
            return _reply(response, endpoint, call)

    def stream(self, endpoint: Endpoint, path: str, body: Mapping[str, Any], call: Call) -> EventStream:
        """Post a JSON body and give the answer's server-sent events.

        Raises
        ------
        LoopError
            As `call`; also where the server answers with JSON in place of a stream.
        """
        response, endpoint = self._post(endpoint, path, body, call, "text/event-stream, application/json")
        if _is_event_stream(response):
            return EventStream(response.raw, endpoint, call, _log_id(response))
        with response:
            reply = _reply(response, endpoint, call)
        raise UnexpectedContent(
            f"{endpoint.origin} answered with one JSON object where a stream was asked for.",
            hint="Run it again without streaming.",
            http_status=response.status_code,
            log_id=reply.log_id,
        )

    def _post(
        self, endpoint: Endpoint, path: str, body: Mapping[str, Any], call: Call, accept: str
    ) -> tuple[requests.Response, Endpoint]:
        """Give the response, and the endpoint with the credentials that were sent."""
        header = endpoint.auth(call)
        request, settings = self._request(endpoint.base_url + path)
        try:
            request.body = json.dumps(body, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise InvalidRequest(
                f"The request holds what has no JSON form: {error}.",
                hint="Turn it into text, a number, a list or a dict first.",
            ) from None
        request.headers["Content-Length"] = str(len(request.body))
        request.headers["Accept"] = accept
        request.headers["Authorization"] = header
        sent = Header(header, endpoint.auth.hint, endpoint.auth)
        return self._send(request, settings, endpoint.origin, call), replace(endpoint, auth=sent)

    def _request(self, url: str) -> tuple[requests.PreparedRequest, dict[str, Any]]:
        """Prepare a request, once for each address and environment: requests takes longer than the call."""
        known = (url, *map(os.environ.get, _ENVIRONMENT))
        if known not in self._prepared:
            plain = requests.Request("POST", url, headers={"Content-Type": "application/json"}, auth=lambda r: r)
            settings = dict(self._session.merge_environment_settings(url, {}, True, None, None))
            self._prepared[known] = self._session.prepare_request(plain), settings
        request, settings = self._prepared[known]
        return request.copy(), settings

    def _send(
        self, request: requests.PreparedRequest, settings: dict[str, Any], origin: str, call: Call
    ) -> requests.Response:
        log.debug("POST %s", request.url)
        with self._lock:
            if self._closed:  # meanwhile
                raise ClientClosed("The client is closed.")
            self._calls.add(call)
        call.attempt()
        token = CALL.set(call)
        try:
            adapter = self._session.get_adapter(request.url or "")
            left = call.remaining()
            return adapter.send(request, timeout=left, **settings)
        except SEND_ERRORS as error:
            fault = unsent(error, origin, call)
            raise fault from without_frames(error)
        except BaseException as error:  # an interrupt: inner frames hold the request as it is sent
            raise error.with_traceback(None)  # noqa: B904
        finally:
            CALL.reset(token)


def _is_event_stream(response: requests.Response) -> bool:
    kind = response.headers.get("Content-Type", "")
    return response.status_code == 200 and kind.partition(";")[0].strip().lower() == "text/event-stream"


def _log_id(response: requests.Response) -> str | None:
    """Give the server's id of the call, without what no id holds: it is shown with every error."""
    log_id = response.headers.get("x-tt-logid") or response.headers.get("X-Log-ID")
    return re.sub(r"[^!-~]", "�", log_id[:128]) if log_id else None


def _reply(response: requests.Response, endpoint: Endpoint, call: Call) -> Reply:
    """Read a JSON answer and raise what it says went wrong."""
    log_id, status = _log_id(response), response.status_code
    content = _content(response, endpoint, call)
    body = parsed(content)
    if isinstance(body, dict) and status == 200 and not body.get("code"):
        return Reply(body, log_id, response.headers.get("X-Loop-Model"))
    error: LoopError
    if status == 200 and body is None and content.lstrip()[:1] in (b"", b"{"):
        why = "its JSON is not complete" if content else "nothing of it came"
        error = _broken_off(response, endpoint, why, len(content))
    else:
        error = no_answer(content, endpoint, http_status=status, headers=response.headers, log_id=log_id)
    error.retry_after = read_retry_after(response.headers.get("Retry-After"))
    if isinstance(error, AuthenticationFailed) and endpoint.auth.refused(endpoint.auth(), call):
        error.repeatable, error.retry_after = True, 0.0
    raise error


def _content(response: requests.Response, endpoint: Endpoint, call: Call) -> bytes:
    content = bytearray()
    try:
        while piece := response.raw.read1(_READ_SIZE, decode_content=True):
            content += piece
            if len(content) > LARGEST:
                raise _too_large(response, endpoint)
    except READ_ERRORS as error:
        if timed_out(error):
            raise call.exceeded(endpoint.origin, _log_id(response)) from without_frames(error)
        raise _broken_off(response, endpoint, reason(error), len(content)) from without_frames(error)
    return bytes(content)


def _too_large(response: requests.Response, endpoint: Endpoint) -> UnexpectedContent:
    return UnexpectedContent(
        f"{endpoint.origin} sent more than {LARGEST // 10**6} MB where an answer was expected.",
        hint="Check COZELOOP_API_BASE_URL, or ask the prompt for less.",
        http_status=response.status_code,
        log_id=_log_id(response),
    )


def _broken_off(response: requests.Response, endpoint: Endpoint, why: str, count: int) -> StreamInterrupted:
    return StreamInterrupted(
        f"The answer from {endpoint.origin} broke off: {why} ({count} bytes received).",
        hint="Run it again.",
        http_status=response.status_code,
        log_id=_log_id(response),
    )
