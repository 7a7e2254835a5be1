"""Characters that a stream cuts in two.

A character beyond U+FFFF is two escapes in JSON, and a server may write them in two events.
"""

from __future__ import annotations

import re
from collections.abc import Hashable

__all__ = ["SURROGATE", "SurrogateJoiner"]

SURROGATE = re.compile("[\ud800-\udfff]")


class SurrogateJoiner:
    """Puts halves of characters together: the first half is held back until the second is there.

    Attributes
    ----------
    held : dict
        The halves that wait, by the text that each is of.
    """

    def __init__(self) -> None:
        self.held: dict[Hashable, str] = {}

    def join(self, key: Hashable, text: str | None, last: bool) -> str | None:
        """Give what is whole of the text named `key`; a half whose other half never comes shows as U+FFFD."""
        before = self.held.pop(key, "") if text or last else ""
        joined = before + (text or "")
        if not joined or not SURROGATE.search(joined):
            return text
        if "\ud800" <= joined[-1] <= "\udbff" and not last:
            self.held[key] = joined[-1]
            joined = joined[:-1]
        return joined.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
