"""What may stand where the cursor is: verbs, keys, versions, labels, options, variables, files.

Everything is told by the text before the cursor and the declarations of a magic's options; nothing is run.
"""

from __future__ import annotations

import os
import re
from argparse import Action, ArgumentParser
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from cozeloop_magic.notebook.known import KnownPrompts

__all__ = ["Candidate", "Place", "candidates"]

_LABELS = ("production", "beta", "test")
_ROLES = ("@system", "@user", "@assistant", "@tool", "@placeholder")
_SETTINGS = ("name", "description", "template", "model", "variables", "tools", "tool_call_config")
_MODEL = (
    "temperature",
    "max_tokens",
    "top_p",
    "top_k",
    "frequency_penalty",
    "presence_penalty",
    "json_mode",
    "model",
)
_CHECKS = ("equals", "exact", "contains", "regex:", "json", "max_tokens:", "finish:", "python:")
_WORDS: dict[str, tuple[str, ...]] = {
    "bump": ("major", "minor", "patch"),
    "check": _CHECKS,
    "decide": ("pass", "judge", "human", "tokens", "latency"),
    "require": ("better", "not-worse"),
    "where": ("local", "hosted"),
}
_NAME = re.compile(r"\s*([^\W\d]\w*)?$")
_GIVEN = re.compile(r"\s*([^\W\d]\w*)\s*[:=]")
_MOST_FILES = 200


class Candidate(NamedTuple):
    """A text that may stand there, and what it is."""

    text: str
    about: str = ""


@dataclass(frozen=True)
class Place:
    """Where the cursor is.

    Attributes
    ----------
    lines : list of str
        The cell.
    line, column : int
        The cursor's, counted from 0.
    parsers : Mapping[str, ArgumentParser]
        The options of each magic, by its name, and of each verb, by ``loop VERB``.
    verbs : Mapping[str, str]
        What each verb does.
    known : KnownPrompts
        What there is on the server.
    names : Mapping[str, Any]
        The notebook's names.
    """

    lines: list[str]
    line: int
    column: int
    parsers: Mapping[str, ArgumentParser]
    verbs: Mapping[str, str]
    known: KnownPrompts
    names: Mapping[str, Any]

    @property
    def before(self) -> str:
        """The line up to the cursor."""
        return self.lines[self.line][: self.column]


class Given(NamedTuple):
    """What a magic's line gives up to the cursor: positional words, options' values, and which options."""

    words: list[str]
    options: dict[str, list[str]]
    awaiting: Action | None


_MAGIC = re.compile(r"^\s*(?:[^\W\d]\w*\s*=\s*)?%(loop(?:_prompt|_compare|_batch)?)\s+")
_CELL = re.compile(r"^\s*%%(loop_(?:prompt|compare|batch|define))(?:\s+|$)")


def candidates(place: Place) -> tuple[str, list[Candidate]] | None:
    """Give the fragment that is being written, and what it may become; None where it is none of ours."""
    head = next((at for at, line in enumerate(place.lines) if line.strip()), 0)
    cell = _CELL.match(place.lines[head])
    if cell and place.line > head:
        return _in_body(place, cell[1], place.lines[head][cell.end() :], head)
    magic = cell if cell and place.line == head else _MAGIC.match(place.before)
    if magic is None or place.column < magic.end():
        return None
    rest = place.before[magic.end() :]
    return _in_line(place, magic[1], rest)


def _in_line(place: Place, magic: str, rest: str) -> tuple[str, list[Candidate]]:
    *words, fragment = re.split(r"\s", rest)
    words = [word for word in words if word]
    if magic == "loop":
        if not words:
            return fragment, [Candidate(name, about) for name, about in place.verbs.items()]
        magic, words = f"loop {words[0]}", words[1:]
    parser = place.parsers.get(magic)
    if parser is None:
        return fragment, []
    given = _given(parser, words)
    if given.awaiting is None and fragment.startswith("-"):
        name, sign, value = fragment.partition("=")
        if not sign:
            return fragment, list(_options(parser, given))
        action = parser._option_string_actions.get(name)
        return value, list(_values(place, magic, action, given, value)) if action else []
    action = given.awaiting or _positional(parser, len(given.words))
    return fragment, list(_values(place, magic, action, given, fragment)) if action else []


