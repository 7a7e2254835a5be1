"""Characters of a cell that nobody sees, or that look like a blank: they come along where text is pasted. Pure."""

from __future__ import annotations

__all__ = ["UNSEEN", "WIDE_BLANKS", "bare"]

UNSEEN = (
    "\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064"
    "\u2066\u2067\u2068\u2069\ufeff"
)
"""Soft hyphens, joiners, marks of direction and of byte order, as in a class of a regular expression."""

WIDE_BLANKS = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
"""Blanks but for the plain one."""

_NOTHING = f"{UNSEEN}{WIDE_BLANKS} \t\r\f\v"


def bare(line: str) -> str:
    """Return a line without what cannot be seen around it."""
    return line.strip(_NOTHING)
