"""A run as text that is written as it comes: terminals, and notebooks that want it plain."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from shutil import get_terminal_size
from typing import TextIO

from cozeloop_magic.entities.prompt import format_tool_calls
from cozeloop_magic.printable import printable
from cozeloop_magic.run.state import Phase, RunState
from cozeloop_magic.view.render import has_output, status
from cozeloop_magic.view.word_wrap import WordWrap

__all__ = ["TerminalView"]


class _Keys:
    """Keeps a terminal from writing keys that are pressed into the text, such as ``^C``."""

    def __init__(self) -> None:
        self._restore: Callable[[], object] | None = None

    def hide(self) -> None:
        """Write no keys from now on; nothing happens where there is no terminal."""
        if self._restore is not None:
            return
        try:
            import termios
        except ImportError:  # on Windows, which writes no ^C
            return
        with suppress(OSError, ValueError, termios.error):  # a terminal is written to, but not read
            number = sys.stdin.fileno()
            before = termios.tcgetattr(number)
            hidden = list(before)
            hidden[3] &= ~termios.ECHO
            termios.tcsetattr(number, termios.TCSANOW, hidden)
            self._restore = partial(termios.tcsetattr, number, termios.TCSANOW, before)

    def show(self) -> None:
        """Have it as it was."""
        if self._restore is not None:
            self._restore()
            self._restore = None


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
        self._waiting = ""
        self._width = 0  # of the status line that stands on the terminal now
        self._wrap = WordWrap(_columns) if self._out.isatty() else None
        self._keys = _Keys()

    def update(self, state: RunState) -> None:
        """Write what is new. A carriage return at the end waits: it may be half of a line break."""
        if self._wrap is not None:
            self._keys.hide()
        in_place = self._status.isatty() and state.phase is Phase.WAITING
        self._wait(status(state) if in_place else state.preparing)
        self._write(state.text, len(state.text) - state.text.endswith("\r"))

    def finish(self, state: RunState) -> None:
        """Write the rest, end the line, and say how it went."""
        self._keys.show()
        self._wait("")
        self._write(state.text, len(state.text))
        if self._wrap is not None:
            self._out.write(self._wrap.flush())
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
        self._out.write(new if self._wrap is None else self._wrap.feed(new))
        self._out.flush()
        self._written = end
        self._ends_line = new.endswith("\n")

    def _wait(self, text: str) -> None:
        """Show what is waited for: in place on a terminal; elsewhere what is done before the call, line by line."""
        if text == self._waiting:
            return
        self._waiting = text
        self._erase()
        if not text:
            return
        shown = printable(text).replace("\n", " ")
        if self._status.isatty():
            shown = shown[: _columns() - 1]  # of two lines, only one could be erased
            self._status.write(shown)
            self._width = len(shown)
        else:
            self._status.write(f"{shown}\n")
        self._status.flush()

    def _wrapped(self, line: str) -> str:
        """Wrap a status line between its items, where a terminal is narrower."""
        if not self._status.isatty():
            return line
        width, lines = _columns(), [""]
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


def _columns() -> int:
    return get_terminal_size().columns
