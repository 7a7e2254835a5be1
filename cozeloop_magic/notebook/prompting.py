"""``%%loop_prompt``: from a cell and its options to an answer."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections import ChainMap
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from cozeloop_magic.cell.options import read_settings
from cozeloop_magic.client.client import Client
from cozeloop_magic.entities.prompt import ExecuteRequest
from cozeloop_magic.entities.variables import encode_all
from cozeloop_magic.errors import InvalidRequest, UnexpectedContent
from cozeloop_magic.notebook.errors import shorten
from cozeloop_magic.notebook.options import chosen_version, of_setting, option_of, prompt_key_of
from cozeloop_magic.notebook.session import Session
from cozeloop_magic.notebook.values import CellValues, read_values
from cozeloop_magic.run.answer import Answer
from cozeloop_magic.run.background import BackgroundAnswer
from cozeloop_magic.run.drive import NO_DEFINITION, Stop, drive, get_checked_prompt
from cozeloop_magic.run.state import Phase, RunState
from cozeloop_magic.run.view import View
from cozeloop_magic.store.memory import CellMemory
from cozeloop_magic.template.render import render
from cozeloop_magic.transport.call import seconds_error
from cozeloop_magic.view.front import is_watched
from cozeloop_magic.view.live import LiveView
from cozeloop_magic.view.messages import show_messages
from cozeloop_magic.view.render import has_output
from cozeloop_magic.view.terminal import TerminalView

__all__ = ["run_prompt", "run_request"]


def run_prompt(
    session: Session, args: Namespace, cell: str, config: Mapping[str, str], local_names: dict[str, Any]
) -> None:
    """Do what ``%%loop_prompt`` says; `local_names` are those of the function it stands in, if any.

    Raises
    ------
    LoopError
        For anything that went wrong.
    KeyboardInterrupt
        If it was stopped; what came is bound all the same.
    """
    names = ChainMap(local_names, session.namespace)
    option_of(args, "timeout", _seconds)
    settings = of_setting(read_settings, args.usual.set) | read_settings(args.own.set)
    values = read_values(session, cell, args.own.var, names, args.usual.var)
    request = _request(args, values, names)
    notes = (*(f"{name}={value}" for name, value in settings.items()), *values.notes)
    client = session.connected(config)
    if args.dry_run:
        _dry_run(session, client, request, notes, args)
    else:
        run_request(session, client, RunState(request, settings=settings, notes=notes), args)


def _request(args: Namespace, values: CellValues, names: Mapping[str, Any]) -> ExecuteRequest:
    which = partial(chosen_version, names=names)
    version, label = which(args.own) or of_setting(which, args.usual) or (None, None)
    return ExecuteRequest(
        prompt_key_of(args.prompt_key, names),
        version,
        label,
        variable_vals=values.variables,
        messages=values.messages,
    )


def run_request(session: Session, client: Client, begin: RunState, args: Namespace) -> None:
    """Run the request that a state begins with, show it all the way, and bind its answer."""
    stop = Stop()
    view = _view(session, args, stop)
    memory = CellMemory(client, not args.off, cache=args.cache, cell=args.cell)
    run = partial(
        drive, client, begin.request, view, stop=stop, stream=not args.no_stream, timeout=args.timeout,
        interval=1 / args.refresh_rate, settings=begin.settings, notes=begin.notes, memory=memory,
    )  # fmt: skip
    if args.background:
        _run_behind(session, run, begin, view, stop, args)
        return
    state = run()
    if state.error is None or has_output(state):  # else there is no answer, and an older one stays
        session.bind(Answer(state), "_loop", args.out)
    if state.error is not None:
        raise state.error
    if stop.asked:
        raise KeyboardInterrupt(_stopped(state))


def _run_behind(
    session: Session, run: Callable[[], RunState], begin: RunState, view: View, stop: Stop, args: Namespace
) -> None:
    session.left_behind.add(stop)
    view.update(begin)  # where the answer goes is settled while this cell runs
    answer = BackgroundAnswer(begin.request, partial(_erring_shortly, run) if args.short_errors else run, stop)
    session.bind(answer, "_loop", args.out)
    if not is_watched():  # a machine moves on to the next cell, or ends, and would save an answer half written
        with stop.on_interrupt():
            state = answer.result().state
        if stop.asked:
            raise KeyboardInterrupt(_stopped(state))


def _dry_run(
    session: Session, client: Client, request: ExecuteRequest, notes: tuple[str, ...], args: Namespace
) -> None:
    prompt = get_checked_prompt(client, request, args.timeout)
    if prompt.prompt_template is None:
        raise UnexpectedContent(f"There is nothing to render: {NO_DEFINITION}.")
    values = encode_all(request.variable_vals)
    rendered = render(prompt, values, request.messages)
    if not args.quiet:
        plain, remarks = args.plain or not session.in_kernel, (*notes, *rendered.remarks)
        show_messages(prompt, rendered.messages, remarks, plain=plain, values=values, appended=request.messages)
    session.bind(rendered.messages, args.out)


def _view(session: Session, args: Namespace, stop: Stop) -> View:
    if args.quiet or (args.background and not session.in_kernel):
        return _Silent()
    if args.plain or not session.in_kernel:
        return TerminalView(sys.stdout, sys.stdout if session.in_kernel else sys.stderr)
    return LiveView(stop, behind=args.background, fold_height=args.fold_height)


class _Silent:
    """The view of ``--quiet``."""

    def update(self, state: RunState) -> None:
        """Show nothing."""

    def finish(self, state: RunState) -> None:
        """Show nothing."""


def _seconds(number: float) -> float:
    if odd := seconds_error("--timeout", number):
        raise InvalidRequest(odd)
    return number


def _stopped(state: RunState) -> str:
    if state.phase is Phase.DONE:
        return "stopped; the answer was already complete."
    return f"stopped; {'the text so far is kept' if has_output(state) else 'nothing had come yet'}."


def _erring_shortly(run: Callable[[], RunState]) -> RunState:
    state = run()
    if state.error is not None:
        shorten(state.error)
    return state
