"""What caused a foreign error, and how it lets go of what was sent."""

from __future__ import annotations

import requests

__all__ = ["causes", "strip_tracebacks"]


def causes(error: BaseException) -> list[BaseException]:
    """Give an error and all that caused it, outermost first: urllib3 and requests keep causes in attributes, too."""
    seen: list[BaseException] = []
    todo = [error]
    while todo:
        current = todo.pop()
        if not any(current is each for each in seen):
            seen.append(current)
            inner = (current.__cause__, current.__context__, getattr(current, "reason", None), *current.args)
            todo += [cause for cause in inner if isinstance(cause, BaseException)]
    return seen


def strip_tracebacks(error: BaseException) -> BaseException:
    """Forget the frames of a foreign error and of what caused it, and the request: they may hold credentials."""
    for cause in causes(error):
        cause.__traceback__ = None
        if isinstance(cause, requests.RequestException):
            cause.request = cause.response = None
    return error
