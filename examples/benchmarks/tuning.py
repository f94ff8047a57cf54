"""Probabilities for classifiers that have none: a calibration on held-out rows that stands few of them."""

from typing import NamedTuple

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone

from skicl._command_line._baseline import dealt_folds, held_out_scores, scores_of_classes

FLOORS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8)


class Tempered(ClassifierMixin, BaseEstimator):
    """Probabilities from a decision function, by the calibration that suits held-out rows best."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y):
        self.estimator_ = clone(self.estimator).fit(X, y)
        self.classes_ = self.estimator_.classes_
        held_out = held_out_scores(self.estimator, X, y, scores_of_classes, dealt_folds(y))
        self.calibration_ = best_calibration(list(held_out))
        return self

    def predict_proba(self, X):
        return self.calibration_(scores_of_classes(self.estimator_, X))

    def predict(self, X):
        return self.classes_[scores_of_classes(self.estimator_, X).argmax(axis=1)]


class Calibration(NamedTuple):
    """Softmax at a temperature, mixed with even chances: (1 - floor) softmax(scores / temperature) + floor / C.

    Scores that rank the classes (the votes of pairwise machines) need both: a low temperature, because the
    runner-up is hardly more likely than the last, and a floor, because the winner is wrong at times.
    """

    temperature: float = 1.0
    floor: float = 0.0

    def __call__(self, scores):
        return (1 - self.floor) * softmax(scores / self.temperature, axis=1) + self.floor / scores.shape[1]


def best_calibration(held_out):
    """The calibration of least cross-entropy on pairs (scores, true columns) of held-out rows.

    As for Platt scaling, the targets are smoothed by one imaginary row per class, so that a few held-out rows
    that happen to be classified correctly do not lead to certainty. Without any held-out row, plain softmax.
    """
    if not held_out:
        return Calibration()
    scores = np.concatenate([scores for scores, _ in held_out])
    true = np.concatenate([true for _, true in held_out])
    n_rows, n_classes = scores.shape
    targets = np.full(scores.shape, 1 / (n_rows + n_classes))
    targets[np.arange(n_rows), true] += n_rows / (n_rows + n_classes)
    spread = np.mean(scores.std(axis=1)) or 1.0
    grid = [Calibration(spread * t, floor) for t in np.logspace(-2, 2, 41) for floor in FLOORS]
    losses = [-(targets * np.log(np.clip(candidate(scores), 1e-15, 1))).sum() for candidate in grid]
    return grid[int(np.argmin(losses))]
