"""The client of module-level calls: the one that was set, else the first that `new_client` made."""

from __future__ import annotations

import threading
from collections.abc import Callable

from cozeloop_magic.client.client import Client
from cozeloop_magic.forks import register_after_fork

__all__ = ["DEFAULT", "DefaultClient"]


class DefaultClient:
    """Holds the default client. Thread-safe."""

    def __init__(self) -> None:
        self._client: Client | None = None
        self.after_fork()
        register_after_fork(self)

    def after_fork(self) -> None:
        """Leave the parent's lock to the parent."""
        self._lock = threading.RLock()  # making a client offers it

    def set(self, client: Client | None) -> None:
        """Set it; the one before stays open, for it is its maker's to close."""
        with self._lock:
            self._client = client

    def offer(self, client: Client) -> None:
        """Set it if there is none."""
        with self._lock:
            self._client = self._client or client

    def get(self, make: Callable[[], Client]) -> Client:
        """Give it, made now where there is none."""
        with self._lock:
            self._client = self._client or make()
            return self._client


DEFAULT = DefaultClient()
