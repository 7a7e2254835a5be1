"""``%%loop_prompt``: argument declarations and wiring."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, needs_local_scope, no_var_expand
from IPython.core.magic_arguments import argument, kwds, magic_arguments
from traitlets import Bool, Float, Integer, TraitError, Unicode, validate

from cozeloop_magic.notebook.interrupts import delay_interrupt

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from cozeloop_magic.notebook.session import Session

__all__ = ["LoopMagics"]

# IPython's own splitting cuts `--var name="two words"` in two. Quotes stay: the value is read as in a cell.
# They open at the start of a word or after `=`, so that an apostrophe is one.
_QUOTED = re.compile(r"""(?<![^\s=])(?:"[^"]*"|'[^']*')""")
_WORD = re.compile(rf"(?:{_QUOTED.pattern}|\S)+")
_OPEN = re.compile(r"(?<![^\s=])[\"']")

# IPython writes "::" and one % before them, and argparse takes %% for %.
_EXAMPLES = """%%loop_prompt ptaas_demo --version 0.0.1 --out answer
  topic: history
  user_request: a story of the sea
  ---
  Keep the answer brief.

  %%loop_prompt ptaas_demo -v 0.0.1 --var topic=history --var user_request="a poem" """

_PREFERENCES = ("timeout", "plain", "refresh_rate", "fold_height", "short_errors")


@magics_class
class LoopMagics(Magics):
    """Run versioned prompts of a Coze Loop server."""

    api_base_url = Unicode("", help="The Loop server, where COZELOOP_API_BASE_URL names none.").tag(config=True)
    workspace_id = Unicode("", help="The workspace, where COZELOOP_WORKSPACE_ID names none.").tag(config=True)
    options = Unicode("", help="Options for every cell, such as --label production; its own come before them.").tag(
        config=True
    )
    timeout = Float(None, allow_none=True, help="Seconds for a whole call, where --timeout gives none.").tag(
        config=True
    )
    plain = Bool(False, help="Show plain text always, as --plain does.").tag(config=True)
    refresh_rate = Float(12.0, min=0.5, max=60.0, help="How often a second a growing answer is drawn.").tag(
        config=True
    )
    fold_height = Integer(1200, min=0, help="Pixels above which an answer is folded; 0 never folds.").tag(config=True)
    short_errors = Bool(True, help="Show an error as its sentence alone; False adds the traceback.").tag(config=True)

    @validate("timeout")
    def _validate_timeout(self, proposal: Any) -> float | None:
        from cozeloop_magic.transport.call import seconds_error

        seconds: float | None = proposal.value
        if seconds is not None and (problem := seconds_error("timeout", seconds)):
            raise TraitError(problem)
        return seconds

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    @magic_arguments()
    @kwds(usage=_EXAMPLES)
    @argument("prompt_key", help="The prompt to run. `$name` or `{name}` takes it from Python, here and below.")
    @argument("-v", "--version", help="The version to run; the latest, where neither this nor a label is given.")
    @argument("-l", "--label", help="The label whose version to run, such as production.")
    @argument(
        "--var", action="append", default=[], metavar="NAME=VALUE", help="A variable's value, as it is written."
    )
    @argument("-o", "--out", metavar="NAME", help="Bind the answer to this name; `_loop` always holds the last one.")
    @argument("--no-stream", action="store_true", help="Ask for the whole answer at once.")
    @argument("--timeout", type=float, metavar="S", help="Seconds for the whole call; 600 unless given.")
    @argument(
        "--background", action="store_true", help="Return at once; the answer goes on here while other cells run."
    )
    @argument("--plain", action="store_true", help="Show plain text, without a widget.")
    @argument("--quiet", action="store_true", help="Show nothing; the answer is bound all the same.")
    @argument("--dry-run", action="store_true", help="Show the rendered messages without calling a model.")
    def loop_prompt(self, line: str, cell: str | None = None, *, local_ns: dict[str, Any]) -> None:
        """Run a versioned prompt and stream its answer.

        Above `---` the cell holds variables: `name: value` is literal (YAML lists, objects, quotes and | blocks),
        `name = expression` is Python. Below it come messages to append: text is a user message; a line `@user`,
        `@assistant`, `@system` or `@tool ID` begins another; `@user = expression` takes it from Python.
        """
        try:
            with delay_interrupt():
                session = self._session
        except KeyboardInterrupt as error:
            raise (self._session.shortly(error) if self.short_errors else error) from None
        args = self._parsed(line)
        config = {"api_base_url": self.api_base_url, "workspace_id": self.workspace_id}
        session.loop_prompt(args, cell or "", config, local_ns)

    @classmethod
    def unregister(cls, shell: InteractiveShell) -> None:
        """Undo ``shell.register_magics``, for which IPython has no call."""
        magics = shell.magics_manager.registry.pop(cls.__name__)
        shell.configurables.remove(magics)
        for kind, names in magics.magics.items():
            for name in names:
                shell.magics_manager.magics[kind].pop(name, None)
        if "_session" in vars(magics):
            magics._session.close()

    def _parsed(self, line: str) -> Namespace:
        """Read a line's options on top of what ``%config`` says.

        Each alone is in `own` and `usual`, for options that do not simply replace each other.
        """
        own = self._read(line, Namespace())
        preferred = Namespace(**{name: getattr(self, name) for name in _PREFERENCES})
        usual = self._read(f"any-prompt {self.options}", preferred, of_setting=True)
        args = self._read(line, Namespace(**vars(usual)))
        args.own, args.usual = own, usual
        return args

    def _read(self, line: str, into: Namespace, *, of_setting: bool = False) -> Namespace:
        parser = LoopMagics.loop_prompt.parser  # type: ignore[union-attr]  # put there by magic_arguments
        words = _WORD.findall(line)
        try:
            _refuse_slips(words, parser)
            args: Namespace = parser.parse_args(words, into)
        except UsageError as error:
            shortly = self.short_errors
            raise self._session.misuse(parser, str(error), of_setting=of_setting, shortly=shortly) from None
        return args

    @cached_property
    def _session(self) -> Session:
        """What does the work, imported when it is first needed: loading the extension stays instant."""
        from cozeloop_magic.notebook.session import Session

        assert self.shell is not None
        return Session(self.shell)


def _refuse_slips(words: Iterable[str], parser: ArgumentParser) -> None:
    """Refuse what the parser would take for something else: a quote that is not closed, and ``-version``."""
    for word in words:
        if _OPEN.search(_QUOTED.sub("quoted", word)):
            raise UsageError(f"the quote in {word} is not closed")
        if word.startswith("-") and f"-{word}".partition("=")[0] in parser._option_string_actions:
            raise UsageError(f"unrecognized arguments: {word}")
