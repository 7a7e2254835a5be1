"""Keeping runs that end: several together, as a commit costs as much for many as for one, and each soon.

What is not kept when the process dies is lost, as is what is under way; so never do many wait for it, nor any long.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from cozeloop_magic.run.state import RunState

__all__ = ["Keeper"]

_MOST = 32  # runs that may wait to be kept
_PAUSE = 0.01  # seconds after some were kept in which others may end

T = TypeVar("T")  # what a run is told apart by
Run = tuple[T, RunState]


class Keeper(Generic[T]):
    """Keeps runs in a thread of its own, or in the one that brings them.

    Parameters
    ----------
    keep : callable
        Keeps some; it is called by one thread at a time.
    kept : callable
        Is told which runs were kept, and what `keep` raised. After that no more are kept; they are told all the same.
    at_once : bool
        Whether each is kept before `put` returns, for which no thread is needed.
    """

    def __init__(
        self,
        keep: Callable[[Sequence[Run[T]]], object],
        kept: Callable[[Sequence[Run[T]], BaseException | None], object],
        *,
        at_once: bool,
    ) -> None:
        self._keep = keep
        self._kept = kept
        self._waiting: list[Run[T]] = []
        self._unkept = 0
        self._changed = threading.Condition()
        self._idles = self._hurries = self._closed = self._failed = False
        self._thread = None if at_once else threading.Thread(target=self._work, name="cozeloop-keep", daemon=True)
        if self._thread is not None:
            self._thread.start()

    @property
    def is_full(self) -> bool:
        """Whether so many wait that no other run should begin."""
        return self._unkept >= _MOST

    def put(self, task: T, run: RunState) -> None:
        """Have a run kept."""
        with self._changed:
            self._unkept += 1
            if self._thread is not None:
                self._waiting.append((task, run))
                if self._idles or self._is_awaited:
                    self._changed.notify()
                return
        self._keep_some([(task, run)])

    def hurry(self) -> None:
        """Have no run wait for others from now on."""
        self._hurries = True

    def close(self) -> None:
        """Return when all are kept."""
        if self._thread is not None:
            with self._changed:
                self._closed = True
                self._changed.notify()
            self._thread.join()

    @property
    def _is_awaited(self) -> bool:
        return self.is_full or self._hurries or self._closed

    def _work(self) -> None:
        while some := self._gathered():
            self._keep_some(some)
            with self._changed:
                if not self._is_awaited:
                    self._changed.wait(_PAUSE)

    def _gathered(self) -> list[Run[T]]:
        """Wait for runs; none if no more come."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._idles = True
                self._changed.wait()
            self._idles = False
            some, self._waiting = self._waiting, []
            return some

    def _keep_some(self, some: Sequence[Run[T]]) -> None:
        failure: BaseException | None = None
        try:
            if not self._failed:
                self._keep(some)
        except BaseException as error:
            failure, self._failed = error, True
        with self._changed:
            self._unkept -= len(some)
        self._kept(some, failure)
