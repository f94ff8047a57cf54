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
    """Differences of all pairs of estimators at some sizes.

    The units are data sets, each with the mean over its repeats and the sizes; of a single data set they are its
    repeats, which are contexts.

    Parameters
    ----------
    cells : Cells
        The scores.
    score : str
        Their name.
    sizes : list of int
        Positions of the sizes in `cells`.

    Returns
    -------
    list of Pair
        Pairs without a common cell have no differences.
    """
    values = (-cells.values if is_loss(score) else cells.values)[:, :, sizes]
    return [Pair(a, b, _by_unit(values[a] - values[b])) for a, b in combinations(range(len(cells.estimators)), 2)]


def unit_of(cells):
    """What the units are called.

    Parameters
    ----------
    cells : Cells
        The scores.

    Returns
    -------
    str
    """
    return "data sets" if len(cells.datasets) > 1 else "contexts"


def _by_unit(differences):
    """Means (n_units,) of differences (S, K, R), over what is there."""
    units = differences.transpose(0, 2, 1)  # repeats before sizes
    units = units.reshape(len(units), -1) if len(units) > 1 else units[0]
    units = units[~np.isnan(units).all(axis=1)]
    return np.nanmean(units, axis=1) if len(units) else np.empty(0)


def rank_test(differences):
    """Two-sided p value of Wilcoxon's signed-rank test; differences of zero are split between both signs.

    Parameters
    ----------
    differences : ndarray of shape (n_units,)
        Paired differences.

    Returns
    -------
    float
        1 if all are zero, nan if there are none.
    """
    if not len(differences):
        return np.nan
    if not differences.any():
        return 1.0
    return float(wilcoxon(differences, zero_method="zsplit").pvalue)


def t_test(differences):
    """Two-sided p value of the paired t test.

    Parameters
    ----------
    differences : ndarray of shape (n_units,)
        Paired differences.

    Returns
    -------
    float
        1 where the test does not exist: for a single unit, or differences that are all zero.
    """
    if len(differences) < 2 or not differences.any():
        return 1.0
    if np.ptp(differences) < 1e-12 * np.abs(differences).max():
        return 0.0
    return float(ttest_1samp(differences, 0.0).pvalue)


def holm(p_values):
    """P values corrected for their number by Holm's method.

    Parameters
    ----------
    p_values : array-like of shape (n_tests,)
        P values; nan are no tests.

    Returns
    -------
    ndarray of shape (n_tests,)
        The smallest levels at which each is still rejected if the chance of a single false rejection is to stay below
        the level.
    """
    p_values = np.asarray(p_values, dtype=float)
    corrected = np.full(len(p_values), np.nan)
    tests = np.flatnonzero(~np.isnan(p_values))
    order = tests[np.argsort(p_values[tests], kind="stable")]
    steps = p_values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected
