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


def nested_counts(n_sets, n_repeats, n_bootstrap, random):
    """How often each repeat of each set is drawn, (n_bootstrap, n_sets, n_repeats): first sets, then repeats in each.

    A set that is drawn twice gets two draws of its repeats.
    """
    sets = random.randint(n_sets, size=(n_bootstrap, n_sets, 1))
    repeats = random.randint(n_repeats, size=(n_bootstrap, n_sets, n_repeats))
    counts = np.zeros((n_bootstrap, n_sets, n_repeats))
    # add.at and not +=, which would count a cell that was drawn several times once.
    np.add.at(counts, (np.arange(n_bootstrap)[:, None, None], sets, repeats), 1)
    return counts


def resampled_shares(shares, n_items, n_bootstrap, random):
    """Means of shares (R,), fits drawn anew and then the n_items (R,) items of each: (n_bootstrap,).

    Of n items of which a share is right, n draws with replacement hold a binomial number of right ones: this is the
    bootstrap over items, without the items. With None for `n_items` only the fits are drawn, of values of any kind.
    """
    drawn = random.randint(len(shares), size=(n_bootstrap, len(shares)))
    if n_items is None:
        return shares[drawn].mean(axis=1)
    return (random.binomial(n_items[drawn], shares[drawn]) / n_items[drawn]).mean(axis=1)


def interval(samples, confidence_level):
    """Ends of the central interval of samples (..., n): two arrays (...)."""
    low, high = np.quantile(samples, [(1 - confidence_level) / 2, (1 + confidence_level) / 2], axis=-1)
    return low, high


def bound(samples, confidence_level):
    """What samples exceed with a probability of 1 - confidence_level."""
    return float(np.quantile(samples, confidence_level))
