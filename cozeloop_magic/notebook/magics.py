"""The magics: argument declarations and wiring."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from collections import ChainMap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from IPython.core.magic import (
    Magics,
    cell_magic,
    line_cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)
from IPython.core.magic_arguments import argument, kwds, magic_arguments
from traitlets import Bool, Float, Integer, TraitError, Unicode, validate

from cozeloop_magic.notebook.completion import Completion
from cozeloop_magic.notebook.examples import usage
from cozeloop_magic.notebook.interrupts import delay_interrupt

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from cozeloop_magic.notebook.session import Session

__all__ = ["LoopMagics"]

_MANUAL = re.compile(r"(\s*%loop\s+[\w-]+)\s*\?{1,2}\s*$")
_PREFERENCES = ("timeout", "plain", "refresh_rate", "fold_height", "short_errors")


@magics_class
class LoopMagics(Magics):
    """Run versioned prompts of a Coze Loop server."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        shell.input_transformers_cleanup.extend(_TRANSFORMERS)
        self._completion = Completion(self)

    api_base_url = Unicode("", help="The Loop server, where COZELOOP_API_BASE_URL names none.").tag(config=True)
    workspace_id = Unicode("", help="The workspace, where COZELOOP_WORKSPACE_ID names none.").tag(config=True)
    options = Unicode("", help="Options for every cell, such as --label production; its own come before them.").tag(
        config=True
    )
    timeout = Float(None, allow_none=True, help="Seconds for a whole call, where --timeout gives none.").tag(
        config=True
    )
    plain = Bool(False, help="Show plain text always, as --plain does.").tag(config=True)
    refresh_rate = Float(8.0, min=0.5, max=60.0, help="How often a second a growing answer is drawn.").tag(
        config=True
    )
    fold_height = Integer(1200, min=0, help="Pixels above which an answer is folded; 0 never folds.").tag(config=True)
    keep = Bool(True, help="Keep every run in the store; --off keeps nothing of one.").tag(config=True)
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
    @kwds(usage=usage("loop_prompt"))
    @argument("prompt_key", help="The prompt to run. `$name` or `{name}` takes it from Python, here and below.")
    @argument("-v", "--version", help="The version to run; the latest, where neither this nor a label is given.")
    @argument("-l", "--label", help="The label whose version to run, such as production.")
    @argument(
        "--var", action="append", default=[], metavar="NAME=VALUE", help="A variable's value, as it is written."
    )
    @argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="A setting of the model, for this run."
    )
    @argument("-o", "--out", metavar="NAME", help="Bind the answer to this name; `_loop` always holds the last one.")
    @argument("--no-stream", action="store_true", help="Ask for the whole answer at once.")
    @argument("--timeout", type=float, metavar="S", help="Seconds for the whole call; 600 unless given.")
    @argument(
        "--background", action="store_true", help="Return at once; the answer goes on here while other cells run."
    )
    @argument("--plain", action="store_true", help="Show plain text, without a widget.")
    @argument("--quiet", action="store_true", help="Show nothing; the answer is bound all the same.")
    @argument("--cache", action="store_true", help="Answer from the store, if exactly this was answered before.")
    @argument("--off", action="store_true", help="Keep nothing of this run in the store.")
    @argument("--dry-run", action="store_true", help="Show the rendered messages without calling a model.")
    def loop_prompt(self, line: str, cell: str | None = None, *, local_ns: dict[str, Any]) -> None:
        """Run a versioned prompt and stream its answer.

        Above `---` the cell holds variables: `name: value` is literal (YAML lists, objects, quotes and | blocks),
        `name = expression` is Python. Below it come messages to append: text is a user message; a line `@user`,
        `@assistant`, `@system` or `@tool ID` begins another; `@user = expression` takes it from Python.
        """
        with self._told():
            with delay_interrupt():
                from cozeloop_magic.notebook.prompting import run_prompt
            args = self._parsed(line)
            args.cell = None if cell is None else f"%%loop_prompt {line}\n{cell}"
            run_prompt(self._session, args, cell or "", self._config, local_ns)

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    @magic_arguments()
    @kwds(usage=usage("loop_compare"))
    @argument("variants", nargs="+", metavar="KEY", help="Prompts to compare: KEY, KEY@VERSION or KEY:LABEL.")
    @argument(
        "-v", "--version", action="append", default=[], help="A version of the prompt; the first is the baseline."
    )
    @argument(
        "-l", "--label", action="append", default=[], help="The version that carries a label, such as production."
    )
    @argument(
        "--set", action="append", default=[], metavar="NAME=V1,V2", help="Settings to compare: temperature=0,0.7."
    )
    @argument("--inputs", metavar="NAME", help="A data frame, a list of dicts, or the path of a CSV or JSONL file.")
    @argument("--map", action="append", default=[], metavar="VARIABLE=COLUMN", help="Where the names differ.")
    @argument("--var", action="append", default=[], metavar="NAME=VALUE", help="A value for all inputs.")
    @argument("--grid", action="append", default=[], metavar="NAME", help="A variable whose values are inputs.")
    @argument("--expect", metavar="COLUMN", help="The column that says what an answer should be.")
    @argument(
        "--check",
        action="append",
        default=[],
        metavar="CHECK",
        help="equals, exact or contains, each alone or with :TEXT, regex:PATTERN, json, json:SCHEMA, max_tokens:N, "
        "finish:REASON, python:NAME; several may be given.",
    )
    @argument("--judge", metavar="KEY@VERSION", help="A prompt that says which of two answers is better.")
    @argument("--decide", help="pass (all checks), a check's name, judge, human, tokens or latency.")
    @argument("--by", type=float, default=0.1, help="The smallest difference worth acting on; 0.1 is ten points.")
    @argument("--repeat", type=int, default=1, help="How often each variant answers each input; once unless given.")
    @argument("-j", "--concurrency", type=int, default=4, help="How many calls run at once; 4 unless given.")
    @argument("--max-runs", type=int, default=60, help="How many runs there may be; 60 unless given.")
    @argument("--seed", type=int, default=0, help="Of the order of runs.")
    @argument("--fresh", action="store_true", help="Run everything anew, also what a stopped comparison left.")
    @argument("--retry-errors", action="store_true", help="Run again what failed, and only that.")
    @argument("--cache", action="store_true", help="Take kept answers of earlier runs in place of calls.")
    @argument("--off", action="store_true", help="Keep nothing of this comparison in the store.")
    @argument("--require", metavar="VERDICT", help="better or not-worse: else the cell fails.")
    @argument("--price", metavar="IN,OUT", help="Money for a million input and output tokens.")
    @argument("--diff", action="store_true", help="Mark the words that the baseline's answer does not have.")
    @argument("-o", "--out", metavar="NAME", help="Bind the comparison to this name, as to `_loop`.")
    @argument("--timeout", type=float, metavar="S", help="Seconds for each call; 600 unless given.")
    @argument("--plain", action="store_true", help="Show plain text, without a widget.")
    @argument("--quiet", action="store_true", help="Show nothing; the comparison is bound all the same.")
    def loop_compare(self, line: str, cell: str | None = None, *, local_ns: dict[str, Any]) -> None:
        """Compare versions of a prompt on the same inputs, and say what that shows.

        Each row of --inputs, or each value of the list that --grid names, is an input that every version answers.
        Variables take the columns of their names; --map review=text takes another one, --map review="The text" one of
        several words. --check tells what an answer must be, --expect the column to hold it against. Your own check is
        `def short(answer, row): return len(answer) < 80`, and --check python:short; it gives True, False, a number,
        or a dict of several. A judge is a prompt with the variables a and b, the two answers, and input and expected
        if it likes; it says a, b or tie.

        The verdict comes first: better, worse, no difference that matters, none that could be shown, or too few
        inputs. It takes six at least, and about 77 to show a difference of ten points. In the same cell, a comparison
        that was stopped goes on. `%loop versions KEY` lists versions. With --out cmp: cmp.verdict,
        cmp.decide("tokens"), cmp.to_pandas(), and cmp.rate() to tell for yourself which of two answers is better,
        without knowing whose they are.
        """
        with self._told():
            with delay_interrupt():
                from cozeloop_magic.notebook.comparing import run_comparison
            args = self._read_alone(line, LoopMagics.loop_compare)
            run_comparison(self._session, args, cell or "", self._config, local_ns, self.plain)

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    @magic_arguments()
    @kwds(usage=usage("loop_batch"))
    @argument("inputs", metavar="TABLE", help="A data frame, a list of dicts, or the path of a CSV or JSONL file.")
    @argument("-p", "--prompt", required=True, metavar="KEY", help="The prompt to run over each row.")
    @argument("-v", "--version", help="The version to run; the latest, where neither this nor a label is given.")
    @argument("-l", "--label", help="The label whose version to run, such as production.")
    @argument("--map", action="append", default=[], metavar="VARIABLE=COLUMN", help="Where the names differ.")
    @argument("--var", action="append", default=[], metavar="NAME=VALUE", help="A value for all rows.")
    @argument("--column", default="answer", metavar="NAME", help="The column that takes the answer.")
    @argument("--to", metavar="PATH", help="A CSV or JSONL file to write to, whatever the number of rows.")
    @argument("--check", action="append", default=[], metavar="CHECK", help="A column that tells whether it passes.")
    @argument("--expect", metavar="COLUMN", help="The column that says what an answer should be.")
    @argument("--json", action="store_true", help="Make columns of a JSON answer's fields.")
    @argument("--schema", metavar="NAME", help="A JSON schema that answers must fit: a dict, a class or a file.")
    @argument("--sample", type=int, metavar="N", help="Run the first rows only, and tell what all would cost.")
    @argument("-j", "--concurrency", type=int, default=16, help="How many calls run at once; 16 unless given.")
    @argument("--rpm", type=float, help="How many calls a minute may begin.")
    @argument("--tpm", type=float, help="How many tokens a minute the calls may cost.")
    @argument("--fail-above", type=float, metavar="SHARE", help="End it where a larger share of rows fails: 0.2.")
    @argument("--fresh", action="store_true", help="Ask for everything anew.")
    @argument("--retry-errors", action="store_true", help="Ask again for rows that failed.")
    @argument("--off", action="store_true", help="Keep nothing of this batch in the store.")
    @argument("-o", "--out", metavar="NAME", help="Bind the table to this name; `_loop` always holds the last one.")
    @argument("--timeout", type=float, metavar="S", help="Seconds for each call; 600 unless given.")
    @argument("--dask", metavar="ADDRESS", help="Make the calls on a Dask cluster, by its address or client.")
    @argument("--background", action="store_true", help="Return at once; `.result()` gives the table later.")
    @argument("--quiet", action="store_true", help="Show nothing; the table is bound all the same.")
    def loop_batch(self, line: str, cell: str | None = None, *, local_ns: dict[str, Any]) -> None:
        """Run a prompt over every row of a table, and bind the table with its answers.

        Variables take the columns of their names; --map review=text takes another one, --map review="The text" one of
        several words. The table comes back as the kind that it was, with the columns answer, finish_reason,
        input_tokens, output_tokens, ttft, latency (seconds), error and log_id. A row that fails stops nothing: its
        answer is null, and its error says why.

        Every answer is kept as it comes: the same cell asks only for what is missing, also after a Stop, or where the
        kernel died. Checks are those of `%loop_compare?`.
        """
        with self._told():
            with delay_interrupt():
                from cozeloop_magic.notebook.batching import run_batch
            args = self._read_alone(line, LoopMagics.loop_batch)
            run_batch(self._session, args, cell or "", self._config, local_ns)

    @no_var_expand
    @needs_local_scope
    @cell_magic
    @magic_arguments()
    @kwds(usage=usage("loop_define"))
    @argument("prompt_key", metavar="KEY", help="The prompt to write; it is made if it is not there.")
    @argument("-v", "--version", help="The version to commit; a new prompt begins with 0.1.0.")
    @argument("--bump", metavar="PART", help="Raise the last version's major, minor or patch.")
    @argument("-m", "--message", default="", metavar="WHY", help="Why it changed.")
    @argument("--base", metavar="VERSION", help="What this was begun from; where another is the latest, it is told.")
    @argument("--draft", action="store_true", help="Save without committing.")
    @argument(
        "--try",
        dest="try_",
        action="store_true",
        help="Run it as it is, before it is a version; else show its messages.",
    )
    @argument("--var", action="append", default=[], metavar="NAME=VALUE", help="A variable's value, to try it with.")
    @argument("--as-is", action="store_true", help="Commit it with what is probably not meant.")
    @argument("--replace-draft", action="store_true", help="Write over a draft that somebody else saved.")
    @argument("-o", "--out", metavar="NAME", help="Bind what became of it, or the answer, to this name.")
    def loop_define(self, line: str, cell: str, *, local_ns: dict[str, Any]) -> None:
        """Write a prompt in a cell, and commit it as a version; what changed is shown word by word.

        Above `---` stand settings as YAML, below it the messages; variables are found by their tags.
        """
        with self._told():
            with delay_interrupt():
                from cozeloop_magic.notebook.defining import run_definition
            run = {"background": False, "no_stream": False, "quiet": False, "off": not self.keep, "cache": False}
            preferred = Namespace(**self._preferences, **run, cell=f"%%loop_define {line}\n{cell}")
            args = self._read_by(line, LoopMagics.loop_define.parser, preferred)  # type: ignore[union-attr]
            run_definition(self._session, args, cell, self._config, local_ns)

    @no_var_expand
    @needs_local_scope
    @line_magic
    @magic_arguments()
    @argument("verb", nargs="?", help="What to do; without one, where calls go and what the verbs are.")
    @argument("arguments", nargs="*", help="The verb's own; `%%loop VERB?` is their manual.")
    def loop(self, line: str, *, local_ns: dict[str, Any]) -> object:
        """Find, read and manage prompts and runs: `%loop` alone lists the verbs.

        What a verb gives is a value, `rows = %loop prompts`, and shows itself where it ends a cell.
        """
        with self._told():
            with delay_interrupt():
                from cozeloop_magic.notebook.verbs import Context, run_verb
            context = Context(self._session, self._config, ChainMap(local_ns, self._session.namespace))
            return run_verb(context, line, self._read_by)

    @classmethod
    def unregister(cls, shell: InteractiveShell) -> None:
        """Undo ``shell.register_magics``, for which IPython has no call."""
        magics = shell.magics_manager.registry.pop(cls.__name__)
        shell.configurables.remove(magics)
        magics._completion.close()
        for transformer in _TRANSFORMERS:
            shell.input_transformers_cleanup.remove(transformer)
        for kind, names in magics.magics.items():
            for name in names:
                shell.magics_manager.magics[kind].pop(name, None)
        if "_session" in vars(magics):
            magics._session.close()

    def _parsed(self, line: str) -> Namespace:
        """Read a line's options on top of what ``%config`` says.

        Each alone is in `own` and `usual`, for options that do not simply replace each other.
        """
        from cozeloop_magic.notebook.options import of_setting

        own = self._read(line, Namespace())
        preferred = Namespace(off=not self.keep, **self._preferences)
        usual = of_setting(lambda options: self._read(f"any-prompt {options}", preferred), self.options)
        args = self._read(line, Namespace(**vars(usual)))
        args.own, args.usual = own, usual
        return args

    @property
    def _preferences(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _PREFERENCES}

    @property
    def _config(self) -> dict[str, str]:
        return {"api_base_url": self.api_base_url, "workspace_id": self.workspace_id}

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Do what a magic says; an error shows as its sentence."""
        interrupted = None
        try:
            with delay_interrupt():
                from cozeloop_magic.errors import LoopError
                from cozeloop_magic.notebook.errors import shorten
                from cozeloop_magic.notebook.options import HelpAsked
        except KeyboardInterrupt as error:
            interrupted = error
        try:
            if interrupted is not None:
                raise interrupted
            yield
        except HelpAsked as asked:
            print(asked)
        except (LoopError, KeyboardInterrupt) as error:
            if not self.short_errors:
                raise
            raise shorten(error) from None

    def _read(self, line: str, into: Namespace) -> Namespace:
        parser: ArgumentParser = LoopMagics.loop_prompt.parser  # type: ignore[union-attr]  # put there by magic_arguments
        return self._read_by(line, parser, into)

    def _read_alone(self, line: str, magic: Any) -> Namespace:
        """Read the options of a magic that only `keep` adds to."""
        return self._read_by(line, magic.parser, Namespace(off=not self.keep))

    def _read_by(self, line: str, parser: ArgumentParser, into: Namespace | None = None) -> Namespace:
        from cozeloop_magic.notebook.options import read_line

        return read_line(line, parser, into or Namespace(), self._session.namespace)

    @cached_property
    def _session(self) -> Session:
        """What the magics share, imported when it is first needed: loading the extension stays instant."""
        from cozeloop_magic.notebook.session import Session

        assert self.shell is not None
        return Session(self.shell)


def _read_manuals(lines: list[str]) -> list[str]:
    """Read ``%loop VERB?`` as a question for the verb's manual; IPython would look for a name VERB."""
    if lines and lines[0].lstrip().startswith("%%"):
        return lines
    return [f"{asked[1]} --help\n" if (asked := _MANUAL.match(line)) else line for line in lines]


def _allow_no_body(lines: list[str]) -> list[str]:
    """Give a cell magic of ours that has no body an empty one: IPython would refuse it in its own words."""
    alone = len(lines) == 1 and re.match(r"%%loop_[a-z]+(?!\w)[^?]*$", lines[0])
    return [f"{lines[0].rstrip()}\n", "\n"] if alone else lines


# IPython asks whether a cell is complete without transformers that say this: in a terminal, a line goes on below.
_allow_no_body.has_side_effects = True  # type: ignore[attr-defined]
_TRANSFORMERS = (_read_manuals, _allow_no_body)
