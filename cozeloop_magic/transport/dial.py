"""Connecting within a call's limits: a host's addresses, and a socket to the first of them that answers."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from queue import Empty, SimpleQueue
from typing import Any

from urllib3.util.connection import allowed_gai_family

from cozeloop_magic.transport.call import POLL_INTERVAL, Call

__all__ = ["dial", "is_loopback"]

_AT_LEAST = 0.01  # seconds for each address


class _Socket(socket.socket):
    """A socket that lets a limit be that is near enough: to change it gives the interpreter to another thread."""

    def settimeout(self, value: float | None) -> None:
        now = self.gettimeout()
        if value is None or now is None or not value <= now <= value + _AT_LEAST:
            super().settimeout(value)


def dial(host: str, port: int, call: Call) -> socket.socket:
    """Connect to a host, within what the call has left for its name and all of its addresses; it holds the socket.

    Raises
    ------
    TimeoutError
        If that has passed.
    OSError
        If it cannot be reached, is not known (`socket.gaierror`), or the call was ended (`ConnectionAbortedError`).
    """
    ends = time.monotonic() + call.remaining()
    failed = OSError("it has no address")
    addresses = _addresses(host, port, call, ends)
    for tried, (*kind, _, address) in enumerate(addresses):
        sock = _Socket(*kind)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(max((ends - time.monotonic()) / (len(addresses) - tried), _AT_LEAST))
            call.attach(sock)
            sock.connect(address)
            sock.settimeout(max(ends - time.monotonic(), _AT_LEAST))  # what is left for a handshake
            return sock
        except BaseException as error:
            call.detach()
            sock.close()
            if not isinstance(error, OSError):
                raise
            failed = error
    raise failed


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name or address alone (RFC 6761, 6.3)."""
    host = host.lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _addresses(host: str, port: int, call: Call, ends: float) -> list[Any]:
    """Look a name up in a thread: the system's own way knows no limit and hears no interrupt."""
    if _is_address(host):
        return _look_up(host, port)
    found: SimpleQueue[list[Any] | Exception] = SimpleQueue()

    def look_up() -> None:
        try:
            found.put(_look_up(host, port))
        except Exception as error:
            found.put(error)

    threading.Thread(target=look_up, name="cozeloop-name", daemon=True).start()
    while True:
        try:
            answer = found.get(timeout=POLL_INTERVAL)
        except Empty:
            if call.cancelled:
                raise ConnectionAbortedError("the call was cancelled") from None
            if time.monotonic() >= ends:
                raise TimeoutError(f"{host} was not found in time") from None
            continue
        if isinstance(answer, Exception):
            raise answer
        return answer


def _look_up(host: str, port: int) -> list[Any]:
    return list(socket.getaddrinfo(host, port, allowed_gai_family(), socket.SOCK_STREAM))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
