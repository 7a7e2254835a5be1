"""What must be made anew in a forked process: locks that a thread of the parent held, the parent's connections."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

__all__ = ["Forked", "Lock", "mind_forks"]


class Forked(Protocol):
    """Something that a fork copies, but whose copy is not fit for use as it is."""

    def after_fork(self) -> None:
        """Make the copy fit for use, in the child and before anything else runs there."""


_minded: weakref.WeakSet[Forked] = weakref.WeakSet()


def mind_forks(each: Forked) -> None:
    """See that `after_fork` is called in every child, as long as the object lives."""
    _minded.add(each)


class Lock:
    """A lock that is free in a forked process, whoever held it in the parent."""

    def __init__(self) -> None:
        self.after_fork()
        mind_forks(self)

    def after_fork(self) -> None:
        """Leave the parent's lock to the parent."""
        self._lock = threading.Lock()

    def acquire(self, timeout: float) -> bool:
        """Take it within some seconds; tell whether that was possible."""
        return self._lock.acquire(timeout=timeout)

    def release(self) -> None:
        """Let go of it."""
        self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def _after_fork() -> None:
    for each in list(_minded):
        each.after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
