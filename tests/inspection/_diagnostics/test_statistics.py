"""Numbers of the diagnostics against their definitions, and noise floors that noise respects."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import linregress

from skicl._resampling import bound
from skicl.inspection._diagnostics._statistics import (
    agreement_by_chance,
    bias_by_chance,
    changed,
    divergence,
    gain_by_chance,
    missing_entropy,
    preference_by_chance,
    signs_by_chance,
    slopes,
    total_variation,
)


@pytest.fixture
def random():
    return np.random.RandomState(0)


def test_divergence_is_that_of_jensen_and_shannon(random):
    p, q = random.dirichlet([1, 1, 1], size=(2, 50))
    np.testing.assert_allclose(divergence(p, q), jensenshannon(p, q, base=2, axis=1) ** 2, atol=1e-12)
    np.testing.assert_array_equal(divergence(p, p), 0)
    assert divergence(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == 1


def test_simple_distances():
    p, q = np.array([[0.6, 0.4], [0.9, 0.1]]), np.array([[0.4, 0.6], [0.7, 0.3]])
    np.testing.assert_array_equal(changed(p, q), [1, 0])
    np.testing.assert_allclose(total_variation(p, q), 0.2)
    np.testing.assert_allclose(missing_entropy(np.array([[0.25] * 4, [1, 0, 0, 0]])), [0, 1])


def test_slopes_are_those_of_least_squares(random):
    rates, accuracies = np.array([0.0, 0.0, 0.1, 0.2, 0.4]), random.random_sample((3, 5))
    np.testing.assert_allclose(slopes(rates, accuracies), [linregress(rates, row).slope for row in accuracies])


def test_agreement_by_chance_keeps_the_frequencies(random):
    one, other = random.randint(4, size=(2, 3, 4000))
    assert agreement_by_chance(one, other, 50, random).mean() == pytest.approx(0.25, abs=0.01)
    same = np.zeros((1, 10), dtype=int)
    np.testing.assert_array_equal(agreement_by_chance(same, same, 5, random), 1)


def test_an_unbiased_classifier_stays_below_the_floor_of_bias(random):
    """Labels drawn from the probabilities: the distance passes the bound no more often than its confidence says."""
    above = []
    for _ in range(200):
        proba = random.dirichlet([1, 1, 1], size=60)
        drawn = np.array([random.multinomial(1, p) for p in proba])
        distance = total_variation(proba.mean(axis=0), drawn.mean(axis=0))
        above.append(distance > bound(bias_by_chance(proba, drawn, 100, random), 0.9))
    assert np.mean(above) == pytest.approx(0.1, abs=0.06)


def test_errors_in_all_directions_are_no_bias(random):
    """A classifier that is always sure and sometimes wrong has a floor above zero, and one-sided errors pass it."""
    truth = np.eye(3)[np.arange(90) % 3]
    either_way = truth.copy()
    either_way[:30] = np.roll(truth[:30], 1, axis=1)
    floor = bound(bias_by_chance(either_way, truth, 500, random), 0.95)
    assert total_variation(either_way.mean(axis=0), truth.mean(axis=0)) < floor
    one_way = truth.copy()
    one_way[:45] = [1, 0, 0]
    assert total_variation(one_way.mean(axis=0), truth.mean(axis=0)) > 2 * floor


def test_a_preference_passes_its_floor_and_none_does_not(random):
    sure = np.eye(3)[random.randint(3, size=90)] * 0.9 + 0.1 / 3
    floor = bound(preference_by_chance(sure, 300, random), 0.99)
    assert missing_entropy(sure.mean(axis=0)) < floor
    assert missing_entropy(np.tile(sure[:1], (90, 1)).mean(axis=0)) > 5 * floor


def test_meaningless_fits_gain_nothing_on_each_other(random):
    hits = (random.random_sample((8, 100)) < 0.3).astype(float)
    gains = gain_by_chance(hits, 4000, random)
    assert abs(gains.mean()) < 0.01
    assert bound(gains, 0.95) < 0.15


def test_signs_by_chance_have_mean_zero_and_the_right_spread(random):
    samples = signs_by_chance(np.ones(100), 4000, random)
    assert abs(samples.mean()) < 0.01
    assert samples.std() == pytest.approx(0.1, rel=0.05)
