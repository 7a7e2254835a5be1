"""A magic's line: from its words to options, with what was meant where something else is written."""

from __future__ import annotations

import builtins
import difflib
import keyword
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, TypeVar

from IPython.core.error import UsageError

from cozeloop_magic.cell.bind import option_to_text, unquote
from cozeloop_magic.cell.options import find_repeated
from cozeloop_magic.client.model_config import SETTINGS
from cozeloop_magic.errors import InvalidRequest
from cozeloop_magic.notebook.examples import EXAMPLES, how_to

__all__ = [
    "NO_KEY",
    "SETTING",
    "HelpAsked",
    "chosen_version",
    "of_setting",
    "option_of",
    "prompt_key_of",
    "read_line",
]

SETTING = "%config LoopMagics.options"
"""Who gives options to every cell."""

NO_KEY = "Name the prompt to run."
_NOTHING = {
    "loop_prompt": NO_KEY,
    "loop_compare": "Name the prompt to compare versions of.",
    "loop_batch": "Name the table, and the prompt to run over it.",
    "loop_define": "Name the prompt to write.",
}
_HELP = ("-h", "--help", "-?")
_NO_VALUE = "Leave the option out for its default."
_Read = TypeVar("_Read")

# IPython's own splitting cuts `--var name="two words"` in two. Quotes stay: the value is read as in a cell.
# They open at the start of a word, or after `=` or `:`, so that an apostrophe is one.
_QUOTED = re.compile(r"""(?<![^\s=:])(?:"[^"]*"|'[^']*')""")
_WORD = re.compile(rf"(?:{_QUOTED.pattern}|\S)+")
_DASHES = re.compile("-?[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]+-?(?=[a-z])")
_VERSION = re.compile(r"v?(\d+\.\d+\.\d+)")
_OPEN = re.compile(r"(?<![^\s=:])[\"']")

_IPYTHONS = re.compile(r"In|Out|get_ipython|exit|quit|_{1,3}|_\d+|_i{1,3}|_i\d+|_[diso]h|_exit_code")


class HelpAsked(Exception):
    """A line asks how to write it; the text says so."""


def read_line(line: str, parser: ArgumentParser, into: Namespace, names: Mapping[str, Any]) -> Namespace:
    """Read a magic's line.

    Parameters
    ----------
    line : str
        What stands behind the magic's name.
    parser : ArgumentParser
        The magic's own.
    into : Namespace
        Values for options that the line does not give.
    names : Mapping[str, Any]
        The notebook's names, of which ``--out`` may not take every one.

    Raises
    ------
    InvalidRequest
        That names the slip, and the options there are.
    HelpAsked
        If that is what it asks for.
    """
    words = _WORD.findall(line)
    if any(word in _HELP and word not in parser._option_string_actions for word in words):
        raise HelpAsked(how_to(parser.prog))
    try:
        _refuse_slips(words, parser)
        args: Namespace = parser.parse_args(words, into)
    except UsageError as error:
        raise _misuse(parser, str(error), words) from None
    if args.out is not None:
        _refuse_name(args.out, names)
    return args


def _refuse_slips(words: Sequence[str], parser: ArgumentParser) -> None:
    """Refuse what the parser would take for something else: a quote that is not closed, and ``-version``."""
    for before, word in zip(["", *words], words, strict=False):
        if word.startswith("#") and before not in parser._option_string_actions:
            hint = "A comment stands in the cell, above `---`, on a line that begins with #."
            raise InvalidRequest(f"{word} begins no comment on the magic's own line.", hint=hint)
        if _OPEN.search(_QUOTED.sub("quoted", word)):
            raise UsageError(f"the quote in {word} is not closed")
        if word == "--":
            raise InvalidRequest("-- alone says nothing here.", hint="Take it away.")
        if (dashes := _DASHES.match(word)) and before not in parser._option_string_actions:
            option = f"--{word[dashes.end() :]}"
            raise InvalidRequest(f"{word} begins with a dash that is no hyphen.", hint=f"Write {option}.")
        if word.startswith("-") and f"-{word}".partition("=")[0] in parser._option_string_actions:
            raise UsageError(f"unrecognized arguments: {word}")
    if repeated := find_repeated(words, parser):
        several = "; %loop_compare takes several" if repeated in ("--version", "--label") else ""
        raise InvalidRequest(f"{repeated} is given twice.", hint=f"Give it once{several}.")


def _misuse(parser: ArgumentParser, problem: str, written: Sequence[str]) -> InvalidRequest:
    """Make the error for options that cannot be read, from what the parser says; where nothing is, show how."""
    if not written and parser.prog in EXAMPLES:
        return InvalidRequest(_NOTHING[parser.prog], hint=how_to(parser.prog))
    options = [name for name in parser._option_string_actions if name.startswith("--")]
    there_are = f"The options are {', '.join(options)}."
    words = problem.partition("unrecognized arguments: ")[2].split(" ")
    if words != [""]:
        stray = [word for word in written if word in words] or words
        if not stray[0].startswith("-"):
            return _belongs_nowhere(parser, stray, written) or InvalidRequest(
                f"{stray[0]} belongs to no option.", hint=there_are
            )
        return _no_option(parser, stray) or InvalidRequest(_unknown(stray[0], options), hint=there_are)
    if problem.endswith(("required: prompt_key", "required: KEY")):
        return InvalidRequest(NO_KEY, hint=there_are)
    return InvalidRequest(f"{problem[:1].upper()}{problem[1:]}.", hint=there_are)


