"""Making a stranger's words safe to show: one line, not long, no credentials."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable
from urllib.parse import quote

__all__ = ["Quoter", "readable"]

LONGEST_QUOTE = 300
_SHORTEST_SECRET = 3  # characters: what is shorter stands in every other word
_EXAMINED = 1_000_000
_CREDENTIALS = re.compile(r"\b(Bearer|Basic)\s+[\w+/=.~-]{16,}", re.IGNORECASE)


class Quoter:
    """Quotes without secrets.

    Parameters
    ----------
    secrets : iterable of str
        What must not be shown, in whatever way it is written.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if len(secret) >= _SHORTEST_SECRET for form in _forms(secret)}
        self._forms = sorted(forms, key=len, reverse=True)

    def __call__(self, said: str) -> str:
        """Return the words as they may be shown."""
        for form in self._forms:
            said = said.replace(form, "••••••")
        said = " ".join(_CREDENTIALS.sub(r"\1 ••••••", said).split())
        said = "".join(character if character.isprintable() else "�" for character in said)
        return said if len(said) <= LONGEST_QUOTE else said[:LONGEST_QUOTE] + "…"


def readable(text: str) -> str:
    """Return what a page says: its title, or its words without tags."""
    if text.lstrip()[:1] != "<":
        return text
    title = re.search(r"<title[^<>]*>([^<]*)</title>", text[:_EXAMINED], re.IGNORECASE)
    words = title[1] if title else re.sub(r"<[^<>]*>", " ", text[:_EXAMINED])
    return f"an HTML page, {' '.join(html.unescape(words).split())!r}"


def _forms(secret: str) -> set[str]:
    """Give the ways a secret may be written where it is quoted."""
    encoded = {base64.b64encode(text.encode()).decode() for text in (secret, f"{secret}:", f":{secret}")}
    return {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]} | encoded
