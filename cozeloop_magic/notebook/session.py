"""What a notebook's magics share: its namespace, its client, and the way from a cell to an answer."""

from __future__ import annotations

import argparse
import difflib
import keyword
import sys
import textwrap
from collections import ChainMap
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar
from weakref import WeakSet

from IPython.core.interactiveshell import InteractiveShell

from cozeloop_magic.cell.bind import (
    bind_messages,
    bind_variables,
    option_to_text,
    option_to_value,
    options_to_variables,
)
from cozeloop_magic.cell.parse import parse_cell
from cozeloop_magic.client.client import Client
from cozeloop_magic.client.connect import client_for
from cozeloop_magic.client.settings import Settings
from cozeloop_magic.entities.prompt import ExecuteRequest
from cozeloop_magic.entities.variables import encode_all
from cozeloop_magic.errors import InvalidRequest, LoopError, UnexpectedContent
from cozeloop_magic.printable import printable
from cozeloop_magic.run.answer import Answer
from cozeloop_magic.run.background import BackgroundAnswer
from cozeloop_magic.run.drive import NO_DEFINITION, Stop, drive, get_checked_prompt
from cozeloop_magic.run.state import Phase, RunState
from cozeloop_magic.run.view import View
from cozeloop_magic.template.render import render
from cozeloop_magic.transport.call import seconds_error
from cozeloop_magic.view.front import is_watched, running_cell
from cozeloop_magic.view.live import LiveView
from cozeloop_magic.view.messages import show_messages
from cozeloop_magic.view.render import bundle, has_output
from cozeloop_magic.view.terminal import TerminalView

__all__ = ["Session", "python_name"]

_SETTING = "%config LoopMagics.options"
_NO_KEY, _NO_VALUE = "Name the prompt to run.", "Leave the option out for its default."
_WIDTH = 92  # columns: JupyterLab would break longer lines in the middle of a word
_Read = TypeVar("_Read")
_wrap = partial(textwrap.fill, width=_WIDTH, break_long_words=False, break_on_hyphens=False)


