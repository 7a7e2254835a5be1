"""One small codec for every wire value: JSON object to frozen dataclass and back.

It is tolerant in one way for all of them: what it does not know, or cannot read, is kept in ``extra`` under the
name it came with, and is written out again by ``to_json``. Nothing a server says is dropped.

Who makes a value in Python may write text for a member of an enum and dicts for the values inside, as with the
official SDK; `model_dump` and its like are that SDK's names (pydantic's) for the way to plain data and back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from enum import Enum
from typing import Any, Literal, NamedTuple, TypeVar

__all__ = [
    "Wire",
    "absent",
    "absent_member",
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

    def __post_init__(self) -> None:
        for name, coerce in _codec(type(self)).coercions:
            given = getattr(self, name)
            if given is not None and (value := coerce(given)) is not given:
                object.__setattr__(self, name, value)

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
        decoders, defaults, _ = _codec(cls)
        values = defaults.copy()
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
        values["extra"] = extra
        return cls.made(values)

    @classmethod
    def model_validate(cls: type[W], obj: Any) -> W:
        """Read a dict such as `model_dump` gives, or give a value of this kind as it is."""
        if isinstance(obj, cls):
            return obj
        data = dict(obj) if isinstance(obj, Mapping) else obj
        value = cls.from_json(data)
        codec = _codec(cls)  # fields that are not the wire's, a server cannot give
        ours = {
            name: tuple(data[name]) if isinstance(data[name], list) else data[name]
            for name in codec.defaults.keys() - codec.decoders.keys()
            if name in data
        }
        rest = {name: left for name, left in value.extra.items() if name not in ours}
        return replace(value, **ours, extra=rest) if ours else value

    @classmethod
    def model_validate_json(cls: type[W], json_data: str | bytes) -> W:
        """Read JSON text such as `model_dump_json` gives."""
        return cls.model_validate(json.loads(json_data))

    def model_dump(
        self,
        *,
        mode: Literal["python", "json"] = "python",
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
        exclude_none: bool = False,
    ) -> dict[str, Any]:
        """Give the fields as a dict, values inside as dicts, too; what ``extra`` holds stands among them.

        Parameters
        ----------
        mode : str
            ``"json"`` gives text for the members of enums, and lists for tuples.
        include, exclude : collection of str, optional
            The fields to give, or to leave out.
        exclude_none : bool
            Whether to leave out what holds nothing, inside as well.
        """
        first, *named = fields(self)
        shown = {f.name: getattr(self, f.name) for f in named} | dict(getattr(self, first.name))
        return {
            name: _dumped(value, mode, exclude_none)
            for name, value in shown.items()
            if (include is None or name in include)
            and name not in (exclude or ())
            and not (exclude_none and value is None)
        }

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        """Give `model_dump` as JSON text; without `indent`, without blanks."""
        separators = (",", ":") if indent is None else None
        content = self.model_dump(**options, mode="json")
        return json.dumps(content, ensure_ascii=False, indent=indent, separators=separators)

    def model_copy(self: W, *, update: Mapping[str, Any] | None = None) -> W:
        """Give a copy with some fields changed."""
        return replace(self, **(update or {}))

    def to_json(self) -> dict[str, Any]:
        """Write a JSON object: every field that holds something, and ``extra``."""
        decoders = _codec(type(self)).decoders
        known = ((name, getattr(self, name)) for name in decoders)
        return {name: _plain(value) for name, value in known if value is not None} | dict(self.extra)

    def __repr__(self) -> str:
        extra, *named = fields(self)
        shown = (f"{f.name}={getattr(self, f.name)!r}" for f in (*named, extra) if not _is_default(self, f))
        return f"{type(self).__name__}({', '.join(shown)})"


def _is_default(value: Wire, f: Field[Any]) -> bool:
    default = f.default_factory() if f.default_factory is not MISSING else f.default
    return bool(getattr(value, f.name) == default)


class _Codec(NamedTuple):
    """How a class is read: by field, decoders, what it is where the wire left it out, and what Python may give."""

    decoders: dict[str, Decoder]
    defaults: dict[str, Any]
    coercions: list[tuple[str, Decoder]]


_CODECS: dict[type[Wire], _Codec] = {}


def _codec(cls: type[Wire]) -> _Codec:
    codec = _CODECS.get(cls)
    if codec is None:
        known = fields(cls)
        decoders = {f.name: f.metadata["decode"] for f in known if "decode" in f.metadata}
        defaults = {f.name: f.metadata.get("absent", f.default) for f in known if f.name != "extra"}
        coercions = [(f.name, f.metadata["coerce"]) for f in known if f.metadata.get("coerce")]
        codec = _CODECS[cls] = _Codec(decoders, defaults, coercions)
    return codec


def _plain(value: Any) -> Any:
    if type(value) in (str, int):  # most are
        return value
    if isinstance(value, Wire):
        return value.to_json()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _dumped(value: Any, mode: Literal["python", "json"], exclude_none: bool) -> Any:
    if isinstance(value, Wire):
        return value.model_dump(mode=mode, exclude_none=exclude_none)
    if isinstance(value, Enum):
        return value if mode == "python" else value.value
    if isinstance(value, (list, tuple)):
        return [_dumped(item, mode, exclude_none) for item in value]
    return value


# Field declarations: `content: str | None = text()`.


def _declared(decode: Decoder, default: Any = None, coerce: Decoder | None = None) -> Any:
    return field(default=default, metadata={"decode": decode, "coerce": coerce})


def absent(decode: Decoder, value: Any, coerce: Decoder | None = None) -> Any:
    """Declare a field that Python callers must give, and that reads as `value` where the wire left it out."""
    return field(metadata={"decode": decode, "absent": value, "coerce": coerce})


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


def flag(default: bool | None = None) -> Any:
    """Declare a boolean field."""
    return _declared(as_flag, default)


def member(kind: type[E], default: E | str | None = None) -> Any:
    """Declare a field that holds a member of `kind`, or text that this version does not know."""
    return _declared(as_member(kind), default, _named(kind))


def absent_member(kind: type[E]) -> Any:
    """Declare a `member` that Python callers must give, and that reads as no text where the wire left it out."""
    return absent(as_member(kind), "", _named(kind))


def _named(kind: type[E]) -> Decoder:
    """Give what makes a member of text that names one, and leaves all else as it is."""
    members: dict[str, E] = {m.value: m for m in kind}
    return lambda given: members.get(given, given) if isinstance(given, str) else given


def of(kind: type[Wire]) -> Any:
    """Declare a field that holds another wire value."""
    return _declared(kind.from_json, coerce=lambda given: _of_dict(kind, given))


def many(kind: type[Wire], default: tuple[()] | None = None) -> Any:
    """Declare a field that holds a list of wire values, as a tuple; an item that is none is in its ``extra``."""

    def decode(items: Any) -> tuple[Wire, ...]:
        if not isinstance(items, list):
            raise TypeError(items)
        readable = (item if isinstance(item, Mapping) else {"": item} for item in items if item is not None)
        return tuple(map(kind.from_json, readable))

    def coerce(given: Any) -> Any:
        has_dicts = isinstance(given, (list, tuple)) and any(isinstance(item, Mapping) for item in given)
        return type(given)(_of_dict(kind, item) for item in given) if has_dicts else given

    return _declared(decode, default, coerce)


def _of_dict(kind: type[Wire], given: Any) -> Any:
    return kind.from_json(given) if isinstance(given, Mapping) else given


def kept() -> Any:
    """Declare a field whose JSON is kept as it came."""
    return _declared(lambda value: value)
