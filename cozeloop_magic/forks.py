"""What must be made anew in a forked process: locks that a thread of the parent held, the parent's connections."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["AfterFork", "register_after_fork"]


class AfterFork(Protocol):
    """Something that a fork copies, but whose copy is not fit for use as it is."""

    def after_fork(self) -> None:
        """Make the copy fit for use, in the child and before anything else runs there."""


_registered: weakref.WeakSet[AfterFork] = weakref.WeakSet()


def register_after_fork(instance: AfterFork) -> None:
    """See that `after_fork` is called in every child, as long as the object lives."""
    _registered.add(instance)


def _after_fork() -> None:
    for instance in list(_registered):
        instance.after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
