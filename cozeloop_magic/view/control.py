"""Hearing a page while a cell runs: Stop, and what else is asked for.

A widget's message waits in most versions of ipykernel until the running cell has ended. The kernel's control channel
has a thread of its own in all of them, and a front end that can send there need not interrupt the kernel, which might
by then run another cell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from IPython import get_ipython

__all__ = ["forget", "listen"]

_MESSAGE = "cozeloop_stop"
_heard_by: dict[str, Callable[[Any], None]] = {}


def listen(stop: Callable[[], None], ask: Callable[[Any], None] = lambda asked: None) -> str:
    """Have `stop` called, in the control channel's thread, when a message names it, or `ask` with what it asks for.

    Returns
    -------
    str
        The name to send; empty where the kernel has no control channel.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    handlers = getattr(kernel, "control_handlers", None)
    if handlers is None:
        return ""
    handlers[_MESSAGE] = _heard
    name = uuid4().hex
    _heard_by[name] = lambda asked: stop() if asked is None else ask(asked)
    return name


def forget(name: str) -> None:
    """Listen no more."""
    _heard_by.pop(name, None)


def _heard(stream: object, identities: object, message: dict[str, Any]) -> None:
    heard_by = _heard_by.get(message["content"].get("name", ""))
    if heard_by is not None:
        heard_by(message["content"].get("ask"))
