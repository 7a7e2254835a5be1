"""A run as text that is written as it comes: terminals, and notebooks that want it plain."""

from __future__ import annotations

import sys
from shutil import get_terminal_size
from typing import TextIO

from cozeloop_magic.entities.prompt import format_tool_calls
from cozeloop_magic.printable import printable
from cozeloop_magic.run.state import RunState
from cozeloop_magic.view.render import has_output, status

__all__ = ["TerminalView"]


class TerminalView:
    """Writes an answer to `out` as it comes, and one line about the run to `status`.

    The answer alone goes to `out`, so that it can be piped; the tools it asks for are its end. Reasoning is left
    out of it, and the status line says how much there was: a terminal cannot fold it away, and a reader waits for the
    answer. The result still holds it.

    Parameters
    ----------
    out, status : TextIO, optional
        Standard output and standard error as they are when the view is made.
    """

    def __init__(self, out: TextIO | None = None, status: TextIO | None = None) -> None:
        self._out = sys.stdout if out is None else out
        self._status = sys.stderr if status is None else status
        self._written = 0  # characters of the answer
        self._ends_line = True
        self._preparing = ""
        self._width = 0  # of the status line that stands on the terminal now

    def update(self, state: RunState) -> None:
        """Write what is new. A carriage return at the end waits: it may be half of a line break."""
        if state.preparing != self._preparing:
            self._prepare(state.preparing)
        self._write(state.text, len(state.text) - state.text.endswith("\r"))

    def finish(self, state: RunState) -> None:
        """Write the rest, end the line, and say how it went."""
        self._prepare("")
        self._write(state.text, len(state.text))
        calls = printable(format_tool_calls(state.result))
        self._out.write(("" if self._ends_line else "\n") + (f"{calls}\n" if calls else ""))
        self._out.flush()
        if has_output(state) or state.error is None:
            thought = f" · {len(state.reasoning):,} characters of reasoning" if state.reasoning else ""
            self._status.write(self._wrapped(f"{status(state)}{thought}") + "\n")
        self._status.flush()

    def _write(self, text: str, end: int) -> None:
        new = printable(text[self._written : end])
        if not new:
            return
        self._erase()
        self._out.write(new)
        self._out.flush()
        self._written = end
        self._ends_line = new.endswith("\n")

    def _prepare(self, text: str) -> None:
        """Show what is done before the call: in place on a terminal, else a line for each change."""
        self._preparing = text
        self._erase()
        if not text:
            return
        shown = printable(text).replace("\n", " ")
        if self._status.isatty():
            shown = shown[: get_terminal_size().columns - 1]  # of two lines, only one could be erased
            self._status.write(shown)
            self._width = len(shown)
        else:
            self._status.write(f"{shown}\n")
        self._status.flush()

    def _wrapped(self, line: str) -> str:
        """Wrap a status line between its items, where a terminal is narrower."""
        if not self._status.isatty():
            return line
        width, lines = get_terminal_size().columns, [""]
        for item in line.split(" · "):
            longer = f"{lines[-1]} · {item}" if lines[-1] else item
            if lines[-1] and len(longer) > width:
                lines.append(item)
            else:
                lines[-1] = longer
        return "\n".join(lines)

    def _erase(self) -> None:
        if self._width:
            self._status.write("\r" + " " * self._width + "\r")
            self._status.flush()
            self._width = 0
