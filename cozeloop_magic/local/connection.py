"""How an endpoint is reached: by which proxy, and trusting whom, as the environment says.

The variables are those that requests and httpx read. They are read here and not by the HTTP library, so that a proxy
of no use to an address does not matter to it, and one that cannot be used is named.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from cozeloop_magic.errors import LocalLoopError

__all__ = ["CONNECTION_VARIABLES", "ca_certificates", "proxy_for", "without_password"]

_CA_FILES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_CA_DIRECTORY = "SSL_CERT_DIR"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
CONNECTION_VARIABLES = (*_CA_FILES, _CA_DIRECTORY, *_PROXIES, *map(str.lower, _PROXIES))
"""What a server of one environment must not share with a notebook of another."""


def proxy_for(base_url: str) -> str:
    """Return the proxy that the environment names for an address; a loopback address is reached directly, always."""
    url = urlsplit(base_url)
    host = url.hostname or ""
    with suppress(ValueError):
        if ip_address(host).is_loopback:
            return ""
    if host == "localhost" or host.endswith(".localhost") or proxy_bypass(url.netloc.rpartition("@")[2]):
        return ""
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all") or ""
    return proxy if "://" in proxy or not proxy else f"http://{proxy}"


def without_password(proxy: str) -> str:
    """Return a proxy's address as it may be shown."""
    scheme, _, rest = proxy.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('/')[0]}" if proxy else ""


def ca_certificates(environment: Mapping[str, str] = os.environ) -> Any:
    """Return whom to trust: the certificates that the environment names, in place of those that httpx brings.

    Raises
    ------
    LocalLoopError
        If they cannot be read.
    """
    files = [name for name in _CA_FILES if environment.get(name)]
    directory = environment.get(_CA_DIRECTORY)
    if not files and not directory:
        return True
    name = files[0] if files else _CA_DIRECTORY
    path = environment[name]
    try:
        if files and not os.path.isdir(path):
            return ssl.create_default_context(cafile=path)
        if not os.path.isdir(path):
            raise FileNotFoundError(path)
        return ssl.create_default_context(capath=path)
    except OSError as error:  # ssl.SSLError is one
        why = error.strerror or "it holds no certificates"
        raise LocalLoopError(
            f"The certificates that {name} names, {path}, cannot be read: {why}.",
            hint=f"Correct {name}, or unset it.",
        ) from None
