"""One small codec for every wire value: JSON object to frozen dataclass and back.

It is tolerant in one way for all of them: what it does not know, or cannot read, is kept in ``extra`` under the
name it came with, and is written out again by ``to_json``. Nothing a server says is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import Enum
from typing import Any, TypeVar

__all__ = [
    "Wire",
    "absent",
    "as_count",
    "as_flag",
    "as_member",
    "as_text",
    "count",
    "flag",
    "kept",
    "many",
    "member",
    "number",
    "of",
    "text",
    "word",
]

W = TypeVar("W", bound="Wire")
E = TypeVar("E", bound=Enum)
Decoder = Callable[[Any], Any]


@dataclass(frozen=True, repr=False)
class Wire:
    """A value of the wire.

    Attributes
    ----------
    extra : Mapping[str, Any]
        Fields of the JSON object that this version of the package does not know or could not read.
    """

    extra: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    @classmethod
    def made(cls: type[W], values: dict[str, Any]) -> W:
        """Make one of checked values, `extra` among them; what is not among them is as the class has it.

        A frozen dataclass sets each of its fields by a call; a long answer's pieces would take three times as long.
        """
        wire = object.__new__(cls)
        object.__setattr__(wire, "__dict__", values)
        return wire

    @classmethod
    def from_json(cls: type[W], data: Mapping[str, Any]) -> W:
        """Read a JSON object.

        Raises
        ------
        TypeError
            If `data` is no object. Odd fields raise nothing: they go to ``extra``.
        """
        if not isinstance(data, Mapping):
            raise TypeError(f"{cls.__name__} expects a JSON object, not {type(data).__name__}")
        decoders, defaults = _codec(cls)
        values: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for key, value in data.items():
            decode = decoders.get(key)
            if decode is None:
                extra[key] = value
            elif value is not None:
                try:
                    values[key] = decode(value)
                except (TypeError, ValueError, OverflowError, RecursionError):
                    extra[key] = value
        return cls(**(defaults | values if defaults else values), extra=extra)

    def to_json(self) -> dict[str, Any]:
        """Write a JSON object: every field that holds something, and ``extra``."""
        decoders, _ = _codec(type(self))
        known = ((name, getattr(self, name)) for name in decoders)
        return {name: _plain(value) for name, value in known if value is not None} | dict(self.extra)

    def __repr__(self) -> str:
        extra, *named = fields(self)
        shown = (f"{f.name}={getattr(self, f.name)!r}" for f in (*named, extra) if not _is_default(self, f))
        return f"{type(self).__name__}({', '.join(shown)})"


def _is_default(value: Wire, f: Field[Any]) -> bool:
    default = f.default_factory() if f.default_factory is not MISSING else f.default
    return bool(getattr(value, f.name) == default)


_CODECS: dict[type[Wire], tuple[dict[str, Decoder], dict[str, Any]]] = {}


def _codec(cls: type[Wire]) -> tuple[dict[str, Decoder], dict[str, Any]]:
    """Give a class's decoders by field, and what a required field is where the wire left it out."""
    if cls not in _CODECS:
        mine = [f for f in fields(cls) if "decode" in f.metadata]
        _CODECS[cls] = (
            {f.name: f.metadata["decode"] for f in mine},
            {f.name: f.metadata["absent"] for f in mine if "absent" in f.metadata},
        )
    return _CODECS[cls]


def _plain(value: Any) -> Any:
    if isinstance(value, Wire):
        return value.to_json()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


# Field declarations: `content: str | None = text()`.


def _declared(decode: Decoder, default: Any = None) -> Any:
    return field(default=default, metadata={"decode": decode})


def absent(decode: Decoder, value: Any) -> Any:
    """Declare a field that Python callers must give, and that reads as `value` where the wire left it out."""
    return field(metadata={"decode": decode, "absent": value})


def as_text(value: Any) -> str:
    """Read text; anything else that came in its place is shown as its JSON, so no text is lost."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def as_count(value: Any) -> int:
    """Read a whole number that is not negative, also where it was sent as text or as ``12.0``."""
    number = float(value)
    if number != int(number) or number < 0:
        raise ValueError(value)
    return int(number)


def as_flag(value: Any) -> bool:
    """Read a boolean."""
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def as_member(kind: type[E]) -> Callable[[Any], E | str]:
    """Read a member of `kind`; text that is none of them stays text."""
    members: dict[str, E] = {m.value: m for m in kind}

    def decode(value: Any) -> E | str:
        if not isinstance(value, str):
            raise TypeError(value)
        return members.get(value, value)

    return decode


def text(default: str | None = None) -> Any:
    """Declare a text field."""
    return _declared(as_text, default)


def word() -> Any:
    """Declare a field that is text or not there: what something else in its place would mean cannot be told."""
    return _declared(_as_word)


def _as_word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def count(default: int | None = None) -> Any:
    """Declare a field that counts something."""
    return _declared(as_count, default)


def number() -> Any:
    """Declare a field that measures something."""
    return _declared(float)


def flag() -> Any:
    """Declare a boolean field."""
    return _declared(as_flag)


def member(kind: type[E], default: E | str | None = None) -> Any:
    """Declare a field that holds a member of `kind`, or text that this version does not know."""
    return _declared(as_member(kind), default)


def of(kind: type[Wire]) -> Any:
    """Declare a field that holds another wire value."""
    return _declared(kind.from_json)


def many(kind: type[Wire], default: tuple[()] | None = None) -> Any:
    """Declare a field that holds a list of wire values, as a tuple; an item that is none is in its ``extra``."""

    def decode(items: Any) -> tuple[Wire, ...]:
        if not isinstance(items, list):
            raise TypeError(items)
        readable = (item if isinstance(item, Mapping) else {"": item} for item in items if item is not None)
        return tuple(map(kind.from_json, readable))

    return _declared(decode, default)


def kept() -> Any:
    """Declare a field whose JSON is kept as it came."""
    return _declared(lambda value: value)
