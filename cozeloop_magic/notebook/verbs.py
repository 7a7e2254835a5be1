"""``%loop VERB``: each verb is one function with options of its own.

A verb is added by writing it in a module that `_MODULES` names::

    @verb("versions")
    @argument("prompt_key", metavar="KEY", help="The prompt.")
    def versions(context: Context, args: Namespace) -> object:
        \"\"\"List a prompt's versions: who made them, when and why.\"\"\"
        return ...

The docstring's first line is what ``%loop`` says of it, all of it with the arguments its manual, which ``%loop
versions?`` and ``%loop versions --help`` show. Values of arguments come as text, unquoted, with ``$name`` already
looked up in the notebook. What it returns is the value of ``%loop``: IPython shows it where it ends a cell, and it is
bound to ``_loop`` and to ``--out``, which every verb has. A verb that shows and binds by itself returns None. Errors
are raised as `LoopError`. These modules import heavy things within their functions: completion reads them all.
"""

from __future__ import annotations

import difflib
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from IPython.core.magic_arguments import argument, magic_arguments

from cozeloop_magic.cell.bind import option_to_text
from cozeloop_magic.errors import InvalidRequest

if TYPE_CHECKING:
    from cozeloop_magic.client.client import Client
    from cozeloop_magic.notebook.session import Session

__all__ = ["Context", "Verb", "find_verb", "run_verb", "verb", "verbs"]

_MODULES = ("overview", "reading", "writing", "files", "history", "recording", "doctor")
_HELP = ("-h", "--help")


@dataclass(frozen=True)
class Context:
    """What a verb works with.

    Attributes
    ----------
    session : Session
        The notebook's: its namespace, its client.
    config : Mapping[str, str]
        What ``%config`` says of the server.
    names : Mapping[str, Any]
        The notebook's names, and those of the function that the line stands in.
    """

    session: Session
    config: Mapping[str, str]
    names: Mapping[str, Any]

    @property
    def client(self) -> Client:
        """The client of the present settings."""
        return self.session.connected(self.config)


Run = Callable[[Context, Namespace], object]


@dataclass(frozen=True)
class Verb:
    """A verb: its name, what it does, and how its options are read."""

    name: str
    run: Run
    parser: ArgumentParser

    @property
    def summary(self) -> str:
        """What it does, in one line."""
        return (self.parser.description or "").strip().partition("\n")[0]

    @property
    def usage(self) -> str:
        """Its name and what must or may follow it, without options."""
        words = re.sub(r"\[-[^]]*\]\s*", "", " ".join(self.parser.format_usage().partition("%loop ")[2].split()))
        return re.sub(r"(\S[^][]*) \[\1 \.\.\.\]", r"\1", words).strip()

    @property
    def manual(self) -> str:
        """All of its options, as IPython writes the manual of a magic, without its mark of a code block."""
        return self.parser.format_help().removeprefix("::").lstrip()


_VERBS: dict[str, Verb] = {}


def verb(name: str) -> Callable[[Run], Run]:
    """Make a verb of a function with `argument` declarations."""

    def register(function: Any) -> Run:
        declared = vars(function).setdefault("decorators", [])
        declared.insert(
            0, argument("-o", "--out", metavar="NAME", help="Bind the value to this name, as to `_loop`.")
        )
        function.has_arguments = True
        magic_arguments(f"loop {name}")(function)
        _VERBS[name] = Verb(name, function, function.parser)
        run: Run = function
        return run

    return register


@cache
def verbs() -> Mapping[str, Verb]:
    """Give every verb by its name."""
    for module in _MODULES:
        import_module(f"cozeloop_magic.notebook.{module}")
    return _VERBS


def find_verb(name: str) -> Verb:
    """Give a verb.

    Raises
    ------
    InvalidRequest
        If there is none; the near one is named.
    """
    if found := verbs().get(name):
        return found
    close = difflib.get_close_matches(name, verbs(), n=1)
    meant = f" (did you mean {close[0]}?)" if close else ""
    raise InvalidRequest(
        f"There is no verb {name}{meant}.", hint=f"The verbs are {', '.join(verbs())}; %loop alone says what they do."
    )


def run_verb(context: Context, line: str, read: Callable[[str, ArgumentParser], Namespace]) -> object:
    """Do what ``%loop LINE`` says, and give its value.

    Parameters
    ----------
    context : Context
        What the verb works with.
    line : str
        The verb and its arguments; nothing is the overview.
    read : callable
        Reads options by a parser.
    """
    name, _, rest = line.strip().partition(" ")
    chosen = find_verb(name or "overview")
    if any(word in _HELP for word in rest.split()):
        print(chosen.manual)
        return None
    args = read(rest, chosen.parser)
    for option, value in vars(args).items():
        setattr(args, option, _looked_up(value, context.names, option))
    value = chosen.run(context, args)
    if value is not None:
        context.session.bind(value, "_loop", args.out)
    return value


def _looked_up(value: Any, names: Mapping[str, Any], option: str) -> Any:
    if isinstance(value, list):
        return [_looked_up(each, names, option) for each in value]
    return option_to_text(value, names, option) if isinstance(value, str) else value
