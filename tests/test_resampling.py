"""The bootstrap against closed forms."""

import numpy as np
import pytest

from skicl._resampling import bound, check_bootstrap, interval, resampled_means


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
