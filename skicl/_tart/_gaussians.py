"""Gaussians beside the reasoner: class means and one shrunk covariance, a discriminant in closed form.

The covariance is shrunk as in Wang et al. (2024), "A hard-to-beat baseline for training-free CLIP-based adaptation",
ICLR (arXiv 2402.04087). It keeps directions of little variance that a small network cannot. Rows are left out exactly,
by a change of rank one; only the amount of shrinkage is that of all rows.

Shapes: n rows, Q queries, D features, C classes.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from skicl._tart._coordinates import Coordinates
from skicl._tart._hypotheses import frequencies, frequencies_without

# What the factor of the scores was about before any row was seen, and the standard deviation of its logarithm.
TYPICAL_FACTOR, SPREAD_OF_FACTOR = 0.1, 1.0
# For a share of one, labelled rows must be predicted better by so many nats, and by so many each: the scores by which a
# reasoner leaves rows out are worse than those that it gives to queries. Chosen, like the factor, on public sets (lab
# notes).
COST_OF_SHARE, COST_A_ROW = 10.0, 0.1
# Rows vary within their classes at least by this share of how they vary at all.
LEAST_WITHIN = 1e-6
# Rows are left out so many numbers at a time, to bound memory.
NUMBERS_AT_A_TIME = 10_000_000


class Gaussians(NamedTuple):
    """Linear scores of the classes, and their share beside the log-probabilities of the reasoner."""

    coordinates: Coordinates
    weights: torch.Tensor  # (D, C)
    offsets: torch.Tensor  # (C,)
    factor: float  # of the scores
    frequencies: np.ndarray  # (C,): log-probabilities
    of_rows: np.ndarray  # (n, C): log-probabilities that rows have of the others; NaN where nobody asks for them
    share: float  # from 0 to 1

    @classmethod
    def fit(cls, rows, read, log_proba, *, shift_wanted):
        """Gaussians beside log-probabilities (n_labelled, C) that labelled rows have of the others; None if no better.

        ``rows`` are ContextRows, ``read`` the same as ReadRows; names that were read are rows as well. Rows without a
        label are scored where a shift of the class frequencies is wanted.
        """
        X, codes, weight = read.evidence.X[0], read.evidence.y[0], read.evidence.weight[0]
        kept = codes >= 0
        labelled, n = np.flatnonzero(rows.codes >= 0), int(kept[: read.n_rows].sum())
        if (torch.bincount(codes[kept], weight[kept], len(rows.classes)) <= 0).any():
            return None  # nothing is known of a class
        weights, offsets, scores = discriminant(X[kept], codes[kept], weight[kept], len(rows.classes), n)
        y, mass = rows.codes[labelled], rows.mass
        scores, w = scores.cpu().double().numpy(), rows.total_weight[labelled]
        others = frequencies_without(mass, y, w)
        factor = _fit_factor(scores, others, y, w)
        own = log_softmax(factor * scores + others, axis=1)
        share = _fit_share(log_proba, own, y, w)
        if share == 0:
            return None
        found = cls(read.coordinates, weights, offsets, factor, frequencies(mass), np.empty(0), share)
        of_rows = np.full((len(rows.codes), len(rows.classes)), np.nan)
        of_rows[labelled], others = own, np.flatnonzero(rows.codes < 0)
        if shift_wanted:
            of_rows[others] = found.log_proba(rows.X[others])
        return found._replace(of_rows=of_rows)

    def log_proba(self, X):
        """Log-probabilities (Q, C) of queries (Q, D)."""
        scores = torch.from_numpy(self.coordinates.apply(X)).to(self.weights) @ self.weights + self.offsets
        return log_softmax(self.factor * scores.cpu().double().numpy() + self.frequencies, axis=1)

    def beside(self, log_proba, own):
        """Log-probabilities (Q, C) of the reasoner, mixed with those of the Gaussians (Q, C)."""
        return log_softmax((1.0 - self.share) * log_proba + self.share * own, axis=1)


def discriminant(X, codes, weight, n_classes, n_left_out):
    """Linear scores of the classes, (D, C) and (C,), and scores (n_left_out, C) of the first rows, each left out."""
    total, one_hot = weight.sum(), torch.nn.functional.one_hot(codes, n_classes).to(X)
    mass, centre = weight @ one_hot, weight @ X / total
    X = X - centre
    means = (one_hot * weight[:, None]).T @ X / mass[:, None]
    scatter = weight @ X.square().sum(1)
    covariance = ShrunkCovariance.of((X - means[codes]) * weight.sqrt()[:, None], total, LEAST_WITHIN * scatter / total)
    weights = covariance.solve(means.T)
    between = means @ weights  # (C, C): products of the means
    offsets = -0.5 * between.diagonal()
    batch = max(1, NUMBERS_AT_A_TIME // max(X.shape[1], n_classes))
    left_out = [
        _left_out(X[part], codes[part], weight[part], mass, weights, between, covariance.squares(X[part]), total)
        for part in (slice(i, min(i + batch, n_left_out)) for i in range(0, n_left_out, batch))
    ]
    return weights, offsets - centre @ weights, torch.cat(left_out)


class ShrunkCovariance(NamedTuple):
    """A covariance within classes plus a multiple of the identity, decomposed on the smaller side."""

    root: torch.Tensor  # Cholesky factor of what rows (n, D) have in common, (D, D), or of their products, (n, n)
    within: torch.Tensor | None  # (n, D): the rows, where they are fewer than features
    shrinkage: torch.Tensor
    total: torch.Tensor  # weight of all rows

    @classmethod
    def of(cls, within, total, least):
        """From deviations (n, D) from class means, times the roots of the weights of the rows."""
        few, limits, trace = len(within) < within.shape[1], torch.finfo(within.dtype), within.square().sum()
        shrinkage = (trace / (total - 1.0).clamp_min(1.0)).maximum(least)
        shrinkage = shrinkage.maximum(10.0 * limits.eps * trace).clamp_min(limits.tiny**0.5)  # or it has no root
        products = within @ within.T if few else within.T @ within
        products.diagonal().add_(shrinkage)
        return cls(torch.linalg.cholesky(products), within if few else None, shrinkage, total)

    def solve(self, right):
        """The inverse times (D, m)."""
        if self.within is None:
            return self.total * torch.cholesky_solve(right, self.root)
        common = torch.cholesky_solve(self.within @ right, self.root)
        return self.total / self.shrinkage * (right - self.within.T @ common)

    def squares(self, X):
        """Squared lengths (n,) of rows (n, D), by the inverse."""
        right = X.T if self.within is None else self.within @ X.T
        lengths = torch.linalg.solve_triangular(self.root, right, upper=False).square().sum(0)
        if self.within is None:
            return self.total * lengths
        return self.total / self.shrinkage * (X.square().sum(1) - lengths)


def _left_out(X, codes, weight, mass, weights, between, square, total):
    """Scores (n, C) of rows, one copy of each taken out of the mean of its class and of the covariance.

    All products are those of the inverse covariance. A row deviates from the mean of its class; without the row, the
    mean moves by ``gone`` deviations, and the inverse grows along the deviation.
    """
    numbers, unit, left = torch.arange(len(codes), device=codes.device), weight.clamp_max(1.0), mass[codes]
    left = left - unit
    only, left = left <= 1e-6, left.clamp_min(1e-6)
    to_means = X @ weights  # (n, C): products of rows and means
    own, mean_square = to_means[numbers, codes], between.diagonal()
    deviation_square = square - 2.0 * own + mean_square[codes]
    deviation_row, deviation_means = square - own, to_means - between[codes]
    gone, growth = unit / left, unit * mass[codes] / (left * total)
    growth = growth / (1.0 - growth * deviation_square).clamp_min(1e-6)
    longer = 1.0 + growth * deviation_square
    of_row = to_means + (growth * deviation_row)[:, None] * deviation_means
    of_means = mean_square + growth[:, None] * deviation_means.square()
    of_row[numbers, codes] -= gone * deviation_row * longer
    deviation_own = deviation_means[numbers, codes]
    of_means[numbers, codes] += gone * longer * (gone * deviation_square - 2.0 * deviation_own)
    scores = of_row - 0.5 * of_means
    # The only row of a class leaves nothing of it: no class then seems less likely.
    least = scores.scatter(1, codes[:, None], torch.inf).amin(1)
    scores[numbers, codes] = torch.where(only, least, scores[numbers, codes])
    return scores


def _fit_factor(scores, log_frequencies, codes, weight):
    """The most probable factor of scores (n, C) given the labels (n,) of rows with weights (n,)."""
    rows = np.arange(len(codes))

    def loss(log_factor):
        logits = np.exp(log_factor) * scores + log_frequencies
        surprise = (log_factor - np.log(TYPICAL_FACTOR)) / SPREAD_OF_FACTOR
        return 0.5 * surprise**2 - weight @ log_softmax(logits, axis=1)[rows, codes]

    return float(np.exp(minimize_scalar(loss, bounds=(-6.0, 2.0), method="bounded").x))


def _fit_share(log_proba, own, codes, weight):
    """The share, from 0 to 1, that ``own`` log-probabilities (n, C) should have beside those of the reasoner (n, C)."""
    difference = own - log_proba
    cost = COST_OF_SHARE + COST_A_ROW * weight.sum() - weight @ difference[np.arange(len(codes)), codes]

    def loss(share):
        return share * cost + weight @ np.logaddexp.reduce(log_proba + share * difference, axis=1)

    slope = cost + weight @ (softmax(log_proba, axis=1) * difference).sum(axis=1)
    return 0.0 if slope >= 0 else float(minimize_scalar(loss, bounds=(0.0, 1.0), method="bounded").x)