def _unknown(word: str, options: Sequence[str]) -> str:
    strange = word.partition("=")[0]
    names = [name.removeprefix("--") for name in options]  # dashes would make any two alike
    close = difflib.get_close_matches(strange.lstrip("-"), names, n=1)
    meant = f" (did you mean --{close[0]}?)" if close else ""
    variable = " A variable is given as --var NAME=VALUE." if not close and "--var" in options else ""
    return f"There is no option {strange}{meant}.{variable}"


def _belongs_nowhere(parser: ArgumentParser, stray: Sequence[str], written: Sequence[str]) -> InvalidRequest | None:
    """Say what was meant by words that belong to no option: the rest of a value, or a variable."""
    first, at = stray[0], written.index(stray[0])
    option = written[at - 2] if at >= 2 else ""
    if option == "--var":
        name, sign, begun = written[at - 1].rstrip(":").partition("=")
        rest = [*([begun] if begun else []), *written[at:]]
        rest = rest[: next((i for i, word in enumerate(rest) if word in parser._option_string_actions), len(rest))]
        return InvalidRequest(
            f"{first} belongs to no option.", hint=_how_to_give(name, rest if sign else rest[first == "=" :])
        )
    if re.match(r"[^\W\d]\w*=.", first) and "--var" in parser._option_string_actions:
        return InvalidRequest(f"{first} belongs to no option.", hint=f"Write --var {first}.")
    if (version := _VERSION.fullmatch(first)) and "--version" in parser._option_string_actions:
        return InvalidRequest(f"{first} belongs to no option.", hint=f"Write --version {version[1]}.")
    return None


def _how_to_give(name: str, words: Sequence[str]) -> str:
    """Say how a variable's value is written that has blanks, or a blank beside its equals sign."""
    value = unquote(re.sub("^[“‘](.*)[”’]$", r'"\1"', " ".join(words)).replace('\\"', '"').replace("\\'", "'"))
    if " " not in value:
        return f"Write --var {name}={value}."
    if '"' in value and "'" in value:
        return f"A value with both kinds of quotes is written in the cell, above `---`: `{name}: {value}`."
    quote = "'" if '"' in value or "\\" in value else '"'
    return f"A value with blanks needs quotes: --var {name}={quote}{value}{quote}."


def _no_option(parser: ArgumentParser, stray: Sequence[str]) -> InvalidRequest | None:
    """Say where a setting of the model belongs, if the option would be one."""
    option, _, value = stray[0].partition("=")
    if setting := _setting_of_model(option):
        return _belongs_to_version(parser, option, setting, value or [*stray, "..."][1])
    return None


def _setting_of_model(option: str) -> str | None:
    """Return the setting of a model that an option would be, were there one."""
    name = option.lstrip("-").replace("-", "_").lower()
    return {"model": "model_id"}.get(name, name if name in SETTINGS else None)


def _belongs_to_version(parser: ArgumentParser, option: str, setting: str, value: str) -> InvalidRequest:
    if "--set" in parser._option_string_actions:
        how = f"`--set {setting}={value}` replaces it here."
    elif parser.prog == "loop_define":
        how = f"Write `model: {{{setting}: {value}}}` above `---`."
    else:
        how = "Commit a version with another with %%loop_define."
    return InvalidRequest(f"There is no option {option}: a model and its settings belong to a version.", hint=how)


def option_of(args: Namespace, name: str, read: Callable[[Any], Any]) -> Any:
    """Return what an option of the line says, or else that of the setting."""
    own, usual = getattr(args.own, name), getattr(args.usual, name)
    if own is not None:
        return read(own)
    return None if usual is None else of_setting(read, usual)


def of_setting(read: Callable[[Any], _Read], given: Any) -> _Read:
    """Read what the setting gives; what is wrong with it names the setting."""
    try:
        return read(given)
    except InvalidRequest as error:
        error.message = f"{SETTING}: {error.message}"
        raise


def chosen_version(given: Namespace, names: Mapping[str, Any]) -> tuple[str | None, str | None] | None:
    """Return the version and the label, if either is given: a line's own stand for both of the setting's."""
    version, label = (_text(getattr(given, name), names, f"--{name}") for name in ("version", "label"))
    return (version, label) if version or label else None


def prompt_key_of(given: str, names: Mapping[str, Any]) -> str:
    """Return the prompt's key, which may come from Python.

    Raises
    ------
    InvalidRequest
        If there is none.
    """
    key = _text(given, names, "The prompt's key", NO_KEY)
    if key is None:
        raise InvalidRequest(f"The prompt's key {given} is None.", hint=NO_KEY)
    return key


def _text(given: str | None, names: Mapping[str, Any], what: str, hint: str = _NO_VALUE) -> str | None:
    text = None if given is None else option_to_text(given, names, what)
    if text is not None and not text.strip():
        raise InvalidRequest(f"{what} {given}".rstrip() + " is empty.", hint=hint)
    return text


def _refuse_name(name: str, names: Mapping[str, Any]) -> None:
    """Refuse to bind what is no name, or to take the place of what is not the user's own.

    A variable of theirs is replaced, as by Python's ``=``; a module that they imported is hardly meant.
    """
    if not name.isidentifier() or keyword.iskeyword(name):
        raise InvalidRequest(f"--out {name} is no Python name.", hint="Write letters, digits and _.")
    if hasattr(builtins, name):
        owner = "Python's own"
    elif _IPYTHONS.fullmatch(name):
        owner = "IPython's own"
    elif isinstance(names.get(name), ModuleType):
        owner = "the module"
    else:
        return
    raise InvalidRequest(f"--out {name} would replace {owner} {name}.", hint="Choose another name.")
