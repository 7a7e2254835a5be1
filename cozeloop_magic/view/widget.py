"""A widget whose state is a flat table of short texts, sent as they change, and drawn by a script of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import anywidget

from cozeloop_magic.view.render import style

__all__ = ["Rows", "RowsWidget", "script", "sheet"]

_HERE = Path(__file__).parent

Rows = dict[str, Any]


def script(name: str) -> str:
    """Return a view's script with what all of them share. Of a path, anywidget would keep every widget for ever."""
    return "".join((_HERE / each).read_text(encoding="utf-8") for each in ("page.js", name))


def sheet(name: str) -> str:
    """Return a view's style sheet behind that of all runs."""
    return style() + (_HERE / name).read_text(encoding="utf-8")


class RowsWidget(anywidget.AnyWidget):
    """A table of texts that the page draws.

    Parameters
    ----------
    hint : str
        What stands for it where widgets are not drawn.
    rows : dict
        The first rows.
    stop : callable
        What a press on Stop calls.
    """

    def __init__(self, hint: str, rows: Rows, stop: Callable[[], None]) -> None:
        self._rows = rows
        self._hint = hint
        super().__init__()
        self.on_msg(lambda widget, message, buffers: stop() if message == "stop" else None)

    def show(self, rows: Rows) -> None:
        """Send the rows that changed, in one message."""
        changed = {key: value for key, value in rows.items() if self._rows.get(key) != value}
        self._rows |= changed
        if changed:
            self.send_state(changed.keys())

    def close(self) -> None:
        """Close the widget, and the layout that is its own."""
        self.layout.close()
        super().close()

    def get_state(self, key: str | Iterable[str] | None = None, drop_defaults: bool = False) -> dict[str, Any]:
        """Return the state as ipywidgets asks for it: rows are part of it beside the traits."""
        if key is None:
            return {**super().get_state(drop_defaults=drop_defaults), **self._rows}
        keys = {key} if isinstance(key, str) else set(key)
        traits = keys - self._rows.keys()
        rows = {name: self._rows[name] for name in keys - traits}
        return {**super().get_state(traits, drop_defaults), **rows} if traits else rows

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return {**data, "text/plain": self._hint}, metadata
