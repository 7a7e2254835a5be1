"""How work grows with its size: counted, because a count is the same on every machine, however slow and busy."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["c_grows_alike", "cpu_seconds", "growth", "lines_run"]

_INSTANT = 0.5  # seconds of the processor that nobody waits for
_SQUARED = 12  # times as long for four times as much; what looks at each for each takes 16, and what does not takes 4


def lines_run(work: Callable[[], object]) -> int:
    """Count the lines of Python that run. What C does in one step, a regular expression's search say, is one line."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def growth(work: Callable[[int], object], size: int) -> float:
    """Give how many times as many lines four times the size takes: about 4, and 16 if it looks at each for each."""
    work(size), work(4 * size)  # what is made once and kept
    return lines_run(lambda: work(4 * size)) / lines_run(lambda: work(size))


def c_grows_alike(work: Callable[[int], object], size: int) -> bool:
    """Tell whether what C does in one step grows with its size as well, not with its square.

    Only time can show that: this process's own, which no other process moves, the least of several, and only where it
    is long enough to be measured.
    """
    for _ in range(3):
        large = cpu_seconds(lambda: work(4 * size))
        if large < _INSTANT or large < _SQUARED * cpu_seconds(lambda: work(size)):
            return True
    return False


def cpu_seconds(work: Callable[[], object]) -> float:
    """Give the seconds of the processor that this process takes for it."""
    gc.disable()  # what other tests left is not this work's cost
    began = time.process_time()
    try:
        work()
    finally:
        gc.enable()
    return time.process_time() - began
