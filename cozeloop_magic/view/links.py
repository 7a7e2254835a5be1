"""Where links may lead, and whether they lead where they say."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote, urlsplit

__all__ = ["SAFE_URL", "disguised", "is_safe"]

SAFE_URL = re.compile(r"(?:https?://[^\s/?#\\<>\"']|mailto:[^\s\\<>\"'])[^\s<>\"\\]*", re.IGNORECASE)
"""An address with one of the allowed schemes, written plainly: no entities, spaces or backslashes before its host."""

_DOTS = str.maketrans("。․\ua4f8", "...")
_UNSEEN = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)  # Unicode's default-ignorable characters
_NOT_IN_A_HOST = re.compile(r"[^\w.-]+")


def is_safe(url: str) -> bool:
    """Tell whether `url`, with entities and backslashes decoded, is http, https or mailto."""
    return SAFE_URL.fullmatch(url) is not None and _target(url) != ""


def disguised(text: str, url: str, *, drawn: bool = False) -> str | None:
    """Give where a link leads if its text names another place, or is `drawn` and could show any; else None."""
    target = _target(url)
    if drawn:
        return target
    named = {word.strip(".-_") for word in _NOT_IN_A_HOST.split(_plain(text))}
    address = url.lower().startswith("mailto:") and "@" in text
    if address:
        return None if target in _plain(text) else target
    if "@" in urlsplit(url).netloc:
        return target
    return (
        target
        if any(_bare(host) != _bare(target.rpartition("@")[2]) for host in named if _looks_like_a_host(host))
        else None
    )


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
    folded = unicodedata.normalize("NFKC", text).translate(_DOTS)
    return "".join(char for char in folded if unicodedata.category(char) != "Cf" and not _UNSEEN.match(char)).lower()


def _bare(host: str) -> str:
    return host.removeprefix("www.")
