"""Statistics equal those of statsmodels and scipy on random tables, and their published examples."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from cozeloop_magic.lab import statistics
from cozeloop_magic.lab.statistics import PairedCounts

CHANCE = random.Random(7)
TABLES = [PairedCounts(*(CHANCE.randrange(12) for _ in range(4))) for _ in range(200)]
TABLES = [table for table in TABLES if table.total]
LEVELS = (0.9, 0.95, 0.99)


def near(value: float) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-9)


def test_wilson() -> None:
    for table in TABLES:
        low, high = proportion_confint(table.both, table.total, alpha=0.05, method="wilson")
        assert statistics.wilson_interval(table.both, table.total) == (near(low), near(high))


@pytest.mark.parametrize("level", LEVELS)
def test_newcombe_is_the_unpaired_interval_where_outcomes_are_not_correlated(level: float) -> None:
    checked = 0
    for both, first_only, second_only, neither in TABLES:
        table = PairedCounts(both, first_only, second_only, neither)
        covariance = both * neither - first_only * second_only
        if 0 <= covariance <= table.total / 2:
            low, high = confint_proportions_2indep(
                both + second_only, table.total, both + first_only, table.total, method="newcomb", alpha=1 - level
            )
            assert statistics.newcombe_interval(table, level) == (near(low), near(high))
            checked += 1
    assert checked > 10


@pytest.mark.parametrize("level", LEVELS)
def test_newcombe_from_its_definition_with_foreign_parts(level: float) -> None:
    """Wilson's limits by statsmodels, the correlation of the outcomes by numpy, then the paper's formula."""
    for table in TABLES:
        first, second, n = table.both + table.first_only, table.both + table.second_only, table.total
        if not (0 < first < n and 0 < second < n):
            continue
        pairs = np.repeat([(1, 1), (1, 0), (0, 1), (0, 0)], list(table), axis=0)
        phi = float(np.corrcoef(pairs.T)[0, 1])
        if phi > 0:
            phi = max(0.0, phi - n / 2 / math.sqrt(first * (n - first) * second * (n - second)))
        (low1, high1), (low2, high2) = (
            proportion_confint(passed, n, alpha=1 - level, method="wilson") for passed in (first, second)
        )
        p1, p2 = first / n, second / n
        below = np.array([[1, -phi], [-phi, 1]])
        low = p2 - p1 - math.sqrt(max(0, np.array([p2 - low2, high1 - p1]) @ below @ [p2 - low2, high1 - p1]))
        high = p2 - p1 + math.sqrt(max(0, np.array([high2 - p2, p1 - low1]) @ below @ [high2 - p2, p1 - low1]))
        assert statistics.newcombe_interval(table, level) == (near(low), near(high))


def test_a_published_example() -> None:
    # Altman, Machin, Bryant, Gardner (2000), Statistics with Confidence, table 6.2: 0.011 to 0.226
    low, high = statistics.newcombe_interval(PairedCounts(both=14, first_only=0, second_only=5, neither=22))
    assert (round(low, 3), round(high, 3)) == (0.011, 0.226)


def test_newcombe_turns_its_sign_with_the_order() -> None:
    for a, b, c, d in TABLES:
        low, high = statistics.newcombe_interval(PairedCounts(a, b, c, d))
        assert statistics.newcombe_interval(PairedCounts(a, c, b, d)) == (near(-high), near(-low))
        assert low <= (c - b) / (a + b + c + d) <= high


def test_mcnemar() -> None:
    for table in TABLES:
        p = mcnemar([[table.both, table.first_only], [table.second_only, table.neither]], exact=True).pvalue
        assert statistics.mcnemar_exact(table) == near(min(p, 1.0))


def test_five_inputs_that_differ_can_show_nothing_and_six_can() -> None:
    assert statistics.mcnemar_exact(PairedCounts(0, 0, 5, 90)) > 0.05
    assert statistics.mcnemar_exact(PairedCounts(0, 0, 6, 0)) < 0.05


@pytest.mark.parametrize("df", [1, 2, 3, 5.5, 30, 200, 5000])
def test_students_t(df: float) -> None:
    for t in (-40, -3.2, -0.1, 0, 1e-6, 0.7, 2.1, 15):
        assert statistics.t_cdf(t, df) == near(stats.t.cdf(t, df))
    for p in (0.001, 0.025, 0.5, 0.6, 0.9, 0.975, 0.9995):
        assert statistics.t_quantile(p, df) == near(stats.t.ppf(p, df))


@pytest.mark.parametrize("level", LEVELS)
def test_t_interval(level: float) -> None:
    for size in (2, 3, 10, 60):
        sample = [CHANCE.gauss(0.1, 0.3) for _ in range(size)]
        expected = stats.ttest_1samp(sample, 0).confidence_interval(level)
        assert statistics.t_interval(sample, level) == (near(expected.low), near(expected.high))
    assert statistics.t_interval([0.3]) == (-math.inf, math.inf)


def test_sign_flips_that_can_all_be_counted() -> None:
    for size in (1, 2, 5, 9, 12):
        sample = [CHANCE.choice([-0.5, 0.0, 0.25, 0.5, CHANCE.gauss(0, 1)]) for _ in range(size)]
        expected = stats.permutation_test(
            (sample,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=math.inf
        ).pvalue if any(sample) else 1.0  # fmt: skip
        assert statistics.sign_flip_test(sample) == near(expected)


def test_sign_flips_drawn_at_random_come_near_the_exact_share_and_are_never_0() -> None:
    sample = [0.1] * 14
    exact = 2 / 2**14
    for seed in range(3):
        assert 0 < statistics.sign_flip_test(sample, seed) <= exact + 0.002


def test_sign_flips_drawn_at_random_are_those_of_the_whole_distribution() -> None:
    for size in (13, 17, 40):
        sample = [CHANCE.gauss(0.3, 1) for _ in range(size)]
        expected = stats.permutation_test(
            (sample,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=9_999, rng=3
        ).pvalue
        assert statistics.sign_flip_test(sample) == pytest.approx(expected, abs=0.025)


def test_sign_flips_do_not_depend_on_order_or_on_the_last_digit() -> None:
    sample = [CHANCE.gauss(0.2, 1) for _ in range(30)]
    assert statistics.sign_flip_test(sample) == statistics.sign_flip_test(sample[::-1])
    assert statistics.sign_flip_test([0.1, 0.2, -0.3]) == 1.0  # their sum is 5.6e-17 in floating point
    assert statistics.sign_flip_test([1 / 3] * 5 + [2 / 3]) == statistics.sign_flip_test([1] * 5 + [2])


def test_cohens_kappa() -> None:
    for _ in range(100):
        table = [[CHANCE.randrange(9) for _ in range(3)] for _ in range(3)]
        expected = cohens_kappa(table)
        found = statistics.cohens_kappa(table)
        assert found is not None and found[0] == near(float(expected.kappa))
        low, high = float(expected.kappa_low), float(expected.kappa_upp)
        assert found[1] == (near(max(low, -1.0)), near(min(high, 1.0)))


def test_kappa_cannot_be_told_where_only_one_thing_was_ever_said() -> None:
    assert statistics.cohens_kappa([[7, 0], [0, 0]]) is None and statistics.cohens_kappa([[0, 0], [0, 0]]) is None


def test_holm() -> None:
    for size in (1, 2, 6):
        p_values = [CHANCE.random() ** 3 for _ in range(size)]
        assert statistics.holm(p_values) == near(list(multipletests(p_values, method="holm")[1]))


def test_inputs_needed() -> None:
    assert statistics.inputs_needed_for_proportions(0.1, 0.1) == 77
    assert statistics.inputs_needed_for_proportions(0.4, 0.1) > 300
    assert statistics.inputs_needed_for_means(0.5, 0.25) == pytest.approx(34, abs=1)  # G*Power: 34


def test_each_further_look_may_err_half_as_often() -> None:
    assert [round(1 - statistics.level_of_look(look), 6) for look in (1, 2, 3)] == [0.05, 0.025, 0.0125]
