"""Options as a magic's line and a terminal's have them in common. Pure."""

from __future__ import annotations

import json
from argparse import Action, ArgumentParser
from collections.abc import Iterable
from typing import Any

from cozeloop_magic.errors import InvalidRequest

__all__ = ["find_repeated", "read_json", "read_pair", "read_settings"]


def find_repeated(words: Iterable[str], parser: ArgumentParser) -> str | None:
    """Return the option that takes one value and is given a second one, by whichever of its names, or None.

    A value that begins like an option is one to the parser, too; ``--var`` may stand several times, and a flag that
    is set twice is set.
    """
    seen = set()
    for word in words:
        action = _action(word, parser)
        if action is None or action.nargs == 0 or isinstance(action.default, list):
            continue
        if action.dest in seen:
            return action.option_strings[-1]
        seen.add(action.dest)
    return None


def _action(word: str, parser: ArgumentParser) -> Action | None:
    """Return the option that a word begins: ``--version``, ``--version=1``, ``--vers`` or ``-v1``."""
    actions, name = parser._option_string_actions, word.partition("=")[0]
    if not word.startswith("--"):
        return actions.get(name) or actions.get(word[:2])
    beginning = [option for option in actions if option.startswith(name)] if name != "--" else []
    return actions.get(name) or (actions[beginning[0]] if len(beginning) == 1 else None)


def read_pair(option: str, name: str, example: str) -> tuple[str, str]:
    """Read ``LEFT=RIGHT``.

    Raises
    ------
    InvalidRequest
        If it is none.
    """
    left, sign, right = option.partition("=")
    if not (left and sign and right):
        raise InvalidRequest(f"{name} {option} has no `=`.", hint=f"Write {name} {example}.")
    return left, right


def read_settings(options: Iterable[str]) -> dict[str, Any]:
    """Read ``--set NAME=VALUE`` options: settings of the model that replace those of the version.

    Raises
    ------
    InvalidRequest
        If one cannot be read, or a setting is given twice.
    """
    settings: dict[str, Any] = {}
    for option in options:
        name, value = read_pair(option, "--set", "temperature=0")
        if name in settings:
            raise InvalidRequest(f"--set {name} is given twice.")
        settings[name] = read_json(value)
    return settings


def read_json(text: str) -> Any:
    """Return what JSON says, or else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
