"""Checks: what an answer must be, told by a rule or by a function of the notebook.

A check gives scores: True or False, or a number. A check that raises is an error of its trial, never a failed check.
"""

from __future__ import annotations

import difflib
import inspect
import json
import math
import re
import traceback
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cozeloop_magic.errors import InvalidRequest, to_install
from cozeloop_magic.lab.answer_json import refuse_constant
from cozeloop_magic.run.answer import Answer

__all__ = ["Check", "Score", "check_expected", "parse_check", "says_yes_or_no"]

_JSON = "Write json:schema.json, a file's path, or the schema itself as JSON without blanks."

Row = Mapping[str, Any]
Evaluate = Callable[[Answer, Row, Any], Any]


@dataclass(frozen=True)
class Score:
    """What one check says of one answer.

    Attributes
    ----------
    name : str
        The check's; of one that gives several, its name and theirs.
    value : bool, float or None
        Passed or not, or a number; None where the check could not be made.
    error : str
        Why it could not; empty otherwise.
    """

    name: str
    value: bool | float | None = None
    error: str = ""


@dataclass(frozen=True)
class Check:
    """A named rule.

    Parameters
    ----------
    name : str
        Shown at the head of its column.
    evaluate : callable
        Takes the answer, the input's row and what is expected; gives a bool, a number, or a mapping of several.
    needs_expected : bool
        Whether it compares with what the inputs say an answer should be.
    """

    name: str
    evaluate: Evaluate
    needs_expected: bool = False

    def __call__(self, answer: Answer, row: Row, expected: Any = None) -> tuple[Score, ...]:
        """Return the scores of an answer; what the check raises is an error in them."""
        try:
            value = self.evaluate(answer, row, expected)
            if isinstance(value, Mapping) and value:
                return tuple(Score(f"{self.name}.{name}", _value(each)) for name, each in value.items())
            return (Score(self.name, _value(value)),)
        except Exception as error:
            return (Score(self.name, error=f"check {self.name}{_told(error)}"),)


def parse_check(given: str | Callable[..., Any], functions: Mapping[str, Any] | None = None) -> Check:
    """Make a check from its text, or from a function ``(answer, row) -> bool, number or dict``.

    Parameters
    ----------
    given : str or callable
        ``equals`` (the expected answer; case, blanks at the ends and runs of blanks do not count), ``exact``,
        ``contains`` and the like with a value behind a colon, ``regex:PATTERN``, ``json``, ``json:SCHEMA`` (JSON text
        or a file's path), ``max_tokens:N``, ``finish:REASON``, ``python:NAME``.
    functions : mapping, optional
        Where ``python:NAME`` is looked up: a notebook's names.

    Raises
    ------
    InvalidRequest
        If there is no such check, or what it needs is missing or cannot be read.
    """
    if callable(given):
        return _of_function(getattr(given, "__name__", type(given).__name__), given)
    kind, colon, value = given.partition(":")
    if kind == "python":
        return _python(value, functions or {})
    if kind not in _KINDS:
        names = [*_KINDS, "python"]
        close = difflib.get_close_matches(kind, names, n=1)
        meant = f" (did you mean {close[0]}?)" if close else ""
        raise InvalidRequest(f"There is no check {kind!r}{meant}.", hint=f"The checks are {', '.join(names)}.")
    return _KINDS[kind](given, value if colon else None)


def check_expected(checks: Iterable[Check], expect: str | None) -> None:
    """See that something says what an answer should be, where a check compares with that.

    Raises
    ------
    InvalidRequest
        If nothing does.
    """
    for check in checks:
        if check.needs_expected and expect is None:
            raise InvalidRequest(
                f"The check {check.name} compares with what is expected, and no column says that.",
                hint=f"Name it with expect=... (--expect COLUMN), or write {check.name}:VALUE.",
            )


def says_yes_or_no(name: str) -> bool:
    """Whether a check of this name passes or does not; one of a function's may give numbers, too."""
    return name.partition(":")[0] in _KINDS


def _equals(name: str, value: str | None) -> Check:
    return Check(
        name,
        lambda answer, row, expected: _folded(answer.text) == _folded(_wanted(value, expected)),
        needs_expected=value is None,
    )


def _exact(name: str, value: str | None) -> Check:
    return Check(
        name, lambda answer, row, expected: answer.text == _wanted(value, expected), needs_expected=value is None
    )


def _contains(name: str, value: str | None) -> Check:
    return Check(
        name,
        lambda answer, row, expected: _folded(_wanted(value, expected)) in _folded(answer.text),
        needs_expected=value is None,
    )


