"""When columns are put on one scale: a rule decided by the data, stated here once."""

import numpy as np

# Columns whose ranges differ by more than this factor are taken for quantities in different units.
DISPARITY = 10.0


def column_ranges(X):
    """Largest minus smallest value of every column, without the columns that are constant."""
    ranges = X.max(axis=0) - X.min(axis=0)
    return ranges[ranges > _ranges_of_constants(X)]


def _ranges_of_constants(X):
    """The largest range that a constant column may have: rounding, or numbers too small to divide by."""
    precision = np.finfo(X.dtype)
    return np.maximum(16 * precision.eps * np.abs(X).max(axis=0), precision.tiny)


def has_mixed_units(X):
    """Whether the columns look like quantities in different units rather than one embedding.

    True if the largest range exceeds ten times the median range, or the median exceeds ten times the
    first decile, constant columns set aside. Ranges and not standard deviations: a pixel that is seldom
    lit has a small deviation but the unit of all others.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)

    Returns
    -------
    bool
    """
    ranges = column_ranges(X)
    if len(ranges) < 2:
        return False
    low, middle, high = np.quantile(ranges, [0.1, 0.5, 1.0], method="lower")
    return bool(high > DISPARITY * middle or middle > DISPARITY * low)


def column_scaling(X, weight, standardize):
    """Shift and factor of every column, so that ``(X - shift) / factor`` is ready for the reasoner.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    weight : ndarray of shape (n_samples,)
        Rows of weight zero do not count.
    standardize : bool or "auto"
        "auto" standardises where :func:`has_mixed_units`.

    Returns
    -------
    shift, factor : ndarray of shape (n_features,)
        Weighted mean, and weighted standard deviation (1 for constant columns) where columns are
        standardised; else one common factor, the largest absolute deviation, against overflow.
    standardized : bool
        Whether columns are standardised.
    """
    rows = X[weight > 0]
    shift = np.average(rows, axis=0, weights=weight[weight > 0])
    if standardize is False or (standardize == "auto" and not has_mixed_units(rows)):
        largest = np.abs(rows - shift).max()
        return shift, np.full(X.shape[1], largest if largest > np.finfo(X.dtype).tiny else 1.0), False
    # Deviations over the range first: their squares neither overflow nor vanish.
    ranges = rows.max(axis=0) - rows.min(axis=0)
    constant = ranges <= _ranges_of_constants(rows)
    ranges = np.where(constant, 1.0, ranges)
    deviation = np.sqrt(np.average(((rows - shift) / ranges) ** 2, axis=0, weights=weight[weight > 0])) * ranges
    return shift, np.where(constant, 1.0, deviation), True
