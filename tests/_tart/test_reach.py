"""How far from the middle of a context its rows and queries may lie."""

import numpy as np
import pytest

from skicl._tart._reach import REACH, Reach, pull_in, take_reach, weighted_median


@pytest.fixture
def outlying():
    """Sixty rows of which six lie a thousand times as far out, and weights with zeros."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)) + 3
    X[:6] *= 1000
    return X, rng.integers(0, 3, size=60).astype(float)


def test_rows_near_each_other_stay_where_they_are():
    X = np.random.default_rng(0).normal(size=(40, 5))
    reach = take_reach(X, np.ones(40))
    assert pull_in(X, reach) is X
    np.testing.assert_allclose(reach.centre, X.mean(axis=0))
    distance = np.linalg.norm(X - X.mean(axis=0), axis=1)
    np.testing.assert_allclose(reach.radius, REACH * np.sort(distance)[19])


def test_far_rows_come_to_the_surface_and_keep_their_direction(outlying):
    X, _ = outlying
    reach = take_reach(X, np.ones(60))
    pulled = pull_in(X, reach)
    np.testing.assert_array_equal(pulled[6:], X[6:])
    before, after = X[:6] - reach.centre, pulled[:6] - reach.centre
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), reach.radius)
    np.testing.assert_allclose(after / reach.radius, before / np.linalg.norm(before, axis=1, keepdims=True))
    # The scale is that of the many, not of the few.
    assert reach.radius < 1.5 * REACH * np.sqrt(4)


def test_order_rotation_and_repetition_do_not_matter(outlying):
    X, weight = outlying
    whole = take_reach(X, weight)
    order = np.random.default_rng(1).permutation(60)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(4, 4)))[0]
    for other in (
        take_reach(X[order], weight[order]),
        take_reach(np.repeat(X, weight.astype(int), axis=0), np.ones(int(weight.sum()))),
    ):
        np.testing.assert_allclose(other.centre, whole.centre)
        np.testing.assert_allclose(other.radius, whole.radius)
    turned = take_reach(X @ rotation, weight)
    np.testing.assert_allclose(turned.centre, whole.centre @ rotation)
    np.testing.assert_allclose(turned.radius, whole.radius)


def test_equal_rows_leave_queries_alone():
    reach = take_reach(np.ones((5, 3)), np.ones(5))
    X = np.random.default_rng(0).normal(size=(4, 3)) * 1e6
    assert pull_in(X, reach) is X


def test_huge_numbers_do_not_overflow():
    pulled = pull_in(np.array([[1e300, -1e300], [0.0, 0.0]]), Reach(np.zeros(2), 2.0))
    np.testing.assert_allclose(pulled, [[np.sqrt(2), -np.sqrt(2)], [0, 0]])


def test_weighted_median_is_the_lower_median_of_repeated_values():
    rng = np.random.default_rng(0)
    for _ in range(20):
        values, weight = rng.normal(size=7), rng.integers(1, 4, size=7)
        repeated = np.sort(np.repeat(values, weight))
        assert weighted_median(values, weight) == repeated[(len(repeated) - 1) // 2]
