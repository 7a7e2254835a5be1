"""Paired statistics for comparing prompts: intervals, tests and sample sizes. Pure functions on plain numbers.

The unit is one input, on which both variants ran. Sources:

- R. G. Newcombe (1998), Improved confidence intervals for the difference between binomial proportions based on paired
  data, Statistics in Medicine 17, 2635-2650: method 10.
- Q. McNemar (1947), Note on the sampling error of the difference between correlated proportions, Psychometrika 12:
  the exact binomial form.
- R. A. Fisher (1935), The Design of Experiments: the sign-flip (permutation) test of paired differences.
- S. Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6.
- B. Phipson, G. K. Smyth (2010), Permutation p-values should never be zero, Statistical Applications in Genetics and
  Molecular Biology 9.
- J. L. Fleiss, J. Cohen, B. S. Everitt (1969), Large sample standard errors of kappa and weighted kappa,
  Psychological Bulletin 72.
- R. J. Connor (1987), Sample size for testing differences in proportions for the paired-sample design, Biometrics 43.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

__all__ = [
    "Interval",
    "PairedCounts",
    "cohens_kappa",
    "holm",
    "inputs_needed_for_means",
    "inputs_needed_for_proportions",
    "level_of_look",
    "mcnemar_exact",
    "newcombe_interval",
    "sign_flip_test",
    "t_cdf",
    "t_interval",
    "t_quantile",
    "wilson_interval",
]

POWER = 0.8
"""The chance to show a difference that is there, for which sample sizes are given."""

_EXACT_SIGN_FLIPS = 12  # differences that are not 0, up to which all 2^n sign flips are counted
_RANDOM_SIGN_FLIPS = 9_999


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float

    def __contains__(self, value: object) -> bool:
        return isinstance(value, (int, float)) and self.low <= value <= self.high


class PairedCounts(NamedTuple):
    """How many inputs passed with both variants, with one alone, and with neither."""

    both: int
    first_only: int
    second_only: int
    neither: int

    @property
    def total(self) -> int:
        """How many inputs there are."""
        return sum(self)

    @property
    def discordant(self) -> int:
        """On how many inputs the variants differ."""
        return self.first_only + self.second_only


def wilson_interval(successes: int, total: int, level: float = 0.95) -> Interval:
    """Return Wilson's score interval of a proportion (1927), without continuity correction."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, z2 = successes / total, z * z
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = z * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total)) / (1 + z2 / total)
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def newcombe_interval(counts: PairedCounts, level: float = 0.95) -> Interval:
    """Return the interval of (second's share − first's share) on the same inputs: Newcombe (1998), method 10."""
    both, first_only, second_only, _ = counts
    total = counts.total
    first, second = both + first_only, both + second_only
    low1, high1 = wilson_interval(first, total, level)
    low2, high2 = wilson_interval(second, total, level)
    share1, share2 = first / total, second / total
    phi = _corrected_phi(counts)
    difference = share2 - share1
    below, above = share2 - low2, high1 - share1
    low = difference - math.sqrt(max(0.0, below**2 - 2 * phi * below * above + above**2))
    above, below = high2 - share2, share1 - low1
    high = difference + math.sqrt(max(0.0, above**2 - 2 * phi * above * below + below**2))
    return Interval(max(-1.0, low), min(1.0, high))


def _corrected_phi(counts: PairedCounts) -> float:
    """Return the correlation of both outcomes, with method 10's continuity correction."""
    both, first_only, second_only, neither = counts
    margins = (both + first_only) * (second_only + neither) * (both + second_only) * (first_only + neither)
    if margins == 0:
        return 0.0
    covariance = float(both * neither - first_only * second_only)
    if covariance > 0:
        covariance = max(0.0, covariance - counts.total / 2)
    return covariance / math.sqrt(margins)


def mcnemar_exact(counts: PairedCounts) -> float:
    """Return the two-sided p of no difference, from the inputs on which the variants differ."""
    n, k = counts.discordant, min(counts.first_only, counts.second_only)
    if n == 0:
        return 1.0
    tail: float = sum(math.comb(n, i) for i in range(k + 1)) / 2**n
    return min(1.0, 2 * tail)


def sign_flip_test(differences: Sequence[float], seed: int = 0) -> float:
    """Return the two-sided p that the mean difference is as far from 0 as it is, if each sign were chance.

    Up to 12 differences that are not 0, all sign flips are counted. Beyond, 9,999 random ones and the observed one
    (Phipson and Smyth 2010), so that p is never below 1/10,000; it does not depend on the order of the differences.
    """
    sizes = sorted(abs(each) for each in differences if each)
    if not sizes:
        return 1.0
    # What is equal in real numbers may differ in the last digits of its sum.
    observed = abs(math.fsum(differences)) - 1e-12 * math.fsum(sizes)
    if len(sizes) <= _EXACT_SIGN_FLIPS:
        sums = _signed_sums(sizes)
        return sum(abs(total) >= observed for total in sums) / len(sums)
    chance = random.Random(seed)
    tables = [_signed_sums(sizes[start : start + 8]) for start in range(0, len(sizes), 8)]
    hits = 1
    for _ in range(_RANDOM_SIGN_FLIPS):
        flips = chance.randbytes(len(tables))  # a byte is the signs of eight differences
        total = sum(table[byte % len(table)] for table, byte in zip(tables, flips, strict=True))
        hits += abs(total) >= observed
    return hits / (_RANDOM_SIGN_FLIPS + 1)


