"""The attempts of one call."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from cozeloop_magic.errors import ConnectFailed, LoopError
from cozeloop_magic.transport.call import Call
from cozeloop_magic.transport.endpoint import Endpoint
from cozeloop_magic.transport.retry import asks_for_patience, retry_policy

__all__ = ["Attempts"]

T = TypeVar("T")

log = logging.getLogger("cozeloop_magic")


class Attempts:
    """Drives the retry policy for one call: attempts, waits, and finds a server that has moved.

    Parameters
    ----------
    call : Call
        Its limits, and whether it was ended.
    endpoint : Endpoint
        Where the first attempt goes.
    reconnect : callable
        Finds the server anew; gives the same endpoint where there is no other.
    max_retries : int
        How many attempts there may be after the first.
    """

    def __init__(
        self, call: Call, endpoint: Endpoint, reconnect: Callable[[Endpoint], Endpoint], max_retries: int
    ) -> None:
        self._call = call
        self._endpoint = endpoint
        self._reconnect = reconnect
        self._policy = retry_policy(max_retries)
        next(self._policy)

    def run(self, attempt: Callable[[Endpoint], T]) -> T:
        """Attempt until it is answered, or until the policy has enough."""
        while True:
            try:
                return attempt(self._endpoint)
            except LoopError as fault:
                self.wait_after(fault)
            except BaseException:  # an interrupt
                self._call.cancel()
                raise

    def wait_after(self, fault: LoopError) -> None:
        """Wait as long as the policy says, or raise the fault."""
        seconds = self._seconds(fault)
        if seconds is None or not self._call.wait(seconds):
            fault = self._call.cancelled_error() if seconds is not None and self._call.cancelled else fault
            raise fault.with_traceback(None)  # inner frames hold the server's words, which may echo credentials
        self._call.retries += 1
        log.debug("retry %d in %.2f s: %s", self._call.retries, seconds, fault)

    def _seconds(self, fault: LoopError) -> float | None:
        if self._call.paced and asks_for_patience(fault):
            return None
        try:
            seconds = self._policy.send(fault)
        except StopIteration:
            return None
        started_anew = isinstance(fault, ConnectFailed) and self._moved()
        return 0.0 if started_anew else seconds

    def _moved(self) -> bool:
        before, self._endpoint = self._endpoint, self._reconnect(self._endpoint)
        return self._endpoint is not before
