"""``%%loop_compare``: from a cell and its options to `compare`."""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import product
from typing import Any

from cozeloop_magic.cell.bind import unquote
from cozeloop_magic.cell.options import read_json, read_pair
from cozeloop_magic.errors import InvalidRequest, LoopError
from cozeloop_magic.lab.compare import compare
from cozeloop_magic.lab.state import ExperimentView
from cozeloop_magic.lab.variants import Variant
from cozeloop_magic.notebook.session import Session
from cozeloop_magic.notebook.tables import read_checks, read_map, read_names, read_table_name
from cozeloop_magic.notebook.values import read_values
from cozeloop_magic.run.drive import Stop
from cozeloop_magic.view.grid import GridView, PlainGridView

__all__ = ["run_comparison"]

_TEXTS = ("variants", "version", "label", "grid", "expect", "judge", "decide", "require")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def run_comparison(
    session: Session,
    args: Namespace,
    cell: str,
    config: Mapping[str, str],
    local_names: dict[str, Any],
    plain: bool,
) -> None:
    """Do what ``%%loop_compare`` says.

    Raises
    ------
    LoopError
        For anything that went wrong.
    KeyboardInterrupt
        If it was stopped; what came is bound all the same.
    """
    names = ChainMap(local_names, session.namespace)
    args = read_names(args, names, _TEXTS)
    values = read_values(session, cell, args.var, names)
    session.tell(() if args.quiet else values.notes)
    inputs, constants = _inputs(args, values.variables, names)
    stop = Stop()
    run = partial(
        compare,
        session.connected(config),
        list(_variants(args)),
        inputs,
        variables=constants,
        messages=values.messages,
        stop=stop,
        **_options(session, args, names, stop, plain),
    )
    _bind(session, run, args.out, stop)


def _bind(session: Session, run: Callable[[], object], out: str | None, stop: Stop) -> None:
    """Run a comparison and bind it, also what came of one that an error ended."""
    unmet = None
    try:
        comparison = run()
    except LoopError as error:
        if error.result is None:
            raise
        comparison, unmet = error.result, error
    session.bind(comparison, "_loop", out)
    if stop.asked:
        raise KeyboardInterrupt("stopped; what came is kept, and the same cell runs only what is missing.")
    if unmet is not None:
        raise unmet


def _options(session: Session, args: Namespace, names: Mapping[str, Any], stop: Stop, plain: bool) -> dict[str, Any]:
    prices = _prices(args.price)
    return {
        "map": read_map(args.map, names),
        "expect": args.expect,
        "repeat": args.repeat,
        "checks": read_checks(args.check, names),
        "judge": args.judge,
        "decide": args.decide,
        "by": args.by,
        "concurrency": args.concurrency,
        "max_runs": args.max_runs,
        "seed": args.seed,
        "fresh": args.fresh,
        "retry_errors": args.retry_errors,
        "cache": args.cache,
        "require": args.require,
        "prices": prices,
        "store": not args.off,
        "view": _view(args, stop, session.in_kernel, plain, prices),
        "timeout": args.timeout,
        "functions": names,
    }


def _variants(args: Namespace) -> Iterator[Variant]:
    """Yield the variants: each key with each version and label, and each of these with each setting."""
    settings = [dict(each) for each in product(*(_settings(option) for option in args.set))]
    for written in args.variants:
        if _VERSION.fullmatch(written):
            raise InvalidRequest(f"{written} looks like a version, not a prompt's key.", hint=f"Write -v {written}.")
        named = Variant.parse(written)
        which = [(version, None) for version in args.version] + [(None, label) for label in args.label]
        if named.version or named.label:
            which = [(named.version, named.label)]
        for version, label in which or [(None, None)]:
            for overrides in settings:
                yield Variant(named.prompt_key, version, label, overrides)


def _settings(option: str) -> list[tuple[str, Any]]:
    """Read ``temperature=0,0.7`` as one setting with two values."""
    name, values = read_pair(unquote(option), "--set", "NAME=VALUE,VALUE")
    return [(name, read_json(value)) for value in values.split(",")]


def _inputs(args: Namespace, values: dict[str, Any], names: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the table of inputs, and the values that are the same for all of them."""
    for name in args.grid:
        if isinstance(values.get(name), str):
            values[name] = read_json(values[name])  # a list as JSON is the text that it would be sent as
        if not isinstance(values.get(name), (list, tuple)) or not values[name]:
            raise InvalidRequest(f"--grid {name} needs a list of values.", hint=f"Write {name}: [one, another].")
    if not args.inputs:
        if not args.grid:
            return None, values
        grid = [values.pop(name) for name in args.grid]
        return [dict(zip(args.grid, each, strict=True)) for each in product(*grid)], values
    if args.grid:
        raise InvalidRequest("Both --inputs and --grid are given.", hint="Name one of them.")
    return read_table_name(args.inputs, names), values


def _prices(option: str | None) -> dict[str, float] | None:
    if option is None:
        return None
    try:
        given, received = map(float, option.split(","))
    except ValueError:
        raise InvalidRequest(f"--price {option} is no pair of numbers.", hint="Write --price 0.8,2.4.") from None
    return {"input": given, "output": received}


def _view(args: Namespace, stop: Stop, in_kernel: bool, plain: bool, prices: Any) -> ExperimentView | None:
    if args.quiet:
        return None
    if args.plain or plain or not in_kernel:
        status = sys.stdout if in_kernel else sys.stderr
        return PlainGridView(sys.stdout, status, concurrency=args.concurrency, prices=prices)
    return GridView(stop, concurrency=args.concurrency, diff=args.diff, prices=prices)