class Session:
    """Runs cells in one IPython shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._client: tuple[Settings, Client] | None = None
        self._behind: dict[str, tuple[str, WeakSet[Stop]]] = {}  # by cell: its execution, and what that left behind
        self.arguments: dict[str, str] = {}  # of ``%loop use``: they come before the environment and %config
        self._in_kernel = getattr(shell, "kernel", None) is not None
        self._show_answers()
        shell.events.register("pre_run_cell", self._stop_earlier)

    def close(self) -> None:
        """Stop what still goes on, and close the client."""
        self._shell.events.unregister("pre_run_cell", self._stop_earlier)
        for _, stops in self._behind.values():
            for stop in stops:
                stop()
        if self._client is not None:
            self._client[1].close()

    @property
    def namespace(self) -> dict[str, Any]:
        """The notebook's names."""
        names: dict[str, Any] = self._shell.user_ns
        return names

    @property
    def in_kernel(self) -> bool:
        """Whether a Jupyter kernel runs the shell, and not a terminal."""
        return self._in_kernel

    def loop_prompt(
        self, args: argparse.Namespace, cell: str, config: Mapping[str, str], local_names: dict[str, Any]
    ) -> None:
        """Do what ``%%loop_prompt`` says; `local_names` are those of the function it stands in, if any.

        Raises
        ------
        LoopError
            For anything that went wrong; IPython shows its sentence alone.
        """
        try:
            names = ChainMap(local_names, self._shell.user_ns)
            _option(args, "out", python_name)
            _option(args, "timeout", _seconds)
            request = self._request(args, cell, names)
            client = self.connected(config)
            if args.dry_run:
                self._dry_run(client, request, args)
            else:
                self._run(client, request, args)
        except (LoopError, KeyboardInterrupt) as error:
            if not args.short_errors:
                raise
            raise self.shortly(error) from None

    @staticmethod
    def misuse(parser: argparse.ArgumentParser, problem: str, *, of_setting: bool, shortly: bool) -> BaseException:
        """Make the error for options that cannot be read, from what the parser says."""
        options = [name for name in parser._option_string_actions if name.startswith("--")]
        words = problem.partition("unrecognized arguments: ")[2].split()
        strange = next((word.partition("=")[0] for word in words if word.startswith("-")), None)
        if strange is not None:
            names = [name.removeprefix("--") for name in options]  # dashes would make any two alike
            close = difflib.get_close_matches(strange.lstrip("-"), names, n=1)
            meant = f" (did you mean --{close[0]}?)" if close else ""
            problem = f"There is no option {strange}{meant}."
        elif words:
            problem = f"{words[0]} belongs to no option."
        elif problem.endswith(("required: prompt_key", "required: KEY")):
            problem = _NO_KEY
        else:
            problem = f"{problem[:1].upper()}{problem[1:]}."
        where = f"{_SETTING}: " if of_setting else ""
        error = InvalidRequest(where + problem, hint=f"The options are {', '.join(options)}.")
        return Session.shortly(error) if shortly else error

    @staticmethod
    def shortly(error: BaseException) -> BaseException:
        """Have IPython show an error as its sentence, without a traceback; the cell fails all the same."""
        sentence, *source = printable(": ".join(filter(None, (type(error).__name__, str(error))))).split("\n")
        lines = [_wrap(sentence), *source]
        error._render_traceback_ = partial(list, lines)  # type: ignore[attr-defined]  # IPython's own hook
        return error

    def _request(self, args: argparse.Namespace, cell: str, names: Mapping[str, Any]) -> ExecuteRequest:
        spec, namespace = parse_cell(cell), self._shell.user_ns
        variables = partial(options_to_variables, read=partial(option_to_value, names=names))
        usual = _of_setting(variables, args.usual.var)
        which = partial(_which, names=names)
        version, label = which(args.own) or _of_setting(which, args.usual) or (None, None)
        return ExecuteRequest(
            prompt_key=_key(args.prompt_key, names),
            version=version,
            label=label,
            variable_vals=bind_variables(
                spec, namespace, {f"--var in {_SETTING}": usual, "--var": variables(args.own.var)}
            ),
            messages=bind_messages(spec, namespace),
        )

    def _run(self, client: Client, request: ExecuteRequest, args: argparse.Namespace) -> None:
        stop = Stop()
        view = self._view(args, stop)
        options = {"stream": not args.no_stream, "timeout": args.timeout, "interval": 1 / args.refresh_rate}
        run = partial(drive, client, request, view, stop=stop, **options)
        if args.background:
            self._run_behind(run, request, view, stop, args)
            return
        state = run()
        if state.error is None or has_output(state):  # else there is no answer, and an older one stays
            self.bind(Answer(state), "_loop", args.out)
        if state.error is not None:
            raise state.error
        if stop.asked:
            raise KeyboardInterrupt(_stopped(state))

    def _run_behind(
        self, run: Callable[[], RunState], request: ExecuteRequest, view: View, stop: Stop, args: argparse.Namespace
    ) -> None:
        cell, execution = running_cell()
        self._behind.setdefault(cell, (execution, WeakSet()))[1].add(stop)
        view.update(RunState(request))  # where the answer goes is settled while this cell runs
        answer = BackgroundAnswer(request, partial(_erring_shortly, run) if args.short_errors else run, stop)
        self.bind(answer, "_loop", args.out)
        if not is_watched():  # a machine moves on to the next cell, or ends, and would save an answer half written
            with stop.on_interrupt():
                state = answer.result().state
            if stop.asked:
                raise KeyboardInterrupt(_stopped(state))

    def _stop_earlier(self, *_: object) -> None:
        """Before a cell runs, stop what it left behind earlier: nobody sees that any more, and it costs tokens."""
        cell, execution = running_cell()
        earlier, stops = self._behind.get(cell, (execution, WeakSet()))
        if cell and earlier != execution:
            del self._behind[cell]
            for stop in stops:
                stop()

    def _dry_run(self, client: Client, request: ExecuteRequest, args: argparse.Namespace) -> None:
        prompt = get_checked_prompt(client, request, args.timeout)
        if prompt.prompt_template is None:
            raise UnexpectedContent(f"There is nothing to render: {NO_DEFINITION}.")
        messages = render(prompt, encode_all(request.variable_vals), request.messages).messages
        if not args.quiet:
            show_messages(prompt, messages, plain=args.plain or not self._in_kernel)
        self.bind(messages, args.out)

    def connected(self, config: Mapping[str, str]) -> Client:
        """Give the client of the present settings; the same one as long as they stay the same."""
        settings = Settings.gather(self.arguments, config=config)
        if self._client is None or self._client[0] != settings:
            if self._client is not None:
                self._client[1].close()
            self._client = settings, client_for(settings)
        return self._client[1]

    def _view(self, args: argparse.Namespace, stop: Stop) -> View:
        if args.quiet or (args.background and not self._in_kernel):
            return _Silent()
        if args.plain or not self._in_kernel:
            return TerminalView(sys.stdout, sys.stdout if self._in_kernel else sys.stderr)
        return LiveView(stop, behind=args.background, fold_height=args.fold_height)

    def insert_cell(self, source: str) -> None:
        """Insert a cell below the one that runs; a terminal offers it as the next input."""
        self._shell.set_next_input(source)

    def bind(self, value: Any, *names: str | None) -> None:
        """Bind a value to names of the notebook; None names nothing."""
        self._shell.user_ns.update({name: value for name in names if name})

    def _show_answers(self) -> None:
        """Let an answer that ends a cell show as the run's own output does."""
        display = self._shell.display_formatter
        assert display is not None
        display.mimebundle_formatter.for_type(Answer, lambda answer, **_: bundle(answer.state))
        display.formatters["text/plain"].for_type(Answer, _print_answer)  # else IPython takes its own for text
        display.mimebundle_formatter.for_type(
            BackgroundAnswer, lambda behind, **_: None if behind.answer is None else bundle(behind.answer.state)
        )


