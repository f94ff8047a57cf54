"""From rows as they are given to rows as the reasoner sees them: the scale of the columns, and a ball for far rows.

Shapes: n rows of the context, D features.

Whether columns are put on one scale is decided by the data. Then a few absurd rows would set the scale on which all
others are read: rows beyond a ball are moved onto its surface. They keep the direction in which they lie, and remain
the farthest.
"""

from typing import NamedTuple

import numpy as np

# Columns whose ranges differ by more than this factor are taken for quantities in different units.
DISPARITY = 10.0
# Radius of the ball, in units of the median distance of the context to its centre.
RADIUS = 4.0
N_ROUNDS = 10
# A query so many times farther out than any labelled row is as far as one can be; its squares stay finite.
FARTHEST = 1e6


class Ball(NamedTuple):
    """Where rows may lie: centre (D,) and radius, infinite where no row of the context lies far out."""

    centre: np.ndarray
    radius: float


class Coordinates(NamedTuple):
    """Shift (D,) and factor (D,) of the columns, and the ball; taken from a context."""

    shift: np.ndarray
    factor: np.ndarray
    standardized: bool
    ball: Ball

    @classmethod
    def fit(cls, X, weight, standardize):
        """The coordinates of a context of rows (n, D) and weights (n,), and the rows in them."""
        X = X.astype(np.float64, copy=False)
        shift, factor, standardized = column_scaling(X, weight, standardize)
        scaled = _scaled(X, shift, factor)
        ball = fit_ball(scaled, weight)
        return cls(shift, factor, standardized, ball), _within(scaled, ball)

    def scaled(self, X):
        """Vectors (n, D) on the scale of the context, in float64."""
        return _scaled(X, self.shift, self.factor)

    def apply(self, X):
        """Rows (n, D) on the scale and within the ball of the context."""
        return _within(self.scaled(X), self.ball)


def _scaled(X, shift, factor):
    scaled = X - shift  # in float64, as the shift is
    return np.divide(scaled, factor, out=scaled)


def _within(scaled, ball):
    """Rows (n, D) that nobody else holds, within the ball and a finite distance."""
    inside = clip_to_ball(scaled, ball)
    return np.clip(inside, -FARTHEST, FARTHEST, out=inside)


def column_scaling(X, weight, standardize):
    """Shift (D,) and factor (D,) of the columns of X (n, D), and whether columns are standardised.

    ``(X - shift) / factor`` has columns of mean 0, where they are standardised of variance 1 (0 for constant ones).
    Otherwise the factor is one for all, the largest absolute deviation, against overflow. "auto" standardises where
    :func:`has_mixed_units`. Rows of weight zero do not count.
    """
    rows, weight = _counted(X, weight)
    shift = weight @ rows / weight.sum()
    if standardize is False or (standardize == "auto" and not has_mixed_units(rows)):
        largest = max((rows.max(axis=0) - shift).max(), (shift - rows.min(axis=0)).max())
        return shift, np.full(X.shape[1], largest if largest > np.finfo(X.dtype).tiny else 1.0), False
    # Deviations over the range first: their squares neither overflow nor vanish.
    ranges, constant = _ranges(rows)
    ranges = np.where(constant, 1.0, ranges)
    deviation = np.sqrt(np.average(((rows - shift) / ranges) ** 2, axis=0, weights=weight)) * ranges
    return shift, np.where(constant, 1.0, deviation), True


def has_mixed_units(X):
    """Whether columns look like quantities in different units rather than one embedding.

    So it is if the largest range exceeds ten times the median range, or the median ten times the first decile,
    constant columns set aside. Ranges and not standard deviations: a pixel that is seldom lit has a small deviation
    but the unit of all others.
    """
    ranges, constant = _ranges(X)
    ranges = ranges[~constant]
    if len(ranges) < 2:
        return False
    low, middle, high = np.quantile(ranges, [0.1, 0.5, 1.0], method="lower")
    return bool(high > DISPARITY * middle or middle > DISPARITY * low)


def _counted(X, weight):
    """Rows (n, D) and weights (n,), without those of weight zero."""
    counted = weight > 0
    return (X, weight) if counted.all() else (X[counted], weight[counted])


def _ranges(X):
    """Ranges (D,) of the columns, and which are constant: up to rounding, or in numbers too small to divide by."""
    highest, lowest, precision = X.max(axis=0), X.min(axis=0), np.finfo(X.dtype)
    ranges, largest = highest - lowest, np.maximum(np.abs(highest), np.abs(lowest))
    return ranges, ranges <= np.maximum(16 * precision.eps * largest, precision.tiny)


def fit_ball(X, weight):
    """The ball of a context X (n, D), around the mean of its rows once those outside are on its surface.

    Equivariant to rotations and shifts, indifferent to the order of the rows, and a row of weight two counts as two.
    """
    rows, weight = _counted(X, weight)
    centre, radius = weight @ rows / weight.sum(), np.inf
    for _ in range(N_ROUNDS):
        distance = _distance(rows, centre)
        radius = RADIUS * weighted_median(distance, weight)
        if radius == 0 or distance.max() <= radius:
            break
        centre = weight @ clip_to_ball(rows, Ball(centre, radius)) / weight.sum()
    return Ball(centre, radius if radius > 0 else np.inf)


def clip_to_ball(X, ball):
    """Rows (n, D) of which those outside the ball are moved straight towards its centre, onto the surface."""
    outside = _distance(X, ball.centre) > ball.radius
    if not outside.any():
        return X
    clipped = X.copy()
    clipped[outside] = ball.centre + unit_rows(X[outside] - ball.centre)[0] * ball.radius
    return clipped


def _distance(X, centre):
    """Distances (n,) of rows to a point; infinite where the squares overflow."""
    offset = X - centre
    with np.errstate(over="ignore"):
        return np.sqrt(np.einsum("ij,ij->i", offset, offset))


def unit_rows(X):
    """Rows (n, D) at length one (zero rows stay), and their lengths (n, 1); squares neither overflow nor vanish."""
    largest = np.abs(X).max(axis=1, keepdims=True)
    in_units = X / np.where(largest > 0, largest, 1.0)
    length = np.sqrt(np.square(in_units).sum(axis=1, keepdims=True))
    return in_units / np.where(length > 0, length, 1.0), largest * length


def weighted_median(values, weight):
    """The smallest value below or at which half of the weight lies."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order])
    return values[order][np.searchsorted(reached, 0.5 * reached[-1])]
