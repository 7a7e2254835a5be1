"""What cells leave behind: answers that go on while other cells run."""

from __future__ import annotations

from weakref import WeakSet

from cozeloop_magic.run.drive import Stop
from cozeloop_magic.view.front import running_cell

__all__ = ["LeftBehind"]


class LeftBehind:
    """The runs that go on behind other cells, by the cell that began them."""

    def __init__(self) -> None:
        self._cells: dict[str, tuple[str, WeakSet[Stop]]] = {}  # by cell: its execution, and what that left behind

    def add(self, stop: Stop) -> None:
        """Keep what stops a run that the present cell leaves behind."""
        cell, execution = running_cell()
        self._cells.setdefault(cell, (execution, WeakSet()))[1].add(stop)

    def stop_earlier(self, *_: object) -> None:
        """Before a cell runs, stop what it left behind earlier: nobody sees that any more, and it costs tokens."""
        cell, execution = running_cell()
        earlier, stops = self._cells.get(cell, (execution, WeakSet()))
        if cell and earlier != execution:
            del self._cells[cell]
            for stop in stops:
                stop()

    def stop_all(self) -> None:
        """Stop all that goes on."""
        for _, stops in self._cells.values():
            for stop in stops:
                stop()
