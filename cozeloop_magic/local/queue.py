"""Who is answered next: a fair queue in front of the model.

Whoever has the fewest answers running comes first, then whoever sits before an answer and not before a table, then
whoever was served longest ago. So tokens take turns, each has one answer running while others wait, and a table of a
thousand rows is behind the question of somebody who looks on. A table leaves one place free, for that somebody.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from cozeloop_magic.errors import RemoteError, remote_error

__all__ = ["FairQueue", "Turn"]

TOO_MANY = 600502002
STOPPED = 600505014
TICK_SECONDS = 1.0
"""How often, at the most, somebody is told where in the line they are."""
REPEATED_SECONDS = 15.0
"""How often they are told again though nothing changed: proxies cut off what is silent for a minute."""
LONGEST_LINE = 50
"""How many places are told apart; working them out takes the square of it."""
_WEIGHT = 0.3  # of the last answer in the mean of how long answers take


@dataclass(eq=False)
class Turn:
    """Somebody's place in the queue, and then among those who are answered.

    Attributes
    ----------
    owner : str
        Whose it is.
    subject : str
        What it is for, for people: the prompt's key.
    batch : bool
        Whether nobody looks on.
    number : int
        Which turn of the queue it is.
    since : float
        When it was asked for, and then when it was granted, by the monotonic clock.
    pieces, tokens : int
        How many pieces its answer has so far, and how many tokens, once that is known.
    """

    owner: str
    subject: str
    batch: bool
    number: int
    since: float = field(default_factory=time.monotonic)
    pieces: int = 0
    tokens: int = 0
    _granted: asyncio.Event = field(default_factory=asyncio.Event)
    _stopped: bool = False
    _end: Callable[[BaseException], None] | None = None

    @property
    def granted(self) -> bool:
        """Whether it is answered by now."""
        return self._granted.is_set()

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is granted, or so many seconds; tell whether it is.

        Raises
        ------
        RemoteError
            If it was stopped.
        """
        try:
            await asyncio.wait_for(self._granted.wait(), seconds)
        except asyncio.TimeoutError:
            return False
        if self._stopped:
            raise _stopped()
        return True

    def begun(self, end: Callable[[BaseException], None]) -> None:
        """Take what ends its answer."""
        self._end = end

    def stop(self) -> None:
        """End it, also in the middle of its answer, or before its first piece."""
        self._stopped = True
        self._granted.set()
        if self._end is not None:
            self._end(_stopped())


class FairQueue:
    """A queue for so many answers at a time. It belongs to one event loop.

    Parameters
    ----------
    slots : int or None
        How many answers run at a time; None sets no limit.
    most_waiting : int or None
        How many turns of one owner may wait; None sets no limit.

    Attributes
    ----------
    answers, tokens : Counter
        How many answers each owner has had, and how many tokens those had.
    """

    def __init__(self, slots: int | None = None, *, most_waiting: int | None = None) -> None:
        self.slots = slots
        self._most_waiting = most_waiting
        self._waiting: list[Turn] = []
        self._running: list[Turn] = []
        self._last: dict[str, int] = {}
        self._grants = self._numbers = 0
        self.answers: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()
        self._mean: float | None = None
        self._line: list[Turn] | None = None

    @property
    def turns(self) -> Sequence[Turn]:
        """All that run, then all that wait."""
        return (*self._running, *self._waiting)

    def enter(self, owner: str, subject: str = "", *, batch: bool = False) -> Turn:
        """Ask for a turn.

        Raises
        ------
        RemoteError
            If the owner has too many that wait; it says when to come again.
        """
        waiting = sum(turn.owner == owner for turn in self._waiting)
        if self._most_waiting is not None and waiting >= self._most_waiting:
            raise self._too_many(waiting)
        self._numbers += 1
        turn = Turn(owner, subject, batch, self._numbers)
        self._waiting.append(turn)
        self._grant()
        return turn

    def leave(self, turn: Turn) -> None:
        """Give a turn back, whether it was granted or not."""
        if turn in self._waiting:
            self._waiting.remove(turn)
        elif turn in self._running:
            self._running.remove(turn)
            self.answers[turn.owner] += 1
            self.tokens[turn.owner] += turn.tokens or turn.pieces
            took = time.monotonic() - turn.since
            self._mean = took if self._mean is None else (1 - _WEIGHT) * self._mean + _WEIGHT * took
        self._grant()

    async def places(self, turn: Turn) -> AsyncIterator[str]:
        """Say where in the line a turn is, each time that changes and now and then again, until it is granted."""
        told, silent = "", 0.0
        while not turn.granted:
            place = self._place(turn)
            if place != told or silent >= REPEATED_SECONDS:
                yield place
                told, silent = place, 0.0
            silent += TICK_SECONDS
            await turn.wait(TICK_SECONDS)

    def _grant(self) -> None:
        self._line = None
        while (turn := self._next(self._waiting, self._running, self._last)) is not None:
            self._waiting.remove(turn)
            self._running.append(turn)
            self._grants += 1
            self._last[turn.owner] = self._grants
            turn.since = time.monotonic()
            turn._granted.set()

    def _next(self, waiting: Sequence[Turn], running: Sequence[Turn], last: dict[str, int]) -> Turn | None:
        if self.slots is not None:
            if len(running) >= self.slots:
                return None
            if sum(turn.batch for turn in running) >= max(self.slots - 1, 1):
                waiting = [turn for turn in waiting if not turn.batch]
        answered = Counter(turn.owner for turn in running)
        return min(
            waiting,
            key=lambda turn: (answered[turn.owner], turn.batch, last.get(turn.owner, 0), turn.number),
            default=None,
        )

    def _in_line(self) -> list[Turn]:
        """Work out in which order those who wait come, if answers end as they began and nobody else comes."""
        if self._line is None:
            waiting, running, last = list(self._waiting), list(self._running), dict(self._last)
            self._line = []
            while waiting and len(self._line) < LONGEST_LINE:
                turn = self._next(waiting, running, last)
                if turn is None:
                    running.pop(0)
                    continue
                waiting.remove(turn)
                running.append(turn)
                last[turn.owner] = self._grants + len(self._line) + 1
                self._line.append(turn)
        return self._line

    def _place(self, turn: Turn) -> str:
        line = self._in_line()
        if turn not in line:
            return f"more than {len(line)} in line before you"
        place = line.index(turn) + 1
        where = "next in line" if place == 1 else f"{ordinal(place)} in line"
        return where if self._mean is None else f"{where}, about {self._seconds(place)} s"

    def _seconds(self, place: int) -> int:
        return max(1, math.ceil((self._mean or 1.0) * place / (self.slots or 1)))

    def _too_many(self, waiting: int) -> RemoteError:
        error = remote_error(
            f"{waiting} of your calls are waiting already; make the next one when they are answered.",
            code=TOO_MANY,
            http_status=429,
        )
        error.retry_after = float(self._seconds(waiting))
        return error


def _stopped() -> RemoteError:
    return remote_error("The teacher has stopped this answer.", code=STOPPED)


def ordinal(number: int) -> str:
    """Write 1st, 2nd, 3rd, 4th."""
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
