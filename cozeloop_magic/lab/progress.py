"""How far a table is, and what is to come: plain values, and a bar for terminals and scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cozeloop_magic.errors import InvalidRequest, to_install

__all__ = ["BatchProgress", "FirstLook", "ProgressBar", "duration"]


@dataclass(frozen=True)
class FirstLook:
    """What a table holds, before it is run.

    Attributes
    ----------
    rows : int
        How many rows it has.
    looked_at : int
        How many of them were compared with each other and with the store.
    equal : int
        Rows that are equal to an earlier one, and share its call.
    kept : int
        Rows whose answer is in the store.
    calls : int
        The calls that are to be made.
    """

    rows: int
    looked_at: int
    equal: int
    kept: int
    calls: int

    def __str__(self) -> str:
        of = "" if self.looked_at == self.rows else f" (of the first {self.looked_at:,})"
        items = [
            _count(self.rows, "row"),
            self.equal and f"{self.equal:,} equal to another{of}: one call for them",
            self.kept and f"{self.kept:,} of {self.looked_at:,} are in the store",
        ]
        return " · ".join(item for item in items if item)


@dataclass(frozen=True)
class BatchProgress:
    """How far a batch is.

    Attributes
    ----------
    done, failed, kept : int
        Rows that were answered, that failed, and, of both, that were in the store.
    total : int or None
        How many rows there are, where that is known before the end.
    input_tokens, output_tokens : int
        What the calls of this run cost, as far as the server told.
    concurrency : int
        How many calls run at once, at most.
    seconds : float
        Since it began.
    look : FirstLook or None
        What the table holds, where that could be told at once.
    to_come : str
        What all of the table would cost, once a sample tells.
    last_error : str
        Why the last row failed that did.
    replaced : str
        The table's own columns that those of the answers take the place of.
    """

    done: int = 0
    failed: int = 0
    kept: int = 0
    total: int | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    concurrency: int = 1
    seconds: float = 0.0
    look: FirstLook | None = None
    to_come: str = ""
    last_error: str = ""
    replaced: str = ""

    @property
    def ended(self) -> int:
        """Rows that need nothing more."""
        return self.done + self.failed

    @property
    def has_begun(self) -> bool:
        """Whether there is anything to tell: an error before that says all."""
        return self.ended > 0 or self.look is not None

    @property
    def rate(self) -> float | None:
        """Rows a second that were called for; None before there is anything to tell from."""
        called = self.ended - self.kept
        return called / self.seconds if called and self.seconds > 0.5 else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds to come, where that can be told."""
        left = (self.total or 0) - self.ended
        return left / self.rate if self.rate and left > 0 else None

    def __str__(self) -> str:
        return " · ".join(item for item in (self.counts, *self.figures) if item)

    @property
    def counts(self) -> str:
        """Say how many rows have ended."""
        return f"{self.ended:,}{'' if self.total is None else f' of {self.total:,}'} rows"

    @property
    def figures(self) -> list[str]:
        """Say the rest, each thing for itself."""
        items = [
            self.kept and f"{self.kept:,} were in the store",
            self.failed and f"{self.failed:,} failed",
            self.output_tokens and f"{self.input_tokens:,} → {self.output_tokens:,} tokens",
            f"{self.concurrency} at once",
            self.rate and f"{self.rate:,.3g} rows/s",
            self.seconds_left and f"about {duration(self.seconds_left)} left",
        ]
        return [item for item in items if item]


class ProgressBar:
    """A bar of tqdm's, in a terminal or wherever a script runs; needs the ``[batch]`` extra."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._looked = False

    def __call__(self, progress: BatchProgress) -> None:
        """Draw how far it is."""
        if self._bar is None:
            self._bar = _tqdm()(total=progress.total, unit=" rows", dynamic_ncols=True, bar_format=_BAR)
        if progress.look is not None and not self._looked:
            self._looked = True
            self._bar.write(str(progress.look))
        self._bar.n = progress.ended
        self._bar.set_postfix_str(" · ".join(progress.figures), refresh=False)
        self._bar.update(0)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()


_BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt}{postfix}"


def _tqdm() -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise InvalidRequest("The progress bar needs tqdm.", hint=f"{to_install('batch')}.") from None
    return tqdm


def duration(seconds: float) -> str:
    """Write a duration as a person would say it."""
    if seconds < 1:
        return "under a second"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _count(number: int, one: str) -> str:
    return f"{number:,} {one}{'' if number == 1 else 's'}"
