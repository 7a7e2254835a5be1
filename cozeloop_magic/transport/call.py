"""One call on its way: its time limits, and a hand on its socket, so that any thread can end it."""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from cozeloop_magic.errors import ClientClosed, DeadlineExceeded

__all__ = ["CALL", "LONGEST", "POLL_INTERVAL", "Call", "Calls", "Timeouts", "seconds_error"]

LONGEST = 2_000_000
"""Seconds that a limit may have: some systems count the milliseconds of a wait in 31 bits."""

POLL_INTERVAL = 0.05
"""Seconds between looks whether something that another thread does is there, or still wanted."""

_NEAR_ENOUGH = 0.01  # seconds


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of a call, in seconds: to connect, in total, and for a stream's first token (None: as in total)."""

    connect: float = 10.0
    total: float = 600.0
    first_token: float | None = None


def seconds_error(name: str, seconds: Any) -> str | None:
    """Say what is wrong with a limit in seconds; None where nothing is."""
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if number and 0 < seconds <= LONGEST:
        return None
    return f"{name} is {seconds!r}; it must be a number of seconds, above 0 and at most {LONGEST:,}."


class Calls:
    """Calls that are ended together: all that a thread makes inside ``with calls:``, a token's renewal included.

    Parameters
    ----------
    paced : bool
        Whether whoever makes them sees to it that a server that asks to be left alone is: none of them waits for it.
    """

    def __init__(self, *, paced: bool = False) -> None:
        self.paced = paced
        self._calls: list[Call] = []
        self._cancelled = False
        self._changing = threading.Lock()

    def __enter__(self) -> Calls:
        self._before = _CALLS.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _CALLS.reset(self._before)

    def add(self, call: Call) -> None:
        """Take in a call, and end it at once if it comes too late."""
        with self._changing:
            self._calls.append(call)
        if self._cancelled:
            call.cancel()

    def cancel(self) -> None:
        """End them, and those to come; any thread may, and a signal's handler in the midst of this very call."""
        if self._cancelled:
            return
        self._cancelled = True
        with self._changing:
            calls = list(self._calls)
        for call in calls:
            call.cancel()


_CALLS: ContextVar[Calls | None] = ContextVar("CALLS", default=None)