def _given(parser: ArgumentParser, words: Iterable[str]) -> Given:
    positional: list[str] = []
    options: dict[str, list[str]] = {}
    awaiting: Action | None = None
    for word in words:
        if awaiting is not None:
            options[awaiting.dest].append(word)
            awaiting = None
            continue
        name, sign, value = word.partition("=")
        action = parser._option_string_actions.get(name) if word.startswith("-") else None
        if action is None:
            positional.append(word)
            continue
        options.setdefault(action.dest, []).extend([value] if sign else [])
        awaiting = action if action.nargs != 0 and not sign else None
    return Given(positional, options, awaiting)


def _options(parser: ArgumentParser, given: Given) -> Iterator[Candidate]:
    """Yield the options that may still be given."""
    for action in parser._actions:
        many = isinstance(action.default, list)
        names = [name for name in action.option_strings if name.startswith("--")]
        if names and (many or action.dest not in given.options):
            yield Candidate(names[0], (action.help or "").partition(".")[0].replace("%%", "%"))


def _positional(parser: ArgumentParser, index: int) -> Action | None:
    actions = [action for action in parser._actions if not action.option_strings]
    if index < len(actions):
        return actions[index]
    return actions[-1] if actions and actions[-1].nargs in ("+", "*") else None


def _values(place: Place, magic: str, action: Action, given: Given, fragment: str) -> Iterator[Candidate]:
    """Yield what a positional word or an option's value may be, by the name of what it declares."""
    if (words := _WORDS.get(action.dest)) is not None:
        yield from map(Candidate, words)
    elif (source := _SOURCES.get(action.dest)) is not None:
        yield from source(place, magic, given, fragment)


def _key(place: Place, magic: str, given: Given, fragment: str) -> Iterator[Candidate]:
    yield from (Candidate(key, about) for key, about in place.known.keys().items())


def _text(place: Place, magic: str, given: Given, fragment: str) -> Iterator[Candidate]:
    if fragment:
        yield from _key(place, magic, given, fragment)


def _variant(place: Place, magic: str, given: Given, fragment: str) -> Iterator[Candidate]:
    """Yield keys, and behind ``KEY@`` and ``KEY:`` their versions and labels."""
    for sign, found in (("@", place.known.versions), (":", place.known.labels)):
        key, there, _ = fragment.partition(sign)
        if there:
            yield from (Candidate(f"{key}{sign}{name}", about) for name, about in found(key).items())
            return
    yield from _key(place, magic, given, fragment)


def _key_of(magic: str, given: Given) -> str:
    """Give the prompt that a line is about."""
    if magic == "loop_batch":
        return (given.options.get("prompt") or [""])[0]
    return re.split(r"[@:]", given.words[0])[0] if given.words else ""


def _version(place: Place, magic: str, given: Given, fragment: str) -> Iterator[Candidate]:
    taken = given.options.get("version", [])
    for version, why in place.known.versions(_key_of(magic, given)).items():
        if version not in taken:
            yield Candidate(version, why)


def _named_version(place: Place, magic: str, given: Given, fragment: str) -> Iterator[Candidate]:
    yield from _version(place, magic, given, fragment)
    yield from _label(place, magic, given, fragment)
    yield Candidate("draft", "not committed")


def _label(place: Place, magic: str, given: Given, fragment: str) -> Iterator[Candidate]:
    taken = given.options.get("label", [])
    for label, version in place.known.labels(_key_of(magic, given)).items():
        if label not in taken:
            yield Candidate(label, version)


def _new_label(place: Place, magic: str, given: Given, fragment: str) -> Iterator[Candidate]:
    """Yield the labels that one may set, in ``%loop label``, or choose elsewhere."""
    if magic != "loop label":
        yield from _label(place, magic, given, fragment)
        return
    there = place.known.labels(_key_of(magic, given))
    for label in dict.fromkeys((*_LABELS, *there)):
        yield Candidate(label, there.get(label, ""))


def _variable(place: Place, magic: str, given: Given, fragment: str) -> Iterator[Candidate]:
    """Yield ``name=`` for the variables that are not given yet."""
    taken = {word.partition("=")[0] for word in (*given.options.get("var", []), *given.options.get("map", []))}
    for each in _variables(place, magic, given):
        if each.name not in taken and "=" not in fragment:
            yield Candidate(f"{each.name}=", _about(each.kind, each.description))