def _signed_sums(sizes: Sequence[float]) -> list[float]:
    sums = [0.0]
    for size in sizes:
        sums = [total + signed for total in sums for signed in (size, -size)]
    return sums


def t_interval(differences: Sequence[float], level: float = 0.95) -> Interval:
    """Return Student's interval of the mean difference; it is infinite for fewer than two differences."""
    if len(differences) < 2:
        return Interval(-math.inf, math.inf)
    mean, error = fmean(differences), stdev(differences) / math.sqrt(len(differences))
    half = t_quantile((1 + level) / 2, len(differences) - 1) * error
    return Interval(mean - half, mean + half)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm 1979), in their order."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = largest
    return adjusted


def level_of_look(look: int, level: float = 0.95) -> float:
    """Return the confidence level of the n-th look at the same question, counted from 1.

    Each look after the first may err half as often as the one before, so that however often one looks, all later ones
    together add at most what the first one may err (Bonferroni over a geometric series). A first look at the full
    level leaves nothing to spend, so no rule could keep continuous values at 5 % over all looks; 0/1 values stay
    below it, because the exact test spends about half of its level.
    """
    return 1 - (1 - level) / 2.0 ** (look - 1)


def inputs_needed_for_proportions(discordance: float, difference: float, level: float = 0.95) -> int:
    """Return how many inputs it takes to show a difference of two shares: Connor (1987), with a power of 0.8.

    Parameters
    ----------
    discordance : float
        The share of inputs on which the variants differ; at least `difference`.
    difference : float
        The smallest difference of the shares worth acting on, above 0.
    """
    discordance = min(1.0, max(discordance, difference))
    z_level, z_power = NormalDist().inv_cdf((1 + level) / 2), NormalDist().inv_cdf(POWER)
    root = z_level * math.sqrt(discordance) + z_power * math.sqrt(max(0.0, discordance - difference**2))
    return math.ceil(root**2 / difference**2)


def inputs_needed_for_means(deviation: float, difference: float, level: float = 0.95) -> int:
    """Return how many inputs it takes to show a mean difference, with a power of 0.8, by the normal approximation.

    Parameters
    ----------
    deviation : float
        The standard deviation of the per-input differences.
    difference : float
        The smallest mean difference worth acting on, above 0, in the same unit.
    """
    z_level, z_power = NormalDist().inv_cdf((1 + level) / 2), NormalDist().inv_cdf(POWER)
    return max(2, math.ceil(((z_level + z_power) * deviation / difference) ** 2 + z_level**2 / 2))


def cohens_kappa(table: Sequence[Sequence[int]], level: float = 0.95) -> tuple[float, Interval] | None:
    """Return how far two raters agree beyond chance, with its large-sample interval; None where chance explains all.

    Parameters
    ----------
    table : square table of int
        How many items the first rater put into category i and the second into j.
    """
    size, total = range(len(table)), sum(map(sum, table))
    if not total:
        return None
    shares = [[count / total for count in row] for row in table]
    rows = [sum(row) for row in shares]
    columns = [sum(shares[i][j] for i in size) for j in size]
    agreed, chance = sum(shares[i][i] for i in size), sum(rows[i] * columns[i] for i in size)
    if math.isclose(chance, 1):
        return None
    kappa = (agreed - chance) / (1 - chance)
    on = sum(shares[i][i] * (1 - (rows[i] + columns[i]) * (1 - kappa)) ** 2 for i in size)
    off = sum(shares[i][j] * (columns[i] + rows[j]) ** 2 for i in size for j in size if i != j) * (1 - kappa) ** 2
    variance = (on + off - (kappa - chance * (1 - kappa)) ** 2) / (total * (1 - chance) ** 2)
    half = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt(max(0.0, variance))
    return kappa, Interval(max(-1.0, kappa - half), min(1.0, kappa + half))


# Student's t, from the regularised incomplete beta function (Press et al., Numerical Recipes, 6.4).


def t_cdf(t: float, df: float) -> float:
    """Return the distribution function of Student's t."""
    squared = t * t
    if squared < df:  # near 0, where df / (df + t²) would round t away
        half = _incomplete_beta(0.5, df / 2, squared / (df + squared)) / 2
        return 0.5 + math.copysign(half, t)
    tail = _incomplete_beta(df / 2, 0.5, df / (df + squared)) / 2
    return 1 - tail if t > 0 else tail


def t_quantile(p: float, df: float) -> float:
    """Return the t below which a share `p` of Student's distribution lies."""
    if p < 0.5:
        return -t_quantile(1 - p, df)
    low, high = 0.0, 1.0
    while t_cdf(high, df) < p:
        low, high = high, high * 2
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if t_cdf(middle, df) < p else (low, middle)
    return (low + high) / 2


def _incomplete_beta(a: float, b: float, x: float) -> float:
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _beta_fraction(a, b, x) / a
    return 1 - front * _beta_fraction(b, a, 1 - x) / b


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Evaluate the continued fraction by Lentz's method."""
    tiny = 1e-300
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > tiny else tiny)
    fraction = d
    for m in range(1, 10_000):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d, c = 1 + numerator * d, 1 + numerator / c
            d = 1 / (d if abs(d) > tiny else tiny)
            c = c if abs(c) > tiny else tiny
            fraction *= d * c
        if abs(d * c - 1) < 1e-16:
            break
    return fraction
