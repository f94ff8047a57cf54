"""How far from the middle of the context a row may lie: a ball, onto whose surface rows beyond are pulled.

A few absurd rows would set the scale on which all others are read. Pulled in, they keep the direction in
which they lie, and remain the farthest.
"""

from typing import NamedTuple

import numpy as np

# In units of the median distance of the context to its centre.
REACH = 4.0
N_ROUNDS = 10


class Reach(NamedTuple):
    """The ball: centre (n_features,) and radius, infinite where no row of the context lies far out."""

    centre: np.ndarray
    radius: float


def take_reach(X, weight):
    """The ball of a context: around the mean of its rows as they are once pulled in.

    Equivariant to rotations and shifts, indifferent to the order of the rows, and a row of weight two counts as two.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float64
        Rows of the context.
    weight : ndarray of shape (n_samples,)
        Rows of weight zero do not count.

    Returns
    -------
    Reach
    """
    counted = weight > 0
    rows, weight = X[counted], weight[counted]
    centre, radius = np.average(rows, axis=0, weights=weight), np.inf
    for _ in range(N_ROUNDS):
        distance = np.sqrt(np.square(rows - centre).sum(axis=1))
        radius = REACH * weighted_median(distance, weight)
        if radius == 0 or distance.max() <= radius:
            break
        centre = np.average(pull_in(rows, Reach(centre, radius)), axis=0, weights=weight)
    return Reach(centre, radius if radius > 0 else np.inf)


def pull_in(X, reach):
    """Rows of which those beyond the reach are moved straight towards its centre, onto the surface.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float64
    reach : Reach

    Returns
    -------
    ndarray of shape (n_samples, n_features)
    """
    away = X - reach.centre
    # Squares of large numbers overflow: lengths are taken in units of the largest entry.
    largest = np.abs(away).max(axis=1, keepdims=True)
    unit = away / np.where(largest > 0, largest, 1.0)
    length = np.sqrt(np.square(unit).sum(axis=1, keepdims=True))
    far = (largest * length > reach.radius)[:, 0]
    if not far.any():
        return X
    pulled = X.copy()
    pulled[far] = reach.centre + unit[far] / length[far] * reach.radius
    return pulled


def weighted_median(values, weight):
    """The smallest value below or at which half of the weight lies."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order])
    return values[order][np.searchsorted(reached, 0.5 * reached[-1])]
