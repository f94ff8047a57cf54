"""Logistic regression with a tuned penalty: the classifier that ``--evaluate`` compares with."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

# Inverse penalties, from almost constant predictions to almost no penalty for vectors of length around 1.
_CS = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0)
_FOLDS = 5


def stratified_splits(y, n_folds, seed):
    """Stratified folds in which a class with a single row is always learnt from and never tested.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Classes.
    n_folds : int
        Number of folds, at most the number of rows of the smallest class with two rows or more.
    seed : int
        Seed of the shuffling.

    Returns
    -------
    list of tuple of ndarray
        Row numbers of the training and the test part of each fold.
    """
    _, inverse, counts = np.unique(np.asarray(y), return_inverse=True, return_counts=True)
    single = np.flatnonzero(counts[inverse] == 1)
    rest = np.flatnonzero(counts[inverse] > 1)
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(rest, inverse[rest])
    return [(np.concatenate([rest[train], single]), rest[test]) for train, test in folds]


def tuned_logistic_regression(X, y, *, seed):
    """Logistic regression whose penalty has the best log-loss in an inner cross-validation.

    Seven values of C are tried in 5 folds, or as many as the smallest class with two rows allows.
    Where every class has a single row there is nothing to tune by, and C is 1.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Vectors.
    y : ndarray of shape (n_samples,)
        Classes.
    seed : int
        Seed of the inner folds.

    Returns
    -------
    LogisticRegression
        The fitted classifier.
    """
    classes, counts = np.unique(y, return_counts=True)
    n_folds = min(_FOLDS, min(counts[counts > 1], default=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the largest C, on separable classes
        best = 1.0
        if n_folds:
            losses = np.zeros(len(_CS))
            for train, test in stratified_splits(y, n_folds, seed):
                model = LogisticRegression(
                    max_iter=1000, warm_start=True
                )  # each C starts from the one before
                for i, C in enumerate(_CS):
                    model.set_params(C=C).fit(X[train], y[train])
                    loss = log_loss(y[test], model.predict_proba(X[test]), labels=classes)
                    losses[i] += loss * len(test)
            best = _CS[int(losses.argmin())]
        return LogisticRegression(C=best, max_iter=1000).fit(X, y)
