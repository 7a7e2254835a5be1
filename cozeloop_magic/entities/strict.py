"""Finding what a JSON object says in another type than a wire value has, where the tolerant reading only keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from cozeloop_magic.entities.wire import Wire

__all__ = ["misread"]


def misread(value: Wire, given: Mapping[str, Any]) -> str:
    """Return where a field was not read as it was meant, such as ``parts[0].text``; empty where all was.

    Parameters
    ----------
    value : Wire
        What was read.
    given : Mapping
        The JSON object that it was read from.
    """
    for name in (field.name for field in fields(value) if field.name != "extra"):
        read: Any = getattr(value, name)
        written: Any = given.get(name)
        if name in value.extra or (isinstance(read, str) and not isinstance(written, (str, type(None)))):
            return name
        if isinstance(read, Wire) and (where := misread(read, written)):
            return f"{name}.{where}"
        if isinstance(read, tuple):
            items = [item for item in written or () if item is not None]
            for number, (each, item) in enumerate(zip(read, items, strict=True)):
                if not isinstance(item, Mapping):
                    return f"{name}[{number}]"
                if where := misread(each, item):
                    return f"{name}[{number}].{where}"
    return ""
