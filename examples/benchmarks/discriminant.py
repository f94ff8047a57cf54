"""Class means, one shrunk covariance and the names of the classes: a rival in closed form.

Z. Wang, Liang, Sheng, He, Z. Wang and Tan (2024), "A hard-to-beat baseline for training-free CLIP-based adaptation",
ICLR (arXiv 2402.04087). Shapes: n rows, D features, C classes.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics.pairwise import cosine_similarity

from skicl._command_line._baseline import dealt_folds

N_FOLDS = 10
IMAGINARY = 0.5  # rows of each class, beside every held-out one


class Mixing(NamedTuple):
    """How the parts add up: logits = sharpness * cosines + weight * scores + prior * log frequencies, and a floor.

    Without any held-out row to choose them by: the softmax that sentence encoders are trained with, and a weight at
    which the scores are about as far apart.
    """

    sharpness: float = 20.0
    weight: float = 0.1
    prior: float = 0.0
    floor: float = 0.0

    def log_proba(self, parts):
        cosines, scores, frequencies = parts  # (n, C) each
        logits = self.sharpness * cosines + self.weight * scores + self.prior * np.log(frequencies)
        log_proba = log_softmax(logits, axis=1)
        if not self.floor:
            return log_proba
        return np.logaddexp(np.log1p(-self.floor) + log_proba, np.log(self.floor / logits.shape[1]))


class NamesAndGaussians(ClassifierMixin, BaseEstimator):
    """Discriminant scores of Gaussians with one shrunk covariance, plus the cosines to the names as zero-shot logits.

    The covariance within the classes is shrunk as in the paper, by the empirical Bayes estimator of Kubokawa and
    Srivastava. The paper chooses the weight of the scores on a validation set and keeps the sharpness of CLIP and even
    class frequencies; here weight, sharpness, class frequencies or even ones, and a floor of the probabilities are
    chosen by log-loss in 10 folds. As for Platt scaling, the targets are smoothed, here by half an imaginary row per
    class, so that a few held-out rows that happen to be classified correctly do not lead to certainty.
    """

    mixings = tuple(
        Mixing(*values)
        for values in product(
            (0, 2.5, 5, 10, 20, 40), np.logspace(-3, 1, 13).tolist(), (0.0, 1.0), (0.0, 0.02, 0.1, 0.3)
        )
    )

    def __init__(self, names):
        self.names = names

    def fit(self, X, y):
        X = np.asarray(X, dtype=np.float64)
        self.classes_, codes = np.unique(y, return_inverse=True)
        self.vectors_ = np.stack([self.names[label] for label in self.classes_])
        folds = dealt_folds(y, N_FOLDS)
        self.mixing_ = Mixing() if not folds else self._best(X, codes, folds)
        self.gaussians_ = Gaussians.fit(X, codes)
        return self

    def _best(self, X, codes, folds):
        """The mixing with the least cross-entropy on held-out rows."""
        held_out = [self._parts(Gaussians.fit(X[train], codes[train]), X[test]) for train, test in folds]
        parts = [np.concatenate(part) for part in zip(*held_out)]
        true = np.concatenate([codes[test] for _, test in folds])
        n_rows, n_classes = parts[0].shape
        targets = np.full((n_rows, n_classes), IMAGINARY)
        targets[np.arange(n_rows), true] += n_rows
        losses = [-(targets * mixing.log_proba(parts)).sum() for mixing in self.mixings]
        return self.mixings[int(np.argmin(losses))]

    def _parts(self, gaussians, X):
        scores = gaussians.scores(X)
        return cosine_similarity(X, self.vectors_), scores, np.broadcast_to(gaussians.frequencies, scores.shape)

    def predict_log_proba(self, X):
        return self.mixing_.log_proba(self._parts(self.gaussians_, np.asarray(X, dtype=np.float64)))

    def predict_proba(self, X):
        return np.exp(self.predict_log_proba(X))

    def predict(self, X):
        return self.classes_[self.predict_log_proba(X).argmax(axis=1)]


class Gaussians(NamedTuple):
    """Linear scores of the classes, and how frequent they are."""

    weights: np.ndarray  # (D, C)
    offsets: np.ndarray  # (C,)
    frequencies: np.ndarray  # (C,)

    @classmethod
    def fit(cls, X, codes):
        counts = np.bincount(codes)
        means = np.stack([X[codes == code].mean(axis=0) for code in range(len(counts))])
        within = X - means[codes]
        if not within.any():  # one row of each class
            within = X - X.mean(axis=0)
        shrinkage = max((within**2).sum() / max(len(X) - 1, 1), np.finfo(float).tiny)
        # D ((n - 1) S + tr(S) I)^-1 means, with S the covariance, by Woodbury's identity: n may be far below D.
        inner = within @ within.T + shrinkage * np.eye(len(X))
        weights = X.shape[1] / shrinkage * (means - np.linalg.solve(inner, within @ means.T).T @ within).T
        return cls(weights, -(means.T * weights).sum(axis=0) / 2, (counts + 1) / (counts + 1).sum())

    def scores(self, X):
        return X @ self.weights + self.offsets
