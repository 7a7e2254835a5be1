"""What the front end says of the cell that runs now."""

from __future__ import annotations

import re
from typing import Any

from IPython import get_ipython

__all__ = ["is_all_ours", "is_watched", "running_cell", "runs_no_python"]

_EXPRESSION = re.compile(r"^[ \t]*@?\w+[ \t]*=", re.MULTILINE)


def is_watched() -> bool:
    """Tell whether a person's front end runs this cell: it can answer ``input()``, and a machine says it cannot."""
    return bool(_execute_request("content").get("allow_stdin", True))


def is_all_ours() -> bool:
    """Tell whether the cell is one of ours, so that nothing else has put anything out in it."""
    return str(_execute_request("content").get("code", "")).lstrip().startswith("%%loop_prompt")


def runs_no_python() -> bool:
    """Tell whether the cell is one of ours that takes no value from an expression, which could print."""
    code = str(_execute_request("content").get("code", ""))
    return is_all_ours() and not _EXPRESSION.search(code)


def running_cell() -> tuple[str, str]:
    """Give the cell's id, empty where the front end names none, and the id of this execution of it."""
    cell = _execute_request("metadata").get("cellId", "")
    return str(cell), str(_execute_request("header").get("msg_id", ""))


def _execute_request(part: str) -> dict[str, Any]:
    """Give a part of the ``execute_request`` that runs now; empty outside of a kernel."""
    shell = get_ipython()
    message = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return dict(message.get(part) or {})
