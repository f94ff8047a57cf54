"""The bootstrap against closed forms."""

import numpy as np
import pytest

from skicl._resampling import bound, check_bootstrap, interval, nested_counts, resampled_means, resampled_shares


@pytest.fixture
def random():
    return np.random.RandomState(0)


def test_resampled_means_have_the_spread_of_fits_and_queries(random):
    """Of independent values with effects of fits and of queries, the bootstrap finds the variance of the mean."""
    R, Q = 30, 60
    means, spreads = [], []
    for _ in range(100):
        values = random.standard_normal((R, 1)) + random.standard_normal(Q) + 0.5 * random.standard_normal((R, Q))
        means.append(values.mean())
        spreads.append(resampled_means(values, 200, random).std())
    assert np.mean(spreads) == pytest.approx(np.std(means), rel=0.25)
    np.testing.assert_allclose(resampled_means(np.full((2, 7), 0.3), 20, random), 0.3)


def test_nested_counts_draw_sets_and_repeats_within_them(random):
    """Sums over the repeats are multiples of their number; means of independent values spread as theory says."""
    n_sets, n_repeats = 7, 5
    counts = nested_counts(n_sets, n_repeats, 4000, random)
    per_set = counts.sum(axis=2)
    assert set(np.unique(per_set % n_repeats)) == {0}
    np.testing.assert_array_equal(per_set.sum(axis=1), n_sets * n_repeats)
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.1)
    assert (per_set / n_repeats).var(axis=0) == pytest.approx(np.full(n_sets, 1 - 1 / n_sets), rel=0.1)
    for seed in range(3):  # a loop over all draws
        sets, repeats = np.random.RandomState(seed), np.random.RandomState(seed)
        expected = np.zeros((4, 3, 2))
        drawn = sets.randint(3, size=(4, 3, 1))
        repeats.randint(3, size=(4, 3, 1))
        for (draw, place, _), repeat in np.ndenumerate(repeats.randint(2, size=(4, 3, 2))):
            expected[draw, drawn[draw, place, 0], repeat] += 1
        np.testing.assert_array_equal(nested_counts(3, 2, 4, np.random.RandomState(seed)), expected)


def test_resampled_shares_are_those_of_redrawn_items(random):
    items = random.random_sample((6, 40)) < np.linspace(0.2, 0.8, 6)[:, None]
    fits = random.randint(6, size=(20000, 6, 1))
    direct = items[fits, random.randint(40, size=(20000, 6, 40))].mean(axis=(1, 2))
    found = resampled_shares(items.mean(axis=1), np.full(6, 40), 20000, random)
    np.testing.assert_allclose(np.quantile(found, [0.05, 0.5, 0.95]), np.quantile(direct, [0.05, 0.5, 0.95]), atol=0.01)
    assert resampled_shares(items.mean(axis=1), None, 20000, random).std() < found.std()


def test_interval_and_bound(random):
    samples = random.random_sample(100_000)
    np.testing.assert_allclose(interval(samples, 0.9), (0.05, 0.95), atol=0.01)
    assert bound(samples, 0.9) == pytest.approx(0.9, abs=0.01)
    low, high = interval(np.stack([samples, samples + 1])[None], 0.9)
    assert low.shape == high.shape == (1, 2)
    np.testing.assert_allclose([low[0, 1] - low[0, 0], high[0, 1] - high[0, 0]], 1)


@pytest.mark.parametrize(("n_bootstrap", "confidence_level"), [(0, 0.95), (True, 0.95), (2.0, 0.95), (9, 0), (9, 95)])
def test_what_gives_no_interval_is_refused(n_bootstrap, confidence_level):
    wrong = "confidence_level" if n_bootstrap == 9 else "n_bootstrap"
    with pytest.raises(ValueError, match=f"`{wrong}` must be .*, got"):
        check_bootstrap(n_bootstrap, confidence_level)
    check_bootstrap(1, 0.5)