def _print_answer(answer: Answer, printer: Any, cycle: bool) -> None:
    """Print an answer that ends a cell as the run did; within something else, its repr."""
    alone = len(printer.stack) <= 1
    printer.text(bundle(answer.state)["text/plain"] if alone else repr(answer))


class _Silent:
    """The view of ``--quiet``."""

    def update(self, state: RunState) -> None:
        """Show nothing."""

    def finish(self, state: RunState) -> None:
        """Show nothing."""


def _option(args: argparse.Namespace, name: str, read: Callable[[Any], Any]) -> Any:
    """Give what an option of the line says, or else that of the setting."""
    own, usual = getattr(args.own, name), getattr(args.usual, name)
    if own is not None:
        return read(own)
    return None if usual is None else _of_setting(read, usual)


def _of_setting(read: Callable[[Any], _Read], given: Any) -> _Read:
    """Read what the setting gives; what is wrong with it names the setting."""
    try:
        return read(given)
    except InvalidRequest as error:
        error.message = f"{_SETTING}: {error.message}"
        raise


def _which(given: argparse.Namespace, names: Mapping[str, Any]) -> tuple[str | None, str | None] | None:
    """Give the version and the label, if either is given: a line's own stand for both of the setting's."""
    version, label = (_text(getattr(given, name), names, f"--{name}") for name in ("version", "label"))
    return (version, label) if version or label else None


def _key(given: str, names: Mapping[str, Any]) -> str:
    key = _text(given, names, "The prompt's key", _NO_KEY)
    if key is None:
        raise InvalidRequest(f"The prompt's key {given} is None.", hint=_NO_KEY)
    return key


def _text(given: str | None, names: Mapping[str, Any], what: str, hint: str = _NO_VALUE) -> str | None:
    text = None if given is None else option_to_text(given, names, what)
    if text is not None and not text.strip():
        raise InvalidRequest(f"{what} {given}".rstrip() + " is empty.", hint=hint)
    return text


def python_name(text: str) -> str:
    """Give the name that ``--out`` says.

    Raises
    ------
    InvalidRequest
        If it is none.
    """
    if not text.isidentifier() or keyword.iskeyword(text):
        raise InvalidRequest(f"--out {text} is no Python name.", hint="Write letters, digits and _.")
    return text


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
        Session.shortly(state.error)
    return state
