"""Which URLs and data URIs of content parts a Loop server accepts.

Sources: the server's own answers; it asks govalidator's ``IsURL`` and the dataurl package, both in Go.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re

__all__ = ["is_data_uri", "is_url"]

_LONGEST = 2083
_SCHEME = re.compile(r"(?:ftp|tcp|udp|wss?|https?)://")
_AUTHORITY = re.compile(r"(?P<host>\[[^\]\s]*\]|[^:/?#\s@]+?)\.?(?::(?P<port>[0-9]{1,5}))?(?:[/?#]\S*)?", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9\u00a1-\uffff](?:[A-Za-z0-9\u00a1-\uffff._-]*[A-Za-z0-9\u00a1-\uffff])?")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_TOKEN = r"[\w!#$&^.+-]+"
_DATA_URI = re.compile(
    rf"data:(?:{_TOKEN}/{_TOKEN})?(?:;{_TOKEN}=(?:\"[^\"]*\"|[^;,\"\s]*))*(?P<base64>;base64)?,(?P<data>.*)",
    re.DOTALL | re.ASCII,
)


def is_url(text: str) -> bool:
    """Whether a server takes a text for a URL: a host with a dot needs no scheme, and mail addresses pass."""
    if not 3 < len(text) < _LONGEST or text.startswith((".", "//")) or re.search(r"\s", text):
        return False
    if re.search(r"[\x00-\x1f\x7f]", text) or any(map(_BAD_ESCAPE.search, re.split(r"\?[^#]*", text, maxsplit=1))):
        return False  # Go's own parser, which does not look into a query
    scheme = _SCHEME.match(text)
    rest = text[scheme.end() :] if scheme else text
    if not scheme and ":" not in text and "." not in text:
        return False  # a path alone
    starts = [0, *(found.end() for found in re.finditer("@", rest))]  # behind a user's name, if there is one
    return any(_is_authority(rest[start:]) for start in (starts[0], starts[-1]))


def _is_authority(text: str) -> bool:
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        return False
    host = found["host"]
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            return False
        return True
    return _HOST.fullmatch(host) is not None and ".." not in host


def is_data_uri(text: str) -> bool:
    """Whether a text is a data URI (RFC 2397) whose data can be decoded: base64, or else ASCII with escapes."""
    found = _DATA_URI.fullmatch(text)
    if found is None:
        return False
    if found["base64"] is None:
        return found["data"].isascii() and not _BAD_ESCAPE.search(found["data"])
    try:
        base64.b64decode(found["data"].replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
