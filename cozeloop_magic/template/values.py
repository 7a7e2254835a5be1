"""Variables' values as a jinja2 template of the platform sees them: by declared type, read as its Go code reads.

Objects and arrays of objects hold floats in place of all numbers, their keys are in order, and an array of one type
holds that type's zero in place of null. Only the first JSON value of a text counts.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from cozeloop_magic.entities.prompt import VariableType
from cozeloop_magic.errors import remote_error

__all__ = ["ABSENT", "INVALID_PARAMETER", "decode_value", "decode_values"]

INVALID_PARAMETER = 600500202
ABSENT = object()
"""In place of a value that a template takes for undefined."""

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_FLOAT = re.compile(r"[+-]?((?:[0-9]_?)*[0-9]\.?(?:[0-9]_?)*|\.[0-9](?:_?[0-9])*)(?<!_)([eE][+-]?[0-9]+)?", re.ASCII)
_HEX_FLOAT = re.compile(r"[+-]?0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*[pP][+-]?[0-9]+", re.ASCII)
_NO_NUMBER = re.compile(r"([+-]?inf(inity)?|nan)", re.IGNORECASE | re.ASCII)
_HALF = re.compile("[\ud800-\udfff]")


def decode_value(type_: str, text: str) -> Any:
    """Read a variable's text by its declared type. What has no JSON form stays text.

    Raises
    ------
    ValueError
        If the text is no value of the type; the platform answers with an invalid parameter.
    """
    try:
        return _DECODERS.get(type_, str)(text)
    except (ValueError, RecursionError, OverflowError) as error:
        raise ValueError(f"{text[:80]!r} is not {type_}") from error


def decode_values(types: Mapping[str, str], values: Mapping[str, str]) -> dict[str, Any]:
    """Read the values of declared variables; what is not declared, or is null, is left out.

    Raises
    ------
    RemoteError
        If a value is not of its type.
    """
    decoded = {}
    for key, text in values.items():
        try:
            value = decode_value(types[key], text) if key in types else ABSENT
        except ValueError:
            shown = text if len(text) <= 80 else f"{text[:80]}..."
            message = f"Variable {key} is declared {types[key]}, but its value is {shown!r}."
            raise remote_error(message, code=INVALID_PARAMETER) from None
        if value is not ABSENT:
            decoded[key] = value
    return decoded


def _boolean(text: str) -> bool:
    return text == "true"


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError(text)
    return _in_64_bits(int(text))


def _in_64_bits(number: int) -> int:
    if not -(2**63) <= number < 2**63:
        raise ValueError(number)
    return number


def _float(text: str) -> float:
    if _NO_NUMBER.fullmatch(text):
        return float(text)
    if _HEX_FLOAT.fullmatch(text):
        return float.fromhex(text)
    if not _FLOAT.fullmatch(text):
        raise ValueError(text)
    return _finite(float(text))


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError(number)
    return number


def _json(text: str, parse_int: Callable[[str], Any] = int) -> Any:
    value, _ = json.JSONDecoder(
        parse_int=parse_int, parse_float=lambda digits: _finite(float(digits)), parse_constant=_refuse
    ).raw_decode(text.lstrip(" \t\r\n"))
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(constant)  # Python reads NaN and Infinity, JSON does not have them


def _object(text: str) -> Any:
    value = _json(text, lambda digits: _finite(float(digits)))
    return ABSENT if value is None else _in_order(value)


def _in_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {_whole(key): _in_order(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_in_order(item) for item in value]
    return _whole(value) if isinstance(value, str) else value


def _whole(text: str) -> str:
    """Put U+FFFD in place of half a character."""
    return _HALF.sub("\ufffd", text)


def _array(of: Callable[[Any], Any], zero: Any) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        items = _json(text)
        if items is None:
            return []
        if not isinstance(items, list):
            raise ValueError(text)
        return [zero if item is None else of(item) for item in items]

    return read


def _text_item(item: Any) -> str:
    if not isinstance(item, str):
        raise ValueError(item)
    return _whole(item)


def _boolean_item(item: Any) -> bool:
    if not isinstance(item, bool):
        raise ValueError(item)
    return item


def _integer_item(item: Any) -> int:
    if not isinstance(item, int) or isinstance(item, bool):
        raise ValueError(item)
    return _in_64_bits(item)


def _float_item(item: Any) -> float:
    if not isinstance(item, (int, float)) or isinstance(item, bool):
        raise ValueError(item)
    return _finite(float(item))


_DECODERS: dict[str, Callable[[str], Any]] = {
    VariableType.BOOLEAN: _boolean,
    VariableType.INTEGER: _integer,
    VariableType.FLOAT: _float,
    VariableType.OBJECT: _object,
    VariableType.ARRAY_STRING: _array(_text_item, ""),
    VariableType.ARRAY_BOOLEAN: _array(_boolean_item, False),
    VariableType.ARRAY_INTEGER: _array(_integer_item, 0),
    VariableType.ARRAY_FLOAT: _array(_float_item, 0.0),
    VariableType.ARRAY_OBJECT: _object,
}
