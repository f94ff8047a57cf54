"""The bootstrap: samples drawn with replacement, and the intervals that they give."""

import numpy as np

from skicl._validation._scalars import check_integer, check_share


def check_bootstrap(n_bootstrap, confidence_level, *, least=1):
    """Refuse numbers of samples below `least`, and confidence levels that do not lie between 0 and 1."""
    check_integer(n_bootstrap, "n_bootstrap", least=least)
    check_share(confidence_level, "confidence_level")


def resampled_means(values, n_bootstrap, random):
    """Means of values (R, Q), fits and queries drawn anew with replacement: (n_bootstrap,)."""
    R, Q = values.shape
    fits, queries = resampling_weights(R, n_bootstrap, random), resampling_weights(Q, n_bootstrap, random)
    return ((fits @ values) * queries).sum(axis=1)


def resampling_weights(n, n_bootstrap, random):
    """Shares of n items in samples drawn with replacement: (n_bootstrap, n)."""
    return random.multinomial(n, np.full(n, 1 / n), size=n_bootstrap) / n


def interval(samples, confidence_level):
    """Ends of the central interval of samples (..., n): two arrays (...)."""
    low, high = np.quantile(samples, [(1 - confidence_level) / 2, (1 + confidence_level) / 2], axis=-1)
    return low, high


def bound(samples, confidence_level):
    """What samples exceed with a probability of 1 - confidence_level."""
    return float(np.quantile(samples, confidence_level))
