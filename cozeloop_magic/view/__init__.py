"""What a person sees of a run: a live widget, the static output that stays, or text in a terminal.

Every view is a function of `RunState`. Whoever drives a run hands each state to a `View`; the modules beside this
one draw it: `live` in a Jupyter kernel, `terminal` elsewhere, and `render` makes what is kept.
"""

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
