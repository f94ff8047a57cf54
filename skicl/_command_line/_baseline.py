"""Logistic regression with a tuned penalty, the classifier to compare with, and choices that stand few rows.

Few labelled rows break the ready-made tools: a class with a single row is missing from the training part of the fold
that holds the row, which the grid search of scikit-learn turns into warnings, errors or a score of nan. Here the folds
are dealt class by class, and the only row of a class is always learnt from and never held out. All choices are
deterministic. Ties go to the first candidate, the most regularised one.
"""

import warnings

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from skicl._validation._scalars import check_choice

# Inverse penalties, from almost constant predictions to almost no penalty for vectors of length around 1.
PENALTIES = tuple({"C": C} for C in np.logspace(-2, 4, 7))


def tuned_logistic_regression(criterion="log_loss"):
    """Logistic regression whose penalty has the best score in an inner cross-validation, unfitted.

    Seven values of C are tried in 5 folds, by "log_loss" or "accuracy"; the log-loss gives better accuracy with few
    rows than accuracy itself. Where every class has a single row there is nothing to tune by, and C is 1.
    """
    return Tuned(LogisticRegression(max_iter=1000), PENALTIES, criterion=criterion)


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


def choose(estimator, candidates, X, y, criterion, folds=None):
    """The candidate with the best held-out score, or `{}` (keep everything) if no row can be held out."""
    check_choice(criterion, "criterion", tuple(_GOODNESS))
    folds = dealt_folds(y) if folds is None else folds
    if not folds:
        return {}
    totals = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the weakest penalty, on separable classes
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

    The rows are dealt to the folds like cards, one class after the other, in the order of the context: each fold gets
    its share of every class, to the nearest row. The only row of a class is always learnt from and never held out, so
    that every fold knows every class; `hold_out_single` deals it too, for callers that know the class otherwise.
    """
    _, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    rows = np.argsort(codes, kind="stable")  # one class after the other
    if not hold_out_single:
        rows = rows[counts[codes[rows]] > 1]
    n_folds = min(n_folds, len(rows))
    folds = [np.sort(rows[fold::n_folds]) for fold in range(n_folds)]
    return [(np.setdiff1d(np.arange(len(codes)), fold), fold) for fold in folds]


def stratified_splits(y, n_folds, seed):
    """Stratified folds, as pairs of row numbers, with the only row of a class always learnt from and never tested.

    `n_folds` is at most the number of rows of the smallest class with two rows or more.
    """
    _, inverse, counts = np.unique(np.asarray(y), return_inverse=True, return_counts=True)
    single = np.flatnonzero(counts[inverse] == 1)
    rest = np.flatnonzero(counts[inverse] > 1)
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(rest, inverse[rest])
    return [(np.concatenate([rest[train], single]), rest[test]) for train, test in folds]


def scores_of_classes(estimator, X):
    """Decision function with one column per class, also for two classes."""
    scores = estimator.decision_function(X)
    return np.column_stack([-scores / 2, scores / 2]) if scores.ndim == 1 else scores


def probabilities(estimator, X):
    """Probabilities (n_samples, n_classes), of the decision function where the estimator gives none."""
    if hasattr(estimator, "predict_proba"):
        return estimator.predict_proba(X)
    return softmax(scores_of_classes(estimator, X), axis=1)


def _hits(prob, true):
    """Number of rows whose most probable class is the true one."""
    return (prob.argmax(axis=1) == true).sum()


def _log_likelihood(prob, true):
    """Sum over the rows of the log-probability of the true class."""
    return np.log(np.clip(prob[np.arange(len(true)), true], 1e-15, 1)).sum()


_GOODNESS = {"accuracy": _hits, "log_loss": _log_likelihood}
