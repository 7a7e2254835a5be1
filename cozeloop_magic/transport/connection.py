"""Connections that keep to their call's limits: every read, of a header or of a chunk's size, ends in time.

urllib3 lets a pool have its own class of connection, and http.client its own class of response; both hooks are used,
because the read timeout that both know begins anew with every byte.
"""

from __future__ import annotations

import http.client
import io
import socket
from contextvars import ContextVar
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from cozeloop_magic.call import Call
from cozeloop_magic.transport.chunked import Unchunker

__all__ = ["CALL", "Adapter"]

CALL: ContextVar[Call] = ContextVar("CALL")
"""The call that this thread is making: urllib3 hands nothing of ours on to a connection."""

_EXACT = 0.01  # seconds a read may outlast its limit, because setting a socket's timeout costs a system call
_READ_SIZE = 65536


class _Incoming(io.RawIOBase):
    """What a socket receives for one call."""

    def __init__(self, sock: socket.socket, call: Call) -> None:
        self._socket = sock
        self._file = sock.makefile("rb", buffering=0)
        self._call = call
        self._timeout = 0.0

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._call.remaining()
        if not left <= self._timeout <= left + _EXACT:
            self._timeout = left + _EXACT
            self._socket.settimeout(self._timeout)
        count = self._file.readinto(buffer)
        if count:
            self._call.answered = True
        return count

    def close(self) -> None:
        self._call.release()
        self._file.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """Reads by its call's limits, and takes all chunks that are there at once."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(_Incoming(sock, CALL.get()), *args, **kwargs)  # type: ignore[arg-type]  # has its makefile()
        self._unchunker = Unchunker()

    def read1(self, n: int = -1) -> bytes:
        if not self.chunked:
            return super().read1(n)
        content = b""
        while not content and self.fp is not None:
            fresh = self.fp.read1(_READ_SIZE)
            content = self._unchunker.feed(fresh)
            if self._unchunker.ended:
                self.close()
            elif not content and (not fresh or self._unchunker.broken):
                raise http.client.IncompleteRead(content)
        return content


class _Kept:
    """What both kinds of connection do alike: tell their call what happens to it."""

    timeout: float | None
    sock: Any
    _served = False  # whether it has answered before

    def connect(self) -> None:
        call = CALL.get()
        self._served = False
        self.timeout = min(call.limits.connect, call.remaining())
        super().connect()  # type: ignore[misc]
        call.hold(self.sock)  # before anything is sent: a call that was ended meanwhile must not begin a run

    def request(self, *args: Any, **kwargs: Any) -> None:
        call = CALL.get()
        if self.sock is not None:
            call.reused = self._served
            self.sock.settimeout(call.remaining())
            call.hold(self.sock)
        super().request(*args, **kwargs)  # type: ignore[misc]

    def getresponse(self) -> Any:
        CALL.get().hold(self.sock)
        response = super().getresponse()  # type: ignore[misc]
        self._served = True
        return response


class _Connection(_Kept, HTTPConnection):
    response_class = _Response


class _SecureConnection(_Kept, HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class Adapter(HTTPAdapter):
    """requests' adapter over these connections, through a proxy as well."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Set the pools' classes."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Set the pools' classes."""
        manager = super().proxy_manager_for(*args, **kwargs)
        if not args[0].lower().startswith("socks"):  # SOCKS pools have connections of their own
            manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
        return manager
