"""The scale of the columns, and how far from the middle of a context its rows and queries may lie."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine

from skicl._tart._coordinates import (
    RADIUS,
    Ball,
    Coordinates,
    clip_to_ball,
    column_scaling,
    fit_ball,
    has_mixed_units,
    unit_rows,
    weighted_median,
)


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


@pytest.fixture
def outlying():
    """Sixty rows of which six lie a thousand times as far out, and weights with zeros."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)) + 3
    X[:6] *= 1000
    return X, rng.integers(0, 3, size=60).astype(float)


def test_rows_near_each_other_stay_where_they_are():
    X = np.random.default_rng(0).normal(size=(40, 5))
    ball = fit_ball(X, np.ones(40))
    assert clip_to_ball(X, ball) is X
    np.testing.assert_allclose(ball.centre, X.mean(axis=0))
    distance = np.linalg.norm(X - X.mean(axis=0), axis=1)
    np.testing.assert_allclose(ball.radius, RADIUS * np.sort(distance)[19])


def test_far_rows_come_to_the_surface_and_keep_their_direction(outlying):
    X, _ = outlying
    ball = fit_ball(X, np.ones(60))
    clipped = clip_to_ball(X, ball)
    np.testing.assert_array_equal(clipped[6:], X[6:])
    before, after = X[:6] - ball.centre, clipped[:6] - ball.centre
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), ball.radius)
    np.testing.assert_allclose(after / ball.radius, before / np.linalg.norm(before, axis=1, keepdims=True))
    # The scale is that of the many, not of the few.
    assert ball.radius < 1.5 * RADIUS * np.sqrt(4)


def test_order_rotation_and_repetition_do_not_matter(outlying):
    X, weight = outlying
    whole = fit_ball(X, weight)
    order = np.random.default_rng(1).permutation(60)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(4, 4)))[0]
    for other in (
        fit_ball(X[order], weight[order]),
        fit_ball(np.repeat(X, weight.astype(int), axis=0), np.ones(int(weight.sum()))),
    ):
        np.testing.assert_allclose(other.centre, whole.centre)
        np.testing.assert_allclose(other.radius, whole.radius)
    turned = fit_ball(X @ rotation, weight)
    np.testing.assert_allclose(turned.centre, whole.centre @ rotation)
    np.testing.assert_allclose(turned.radius, whole.radius)


def test_equal_rows_leave_queries_alone():
    ball = fit_ball(np.ones((5, 3)), np.ones(5))
    X = np.random.default_rng(0).normal(size=(4, 3)) * 1e6
    assert clip_to_ball(X, ball) is X


def test_huge_numbers_do_not_overflow():
    clipped = clip_to_ball(np.array([[1e300, -1e300], [0.0, 0.0]]), Ball(np.zeros(2), 2.0))
    np.testing.assert_allclose(clipped, [[np.sqrt(2), -np.sqrt(2)], [0, 0]])


def test_weighted_median_is_the_lower_median_of_repeated_values():
    rng = np.random.default_rng(0)
    for _ in range(20):
        values, weight = rng.normal(size=7), rng.integers(1, 4, size=7)
        repeated = np.sort(np.repeat(values, weight))
        assert weighted_median(values, weight) == repeated[(len(repeated) - 1) // 2]


@pytest.mark.parametrize("standardize", ["auto", True, False])
def test_the_rows_of_a_context_lie_where_queries_equal_to_them_lie(standardize, outlying):
    X, weight = outlying
    coordinates, rows = Coordinates.fit(X, weight, standardize)
    np.testing.assert_array_equal(coordinates.apply(X), rows)
    assert rows.dtype == np.float64


def test_unit_rows_have_length_one_whatever_their_size():
    X = np.array([[3e200, 4e200], [3e-200, 4e-200], [0.0, 0.0]])
    unit, length = unit_rows(X)
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0.6, 0.8], [0, 0]])
    np.testing.assert_allclose(length[:, 0], [5e200, 5e-200, 0])
