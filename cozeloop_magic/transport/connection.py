"""Connections that keep to their call's limits: every read, of a header or of a chunk's size, ends in time.

urllib3 lets a pool have its own class of connection, and http.client its own class of response; both hooks are used,
because the read timeout that both know begins anew with every byte.
"""

from __future__ import annotations

import errno
import http.client
import io
import socket
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError

from cozeloop_magic.transport.call import Call
from cozeloop_magic.transport.chunked import ChunkedDecoder
from cozeloop_magic.transport.dial import dial
from cozeloop_magic.transport.secret import Secret, redact

__all__ = ["CALL", "Adapter"]

CALL: ContextVar[Call] = ContextVar("CALL")
"""The call that this thread is making: urllib3 hands nothing of ours on to a connection."""

_READ_SIZE = 65536
_SENT_AT_ONCE = 16384  # bytes: of a larger piece, TLS makes records whose limits each begin anew


class _SocketReader(io.RawIOBase):
    """What a socket receives for one call.

    Attributes
    ----------
    ended : bool
        Whether the other side has sent its last byte.
    """

    def __init__(self, sock: socket.socket, call: Call) -> None:
        self.ended = False
        self._socket = sock
        self._file = sock.makefile("rb", buffering=0)
        self._call = call

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._call.limit(self._socket)
        count = self._file.readinto(buffer)
        if count:
            self._call.answered = True
        self.ended = count == 0
        return count

    def close(self) -> None:
        self._call.detach()
        self._file.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """Reads by its call's limits, and takes all chunks that are there at once."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        self._call = CALL.get()
        self._reader = _SocketReader(sock, self._call)
        super().__init__(self._reader, *args, **kwargs)  # type: ignore[arg-type]  # it has the makefile() of a socket
        self._decoder = ChunkedDecoder()

    def begin(self) -> None:
        """Read the headers; left to itself, http.client takes those that break off for complete."""
        try:
            super().begin()
        except http.client.BadStatusLine as error:
            if not (
                self._is_truncated() and "HTTP/".startswith(str(error)[:5])
            ):  # an alert of TLS, say, is no HTTP at all
                raise
        if self._is_truncated():
            raise ConnectionAbortedError(errno.ECONNABORTED, "the other side hung up in the middle of the headers")
        self.msg.defects.clear()  # urllib3 logs the lines that are no headers, and they may echo credentials
        self.msg.set_payload("")

    def _read_status(self) -> tuple[str, int, str]:
        """Skip what is said ahead of the answer (RFC 9110, 15.2); of such statuses http.client knows but one."""
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200:
                return version, status, reason
            http.client.parse_headers(self.fp)

    def _is_truncated(self) -> bool:
        return self._reader.ended and self._call.answered

    def read1(self, n: int = -1) -> bytes:
        if not self.chunked:
            return super().read1(n)
        content = b""
        while not content and self.fp is not None:
            fresh = self.fp.read1(_READ_SIZE)
            content = self._decoder.feed(fresh)
            if self._decoder.is_complete:
                self.close()
            elif not content and self._decoder.is_malformed:
                raise ConnectionAbortedError(errno.ECONNABORTED, "what came is not framed in chunks as announced")
            elif not content and not fresh:
                raise http.client.IncompleteRead(content)
        return content


class _CallConnection:
    """What both kinds of connection do alike: tell their call what happens to it."""

    port: int
    sock: Any
    _dns_host: str
    proxy: Any
    _round_trip = 0.0  # seconds it took to be made
    _buffered: list[bytes] | None = None  # what a request has written so far
    _secrets: Sequence[Secret] = ()  # the headers of the request that nobody may read
    debuglevel = 0  # what http.client would print holds the token

    def __init__(self, *args: Any, _socks_options: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._socks_options = _socks_options  # by this name urllib3 hands them on

    def connect(self) -> None:
        call = CALL.get()
        call.proxied = self.proxy is not None
        with call.fail_after(call.limits.connect):
            super().connect()  # type: ignore[misc]
        call.attach(self.sock)  # before anything is sent: a call that was ended meanwhile must not begin a run
        call.connected = True
        self._round_trip = call.round_trip

    def _new_conn(self) -> socket.socket:
        """Connect as urllib3 does, but with the socket in the call's hand, and with one limit for everything."""
        call = CALL.get()
        try:
            if self._socks_options is None:
                return dial(self._dns_host, self.port, call)
            from cozeloop_magic.transport.socks_proxy import dial_through

            return dial_through(self._socks_options, self._dns_host, self.port, call)
        except (OSError, UnicodeError) as error:
            raise NewConnectionError(self, str(error)) from error  # type: ignore[arg-type]

    def request(self, *args: Any, **kwargs: Any) -> None:
        call = CALL.get()
        self._secrets = [value for value in (kwargs.get("headers") or {}).values() if isinstance(value, Secret)]
        if self.sock is not None and not call.connected:  # it served another call before
            call.reused, call.connected, call.round_trip = True, True, self._round_trip
            call.attach(self.sock)
        buffered: list[bytes] = []
        self._buffered = buffered
        try:
            super().request(*args, **kwargs)  # type: ignore[misc]
        finally:
            self._buffered = None
        self.send(b"".join(buffered))

    def send(self, data: Any) -> None:
        """Send at once what a request's head and body are: each step costs as much as a small answer's reading."""
        if self._buffered is not None:
            self._buffered.append(data)
            return
        self._debug("send:", data)
        if self.sock is None:
            self.connect()
        for start in range(0, len(data), _SENT_AT_ONCE):
            CALL.get().limit(self.sock)
            super().send(data[start : start + _SENT_AT_ONCE])  # type: ignore[misc]

    def getresponse(self) -> Any:
        response = super().getresponse()  # type: ignore[misc]
        self._debug("reply:", f"HTTP/{response.version / 10} {response.status} {response.reason}")
        for name, value in response.headers.items():
            self._debug("header:", f"{name}: {value}")
        return response

    def _debug(self, what: str, text: bytes | str) -> None:
        """Print what http.client's own switch asks to see, but for what is secret."""
        if HTTPConnection.debuglevel > 0:
            shown = text if isinstance(text, str) else text.decode("utf-8", "replace")
            print(what, repr(redact(shown, self._secrets)))


class _Connection(_CallConnection, HTTPConnection):
    response_class = _Response


class _SecureConnection(_CallConnection, HTTPSConnection):
    """Has a second hand on its socket as long as hands are shaken: TLS takes the first away."""

    response_class = _Response
    _hand: socket.socket | None = None

    def connect(self) -> None:
        try:
            super().connect()
        finally:
            if self._hand is not None:
                self._hand.close()

    def _new_conn(self) -> socket.socket:
        self.sock = sock = super()._new_conn()
        self._hand = sock.dup()
        CALL.get().attach(self._hand)
        return sock

    def _tunnel(self) -> None:
        """Ask a proxy for the way through; its answer, when it is closed, lets go of the socket."""
        super()._tunnel()
        call = CALL.get()
        call.attach(self._hand or self.sock)
        call.limit(self.sock)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS = {"http": _Pool, "https": _SecurePool}


class Adapter(HTTPAdapter):
    """requests' adapter over these connections, through a proxy as well."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Set the pools' classes."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Set the pools' classes."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def close(self) -> None:
        """Close every connection now; left to itself, urllib3 waits until nobody holds a pool or an error of it."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
        super().close()
