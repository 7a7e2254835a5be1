"""What a cell and its ``--var`` options give a prompt, with Python's values from the notebook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from cozeloop_magic.cell.bind import bind_messages, bind_variables, option_to_value, options_to_variables
from cozeloop_magic.cell.parse import parse_cell
from cozeloop_magic.entities.prompt import Message
from cozeloop_magic.notebook.options import SETTING, of_setting

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
    """

    variables: dict[str, Any]
    messages: tuple[Message, ...]


def read_values(
    cell: str, options: list[str], names: Mapping[str, Any], namespace: dict[str, Any], usual: list[str] | None = None
) -> CellValues:
    """Read a cell's body and its ``--var`` options.

    Parameters
    ----------
    cell : str
        The body.
    options : list of str
        What the line's ``--var`` say.
    names : Mapping[str, Any]
        What ``$name`` in an option may stand for: the notebook's names, and those of the function around.
    namespace : dict
        The notebook's names, in which expressions of the body are evaluated.
    usual : list of str, optional
        What the setting's ``--var`` say.

    Raises
    ------
    InvalidRequest
        If anything cannot be read.
    """
    spec = parse_cell(cell)
    read = partial(options_to_variables, read=partial(option_to_value, names=names))
    given = {f"--var in {SETTING}": of_setting(read, usual or []), "--var": read(options)}
    return CellValues(bind_variables(spec, namespace, given), bind_messages(spec, namespace))
