"""What is told of many runs, and how one of them under way tells it."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from cozeloop_magic.entities.prompt import ExecuteRequest, ExecuteResult
from cozeloop_magic.run.state import Arrived, Event, Prepared, RunState, fold, join_arrived

__all__ = ["OngoingRun", "Paced", "Task", "Told", "join_told"]

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
    """One task's call under way, in a worker's thread."""

    def __init__(self, task: Task, request: ExecuteRequest, origin: str) -> None:
        self.task = task
        self.request = request
        self.came = False
        self._begun = time.monotonic()
        self._prepared = Prepared(origin, request.version)
        self._pieces: list[Arrived] = []
        self._told = False

    def clock(self) -> float:
        """Give the seconds since it began."""
        return time.monotonic() - self._begun

    def arrived(self, piece: ExecuteResult, tell: Callable[[list[Told[Task]]], object] | None) -> None:
        """Take a piece, and tell it at once where it is shown."""
        event = Arrived(self.clock(), piece)
        self._pieces.append(event)
        if tell is not None:
            tell(
                [Told(self.task, event)] if self._told else [Told(self.task, self._prepared), Told(self.task, event)]
            )
            self._told = True
        self.came = True

    def ended(self, end: Event) -> RunState:
        """Give the run as it ended."""
        state = RunState(self.request)
        for event in (self._prepared, *self._answer, end):
            state = fold(state, event)
        return state

    def untold(self, end: Event) -> list[Told[Task]]:
        """Give the events that nobody has been told."""
        events = (end,) if self._told else (self._prepared, *self._answer, end)
        return [Told(self.task, event) for event in events]

    @cached_property
    def _answer(self) -> Sequence[Event]:
        """All pieces, joined once they are all there."""
        return [join_arrived(self._pieces)] if self._pieces else []


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
