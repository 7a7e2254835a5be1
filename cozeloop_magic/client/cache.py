"""Definitions of prompts that need not be asked for again."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from cozeloop_magic.entities.prompt import Prompt
from cozeloop_magic.forks import register_after_fork

__all__ = ["PromptCache"]

_Key = tuple[str, str, str]


class PromptCache:
    """Keeps the definitions used last. Thread-safe.

    Parameters
    ----------
    max_count : int
        How many are kept.
    refresh_interval : float
        Seconds that a definition which may change (the latest, a label's, any of the embedded Loop) may be used
        before it is asked for again; 0 asks every time.
    clock : callable
        Gives seconds that only grow.
    """

    def __init__(
        self, max_count: int = 100, refresh_interval: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_count = max_count
        self._refresh_interval = refresh_interval
        self._clock = clock
        self._kept: OrderedDict[_Key, tuple[Prompt, float]] = OrderedDict()
        self.after_fork()
        register_after_fork(self)

    def after_fork(self) -> None:
        """Leave the parent's lock to the parent."""
        self._lock = threading.Lock()

    def get(self, prompt_key: str, version: str = "", label: str = "") -> Prompt | None:
        """Give the definition, if it is kept and not too old."""
        key = _key(prompt_key, version, label)
        with self._lock:
            prompt, ends = self._kept.get(key, (None, 0.0))
            if prompt is None or self._clock() >= ends:
                self._kept.pop(key, None)
                return None
            self._kept.move_to_end(key)
            return prompt

    def add(self, prompt: Prompt, version: str = "", label: str = "", *, may_change: bool = False) -> None:
        """Keep what was answered to a question; the version it turned out to be, too."""
        moves = self._clock() + self._refresh_interval
        stays = moves if may_change else float("inf")
        with self._lock:
            if self._refresh_interval and not version:
                self._keep(_key(prompt.prompt_key, "", label), prompt, moves)
            if prompt.version and version in ("", prompt.version) and (self._refresh_interval or not may_change):
                self._keep(_key(prompt.prompt_key, prompt.version, ""), prompt, stays)

    def _keep(self, key: _Key, prompt: Prompt, ends: float) -> None:
        self._kept[key] = prompt, ends
        self._kept.move_to_end(key)
        while len(self._kept) > self._max_count:
            self._kept.popitem(last=False)


def _key(prompt_key: str, version: str, label: str) -> _Key:
    return prompt_key, version, "" if version else label  # with a version, a label is ignored