def _grid(place: Place, magic: str, given: Given, fragment: str) -> Iterator[Candidate]:
    for each in _variables(place, magic, given):
        if each.name not in given.options.get("grid", []):
            yield Candidate(each.name, _about(each.kind, each.description))


def _variables(place: Place, magic: str, given: Given) -> list[Any]:
    """Give the variables of all versions that a line names."""
    key = _key_of(magic, given)
    if not key:
        return []
    which = [(version, "") for version in given.options.get("version", [])]
    which += [("", label) for label in given.options.get("label", [])]
    which += [(word.partition("@")[2], "") for word in given.words if "@" in word]
    found = {each.name: each for one in which or [("", "")] for each in place.known.variables(key, *one)}
    return list(found.values())


def _setting(place: Place, magic: str, given: Given, fragment: str) -> Iterator[Candidate]:
    if "=" not in fragment:
        yield from (Candidate(f"{name}=") for name in _MODEL)


def _table(place: Place, magic: str, given: Given, fragment: str) -> Iterator[Candidate]:
    """Yield the tables of the notebook, and files of tables."""
    for name, value in place.names.items():
        if not name.startswith("_") and (hasattr(value, "columns") or (value and isinstance(value, list))):
            yield Candidate(name, type(value).__name__)
    yield from _files(fragment, (".csv", ".jsonl"))


def _directory(place: Place, magic: str, given: Given, fragment: str) -> Iterator[Candidate]:
    yield from _files(fragment, ())


def _exported(place: Place, magic: str, given: Given, fragment: str) -> Iterator[Candidate]:
    if "all" not in given.options:
        yield from (each for each in _key(place, magic, given, fragment) if each.text not in given.words)
    if given.words or "all" in given.options:
        yield from _files(fragment, ())


def _files(fragment: str, endings: tuple[str, ...]) -> Iterator[Candidate]:
    """Yield directories, and files with one of the endings, that a path may go on with."""
    directory = os.path.dirname(fragment)
    try:
        with os.scandir(os.path.expanduser(directory) or ".") as entries:
            found = [(each.name, each.is_dir()) for each, _ in zip(entries, range(_MOST_FILES), strict=False)]
    except OSError:
        return
    for name, is_directory in sorted(found):
        if not name.startswith(".") and (is_directory or name.endswith(endings or "\0")):
            yield Candidate(os.path.join(directory, name) + ("/" if is_directory else ""), "")


_Source = Callable[[Place, str, Given, str], Iterator[Candidate]]
_SOURCES: dict[str, _Source] = {
    "after": _named_version,
    "base": _version,
    "before": _named_version,
    "directory": _directory,
    "grid": _grid,
    "inputs": _table,
    "judge": _variant,
    "label": _new_label,
    "map": _variable,
    "names": _exported,
    "prompt": _key,
    "prompt_key": _key,
    "set": _setting,
    "text": _text,
    "to": _table,
    "var": _variable,
    "variants": _variant,
    "version": _version,
}


def _in_body(place: Place, magic: str, rest: str, head: int) -> tuple[str, list[Candidate]] | None:
    """Give what may stand in a cell below its first line: names of what is missing above ``---``, roles below it."""
    above = place.lines[head + 1 : place.line]
    if place.before.startswith("@"):
        return place.before, [Candidate(role) for role in _ROLES]
    written = _NAME.match(place.before)
    if written is None or "---" in (line.rstrip() for line in above):
        return None
    fragment = written[1] or ""
    others = [line for at, line in enumerate(place.lines) if at > head and at != place.line]
    end = next((at for at, line in enumerate(others) if line.rstrip() == "---"), len(others))
    given = {found[1] for line in others[:end] if (found := _GIVEN.match(line))}
    if magic == "loop_define":
        indented = place.before[:1].isspace()
        return None if indented else (fragment, [Candidate(f"{name}:") for name in _SETTINGS if name not in given])
    parser = place.parsers.get(magic)
    if parser is None:
        return None
    line = _given(parser, rest.split())
    given |= {option.partition("=")[0] for option in line.options.get("var", [])}
    missing = [each for each in _variables(place, magic, line) if each.name not in given]
    signs = {each.name: " = " if each.kind in ("placeholder", "multi_part") else ": " for each in missing}
    return fragment, [
        Candidate(f"{each.name}{signs[each.name]}", _about(each.kind, each.description)) for each in missing
    ]


def _about(kind: str, description: str) -> str:
    return f"{kind}: {description}" if description else kind
