"""Choices by cross-validation that hold up with a handful of labelled rows.

Few-shot contexts break the ready-made tools: a class with a single row is missing from the training part of
the fold that holds the row, which the grid search of scikit-learn turns into warnings, errors or a score of
nan. Here the folds are dealt class by class, and the only row of a class is always learnt from and never held
out. All choices are deterministic. Ties go to the first candidate, the most regularised one.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone

FLOORS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8)


class Tuned(ClassifierMixin, BaseEstimator):
    """Choose parameters by 5-fold cross-validation, then fit on all rows.

    Without a usable fold (one row per class) the parameters of `estimator` are kept.
    """

    def __init__(self, estimator, candidates, *, criterion):
        self.estimator = estimator
        self.candidates = candidates
        self.criterion = criterion

    def fit(self, X, y):
        best = choose(self.estimator, self.candidates, X, y, self.criterion)
        self.best_estimator_ = clone(self.estimator).set_params(**best).fit(X, y)
        self.best_params_ = best
        self.classes_ = self.best_estimator_.classes_
        return self

    def predict_proba(self, X):
        return self.best_estimator_.predict_proba(X)

    def predict(self, X):
        return self.best_estimator_.predict(X)


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


def choose(estimator, candidates, X, y, criterion, folds=None):
    """The candidate with the best held-out score, `{}` (keep everything) if no row can be held out."""
    if criterion not in _GOODNESS:
        raise ValueError(f"`criterion` must be one of {', '.join(_GOODNESS)}, got {criterion!r}.")
    folds = dealt_folds(y) if folds is None else folds
    if not folds:
        return {}
    totals = []
    for candidate in candidates:
        held_out = held_out_scores(clone(estimator).set_params(**candidate), X, y, probabilities, folds)
        totals.append(goodness(held_out, criterion))
    return candidates[int(np.argmax(totals))]


def goodness(held_out, criterion):
    """Sum over the held-out rows: hits ("accuracy") or log-likelihood ("log_loss")."""
    return sum(_GOODNESS[criterion](prob, true) for prob, true in held_out)


def held_out_scores(estimator, X, y, score, folds):
    """For each fold: scores (rows, classes) and true columns (rows,) of the held-out rows."""
    for train, test in folds:
        fitted = clone(estimator).fit(X[train], y[train])
        yield score(fitted, X[test]), np.searchsorted(fitted.classes_, y[test])


def dealt_folds(y, n_folds=5, *, hold_out_single=False):
    """Folds for classes of any size, as pairs of row numbers (train, test); none if no row can be held out.

    The rows are dealt to the folds like cards, one class after the other, in the order of the context:
    each fold gets its share of every class, to the nearest row. The only row of a class is always
    learnt from and never held out, so that every fold knows every class; `hold_out_single` deals it too,
    for who knows the class from elsewhere.
    """
    _, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    rows = np.argsort(codes, kind="stable")
    if not hold_out_single:
        rows = rows[counts[codes[rows]] > 1]
    n_folds = min(n_folds, len(rows))
    folds = [np.sort(rows[fold::n_folds]) for fold in range(n_folds)]
    return [(np.setdiff1d(np.arange(len(codes)), fold), fold) for fold in folds]


def scores_of_classes(estimator, X):
    """Decision function with one column per class, also for two classes."""
    scores = estimator.decision_function(X)
    return np.column_stack([-scores / 2, scores / 2]) if scores.ndim == 1 else scores


def probabilities(estimator, X):
    if hasattr(estimator, "predict_proba"):
        return estimator.predict_proba(X)
    return softmax(scores_of_classes(estimator, X), axis=1)


def _hits(prob, true):
    return (prob.argmax(axis=1) == true).sum()


def _log_likelihood(prob, true):
    return np.log(np.clip(prob[np.arange(len(true)), true], 1e-15, 1)).sum()


_GOODNESS = {"accuracy": _hits, "log_loss": _log_likelihood}