def _regex(name: str, value: str | None) -> Check:
    try:
        pattern = re.compile(_needed(name, value, "regex:^(positive|negative)$"))
    except re.error as error:
        raise InvalidRequest(
            f"The check {name} is no regular expression: {error}.", hint="A sign such as ( or * itself is \\( or \\*."
        ) from None
    return Check(name, lambda answer, row, expected: pattern.search(answer.text) is not None)


def _json(name: str, value: str | None) -> Check:
    if not value:
        return Check("json", lambda answer, row, expected: _is_json(answer.text))
    validator = _validator(value)
    return Check("json", lambda answer, row, expected: _is_json(answer.text) and validator(json.loads(answer.text)))


def _max_tokens(name: str, value: str | None) -> Check:
    text = _needed(name, value, "max_tokens:50")
    if not text.isdecimal():
        raise InvalidRequest(f"The check {name} needs a whole number.", hint="Write max_tokens:50.")

    def evaluate(answer: Answer, row: Row, expected: Any) -> bool:
        if answer.usage is None or answer.usage.output_tokens is None:
            raise ValueError("the server did not say how many tokens there were")
        return answer.usage.output_tokens <= int(text)

    return Check(name, evaluate)


def _finish(name: str, value: str | None) -> Check:
    reason = _needed(name, value, "finish:stop")
    return Check(name, lambda answer, row, expected: answer.finish_reason == reason)


def _python(name: str, functions: Mapping[str, Any]) -> Check:
    function = functions.get(name)
    if not callable(function):
        what = "is not defined" if name not in functions else "is no function"
        close = difflib.get_close_matches(name, [key for key, each in functions.items() if callable(each)], n=1)
        meant = f" (did you mean {close[0]}?)" if close else ""
        raise InvalidRequest(
            f"The check python:{name} names a Python function, and {name} {what}{meant}.",
            hint=f"Run first: def {name or 'tone'}(answer, row): return ...",
        )
    if inspect.iscoroutinefunction(function):
        raise InvalidRequest(
            f"The check python:{name} is an async function.", hint="Write def in place of async def."
        )
    return _of_function(name, function)


_KINDS: dict[str, Callable[[str, str | None], Check]] = {
    "equals": _equals,
    "exact": _exact,
    "contains": _contains,
    "regex": _regex,
    "json": _json,
    "max_tokens": _max_tokens,
    "finish": _finish,
}


def _of_function(name: str, function: Callable[..., Any]) -> Check:
    return Check(name, lambda answer, row, expected: function(answer, row))


def _needed(name: str, value: str | None, example: str) -> str:
    if not value:
        raise InvalidRequest(f"The check {name} needs a value.", hint=f"Write {example}.")
    return value


def _wanted(value: str | None, expected: Any) -> str:
    if value is not None:
        return value
    if expected is None:
        raise ValueError("this input says no expected answer")
    return str(expected)


def _folded(text: str) -> str:
    """Fold case and white space, and write characters that look the same in one way (NFKC)."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _validator(schema: str) -> Callable[[Any], bool]:
    try:
        import jsonschema
    except ImportError:
        raise InvalidRequest("The check json:SCHEMA needs jsonschema.", hint=f"{to_install('batch')}.") from None
    try:
        text = schema if schema.lstrip().startswith("{") else Path(schema).expanduser().read_text(encoding="utf-8")
        wanted = json.loads(text)
        kind = jsonschema.validators.validator_for(wanted)
        kind.check_schema(wanted)
    except OSError as error:
        raise InvalidRequest(f"There is no schema {schema[:60]} ({error.strerror}).", hint=_JSON) from None
    except (ValueError, jsonschema.SchemaError) as error:
        said = str(error).split("\n")[0]
        raise InvalidRequest(f"The schema {schema[:60]} cannot be used: {said}.", hint=_JSON) from None
    validator = kind(wanted)
    return lambda value: bool(validator.is_valid(value))


def _value(given: Any) -> bool | float | None:
    """Read what a check gave: Python's and numpy's bools and numbers."""
    if hasattr(given, "item"):
        given = given.item()
    if given is None or given == {}:
        raise ValueError(f"it gave {given}; a check gives True, False, a number, or a dict of them")
    if isinstance(given, bool):
        return given
    if isinstance(given, (int, float)):
        if not math.isfinite(given):
            raise ValueError(f"it gave {given}")
        return float(given)
    raise TypeError(f"it gave a value of type {type(given).__name__}, not True, False or a number")


def _told(error: Exception) -> str:
    """Say what an error says, with the line in which the check's own code raised it."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "cozeloop_magic" not in frame.filename]
    if not frames:
        return f": {error}"  # of a rule of ours
    where = f"line {frames[-1].lineno}" + (f", {frames[-1].line}" if frames[-1].line else "")
    return f" raised {type(error).__name__}: {error}".rstrip(": ") + f" ({where})"
