"""From what two variants reached on each input to one sentence that may say "no difference could be shown".

The unit is one input: its repeats are averaged into it, for more answers to the same question tell little about other
questions. An input on which either variant has no value at all drops out, and is counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import fmean, stdev

from cozeloop_magic.lab.statistics import (
    Interval,
    PairedCounts,
    inputs_needed_for_means,
    inputs_needed_for_proportions,
    level_of_look,
    mcnemar_exact,
    newcombe_interval,
    sign_flip_test,
    t_interval,
)

__all__ = ["Decision", "Measure", "Value", "Verdict", "decide", "inputs_to_show_anything", "what_can_be_shown"]

Value = float | bool | None
"""What one run reached; None where its call failed, or nothing can be said."""

PerInput = Sequence[Sequence[Value]]
"""By input, then by repeat."""


class Verdict(str, Enum):
    """What a comparison can say."""

    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE_THAT_MATTERS = "no difference that matters"
    NOT_SHOWN = "no difference could be shown"
    TOO_FEW = "too few to decide"
    NOTHING_TO_DECIDE_BY = "nothing to decide by"

    __str__ = str.__str__


@dataclass(frozen=True)
class Measure:
    """What is compared.

    Attributes
    ----------
    name : str
        A check's name, ``human``, ``judge``, ``tokens`` or ``latency``.
    higher_is_better : bool
        False for tokens and seconds.
    unit : str
        Of its values; empty for a share of inputs that pass, which is told in counts and percentage points, and a
        blank for a number that is neither.
    judges : str
        Who prefers one answer to the other; empty where each answer has a value of its own.
    """

    name: str
    higher_is_better: bool = True
    unit: str = ""
    judges: str = ""


@dataclass(frozen=True)
class Decision:
    """A verdict about one variant against the baseline, with all that it rests on.

    Attributes
    ----------
    verdict : Verdict
        What can be said.
    variant, baseline : str
        Their names.
    measure : Measure
        What was compared.
    difference : float or None
        The variant's mean less the baseline's, over the inputs on which both have a value.
    interval : Interval or None
        Of the difference, at `level`.
    level : float
        The confidence level, after looks and further variants are paid for.
    p : float or None
        Of no difference: the exact McNemar test for 0/1 values without repeats, else the sign-flip test.
    by : float
        The smallest difference worth acting on.
    inputs_needed : int or None
        How many inputs it would take to show a difference of `by` four times out of five; None where that cannot be
        said.
    pairs, dropped : int
        How many inputs count, and how many have no value for one of both.
    counts : PairedCounts or None
        For 0/1 values without repeats.
    means : tuple of float, or None
        The baseline's mean and the variant's.
    won, lost : int
        On how many inputs the variant is better than the baseline, and on how many it is worse.
    passes : tuple of tuple of int, or None
        For yes and no with repeats: how many of the baseline's answers say yes, of how many; and of the variant's.
    look : int
        The how-manieth look at this question it is.
    why : str
        Why there is nothing to decide by, where that is known.
    """

    verdict: Verdict
    variant: str
    baseline: str
    measure: Measure
    by: float
    level: float = 0.95
    difference: float | None = None
    interval: Interval | None = None
    p: float | None = None
    inputs_needed: int | None = None
    pairs: int = 0
    dropped: int = 0
    counts: PairedCounts | None = None
    means: tuple[float, float] | None = None
    won: int = 0
    lost: int = 0
    passes: tuple[tuple[int, int], tuple[int, int]] | None = None
    look: int = 1
    why: str = ""

    @property
    def sentence(self) -> str:
        """The verdict in words: counts first, then the difference with its interval."""
        from cozeloop_magic.lab.wording import sentence

        return sentence(self)

    def __str__(self) -> str:
        return self.sentence


def decide(
    values: Mapping[str, PerInput],
    measure: Measure,
    *,
    by: float = 0.1,
    level: float = 0.95,
    look: int = 1,
) -> list[Decision]:
    """Compare each variant with the first one, the baseline.

    Several variants share the chance of an error by Holm's step-down procedure: the clearest difference is judged at
    ``1 - (1 - level) / m``, the next at ``m - 1``, until one cannot be shown; those behind it are told at its level.

    Parameters
    ----------
    values : mapping
        By variant: for each input, the values of its repeats. All have the same inputs.
    measure : Measure
        What the values are.
    by : float
        The smallest difference worth acting on, in the values' unit.
    level : float
        The confidence level of a first look at two variants.
    look : int
        The how-manieth look at this question it is, counted from 1; each allows half the error of the one before.
    """
    baseline, *others = values
    pairs = {name: _Pairs.of(values[baseline], values[name]) for name in others}
    level = level_of_look(look, level)
    decisions, open_yet, stricter = {}, True, level
    for rank, name in enumerate(sorted(others, key=lambda name: pairs[name].p)):
        stricter = 1 - (1 - level) / (len(others) - rank) if open_yet else stricter
        decision = _decide_one(pairs[name], name, baseline, measure, by, stricter, look, open_yet)
        open_yet = open_yet and decision.verdict in (Verdict.BETTER, Verdict.WORSE)
        decisions[name] = decision
    return [decisions[name] for name in others]


def inputs_to_show_anything(level: float = 0.95) -> int:
    """Return the fewest inputs that can show a difference: where all point the same way, p is ``2 / 2**n``."""
    n = 1
    while 2 / 2**n > 1 - level + 1e-12:
        n += 1
    return n


def what_can_be_shown(
    inputs: int, variants: int = 2, *, by: float = 0.1, shares: bool = True, look: int = 1, level: float = 0.95
) -> str:
    """Return what a comparison of this size can show, before it is paid for.

    Parameters
    ----------
    by : float
        The smallest difference worth acting on.
    shares : bool
        Whether it will be one of shares; how much other values scatter is not known before.
    """
    level = 1 - (1 - level_of_look(look, level)) / max(1, variants - 1)
    fewest = inputs_to_show_anything(level)
    if inputs < fewest:
        return f"With fewer than {fewest} inputs nothing can be shown; this is a look, not a test."
    if not shares or not 0 < by <= 1:
        return f"What {inputs:,} inputs can show depends on how much their answers scatter."
    needed, points = inputs_needed_for_proportions(by, by, level), f"{by * 100:.3g} points"
    if inputs < needed:
        return (
            f"With {inputs:,} inputs only large differences can be shown; one of {points} takes {needed:,} or more."
        )
    return f"With {inputs:,} inputs a difference of {points} can be shown, if the variants differ on few others."


@dataclass(frozen=True)
class _Pairs:
    """The inputs on which both have a value, and what tells them apart."""

    first: tuple[float, ...]
    second: tuple[float, ...]
    dropped: int
    counts: PairedCounts | None
    p: float
    passes: tuple[tuple[int, int], tuple[int, int]] | None

    @classmethod
    def of(cls, first: PerInput, second: PerInput) -> _Pairs:
        means = [(_mean(a), _mean(b)) for a, b in zip(first, second, strict=True)]
        both = [(a, b) for a, b in means if a is not None and b is not None]
        single = all(len(repeats) <= 1 for repeats in (*first, *second))
        counts = _counts(both) if single and all({a, b} <= {0.0, 1.0} for a, b in both) else None
        p = 1.0
        if both:
            p = mcnemar_exact(counts) if counts else sign_flip_test([b - a for a, b in both])
        dropped = len(means) - len(both)
        passes = _passes(first, second) if both and counts is None else None
        return cls(tuple(a for a, _ in both), tuple(b for _, b in both), dropped, counts, p, passes)

    @property
    def differences(self) -> list[float]:
        return [b - a for a, b in zip(self.first, self.second, strict=True)]

    def interval(self, level: float) -> Interval:
        if self.counts is not None:
            return newcombe_interval(self.counts, level)
        if len(self.first) > 1 and self._are_all_alike:
            # Student's would have no width: but an input of another difference may just not have been met (rule of
            # three). With shares, the difference on such an input is between -1 and 1.
            if not self.are_shares:
                return Interval(-math.inf, math.inf)
            unseen, same = 1 - ((1 - level) / 2) ** (1 / len(self.first)), self.differences[0]
            return Interval(same - unseen * (1 + same), same + unseen * (1 - same))
        low, high = t_interval(self.differences, level)
        bounded = self.are_shares and not math.isinf(low)
        return Interval(max(-1.0, low), min(1.0, high)) if bounded else Interval(low, high)

    @property
    def _are_all_alike(self) -> bool:
        """Whether every difference is the same, but for the last digits of its floating point."""
        low, high = min(self.differences), max(self.differences)
        return high - low <= 1e-12 * max(1.0, abs(low), abs(high))

    @property
    def are_shares(self) -> bool:
        return all(0 <= value <= 1 for value in (*self.first, *self.second))

    def inputs_needed(self, by: float, level: float) -> int | None:
        if by <= 0 or len(self.first) < 2:
            return None
        if self.counts is not None:
            needed = inputs_needed_for_proportions(self.counts.discordant / self.counts.total, by, level)
        elif self._are_all_alike:
            return None
        else:
            needed = inputs_needed_for_means(stdev(self.differences), by, level)
        return max(needed, inputs_to_show_anything(level))  # the formulas know nothing of the exact tests' steps


def _decide_one(
    pairs: _Pairs, name: str, baseline: str, measure: Measure, by: float, level: float, look: int, open_yet: bool
) -> Decision:
    n = len(pairs.first)
    if n == 0 and pairs.dropped == 0:
        return Decision(Verdict.NOTHING_TO_DECIDE_BY, name, baseline, measure, by, level, look=look)
    if n == 0:
        verdict = Verdict.TOO_FEW
        return Decision(verdict, name, baseline, measure, by, level, dropped=pairs.dropped, look=look)
    difference, interval = fmean(pairs.differences), pairs.interval(level)
    up, down = (sum(sign * each > 0 for each in pairs.differences) for sign in (1, -1))
    if n < inputs_to_show_anything(level):
        verdict = Verdict.TOO_FEW
    elif -by <= interval.low and interval.high <= by and by > 0:
        verdict = Verdict.NO_DIFFERENCE_THAT_MATTERS
    elif open_yet and pairs.p <= 1 - level + 1e-12 and (0 not in interval or math.isinf(interval.low)):
        verdict = Verdict.BETTER if (difference > 0) == measure.higher_is_better else Verdict.WORSE
    else:
        verdict = Verdict.NOT_SHOWN
    decided = verdict in (Verdict.BETTER, Verdict.WORSE, Verdict.NO_DIFFERENCE_THAT_MATTERS)
    return Decision(
        verdict=verdict,
        variant=name,
        baseline=baseline,
        measure=measure,
        by=by,
        level=level,
        difference=difference,
        interval=interval,
        p=pairs.p,
        inputs_needed=None if decided else pairs.inputs_needed(by, level),
        pairs=n,
        dropped=pairs.dropped,
        counts=pairs.counts,
        means=(fmean(pairs.first), fmean(pairs.second)),
        won=up if measure.higher_is_better else down,
        lost=down if measure.higher_is_better else up,
        passes=pairs.passes,
        look=look,
    )


def _mean(repeats: Sequence[Value]) -> float | None:
    values = [float(value) for value in repeats if value is not None]
    return fmean(values) if values else None


def _passes(first: PerInput, second: PerInput) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Count the answers that say yes, and all of them, on the inputs on which both say something."""
    said: tuple[list[Value], list[Value]] = ([], [])
    for repeats in zip(first, second, strict=True):
        some = [[value for value in values if value is not None] for values in repeats]
        if all(some):
            for all_said, values in zip(said, some, strict=True):
                all_said.extend(values)
    if not all(isinstance(value, bool) for values in said for value in values):
        return None
    a, b = ((sum(map(bool, values)), len(values)) for values in said)
    return a, b


def _counts(pairs: Sequence[tuple[float, float]]) -> PairedCounts:
    seen = [(bool(a), bool(b)) for a, b in pairs]
    return PairedCounts(*(seen.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))))
