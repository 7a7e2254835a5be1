"""Variable values: from Python to the wire (`encode`), and from the wire to what a template sees (`decode`).

A value goes on the wire as text: text as it is, every other JSON type as JSON text, as the official SDK sends them.
Where that SDK fails, on numpy and pandas scalars, dates, Decimal and sets, the value's plain JSON is sent; what has
no JSON form is an error that names the place.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any

from cozeloop_magic.entities import wire
from cozeloop_magic.entities.prompt import ContentPart, Message, VariableType
from cozeloop_magic.entities.wire import Wire
from cozeloop_magic.errors import VariableError

__all__ = ["HALVES_OUT", "VariableVal", "decode", "encode", "encode_all", "message_of"]

HALVES_OUT = "Take it out, for example with text.encode(errors='replace').decode()."
"""What to do about half a character (a lone surrogate), which JSON in UTF-8 cannot hold."""

_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, repr=False)
class VariableVal(Wire):
    """One variable's value on the wire."""

    key: str = wire.absent(wire.as_text, "")
    value: str | None = wire.text()
    placeholder_messages: Sequence[Message] | None = wire.many(Message)
    multi_part_values: Sequence[ContentPart] | None = wire.many(ContentPart)


def encode_all(values: Mapping[str, Any]) -> list[VariableVal]:
    """Encode every variable's value; see `encode`."""
    return [encode(key, value) for key, value in values.items()]


def encode(key: str, value: Any) -> VariableVal:
    """Encode one variable's value.

    Raises
    ------
    VariableError
        If the value, or something in it, has no JSON form: NaN, bytes, an unknown object, or if the name or the value
        holds half a character. Nothing was sent.
    """
    if type(value) is str and value.isascii() and key.isascii():
        return VariableVal(key, value)  # most are, and there may be very many
    encoded = _encoded(key, value)
    if _HALF.search(json.dumps(encoded.to_json(), ensure_ascii=False, default=str)):
        raise VariableError(
            f"Variable {key.encode(errors='backslashreplace').decode()} holds half a character (a lone surrogate), "
            "which cannot be sent.",
            hint=HALVES_OUT,
        )
    return encoded


def _encoded(key: str, value: Any) -> VariableVal:
    items = list(value) if isinstance(value, (list, tuple)) else [value]
    messages = [message_of(item) for item in items]
    if items and None not in messages:
        # An answer is a text and a message: which of them is read, the variable's declared type says.
        text = _text(key, value) if all(isinstance(item, str) for item in items) else None
        return VariableVal(key, text, tuple(message for message in messages if message))
    if items and all(isinstance(item, ContentPart) for item in items):
        return VariableVal(key, multi_part_values=tuple(items))
    return VariableVal(key, _text(key, value))


def _text(key: str, value: Any) -> str:
    value = _plain(value, key)
    try:
        return str(value) if isinstance(value, str) else _json(value, key)
    except RecursionError:
        raise VariableError(f"Variable {key} holds itself, or is nested too deep for JSON.") from None


def message_of(item: Any) -> Message | None:
    """Return a message, also that of an answer: a conversation goes on with what the model said last."""
    item = item if isinstance(item, Message) else getattr(item, "message", None)
    return item if isinstance(item, Message) else None


def _plain(value: Any, where: str) -> Any:
    """Reduce a value to text, a number, a Decimal, a mapping or a list; leave the inside of containers alone."""
    if isinstance(value, Enum):
        return _plain(value.value, where)
    if value is None or isinstance(value, (str, bool, int, float, Decimal, Mapping, list, tuple)):
        return value
    if isinstance(value, (datetime, date, time)) and value == value:  # pandas.NaT is a datetime unequal to itself
        return value.isoformat()
    if isinstance(value, Set):
        return sorted(value, key=lambda item: _json(item, where))
    if type(value).__module__.partition(".")[0] in ("numpy", "pandas"):
        return _from_numpy(value, where)
    raise _no_json_form(value, where)


def _from_numpy(value: Any, where: str) -> Any:
    """Reduce numpy's and pandas' own scalars, arrays and series, known by their shape without importing either."""
    dimensions = getattr(value, "ndim", None)
    kind = type(value).__name__
    if dimensions == 0 and kind == "datetime64" and value == value:
        return str(value)
    if dimensions == 0 and kind not in ("datetime64", "timedelta64"):
        return _plain(value.item(), where)
    if dimensions and kind != "DataFrame":
        return list(value)
    raise _no_json_form(value, where)