class Call:
    """A call on its way, over however many attempts.

    Parameters
    ----------
    limits : Timeouts
        Counted from now.
    streamed : bool
        Whether a first token is waited for.

    Attributes
    ----------
    connected, proxied : bool
        Whether the attempt under way has its connection to the server, and whether a proxy is on the way.
    reused : bool
        Whether it goes over a connection that served another call before.
    round_trip : float
        Seconds that the connection took to be made.
    renewed : bool
        Whether its token was renewed because the server did not accept it.
    answered : bool
        Whether a byte of an answer to this attempt came.
    begun_at, sent_at : float
        When the call was begun, and the attempt under way.
    retries : int
        How many attempts failed before this one.
    paced : bool
        Whether whoever makes it waits where the server asks for it.
    on_waiting : callable or None
        Is told where in the line it is, in words, by a server that has one.
    """

    def __init__(self, limits: Timeouts, *, streamed: bool = False) -> None:
        self.limits = limits
        self.connected = self.proxied = self.reused = self.answered = False
        self.renewed = False
        self.round_trip = 0.0
        self.retries = 0
        self.sent_at = self.begun_at = time.monotonic()
        self._first_token = limits.first_token if streamed else None
        self._deadline = self.begun_at + self._limit
        self._step_deadline = math.inf
        self._pid = os.getpid()
        self._socket: socket.socket | None = None
        self._cancellation = threading.Event()
        self._holding = threading.Lock()
        calls = _CALLS.get()
        self.paced = calls is not None and calls.paced
        self.on_waiting: Callable[[str], object] | None = None
        if calls is not None:
            calls.add(self)

    @property
    def cancelled(self) -> bool:
        """Whether it was ended from outside."""
        return self._cancellation.is_set()

    @property
    def finished(self) -> bool:
        """Whether it may do nothing more: it was ended, or its time is."""
        return self.cancelled or self.expired

    @property
    def _limit(self) -> float:
        if self._first_token is None:
            return self.limits.total
        return min(self._first_token, self.limits.total)

    def remaining(self) -> float:
        """Give the seconds that are left.

        Raises
        ------
        TimeoutError
            If none are.
        """
        left = min(self._deadline, self._step_deadline) - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def limit(self, sock: socket.socket) -> None:
        """Let a socket's next step take no longer than what is left, or a moment more.

        Its timeout stays where it is near enough: to change it costs a system call, and lets other threads go first.

        Raises
        ------
        TimeoutError
            If nothing is left.
        """
        left, timeout = self.remaining(), sock.gettimeout()
        if timeout is None or not left <= timeout <= left + _NEAR_ENOUGH:
            sock.settimeout(left + _NEAR_ENOUGH)

    @property
    def expired(self) -> bool:
        """Whether no time is left."""
        return time.monotonic() >= self._deadline

    def got_first_token(self) -> None:
        """Note that the answer's first token came."""
        if self._first_token is not None:
            self._first_token = None
            self._deadline = self.begun_at + self._limit

    @contextmanager
    def fail_after(self, seconds: float) -> Iterator[None]:
        """Leave it at most some seconds for what is done inside; `expired` still tells of the call's own limit."""
        before, self._step_deadline = self._step_deadline, min(self._step_deadline, time.monotonic() + seconds)
        try:
            yield
        finally:
            self._step_deadline = before

    def attempt(self) -> None:
        """Note that the request is sent, again perhaps."""
        self.connected = self.proxied = self.reused = self.answered = False
        self.sent_at = time.monotonic()

    def wait(self, seconds: float) -> bool:
        """Wait, unless too little time is left or the call is ended meanwhile; tell whether it did."""
        if time.monotonic() + seconds >= self._deadline:
            return False
        return self.sleep(seconds)

    def sleep(self, seconds: float) -> bool:
        """Wait, unless the call is ended meanwhile; tell whether it did."""
        return not self._cancellation.wait(seconds)

    def attach(self, sock: socket.socket) -> None:
        """Take the socket that the call goes over, or what wraps it where a proxy is reached by TLS, too.

        Raises
        ------
        ConnectionAbortedError
            If the call was ended meanwhile.
        """
        with self._holding:
            self._socket = getattr(sock, "socket", sock)
        if self.cancelled:
            raise ConnectionAbortedError("the call was cancelled")

    def detach(self) -> None:
        """Let go of the socket: it may be another call's next."""
        with self._holding:
            self._socket = None

    def cancel(self) -> None:
        """End the call; a thread that reads or waits wakes up."""
        self._cancellation.set()
        self.close_socket()

    def close_socket(self) -> None:
        """Cut the connection of the attempt under way; a thread that reads wakes up."""
        if self._pid != os.getpid():  # after a fork the socket is the parent's, too
            return
        with self._holding:
            if self._socket is None:
                return
            try:
                # Not by TLS's own shutdown: it takes the encryption away from a thread that is just sending.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            except OSError:
                pass  # it is gone already

    def cancelled_error(self) -> ClientClosed:
        """Make the error for a call that was ended from outside."""
        return ClientClosed("The call was ended before its answer came.", hint="")

    def timeout_error(self, server: str, log_id: str | None = None) -> DeadlineExceeded:
        """Make the error for the limit that passed."""
        if self._limit < self.limits.total:
            what = f"No text came from {server} within {self._limit:g} s, the limit for the first token."
            hint = "Give it more with new_client(first_token_timeout=...)."
        else:
            what = f"The answer from {server} was not complete after {self._limit:g} s, the call's time limit."
            hint = "Give it more with timeout=... (--timeout in a cell)."
        return DeadlineExceeded(what, hint=hint, log_id=log_id)


CALL: ContextVar[Call] = ContextVar("CALL")
"""The call that this thread is making: urllib3 hands nothing of ours on to a connection."""
