"""Where links may lead, and whether they lead where they say."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import accumulate
from urllib.parse import unquote, urlsplit

__all__ = ["DRAWN", "SAFE_URL", "Words", "is_safe"]

DRAWN = "\ue001"
"""What stands for a formula among words: it can show any."""

SAFE_URL = re.compile(r"(?:https?://[^\s/?#\\<>\"']|mailto:[^\s\\<>\"'])[^\s<>\"\\]*", re.IGNORECASE)
"""An address with one of the allowed schemes, written plainly: no entities, spaces or backslashes before its host."""

_LONGEST = 2_000  # characters; a definition in Markdown gives its address to any number of links
_DOTS = str.maketrans(dict.fromkeys("。․\ua4f8·•∙⋅‧\u05c5\u0660\u06d4\u0701\u0702", "."))
_ODD_BLANKS = re.compile(r"[^\S \n]")
_ODD = "\ue000"  # stands for such a blank: a reader does not see it beside a dot
_ODD_BESIDE_DOTS = re.compile(rf"{_ODD}+(?=\.)|(?<=\.){_ODD}+")
_WITH_SCHEME_OR_PORT = re.compile(r"://([\w.-]+)|(?<![\w.-])([^\W\d][\w.-]*):\d{2,5}(?!\w)")
_TOUCHING = rf"[\w.:/@?=&#%{_ODD}{DRAWN}-]*"
_MOST_TOUCHING = 200  # characters
_UNSEEN = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)  # Unicode's default-ignorable characters
_NOT_IN_A_HOST = re.compile(r"[^\w.-]+")


def is_safe(url: str) -> bool:
    """Tell whether `url`, with entities and backslashes decoded, is http, https or mailto."""
    return len(url) <= _LONGEST and SAFE_URL.fullmatch(url) is not None and _target(url) != ""


class Words:
    """The text of a paragraph as a reader takes it, in the pieces that its markup makes of it."""

    def __init__(self, pieces: Iterable[str]) -> None:
        plain = [_plain(piece) for piece in pieces]
        self._text = "".join(plain)
        self._ends = [0, *accumulate(map(len, plain))]

    def disguise(self, first: int, last: int, url: str) -> str | None:
        """Give where a link around the pieces `first` to `last` leads if its text names another place; else None.

        What touches the link on either side is read with its text, whatever markup lies between.
        """
        target = _target(url)
        begin, end = self._ends[first], self._ends[last + 1]
        text = self._text[begin:end]
        seen = self._before(begin) + text + self._behind(end)
        if DRAWN in seen:
            return target
        if url.lower().startswith("mailto:") and "@" in text:
            return None if target in text else target
        if "@" in urlsplit(url).netloc:
            return target
        own = _bare(target.rpartition("@")[2])
        return target if any(_bare(host) != own for host in _hosts(_ODD_BESIDE_DOTS.sub("", seen))) else None

    def _before(self, at: int) -> str:
        found = re.search(_TOUCHING + r"\Z", self._text[max(0, at - _MOST_TOUCHING) : at])
        return found[0] if found else ""

    def _behind(self, at: int) -> str:
        found = re.match(_TOUCHING, self._text[at : at + _MOST_TOUCHING])
        return found[0] if found else ""


def _hosts(seen: str) -> set[str]:
    """Give all that a text names in the way of a host."""
    words = {word.strip(".-_") for word in _NOT_IN_A_HOST.split(seen)}
    plain = {(found[1] or found[2]).strip(".-_") for found in _WITH_SCHEME_OR_PORT.finditer(seen)}
    return {word for word in words if _looks_like_a_host(word)} | plain


def _looks_like_a_host(word: str) -> bool:
    *labels, last = word.split(".")
    if not labels or not all(labels):
        return False
    return (len(last) > 1 and not last[0].isdigit()) or (len(labels) == 3 and word.replace(".", "").isdigit())


def _target(url: str) -> str:
    """Give a link's host; of a mail link its address, with whatever else it may be sent to."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme != "mailto":
        return parts.hostname or ""
    path, query = unquote(parts.path).lower(), unquote(parts.query).lower()
    return f"{path}?{query}" if path and "@" in query else path


def _plain(text: str) -> str:
    """Fold look-alike letters and take out characters without a shape."""
    marked = _ODD_BLANKS.sub(_ODD, text.translate(_DOTS))
    folded = unicodedata.normalize("NFKC", marked).translate(_DOTS)
    return "".join(char for char in folded if char.isascii() or not _has_no_shape(char)).lower()


def _has_no_shape(char: str) -> bool:
    """Tell marks on other characters, too: a link's text is taken for the host without them."""
    return unicodedata.category(char) in ("Cf", "Mn", "Me") or _UNSEEN.match(char) is not None


def _bare(host: str) -> str:
    return host.removeprefix("www.")
