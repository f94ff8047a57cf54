"""Class frequencies from rows without a label: where posteriors are right, they are found; where not, little moves."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skicl._tart._population import class_frequencies, evening_weights, looks_balanced


def posteriors(n, frequency, separation, seed=0):
    """Exact log-posteriors under equal frequencies of rows whose classes have other ones."""
    rng = np.random.default_rng(seed)
    y = rng.choice(len(frequency), size=n, p=frequency)
    X = separation * np.eye(len(frequency))[y] + rng.normal(size=(n, len(frequency)))
    log_proba = separation * X
    return log_proba - np.logaddexp.reduce(log_proba, axis=1, keepdims=True), y


@pytest.mark.parametrize("separation", [2.0, 4.0])
def test_frequencies_are_found_where_posteriors_are_right(separation):
    frequency = np.array([0.74, 0.2, 0.06])
    log_proba, _ = posteriors(20_000, frequency, separation)
    found = class_frequencies(log_proba, np.ones(20_000), np.full(3, 1 / 3))
    assert found.sum() == pytest.approx(1)
    expected = frequency if separation == 4 else frequency * 0.75 + 0.25 / 3
    assert np.abs(found - expected).max() < 0.08


def test_nothing_moves_where_posteriors_say_nothing():
    reference = np.array([0.3, 0.7])
    found = class_frequencies(np.log(np.tile(reference, (500, 1))), np.ones(500), reference)
    assert_allclose(found, reference)


def test_the_order_of_rows_means_nothing_and_a_row_of_weight_two_is_two():
    log_proba, _ = posteriors(40, [0.6, 0.3, 0.1], 3.0)
    weight, reference = np.ones(40), np.full(3, 1 / 3)
    weight[:10] = 2
    found = class_frequencies(log_proba, weight, reference)
    repeated = np.concatenate([log_proba, log_proba[:10]])[::-1]
    assert_allclose(class_frequencies(repeated, np.ones(50), reference), found, atol=1e-7)


def test_evened_rows_have_the_reference_frequencies():
    frequency, reference = np.array([0.8, 0.15, 0.05]), np.full(3, 1 / 3)
    log_proba, y = posteriors(20_000, frequency, 5.0)
    weight = evening_weights(log_proba, frequency, reference)
    assert weight.max() <= 1
    mass = np.bincount(y, weight)
    assert mass[0] / mass.sum() < 0.65
    untouched = evening_weights(log_proba, reference, reference)
    assert_allclose(untouched, 1)


def test_labels_look_balanced_up_to_one_row():
    assert looks_balanced(np.array([4.0, 4, 5]))
    assert not looks_balanced(np.array([4.0, 6, 5]))
