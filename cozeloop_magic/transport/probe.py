"""A look at an address, without a token: which proxy stands in between, and what its clock says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests

from cozeloop_magic.transport.dial import is_loopback

__all__ = ["Seen", "look_at"]

_PATIENCE = 5.0  # seconds


@dataclass(frozen=True)
class Seen:
    """What was seen.

    Attributes
    ----------
    proxy : str
        The host and port of the proxy that calls go through; empty where none stands in between.
    clock : datetime or None
        The time there, where an answer came that tells it (header ``Date``).
    """

    proxy: str
    clock: datetime | None


def look_at(base_url: str) -> Seen:
    """Ask for the address's root; whatever becomes of that is no error here."""
    host = urlsplit(base_url).hostname or ""
    with requests.Session() as session:
        session.trust_env = not is_loopback(host)
        proxies = requests.utils.get_environ_proxies(base_url) if session.trust_env else {}
        proxy = requests.utils.select_proxy(base_url, proxies) or ""
        try:
            with session.get(base_url, timeout=_PATIENCE, allow_redirects=False, stream=True) as response:
                clock = _moment(response.headers.get("Date", ""))
        except (OSError, ValueError):  # requests' own errors are both
            clock = None
    return Seen(_host_of(proxy), clock)


def _host_of(proxy: str) -> str:
    try:
        return urlsplit(proxy if "://" in proxy else f"//{proxy}").netloc.rpartition("@")[2]
    except ValueError:
        return "one whose address cannot be read" if proxy else ""


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        return moment if moment.tzinfo else None
    except ValueError:
        return None
