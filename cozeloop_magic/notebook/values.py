"""What a cell and its ``--var`` options give a prompt, with Python's values from the notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from cozeloop_magic.cell.bind import (
    bind_messages,
    bind_variables,
    option_to_value,
    options_to_variables,
    python_name,
    unquote,
)
from cozeloop_magic.cell.parse import Value, parse_cell
from cozeloop_magic.cell.python import meant_as_python
from cozeloop_magic.entities.prompt import Message
from cozeloop_magic.notebook.options import SETTING, of_setting
from cozeloop_magic.notebook.session import Session

__all__ = ["CellValues", "read_values"]


@dataclass(frozen=True, slots=True)
class CellValues:
    """What a cell gives.

    Attributes
    ----------
    variables : Mapping[str, Any]
        Values by variable, of the body and of the options.
    messages : tuple of Message
        To append.
    notes : tuple of str
        What is sent as text and was perhaps meant as Python.
    """

    variables: dict[str, Any]
    messages: tuple[Message, ...]
    notes: tuple[str, ...] = ()


def read_values(
    session: Session, cell: str, options: list[str], names: Mapping[str, Any], usual: list[str] | None = None
) -> CellValues:
    """Read a cell's body and its ``--var`` options.

    Parameters
    ----------
    session : Session
        The notebook, in whose namespace expressions of the body are evaluated.
    cell : str
        The body.
    options : list of str
        What the line's ``--var`` say.
    names : Mapping[str, Any]
        What ``$name`` in an option may stand for: the notebook's names, and those of the function around.
    usual : list of str, optional
        What the setting's ``--var`` say.

    Raises
    ------
    InvalidRequest
        If anything cannot be read.
    """
    spec, namespace = parse_cell(cell), session.namespace
    read = partial(options_to_variables, read=partial(option_to_value, names=names))
    given = {f"--var in {SETTING}": of_setting(read, usual or []), "--var": read(options)}
    variables = bind_variables(spec, namespace, given)
    written = {each.name: each.source.value for each in spec.variables if isinstance(each.source, Value)}
    own = session.own_names(names)
    notes = (*_notes(written, own, ""), *_notes(dict(map(_as_written, options)), own, "--var "))
    return CellValues(variables, bind_messages(spec, namespace), notes)


def _as_written(option: str) -> tuple[str, str]:
    """Split an option; a value that does come from Python is no text."""
    name, _, text = unquote(option).partition("=")
    text = unquote(text)
    return name, "" if python_name(text) else text


def _notes(texts: Mapping[str, Any], names: Mapping[str, Any], option: str) -> Iterator[str]:
    for name, text in texts.items():
        if code := meant_as_python(text, names):
            python = f"{option}{name}=${code}" if option and code.isidentifier() else f"{name} = {code}"
            yield f"this is text; `{python}` is Python"