def _json(value: Any, where: str) -> str:
    """Write JSON as ``json.dumps`` does, but readable in every script, with Decimal to the digit."""
    value = _plain(value, where)
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, (float, Decimal)):
        if not math.isfinite(value):
            raise _no_json_form(value, where)
        return float.__repr__(value) if isinstance(value, float) else str(value)
    if isinstance(value, Mapping):
        pairs: dict[str, str] = {}
        for k, v in value.items():
            key = _key(k, where)
            if key in pairs:
                raise VariableError(
                    f"Variable {where} holds the key {key} twice, once JSON has made text of its keys."
                )
            pairs[key] = _json(v, f"{where}[{k!r}]")
        return "{" + ", ".join(f"{key}: {text}" for key, text in pairs.items()) + "}"
    return "[" + ", ".join(_json(item, f"{where}[{i}]") for i, item in enumerate(value)) + "]"


def _key(key: Any, where: str) -> str:
    key = _plain(key, where)
    return json.dumps(key if isinstance(key, str) else _json(key, where), ensure_ascii=False)


def _no_json_form(value: Any, where: str) -> VariableError:
    kind = type(value).__name__
    as_text = ".to_markdown(index=False)" if hasattr(value, "to_markdown") else ".write_json()"
    missing = "Replace missing values first, for example with .fillna(0)."
    hints = {
        "bytes": "Decode it to text, or send it as ContentPart(type='base64_data', base64_data='data:...').",
        "DataFrame": f"Turn it into text first, for example with {as_text}.",
        "Series": "Turn it into a list first, with .to_list().",
        "Message": "A list of messages must hold nothing but messages.",
        "BackgroundAnswer": "Wait for it first, with .result().",
        "ContentPart": "A list of content parts must hold nothing but content parts.",
        "NAType": missing,
        "NaTType": missing,
    }
    is_number = isinstance(value, (float, Decimal))
    if is_number and value == value:  # infinite
        missing = "Write a finite number first."
    shown = str(value) if is_number else f"a value of type {kind}"
    hint = missing if is_number else hints.get(kind, "Turn it into text, a number, a list or a dict first.")
    return VariableError(f"Variable {where} holds {shown}, which has no JSON form.", hint=hint)


def _loads(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> Any:
    raise ValueError(constant)  # Python reads NaN and Infinity, JSON does not have them


def _array(of: Callable[[Any], bool]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        items = _loads(text)
        if not isinstance(items, list) or not all(of(item) for item in items):
            raise ValueError(text)
        return items

    return read


def _is_integer(item: Any) -> bool:
    return isinstance(item, int) and not isinstance(item, bool)


def _is_number(item: Any) -> bool:
    return isinstance(item, (int, float)) and not isinstance(item, bool)


def _boolean(text: str) -> bool:
    return {"true": True, "false": False}[text]


def _integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", text) or not -(2**63) <= int(text) < 2**63:
        raise ValueError(text)
    return int(text)


def _float(text: str) -> float:
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        raise ValueError(text)
    return float(text)


_DECODERS: dict[str, Callable[[str], Any]] = {
    VariableType.BOOLEAN: _boolean,
    VariableType.INTEGER: _integer,
    VariableType.FLOAT: _float,
    VariableType.OBJECT: _loads,
    VariableType.ARRAY_STRING: _array(lambda item: isinstance(item, str)),
    VariableType.ARRAY_BOOLEAN: _array(lambda item: isinstance(item, bool)),
    VariableType.ARRAY_INTEGER: _array(_is_integer),
    VariableType.ARRAY_FLOAT: _array(_is_number),
    VariableType.ARRAY_OBJECT: _loads,
}


def decode(type: str, text: str) -> Any:
    """Read a variable's text by its declared type, as a template sees it. Types without a JSON form stay text.

    Raises
    ------
    ValueError
        If the text is no value of the type.
    """
    try:
        return _DECODERS.get(type, str)(text)
    except (KeyError, ValueError, RecursionError) as error:
        raise ValueError(f"{text!r} is not {type}") from error
