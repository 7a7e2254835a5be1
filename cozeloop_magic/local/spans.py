"""The spans of runs, kept in memory: what was asked, what the model got and what it said.

They are bounded in number and in bytes; the oldest go first, and all of them with the process.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["MODEL_TYPES", "ROOT", "Span", "Spans"]

MOST_SPANS = 10_000
MOST_BYTES = 64 * 1024 * 1024
LONGEST_TEXT = 1024 * 1024
"""The most characters of an input or output, as on the platform."""

ROOT = "0"
"""The parent of a span that has none."""

MODEL_TYPES = ("model", "LLMCall")
"""The types of spans in which a model answers."""

Tag = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Span:
    """One step of a run, named as the open API names its parts. Times are microseconds, counted from 1970."""

    trace_id: str
    span_id: str
    parent_id: str = ROOT
    log_id: str = ""
    span_name: str = ""
    span_type: str = ""
    service_name: str = ""
    call_type: str = ""
    started_at: int = 0
    duration: int = 0
    status_code: int = 0
    input: str = ""
    output: str = ""
    tags: Mapping[str, Tag] = field(default_factory=dict)
    system_tags: Mapping[str, Tag] = field(default_factory=dict)

    @property
    def is_root(self) -> bool:
        """Whether it has no parent."""
        return self.parent_id in ("", ROOT)

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        tags = (*self.tags.items(), *self.system_tags.items())
        return 1000 + sum(map(sys.getsizeof, (self.input, self.output, *(part for tag in tags for part in tag))))


class Spans:
    """Keeps spans. Any thread may call.

    Parameters
    ----------
    most, most_bytes : int
        How many are kept, and how many bytes they may take, about.
    """

    def __init__(self, *, most: int = MOST_SPANS, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], Span] = {}
        self._bytes = 0

    def add(self, spans: Iterable[Span]) -> None:
        """Keep spans; one that comes again, as where it was sent twice, takes the place of the first."""
        with self._lock:
            for span in spans:
                self._remove((span.trace_id, span.span_id))
                self._kept[span.trace_id, span.span_id] = span
                self._bytes += span.size
            while self._kept and (len(self._kept) > self._most or self._bytes > self._most_bytes):
                self._remove(next(iter(self._kept)))

    def _remove(self, key: tuple[str, str]) -> None:
        if (span := self._kept.pop(key, None)) is not None:
            self._bytes -= span.size

    def search(self, is_meant: Callable[[Span], bool], *, newest_first: bool) -> Sequence[Span]:
        """Return the spans that are meant, by the time they began; those of one moment as they came."""
        with self._lock:
            kept = list(self._kept.values())
        return sorted(filter(is_meant, kept), key=lambda span: span.started_at, reverse=newest_first)
