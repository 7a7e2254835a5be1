"""Connecting within a call's limits: a host's addresses, and a socket to the first of them that answers."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from urllib3.util.connection import allowed_gai_family

from cozeloop_magic.transport.call import POLL_INTERVAL, Call

__all__ = ["dial", "is_loopback", "look_up"]


def dial(host: str, port: int, call: Call, new_socket: Callable[..., socket.socket] = socket.socket) -> socket.socket:
    """Connect to a host, within what the call has left for its name and all of its addresses; it holds the socket.

    Parameters
    ----------
    new_socket : callable
        Makes a socket of a family, a type and a protocol.

    Raises
    ------
    TimeoutError
        If that has passed.
    OSError
        If it cannot be reached, is not known (`socket.gaierror`), or the call was ended (`ConnectionAbortedError`).
    """
    failed = OSError("it has no address")
    addresses = look_up(host, port, call)
    for tried, (*kind, _, address) in enumerate(addresses):
        share = call.remaining() / (len(addresses) - tried)
        sock = new_socket(*kind)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            call.attach(sock)
            began = time.monotonic()
            with call.fail_after(share):
                call.limit(sock)
                sock.connect(address)
            call.round_trip = time.monotonic() - began
            call.limit(sock)  # for a handshake, should one follow
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


def look_up(host: str, port: int, call: Call) -> list[Any]:
    """Look a host's addresses up, in a thread: the system's own way knows no limit and hears no interrupt."""
    if _is_address(host):
        return _look_up(host, port)
    found: SimpleQueue[list[Any] | Exception] = SimpleQueue()

    def put() -> None:
        try:
            found.put(_look_up(host, port))
        except Exception as error:
            found.put(error)

    threading.Thread(target=put, name="cozeloop-name", daemon=True).start()
    while True:
        try:
            answer = found.get(timeout=POLL_INTERVAL)
        except Empty:
            if call.cancelled:
                raise ConnectionAbortedError("the call was cancelled") from None
            call.remaining()
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
