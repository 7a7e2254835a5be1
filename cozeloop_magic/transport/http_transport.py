"""`HTTPTransport`: calls over a pool of connections."""

from __future__ import annotations

import json
import logging
import os
import threading
import weakref
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests

from cozeloop_magic.entities.variables import HALVES_OUT
from cozeloop_magic.errors import (
    ClientClosed,
    ConfigurationError,
    InvalidRequest,
)
from cozeloop_magic.forks import register_after_fork
from cozeloop_magic.transport.adapter import Adapter
from cozeloop_magic.transport.auth import Header
from cozeloop_magic.transport.call import CALL, Call
from cozeloop_magic.transport.causes import strip_tracebacks
from cozeloop_magic.transport.dial import is_loopback
from cozeloop_magic.transport.endpoint import Endpoint
from cozeloop_magic.transport.error_responses import as_sentence
from cozeloop_magic.transport.faults import map_exception
from cozeloop_magic.transport.secret import Secret
from cozeloop_magic.transport.transport import Transport
from cozeloop_magic.version import __version__

__all__ = ["HTTPTransport"]

log = logging.getLogger("cozeloop_magic")

_MAX_PREPARED = 16  # addresses and environments
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_ENVIRONMENT = (*_PROXIES, *map(str.upper, _PROXIES), "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

LOW_PRIORITY = "u=6"
"""Of RFC 9218: 3 is usual, 7 the lowest. A Loop with a queue answers what is usual first."""


class HTTPTransport(Transport):
    """A pool of connections. Thread-safe, and fresh in a forked process.

    Parameters
    ----------
    trust_env : bool
        Whether proxies and CA bundles are taken from the environment, as requests does. A loopback address is
        reached without a proxy even so: the proxy's loopback is another machine's.
    headers : Mapping[str, str], optional
        Sent with every call.
    """

    def __init__(self, *, trust_env: bool = True, headers: Mapping[str, str] | None = None) -> None:
        self._trust_env = trust_env
        self._headers = {name: Secret(value) for name, value in (headers or {}).items()}
        self._inherited: list[requests.Session] = []
        self._closed = False
        self._reset()
        register_after_fork(self)

    def after_fork(self) -> None:
        """Begin anew: the connections are the parent's, neither used nor closed here."""
        self._inherited.append(self._session)
        self._reset()

    def _reset(self) -> None:
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

    def request(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        fields: Mapping[str, Any],
        call: Call,
        accept: str,
    ) -> tuple[requests.Response, Endpoint]:
        """Send a request; see `Transport`."""
        header = endpoint.auth(call)
        request, settings = self._prepared_request(method, endpoint.base_url)
        request.url = (request.url or "").removesuffix("/") + path
        if method == "POST":
            request.body = _json_body(fields)
            request.headers["Content-Type"] = "application/json"
            request.headers["Content-Length"] = str(len(request.body))
        else:
            request.url += "?" + _query(fields)
        request.headers["Accept"] = accept
        if call.paced:  # one of many, and nobody looks on
            request.headers["Priority"] = LOW_PRIORITY
        request.headers["Authorization"] = header
        sent = Header(header, endpoint.auth.hint, endpoint.auth)
        shown = replace(endpoint, auth=sent, headers=tuple(self._headers.values()))
        return self._send(request, settings, endpoint, call), shown

    def _prepared_request(self, method: str, base_url: str) -> tuple[requests.PreparedRequest, dict[str, Any]]:
        """Prepare a request, once for each server and environment: requests takes longer than the call."""
        known = (method, base_url, *map(os.environ.get, _ENVIRONMENT))
        prepared = self._prepared.get(known)
        if prepared is None:
            if len(self._prepared) >= _MAX_PREPARED:
                self._prepared.clear()
            prepared = self._prepared[known] = self._prepare(method, base_url)
        return prepared[0].copy(), prepared[1]

    def _prepare(self, method: str, base_url: str) -> tuple[requests.PreparedRequest, dict[str, Any]]:
        plain = requests.Request(method, base_url, auth=lambda r: r)
        try:
            request = self._session.prepare_request(plain)
        except ValueError as error:  # requests.exceptions.InvalidURL is one
            raise ConfigurationError(
                as_sentence(f"The Loop server's address {base_url!r} cannot be used: {error}"),
                hint="Check COZELOOP_API_BASE_URL.",
            ) from None
        settings: dict[str, Any] = dict(self._session.merge_environment_settings(base_url, {}, True, None, None))
        proxies = {} if is_loopback(urlsplit(base_url).hostname or "") else settings["proxies"]
        settings["proxies"] = {name: Secret(address) for name, address in proxies.items()}
        return request, settings

    def _send(
        self, request: requests.PreparedRequest, settings: dict[str, Any], endpoint: Endpoint, call: Call
    ) -> requests.Response:
        log.debug("%s %s", request.method, request.url)
        with self._lock:
            if self._closed:  # meanwhile
                raise ClientClosed("The client is closed.")
            self._calls.add(call)
        call.attempt()
        token = CALL.set(call)
        try:
            adapter = self._session.get_adapter(request.url or "")
            return adapter.send(request, timeout=call.remaining(), **settings)
        except Exception as error:
            fault = map_exception(error, endpoint, call)
            raise fault from strip_tracebacks(error)
        except BaseException as error:  # an interrupt: inner frames hold the request as it is sent
            raise error.with_traceback(None)  # noqa: B904
        finally:
            CALL.reset(token)


def _json_body(fields: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(fields, allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _has_half_a_character() from None
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"The request holds what has no JSON form: {error}.",
            hint="Turn it into text, a number, a list or a dict first.",
        ) from None


def _query(fields: Mapping[str, Any]) -> str:
    try:
        return urlencode(fields)
    except UnicodeEncodeError:
        raise _has_half_a_character() from None


def _has_half_a_character() -> InvalidRequest:
    return InvalidRequest("The request holds half a character (a lone surrogate).", hint=HALVES_OUT)
