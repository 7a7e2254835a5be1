"""Errors without the frames that hold what was sent."""

from __future__ import annotations

import requests

__all__ = ["strip_tracebacks"]


def strip_tracebacks(error: BaseException) -> BaseException:
    """Forget the frames of a foreign error and of what caused it, and the request: they may hold credentials."""
    seen: set[int] = set()
    todo = [error]
    while todo:
        current = todo.pop()
        if id(current) not in seen:
            seen.add(id(current))
            current.__traceback__ = None
            if isinstance(current, requests.RequestException):
                current.request = current.response = None
            inner = (current.__cause__, current.__context__, getattr(current, "reason", None), *current.args)
            todo += [cause for cause in inner if isinstance(cause, BaseException)]
    return error
