"""Where links may lead, and whether they lead where they say."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote, urlsplit

__all__ = ["SAFE_URL", "disguised", "is_safe"]

SAFE_URL = re.compile(r"(?:https?://[^\s/?#\\<>\"']|mailto:[^\s\\<>\"'])[^\s<>\"\\]*", re.IGNORECASE)
"""An address with one of the allowed schemes, written plainly: no entities, spaces or backslashes before its host."""

_LONGEST = 2_000  # characters; a definition in Markdown gives its address to any number of links
_DOTS = str.maketrans(dict.fromkeys("。․\ua4f8·•∙⋅‧\u05c5\u0660\u06d4\u0701\u0702", "."))
_ODD_BLANKS = re.compile(r"[^\S \n]+(?=\.)|(?<=\.)[^\S \n]+")  # a reader does not see them beside a dot
_WITH_SCHEME_OR_PORT = re.compile(r"://([\w.-]+)|(?<![\w.-])([^\W\d][\w.-]*):\d{2,5}(?!\w)")
_TOUCHING = r"[\w.:/@?=&#%-]*"
_MOST_TOUCHING = 200  # characters
_UNSEEN = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)  # Unicode's default-ignorable characters
_NOT_IN_A_HOST = re.compile(r"[^\w.-]+")


def is_safe(url: str) -> bool:
    """Tell whether `url`, with entities and backslashes decoded, is http, https or mailto."""
    return len(url) <= _LONGEST and SAFE_URL.fullmatch(url) is not None and _target(url) != ""


def disguised(text: str, url: str, *, before: str = "", after: str = "", drawn: bool = False) -> str | None:
    """Give where a link leads if its text names another place, or is `drawn` and could show any; else None.

    What stands right `before` and `after` the link is read with its text where it touches it, as a reader would.
    """
    target = _target(url)
    if drawn:
        return target
    seen = _plain(text)
    if url.lower().startswith("mailto:") and "@" in text:
        return None if target in seen else target
    if "@" in urlsplit(url).netloc:
        return target
    seen = _end_of(before) + seen + _start_of(after)
    own = _bare(target.rpartition("@")[2])
    return target if any(_bare(host) != own for host in _hosts(seen)) else None


def _hosts(seen: str) -> set[str]:
    """Give all that a text names in the way of a host."""
    words = {word.strip(".-_") for word in _NOT_IN_A_HOST.split(seen)}
    plain = {(found[1] or found[2]).strip(".-_") for found in _WITH_SCHEME_OR_PORT.finditer(seen)}
    return {word for word in words if _looks_like_a_host(word)} | plain


def _end_of(before: str) -> str:
    found = re.search(_TOUCHING + r"\Z", _plain(before[-_MOST_TOUCHING:]))
    return found[0] if found else ""


def _start_of(after: str) -> str:
    found = re.match(_TOUCHING, _plain(after[:_MOST_TOUCHING]))
    return found[0] if found else ""


def _looks_like_a_host(word: str) -> bool:
    *labels, last = word.split(".")
    if not labels or not all(labels):
        return False
    return (len(last) > 1 and not last[0].isdigit()) or (len(labels) == 3 and word.replace(".", "").isdigit())


def _target(url: str) -> str:
    """Give a link's host, or a mail link's address."""
    try:
        parts = urlsplit(url)
        return unquote(parts.path).lower() if parts.scheme == "mailto" else (parts.hostname or "")
    except ValueError:
        return ""


def _plain(text: str) -> str:
    """Fold look-alike letters and take out characters without a shape."""
    joined = _ODD_BLANKS.sub("", text.translate(_DOTS))
    folded = unicodedata.normalize("NFKC", joined).translate(_DOTS)
    return "".join(char for char in folded if not _has_no_shape(char)).lower()


def _has_no_shape(char: str) -> bool:
    """Tell marks on other characters, too: a link's text is taken for the host without them."""
    return unicodedata.category(char) in ("Cf", "Mn", "Me") or _UNSEEN.match(char) is not None


def _bare(host: str) -> str:
    return host.removeprefix("www.")
