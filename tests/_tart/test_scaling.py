"""The rule that decides when columns are standardised."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine

from skicl._tart._scaling import column_scaling, has_mixed_units


@pytest.mark.parametrize(
    ("load", "mixed"), [(load_wine, True), (load_breast_cancer, True), (load_iris, False), (load_digits, False)]
)
def test_units_are_told_from_one_scale(load, mixed):
    X = load().data
    assert has_mixed_units(X) is mixed
    few = X[np.random.default_rng(0).permutation(len(X))[:32]]
    assert has_mixed_units(few) is mixed


def test_a_dead_column_does_not_make_an_embedding_a_table():
    X = np.random.default_rng(0).normal(size=(50, 384))
    X[:, 7] *= 1e-30
    X[:, 8] = 3.0
    assert not has_mixed_units(X)


def test_one_column_of_another_unit_is_found_either_way():
    X = np.random.default_rng(0).normal(size=(50, 5))
    large, small = X.copy(), X.copy()
    large[:, 2] *= 1e4
    small[:, 2] *= 1e-4
    assert has_mixed_units(large)
    assert has_mixed_units(small)


def test_scaling_ignores_rows_without_weight_and_follows_repetitions():
    X = np.random.default_rng(0).normal(size=(20, 3)) * [1, 100, 1]
    weight = np.arange(20) % 3
    repeated = np.repeat(X, weight, axis=0)
    for standardize in (True, False, "auto"):
        got = column_scaling(X, weight.astype(float), standardize)
        expected = column_scaling(repeated, np.ones(len(repeated)), standardize)
        np.testing.assert_allclose(got[0], expected[0])
        np.testing.assert_allclose(got[1], expected[1])
        assert got[2] == expected[2]


def test_constant_columns_and_extreme_numbers_stay_finite():
    X = np.random.default_rng(0).normal(size=(20, 3)) * [1e200, 1e-200, 0] + [0, 0, 0.1]
    shift, factor, standardized = column_scaling(X, np.ones(20), "auto")
    assert standardized
    scaled = (X - shift) / factor
    np.testing.assert_allclose(scaled[:, :2].std(axis=0), 1)
    np.testing.assert_allclose(scaled[:, 2], 0, atol=1e-15)


@pytest.mark.parametrize("standardize", ["auto", True, False])
@pytest.mark.parametrize("smallest", [5e-324, 1e-310, 1e-307])
def test_numbers_too_small_to_divide_by_give_finite_rows(standardize, smallest):
    """Subnormal numbers have few digits or one: a deviation of them may round to zero."""
    for X in (
        np.array([[1e-310, smallest, 0.0], *[[0.0] * 3] * 4]),
        np.array([[0.0, 1.0, smallest], [smallest] * 3, [smallest, 1.0, smallest]]),
        np.full((3, 2), smallest),
    ):
        shift, factor, _ = column_scaling(X, np.ones(len(X)), standardize)
        assert (factor > 0).all()
        assert np.isfinite((X - shift) / factor).all()
        assert np.abs((X - shift) / factor).max() <= len(X)
