"""When a call is made again, as a policy without a clock and without a network.

A generator: it is sent the fault of each attempt and yields the seconds to wait before the next; it ends where there
must be none. Whoever drives it does the calling and the waiting.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Generator
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from cozeloop_magic.errors import AuthenticationFailed, ConnectFailed, LoopError, RateLimited, StreamInterrupted

__all__ = [
    "PATIENCE",
    "asks_for_patience",
    "is_repeatable_read",
    "is_repeatable_write",
    "read_retry_after",
    "retry_policy",
]

_GATEWAY_FAULTS = (502, 503, 504)  # HTTP: what is in front of the server could not reach it, for now

_BASE = 0.5  # seconds the first wait may take at most, where the server names none
_CAP = 8.0  # seconds any such wait may take at most
PATIENCE = 60.0  # seconds a server may ask to be left alone before giving up is kinder


def retry_policy(
    max_retries: int, spread: Callable[[float, float], float] = random.uniform
) -> Generator[float, LoopError, None]:
    """Say after each fault how long to wait before the call is made again.

    Only a fault that is ``repeatable`` is answered with a wait: the time the server asks for, else a random time up
    to a bound that doubles ("full jitter", so that clients that failed together do not come back together).
    """
    fault = yield 0.0
    for attempt in range(max_retries):
        if not fault.repeatable or (fault.retry_after or 0.0) > PATIENCE:
            return
        jittered = spread(0.0, min(_BASE * 2**attempt, _CAP))
        fault = yield jittered if fault.retry_after is None else fault.retry_after


def is_repeatable_read(fault: LoopError) -> bool:
    """Whether a call that only reads may be made again: one whose answer broke off, too."""
    return fault.repeatable or isinstance(fault, StreamInterrupted) or fault.http_status in _GATEWAY_FAULTS


def is_repeatable_write(fault: LoopError) -> bool:
    """Whether a call that changes something may be made again: only one that was not let in."""
    return fault.repeatable and isinstance(fault, (ConnectFailed, RateLimited, AuthenticationFailed))


def asks_for_patience(fault: LoopError) -> bool:
    """Whether the server asks to be left alone: HTTP 429 and 503, and its limits of calls a second."""
    return isinstance(fault, RateLimited) or (fault.http_status == 503 and fault.repeatable)


def read_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Read a ``Retry-After`` header, seconds or a date, as seconds from now; None where it says neither."""
    if not value:
        return None
    if re.fullmatch(r"\s*[0-9]{1,9}\s*", value, re.ASCII):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return max((when - (now or datetime.now(timezone.utc))).total_seconds(), 0.0)
