"""Making characters visible that would act on the reader's screen instead of being read.

A terminal obeys escape sequences, and every screen obeys bidirectional overrides, which can show code in another
order than it runs. Line feed and tab stay; right-to-left text itself needs none of these.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["NAMES", "printable", "replace_surrogates"]

_CONTROLS = [code for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (0x09, 0x0A)]
_HALVES = range(0xD800, 0xE000)  # of characters: nothing can send or save them
_BIDI = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]

NAMES = {chr(code): f"‹U+{code:04X}›" for code in (*_CONTROLS, *_BIDI, *_HALVES)} | {"\x1b": "␛"}
"""What stands for each such character."""

_TABLE = str.maketrans(NAMES)


def printable(text: str) -> str:
    r"""Name controls, bidirectional overrides and lone surrogates; ``\r\n`` and ``\r`` become ``\n``.

    Examples
    --------
    >>> printable("\x1b[31mred")
    '␛[31mred'
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_TABLE)


_SURROGATE = re.compile("[\ud800-\udfff]")


def replace_surrogates(value: Any) -> Any:
    """Give a JSON value with U+FFFD in place of lone surrogates, also in its keys: nothing can save or send them."""
    if isinstance(value, str):
        return _SURROGATE.sub("�", value) if not value.isascii() else value
    if isinstance(value, dict):
        return {replace_surrogates(key): replace_surrogates(item) for key, item in value.items()}
    return [replace_surrogates(item) for item in value] if isinstance(value, list) else value
