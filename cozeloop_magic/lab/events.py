"""What is told of many runs, and how one of them under way tells it."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from cozeloop_magic.entities.prompt import ExecuteRequest, ExecuteResult
from cozeloop_magic.errors import LoopError
from cozeloop_magic.run.state import Arrived, Event, Prepared, RunState, fold, join_arrived, speaks

__all__ = ["OngoingRun", "Paced", "Task", "Told", "join_told", "with_result"]

Task = TypeVar("Task", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Told(Generic[Task]):
    """Something happened to the run of a task."""

    task: Task
    event: Event


@dataclass(frozen=True, slots=True)
class Paced:
    """How many runs may go on at once changed; the next begins after `wait` seconds."""

    concurrency: int
    wait: float = 0.0


class OngoingRun(Generic[Task]):
    """One task's call under way, in a worker's thread.

    Attributes
    ----------
    told : bool
        Whether anybody was told of a piece.
    """

    def __init__(self, task: Task, request: ExecuteRequest, origin: str) -> None:
        self.task = task
        self.request = request
        self._begun = time.monotonic()
        self._prepared = Prepared(origin, request.version)
        self._pieces = 0
        self._first = self._last = 0.0
        self._spoke = self.told = False

    @property
    def came(self) -> bool:
        """Whether a piece of an answer came."""
        return self._pieces > 0

    def clock(self) -> float:
        """Give the seconds since it began."""
        return time.monotonic() - self._begun

    def arrived(self, piece: ExecuteResult, tell: Callable[[list[Told[Task]]], object] | None) -> None:
        """Take a piece, and tell it at once where it is shown."""
        self._last = at = time.monotonic() - self._begun
        self._pieces += 1
        if not self._spoke:
            self._spoke = speaks(piece)
            if self._spoke or self._pieces == 1:
                self._first = at
        if tell is not None:
            event = Told(self.task, Arrived(at, piece))
            tell([event] if self.told else [Told(self.task, self._prepared), event])
            self.told = True

    def ended(self, answer: ExecuteResult | None, end: Event) -> RunState:
        """Give the run as it ended.

        Parameters
        ----------
        answer : ExecuteResult or None
            All pieces, joined.
        end : Event
            How it ended.
        """
        state = RunState(self.request, origin=self._prepared.origin, version=self._prepared.version)
        if answer is not None:
            state = fold(state, Arrived(self._first, answer, self._pieces, self._last))
        return fold(state, end)


def join_told(batch: Iterable[Told[Task] | Paced]) -> list[Told[Task] | Paced]:
    """Join the pieces of each run that came one after the other."""
    parts: list[Told[Task] | Paced | tuple[Task, list[Arrived]]] = []
    pieces: dict[Task, list[Arrived]] = {}
    for item in batch:
        if isinstance(item, Told) and isinstance(item.event, Arrived):
            if item.task not in pieces:
                parts.append((item.task, pieces.setdefault(item.task, [])))
            pieces[item.task].append(item.event)
        else:
            parts.append(item)
            if isinstance(item, Told):
                pieces.pop(item.task, None)
    return [Told(part[0], join_arrived(part[1])) if isinstance(part, tuple) else part for part in parts]


@contextmanager
def with_result(result_of: Callable[[], object]) -> Iterator[None]:
    """Have an error that ends many calls early, a full disk say, hold what came of them."""
    try:
        yield
    except LoopError as error:
        error.result = result_of()
        raise
