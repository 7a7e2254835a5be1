"""Connecting through a SOCKS proxy, within a call's limits: PySocks speaks, and `dial` says to whom and how long."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from functools import partial
from typing import Any

import socks

from cozeloop_magic.transport.call import Call
from cozeloop_magic.transport.dial import dial, look_up

__all__ = ["dial_through"]

_PORT = 1080


class _SocksSocket(socks.socksocket):  # type: ignore[misc]
    """Is connected with an address of the proxy, and then leads elsewhere."""

    def __init__(self, options: Mapping[str, Any], onward: tuple[str, int], call: Call, *kind: int) -> None:
        super().__init__(*kind)
        self._options = options
        self._onward = onward
        self._call = call

    def connect(self, address: tuple[Any, ...]) -> None:  # tests: test_one_that_is_not_there_is_told
        given = self._options
        self.set_proxy(given["socks_version"], *address[:2], given["rdns"], given["username"], given["password"])
        try:
            super().connect(self._onward)
        except socks.ProxyError as error:
            raise error.socket_err or OSError(str(error)) from None

    def recv_into(self, *args: Any) -> int:
        # tests: test_a_byte_now_and_then_does_not_defeat_the_limit_to_connect
        self._call.limit(self)
        return super().recv_into(*args)  # type: ignore[no-any-return]


def dial_through(options: Mapping[str, Any], host: str, port: int, call: Call) -> socket.socket:
    """Connect to a host by way of a SOCKS proxy.

    Parameters
    ----------
    options : Mapping
        Which proxy, as urllib3 hands it to its connections; ``rdns`` says that it is the proxy who knows names.

    Raises
    ------
    OSError
        As `dial`; also where the proxy says no.
    """
    if not options["rdns"]:
        addresses = [address for *_, address in look_up(host, port, call)]
        host = next((address[0] for address in addresses if len(address) == 2), addresses[0][0])  # SOCKS4: IPv4 alone
    call.proxied = True
    new_socket = partial(_SocksSocket, options, (host, port), call)
    proxied = dial(options["proxy_host"], options["proxy_port"] or _PORT, call, new_socket)
    timeout = proxied.gettimeout()
    sock = socket.socket(fileno=proxied.detach())  # nothing of the proxy is left to be known
    sock.settimeout(timeout)
    return sock
