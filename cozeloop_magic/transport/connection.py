"""Connections that a call holds in its hand from the first step on: each step has what is left of its time."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError

from cozeloop_magic.transport.call import CALL
from cozeloop_magic.transport.dial import dial
from cozeloop_magic.transport.response import Response
from cozeloop_magic.transport.secret import Secret, redact

__all__ = ["Connection", "SecureConnection"]


class _CallConnection:
    """What both kinds of connection do alike: tell their call what happens to it."""

    port: int
    sock: Any
    _dns_host: str
    proxy: Any
    _round_trip = 0.0  # seconds it took to be made
    _buffered: list[bytes] | None = None  # what a request has written so far
    _secrets: Sequence[Secret] = ()  # the headers of the request that nobody may read
    # What http.client itself would print holds the token.
    debuglevel = 0  # tests: test_shows_the_call_without_its_secrets

    def __init__(self, *args: Any, _socks_options: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._socks_options = _socks_options  # by this name urllib3 hands them on

    def connect(self) -> None:
        # tests: test_what_comes_before_a_request_counts_in_the_limit_to_connect, test_ends_when_the_client_is_closed
        call = CALL.get()
        call.proxied = self.proxy is not None
        with call.fail_after(call.limits.connect):
            super().connect()  # type: ignore[misc]
        call.attach(self.sock)  # before anything is sent: a call that was ended meanwhile must not begin a run
        call.connected = True
        self._round_trip = call.round_trip

    def _new_conn(self) -> socket.socket:  # tests: test_a_call_is_ended_while_it_connects
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
        # tests: test_is_cut_with_the_call_that_goes_over_it, test_is_done_in_one_go
        # tests: test_is_tried_again_where_it_ended_before_the_server_far_away_can_have_heard
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
        # tests: test_is_done_in_one_go, test_to_a_slow_reader_ends_with_the_calls_limit
        """Send at once what a request's head and body are: each step costs as much as a small answer's reading."""
        if self._buffered is not None:
            self._buffered.append(data)
            return
        self._debug("send:", data)
        if self.sock is None:
            self.connect()
        CALL.get().limit(self.sock)  # a large request takes longer to send than to connect
        super().send(data)  # type: ignore[misc]

    def getresponse(self) -> Any:  # tests: test_shows_the_call_without_its_secrets
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


class Connection(_CallConnection, HTTPConnection):
    """To an ``http://`` address."""

    response_class = Response  # tests: test_takes_all_chunks_that_are_there_at_once


class SecureConnection(_CallConnection, HTTPSConnection):
    """To an ``https://`` address, with a second hand on its socket until TLS is agreed on: that takes the first."""

    response_class = Response  # tests: test_ends_with_the_calls_limit
    _hand: socket.socket | None = None

    def connect(self) -> None:  # tests: test_ends_when_the_client_is_closed
        """Connect, and let go of the second hand."""
        try:
            super().connect()
        finally:
            if self._hand is not None:
                self._hand.close()

    def _new_conn(self) -> socket.socket:  # tests: test_ends_when_the_client_is_closed
        self.sock = sock = super()._new_conn()  # is closed with the connection, whatever becomes of it
        self._hand = sock.dup()
        CALL.get().attach(self._hand)
        return sock

    def _tunnel(self) -> None:
        # tests: test_ends_when_the_client_is_closed, test_by_a_tunnel_that_is_slow_leaves_tls_what_is_left
        """Ask a proxy for the way through; its answer, when it is closed, lets go of the socket."""
        super()._tunnel()
        call = CALL.get()
        call.attach(self._hand or self.sock)
        call.limit(self.sock)
