"""What ``%loop_compare`` and ``%loop_batch`` read in the same way: tables, columns and checks by their names."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cozeloop_magic.cell.bind import option_to_text, python_name, unquote
from cozeloop_magic.cell.options import read_pair
from cozeloop_magic.errors import InvalidRequest

__all__ = ["read_checks", "read_map", "read_names", "read_table_name"]


def read_names(args: Namespace, names: Mapping[str, Any], options: Sequence[str]) -> Namespace:
    """Return the same options with text in place of quotes and of ``$name``; what stands for None is left out.

    Parameters
    ----------
    args : Namespace
        A line's options as they are written.
    names : mapping
        The notebook's names.
    options : sequence of str
        Those that take text, or several texts.

    Raises
    ------
    InvalidRequest
        If a name is not defined, or holds no text.
    """
    read: dict[str, str | list[str] | None] = {}
    for option in options:
        given = getattr(args, option)
        if isinstance(given, list):
            texts = (option_to_text(each, names, f"--{option}") for each in given)
            read[option] = [text for text in texts if text is not None]
        else:
            read[option] = None if given is None else option_to_text(given, names, f"--{option}")
    return Namespace(**{**vars(args), **read})


def read_map(options: Sequence[str], names: Mapping[str, Any]) -> dict[str, str]:
    """Read ``--map VARIABLE=COLUMN``; a column of several words stands in quotes.

    Raises
    ------
    InvalidRequest
        If one is no pair, or a variable is given twice.
    """
    mapped: dict[str, str] = {}
    for option in options:
        variable, written = read_pair(unquote(option), "--map", "VARIABLE=COLUMN")
        column = option_to_text(written, names, "The column")
        if variable in mapped:
            raise InvalidRequest(f"--map {variable} is given twice.", hint="A variable takes one column.")
        if column is not None:
            mapped[variable] = column
    return mapped


def read_checks(options: Sequence[str], names: Mapping[str, Any]) -> list[str | Callable[..., Any]]:
    """Read ``--check KIND:VALUE``; a value of several words stands in quotes, and ``$name`` may hold the whole."""
    checks: list[str | Callable[..., Any]] = []
    for option in options:
        name = python_name(unquote(option))
        if name is not None and name in names:
            checks.append(names[name])
            continue
        kind, colon, value = unquote(option).partition(":")
        checks.append(f"{kind}{colon}{unquote(value)}")
    return checks


def read_table_name(option: str, names: Mapping[str, Any]) -> Any:
    """Return the table that a name of the notebook holds, or else the path that it is.

    Raises
    ------
    InvalidRequest
        If it is a name that is not defined, or holds nothing.
    """
    name = python_name(unquote(option)) or unquote(option)
    if name in names:
        if names[name] is None:
            raise InvalidRequest(f"The table {name} is None.", hint="Check how it was made.")
        return names[name]
    if name.isidentifier():
        raise InvalidRequest(f"There is no table {name} in the notebook.", hint="Name a data frame or a path.")
    return name
