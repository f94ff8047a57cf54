"""Differences of two estimators on the same contexts, and how likely chance alone makes them as large."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.stats import ttest_1samp, wilcoxon

from skicl.evaluation._scores import is_loss


class Pair(NamedTuple):
    """Two estimators, by number, and how much better the first is in each unit; larger is better for every score."""

    first: int
    second: int
    differences: np.ndarray  # (n_units,)


def paired(cells, score, sizes):
    """Differences of all pairs of estimators at the sizes with these positions, as a list of Pair.

    The units are data sets, each with the mean over its repeats and the sizes; of a single data set they are its
    repeats, which are contexts. Pairs without a common cell have no differences.
    """
    values = (-cells.values if is_loss(score) else cells.values)[:, :, sizes]
    return [Pair(a, b, _by_unit(values[a] - values[b])) for a, b in combinations(range(len(cells.estimators)), 2)]


def unit_of(cells):
    """Name of the units."""
    return "data sets" if len(cells.datasets) > 1 else "contexts"


def _by_unit(differences):
    """Means (n_units,) of differences (S, K, R), over the cells that both have."""
    units = differences.transpose(0, 2, 1)  # repeats before sizes
    units = units.reshape(len(units), -1) if len(units) > 1 else units[0]
    units = units[~np.isnan(units).all(axis=1)]
    return np.nanmean(units, axis=1) if len(units) else np.empty(0)


def rank_test(differences):
    """Two-sided p value of Wilcoxon's signed-rank test of differences (n_units,).

    Differences of zero are split between both signs. It is 1 if all are zero, nan if there are none.
    """
    if not len(differences):
        return np.nan
    if not differences.any():
        return 1.0
    return float(wilcoxon(differences, zero_method="zsplit").pvalue)


def t_test(differences):
    """Two-sided p value of the paired t test of differences (n_units,).

    It is 1 where the test does not exist: for a single unit, or differences that are all zero.
    """
    if len(differences) < 2 or not differences.any():
        return 1.0
    if np.ptp(differences) < 1e-12 * np.abs(differences).max():  # equal up to rounding: t is infinite
        return 0.0
    return float(ttest_1samp(differences, 0.0).pvalue)


def holm(p_values):
    """P values (n_tests,) corrected for their number by Holm's method; nan are no tests.

    Each is the smallest level at which its test is still rejected if the chance of a single false rejection is to stay
    below the level.
    """
    p_values = np.asarray(p_values, dtype=float)
    corrected = np.full(len(p_values), np.nan)
    tests = np.flatnonzero(~np.isnan(p_values))
    order = tests[np.argsort(p_values[tests], kind="stable")]
    # The smallest of n p values is multiplied by n, the next by n - 1; none may fall below the one before.
    steps = p_values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected
