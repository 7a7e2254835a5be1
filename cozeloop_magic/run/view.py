"""`View`: what draws a run while it goes. `cozeloop_magic.view` has those there are."""

from __future__ import annotations

from typing import Protocol

from cozeloop_magic.run.state import RunState

__all__ = ["View"]


class View(Protocol):
    """Draws a run while it goes."""

    def update(self, state: RunState) -> None:
        """Draw a state that is not the last one."""

    def finish(self, state: RunState) -> None:
        """Draw the last state; nothing follows."""
