"""Sharpness: found where rows are many, near one where they are few, never more than one."""

import numpy as np
import pytest

from skicl._tart._sharpness import LARGEST, SMALLEST, fit_sharpness


def too_sure(n, factor, seed=0):
    """Log-probabilities that should be multiplied by a factor, and labels."""
    rng = np.random.default_rng(seed)
    right = 1.5 * rng.normal(size=(n, 4))
    proba = np.exp(right) / np.exp(right).sum(1, keepdims=True)
    y = (proba.cumsum(1) < rng.uniform(size=(n, 1))).sum(1)
    return np.log(proba) / factor, y


@pytest.mark.parametrize("factor", [0.4, 0.6, 0.9])
def test_the_right_factor_is_found(factor):
    log_proba, y = too_sure(20_000, factor)
    assert fit_sharpness(log_proba, y, np.ones(20_000)) == pytest.approx(factor, rel=0.08)


def test_a_few_rows_say_little():
    log_proba, y = too_sure(12, 0.5)
    assert 0.9 < fit_sharpness(log_proba, y, np.ones(12)) < 1.1


def test_a_row_of_weight_two_is_two_and_weight_zero_none():
    log_proba, y = too_sure(50, 0.6)
    weight = np.ones(50)
    weight[:20], weight[20:25] = 2, 0
    rows = [*range(20), *range(20), *range(25, 50)]
    expected = fit_sharpness(log_proba[rows], y[rows], np.ones(65))
    assert fit_sharpness(log_proba, y, weight) == pytest.approx(expected, abs=1e-9)


def test_it_stays_within_bounds():
    log_proba, y = too_sure(100_000, 1.0)
    assert fit_sharpness(20 * log_proba, y, np.full(100_000, 10.0)) == SMALLEST
    assert fit_sharpness(log_proba / 20, y, np.full(100_000, 10.0)) == LARGEST == 1.0
