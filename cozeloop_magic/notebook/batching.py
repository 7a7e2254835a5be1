"""``%loop_batch``: from its options to `batch`, with what is drawn of it."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections import ChainMap
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from IPython.display import display

from cozeloop_magic.cell.bind import python_name, unquote
from cozeloop_magic.errors import LoopError
from cozeloop_magic.lab.batch import batch
from cozeloop_magic.lab.inputs import is_missing
from cozeloop_magic.lab.progress import BatchProgress, ProgressBar
from cozeloop_magic.notebook.errors import shorten
from cozeloop_magic.notebook.session import Session
from cozeloop_magic.notebook.tables import read_checks, read_map, read_names, read_table_name
from cozeloop_magic.notebook.values import read_values
from cozeloop_magic.run.background import Background
from cozeloop_magic.run.drive import Stop
from cozeloop_magic.view.batch import BatchView, ending
from cozeloop_magic.view.front import is_watched
from cozeloop_magic.view.listing import Listing

__all__ = ["run_batch"]

_TEXTS = ("prompt", "version", "label", "column", "to", "expect")
_TAKEN = 3  # columns that a sample shows of the table, where none is named
_ADDED = ("finish_reason", "input_tokens", "output_tokens", "latency", "error")  # what a sample shows


class _View(Protocol):
    """Draws how far a table is."""

    def __call__(self, progress: BatchProgress) -> None:
        """Draw it."""

    def finish(self, error: BaseException | None = None) -> None:
        """Draw how it ended."""


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
    args = read_names(args, names, _TEXTS)
    args.mapped = read_map(args.map, names)
    stop = Stop()
    work = _work(session, args, cell, config, names, stop)
    view = _view(session, args, stop)
    run = partial(_drawn, work, view)
    if args.background:
        _run_behind(session, args, run, stop)
        return
    try:
        table = run()
    except LoopError as error:
        if error.result is not None:
            session.bind(error.result, "_loop", args.out)
        raise
    session.bind(table, "_loop", args.out)
    if args.sample is not None and not args.quiet:
        display(_shown(table, args))  # type: ignore[no-untyped-call,unused-ignore]
    if stop.asked:
        raise KeyboardInterrupt("stopped; what came is kept, and the same cell asks only for what is missing.")


def _work(
    session: Session,
    args: Namespace,
    cell: str,
    config: Mapping[str, str],
    names: Mapping[str, Any],
    stop: Stop,
) -> Callable[[_View], Any]:
    """Read all that is asked for, and return what does it."""
    values = read_values(session, cell, args.var, names)
    session.tell(() if args.quiet else values.notes)
    options = {
        "variables": args.mapped,
        "version": args.version,
        "label": args.label,
        "constants": values.variables,
        "messages": values.messages,
        "out": args.column,
        "to": args.to,
        "checks": read_checks(args.check, names),
        "expect": args.expect,
        "json_columns": args.json,
        "schema": _named(args.schema, names),
        "concurrency": args.concurrency,
        "rpm": args.rpm,
        "tpm": args.tpm,
        "sample": args.sample,
        "fail_above": args.fail_above,
        "fresh": args.fresh,
        "retry_errors": args.retry_errors,
        "store": not args.off,
        "timeout": args.timeout,
        "engine": _named(args.dask, names),
        "functions": names,
    }
    client, table = session.connected(config), read_table_name(args.inputs, names)
    return lambda view: batch(client, table, args.prompt, stop=stop, progress=view, **options)


def _named(option: str | None, names: Mapping[str, Any]) -> Any:
    """Return what a name of the notebook holds, or else the path or address that it is."""
    if option is None:
        return None
    name = python_name(unquote(option)) or unquote(option)
    return names.get(name, name)


def _drawn(work: Callable[[_View], Any], view: _View) -> Any:
    """Do it, and draw how it ended."""
    try:
        table = work(view)
    except BaseException as error:
        view.finish(error)
        raise
    view.finish()
    return table


def _run_behind(session: Session, args: Namespace, run: Callable[[], Any], stop: Stop) -> None:
    session.left_behind.add(stop)
    behind = Background(f"the table {args.inputs}", run if args.quiet else partial(_erring_shortly, run), stop)
    session.bind(behind, "_loop", args.out)
    if not is_watched():  # a machine moves on to the next cell, or ends
        with stop.on_interrupt():
            behind.result()


def _erring_shortly(run: Callable[[], Any]) -> Any:
    try:
        return run()
    except Exception as error:
        raise shorten(error) from None


def _shown(table: Any, args: Namespace) -> Listing:
    """Return a sample's rows as a listing: what was taken from them, the answer, and how it went."""
    if hasattr(table, "iloc"):
        table = table.to_dict("records")
    rows = table if isinstance(table, list) else table.to_dicts()
    rows = [{name: None if is_missing(value) else value for name, value in row.items()} for row in rows]
    columns, fields = list(rows[0]) if rows else [], f"{args.column}."
    before = columns[: columns.index(args.column)] if args.column in columns else columns
    taken = list(args.mapped.values()) or before[:_TAKEN]
    answered = [name for name in columns if name == args.column or name.startswith(fields)]
    figures = [name for name in _ADDED if name != "error" or any(row.get("error") for row in rows)]
    return Listing(rows, [*taken, *answered, *figures])


class _Line:
    """How it ended, in the terminal or the log of a program; nothing before."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._last = BatchProgress()

    def __call__(self, progress: BatchProgress) -> None:
        """Remember it."""
        self._last = progress

    def finish(self, error: BaseException | None = None) -> None:
        """Write how it ended; an error before it began says that itself."""
        if error is not None and not self._last.has_begun:
            return
        lines = ending(self._last, stopped=self._stop.asked)
        sys.stderr.write("\n".join(filter(None, lines)) + "\n")


class _Bar(_Line):
    """The same with a bar before the end, where a person watches a terminal."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop)
        self._bar = ProgressBar()

    def __call__(self, progress: BatchProgress) -> None:
        """Draw it."""
        super().__call__(progress)
        self._bar(progress)

    def finish(self, error: BaseException | None = None) -> None:
        """Close the bar, and write how it ended."""
        self._bar.close()
        super().finish(error)


class _Silent:
    """The view of ``--quiet``."""

    def __call__(self, progress: BatchProgress) -> None:
        """Draw nothing."""

    def finish(self, error: BaseException | None = None) -> None:
        """Draw nothing."""


def _view(session: Session, args: Namespace, stop: Stop) -> _View:
    if args.quiet or (args.background and not session.in_kernel):
        return _Silent()
    if session.in_kernel:
        return BatchView(args.prompt, stop, behind=args.background)
    return _Bar(stop) if sys.stderr.isatty() else _Line(stop)
