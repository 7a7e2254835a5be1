"""``%loop_batch``: from its options to `batch`, and one line that tells how far it is."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections import ChainMap
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from IPython.display import display

from cozeloop_magic.cell.options import read_pair
from cozeloop_magic.lab.batch import BatchProgress, batch
from cozeloop_magic.notebook.comparing import read_table_name
from cozeloop_magic.notebook.session import Session
from cozeloop_magic.notebook.values import read_values
from cozeloop_magic.run.drive import Stop
from cozeloop_magic.view.front import is_watched

__all__ = ["run_batch"]

_EVERY = 0.5  # seconds between two drawings


def run_batch(
    session: Session, args: Namespace, cell: str, config: Mapping[str, str], local_names: dict[str, Any]
) -> None:
    """Do what ``%loop_batch`` says.

    Raises
    ------
    LoopError
        For anything that went wrong.
    KeyboardInterrupt
        If it was stopped; what came is bound all the same.
    """
    names = ChainMap(local_names, session.namespace)
    values = read_values(session, cell, args.var, names)
    session.tell(() if args.quiet else values.notes)
    stop, line = Stop(), _ProgressLine(session.in_kernel, args.quiet)
    table = batch(
        session.connected(config),
        read_table_name(args.inputs, names),
        args.prompt,
        variables=dict(read_pair(option, "--map", "VARIABLE=COLUMN") for option in args.map),
        version=args.version,
        label=args.label,
        constants=values.variables,
        messages=values.messages,
        out=args.column,
        to=args.to,
        checks=args.check,
        expect=args.expect,
        json_columns=args.json,
        concurrency=args.concurrency,
        rpm=args.rpm,
        tpm=args.tpm,
        sample=args.sample,
        fail_above=args.fail_above,
        fresh=args.fresh,
        retry_errors=args.retry_errors,
        store=not args.off,
        stop=stop,
        timeout=args.timeout,
        progress=line.show,
        functions=names,
    )
    line.end()
    session.bind(table, "_loop", args.out)
    if stop.asked:
        raise KeyboardInterrupt("stopped; what came is kept, and the same cell asks only for what is missing.")


class _ProgressLine:
    """One line that is drawn over: in a page by its display id, in a terminal by a carriage return, else once."""

    def __init__(self, in_kernel: bool, quiet: bool) -> None:
        self._began = time.monotonic()
        self._next = 0.0
        self._last: BatchProgress | None = None
        self._quiet = quiet
        self._draw: Callable[[str], None] = self._page if in_kernel else self._terminal
        self._handle: Any = None
        self._live = is_watched() if in_kernel else sys.stderr.isatty()

    def show(self, progress: BatchProgress) -> None:
        """Draw it, if it is time."""
        self._last = progress
        if self._live and not self._quiet and time.monotonic() >= self._next:
            self._draw(self._line())
            self._next = time.monotonic() + _EVERY

    def end(self) -> None:
        """Draw how it ended."""
        if self._last is not None and not self._quiet:
            self._draw(self._line())
            sys.stderr.write("\n" if self._draw == self._terminal else "")

    def _line(self) -> str:
        assert self._last is not None
        called = self._last.done + self._last.failed - self._last.kept
        seconds = time.monotonic() - self._began
        items = [str(self._last)]
        if called and seconds > 1:
            items.append(f"{called / seconds:,.1f} rows/s")
            left = (self._last.total or 0) - self._last.done - self._last.failed
            if left > 0:
                items.append(f"about {_time(left * seconds / called)} left")
        return " · ".join(items)

    def _page(self, text: str) -> None:
        kept = {"text/html": f'<p class="cozeloop-batch">{escape(text)}</p>', "text/plain": text}
        if self._handle is None:
            self._handle = display(kept, raw=True, display_id=True)  # type: ignore[no-untyped-call,unused-ignore]
        else:
            self._handle.update(kept, raw=True)

    def _terminal(self, text: str) -> None:
        sys.stderr.write(f"\r{text}\x1b[K" if self._live else text)
        sys.stderr.flush()


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
