"""The classifiers of the few-shot benchmarks, each set up as a careful practitioner would set it up.

Few-shot contexts break the ready-made tools: a class with a single row is missing from the training part of
the fold that holds the row, which the grid search of scikit-learn turns into warnings, errors or a score of
nan. Here the folds are dealt class by class, and the only row of a class is always learnt from and never held
out. All choices are deterministic. Ties go to the first candidate, the most regularised one.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC


class Method(NamedTuple):
    """One line of the tables: key on the command line, name for people, largest context it can afford."""

    key: str
    label: str
    build: Callable
    max_k: float = np.inf
    is_default: bool = True


def methods():
    """All competitors, in the order of the tables."""
    return (
        Method("tart", "TartClassifier", build_tart),
        Method("tuned-lr", "Tuned LR", build_tuned_logistic_regression),
        Method("tuned-lr-accuracy", "Tuned LR (accuracy)", build_accuracy_tuned_lr, is_default=False),
        Method("lr", "LR (C=1)", lambda: LogisticRegression(max_iter=1000)),
        Method("lda", "LDA (shrinkage)", build_discriminant_analysis),
        Method("centroid", "Nearest centroid", lambda: Tempered(NearestMean())),
        Method("knn", "kNN (tuned)", build_neighbours),
        Method("svm", "SVM-RBF (tuned)", TunedSVM, is_default=False),
        Method("gp", "Gaussian process", build_gaussian_process, max_k=128, is_default=False),
        Method("forest", "Random forest", build_forest, is_default=False),
    )


def build_tart():
    from skicl import TartClassifier

    return TartClassifier()


def tart_with(path):
    """TartClassifier with the weights of a file, under the name of the file."""

    def build():
        from skicl import TartClassifier

        return TartClassifier(reasoner=path)

    return Method(f"tart:{path.stem}", f"TartClassifier ({path.stem})", build)


def build_tuned_logistic_regression():
    """Seven values of C, chosen by log-loss: better in accuracy and log-loss than the choice by accuracy."""
    candidates = [{"C": C} for C in np.logspace(-2, 4, 7)]
    return Tuned(LogisticRegression(max_iter=1000), candidates, criterion="log_loss")


def build_accuracy_tuned_lr():
    """The same, chosen by accuracy, as GridSearchCV and LogisticRegressionCV do unless told otherwise."""
    return build_tuned_logistic_regression().set_params(criterion="accuracy")


def build_discriminant_analysis():
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")


def build_neighbours():
    counts = (35, 25, 15, 11, 7, 5, 3, 1)
    return Tuned(CappedNeighbours(), [{"n_neighbors": count} for count in counts], criterion="accuracy")


def build_gaussian_process():
    return GaussianProcessClassifier(ConstantKernel(10.0) * RBF(1.0))


def build_forest():
    return RandomForestClassifier(n_estimators=300, random_state=0)


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
    """Probabilities from a decision function: softmax at the temperature that suits held-out rows best.

    As for Platt scaling, the targets are smoothed by one imaginary row per class, so that a few
    held-out rows that happen to be classified correctly do not lead to certainty.
    """

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y):
        self.estimator_ = clone(self.estimator).fit(X, y)
        self.classes_ = self.estimator_.classes_
        held_out = list(held_out_scores(self.estimator, X, y, scores_of_classes))
        self.temperature_ = _temperature(held_out) if held_out else 1.0
        return self

    def predict_proba(self, X):
        return softmax(scores_of_classes(self.estimator_, X) / self.temperature_, axis=1)

    def predict(self, X):
        return self.classes_[scores_of_classes(self.estimator_, X).argmax(axis=1)]


class NearestMean(ClassifierMixin, BaseEstimator):
    """Log-densities, up to a constant, of round Gaussians around the class means.

    Their common variance is the variance within the classes, or between the means where each class
    has one row. scikit-learn's NearestCentroid has probabilities of its own, but divides every feature
    by its spread there and not in `predict`.
    """

    def fit(self, X, y):
        X = np.asarray(X, dtype=np.float64)
        self.classes_, codes = np.unique(y, return_inverse=True)
        self.means_ = np.stack([X[codes == code].mean(axis=0) for code in range(len(self.classes_))])
        spread = ((X - self.means_[codes]) ** 2).sum() / max(len(X) - len(self.means_), 1)
        if spread == 0:
            spread = self.means_.var(axis=0).sum()
        self.variance_ = max(spread / X.shape[1], np.finfo(float).tiny)
        return self

    def decision_function(self, X):
        X = np.asarray(X, dtype=np.float64)
        products = X @ self.means_.T - (self.means_**2).sum(axis=1) / 2
        return products / self.variance_

    def predict(self, X):
        return self.classes_[self.decision_function(X).argmax(axis=1)]


class CappedNeighbours(ClassifierMixin, BaseEstimator):
    """Distance-weighted nearest neighbours, at most as many as there are rows."""

    def __init__(self, n_neighbors=1):
        self.n_neighbors = n_neighbors

    def fit(self, X, y):
        count = min(self.n_neighbors, len(y))
        self.neighbours_ = KNeighborsClassifier(count, weights="distance").fit(X, y)
        self.classes_ = self.neighbours_.classes_
        return self

    def predict_proba(self, X):
        return self.neighbours_.predict_proba(X)

    def predict(self, X):
        return self.neighbours_.predict(X)


class TunedSVM(ClassifierMixin, BaseEstimator):
    """RBF support vector machine: C and width by cross-validation, probabilities by a temperature."""

    def fit(self, X, y):
        scale = 1 / max(X.shape[1] * X.var(), np.finfo(float).tiny)
        candidates = [{"C": C, "gamma": g * scale} for C in (0.1, 1, 10, 100) for g in (0.1, 0.3, 1, 3)]
        self.best_params_ = choose(SVC(C=1, gamma=scale), candidates, X, y, "accuracy")
        self.tempered_ = Tempered(SVC(C=1, gamma=scale).set_params(**self.best_params_)).fit(X, y)
        self.classes_ = self.tempered_.classes_
        return self

    def predict_proba(self, X):
        return self.tempered_.predict_proba(X)

    def predict(self, X):
        return self.tempered_.predict(X)


def choose(estimator, candidates, X, y, criterion):
    """The candidate with the best held-out score, `{}` (keep everything) if no row can be held out."""
    if criterion not in _GOODNESS:
        raise ValueError(f"`criterion` must be one of {', '.join(_GOODNESS)}, got {criterion!r}.")
    if not dealt_folds(y):
        return {}
    totals = []
    for candidate in candidates:
        held_out = held_out_scores(clone(estimator).set_params(**candidate), X, y, _probabilities)
        totals.append(sum(_GOODNESS[criterion](prob, true) for prob, true in held_out))
    return candidates[int(np.argmax(totals))]


def held_out_scores(estimator, X, y, score):
    """For each fold: scores (rows, classes) and true columns (rows,) of the held-out rows."""
    for train, test in dealt_folds(y):
        fitted = clone(estimator).fit(X[train], y[train])
        yield score(fitted, X[test]), np.searchsorted(fitted.classes_, y[test])


def dealt_folds(y, n_folds=5):
    """Folds for classes of any size, as pairs of row numbers (train, test); none if all have one row.

    The rows are dealt to the folds like cards, one class after the other, in the order of the context:
    each fold gets its share of every class, to the nearest row. The only row of a class is always
    learnt from and never held out, so that every fold knows every class.
    """
    _, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    rows = np.argsort(codes, kind="stable")
    rows = rows[counts[codes[rows]] > 1]
    n_folds = min(n_folds, len(rows))
    folds = [np.sort(rows[fold::n_folds]) for fold in range(n_folds)]
    return [(np.setdiff1d(np.arange(len(codes)), fold), fold) for fold in folds]


def scores_of_classes(estimator, X):
    """Decision function with one column per class, also for two classes."""
    scores = estimator.decision_function(X)
    return np.column_stack([-scores / 2, scores / 2]) if scores.ndim == 1 else scores


def _probabilities(estimator, X):
    if hasattr(estimator, "predict_proba"):
        return estimator.predict_proba(X)
    return softmax(scores_of_classes(estimator, X), axis=1)


def _hits(prob, true):
    return (prob.argmax(axis=1) == true).sum()


def _log_likelihood(prob, true):
    return np.log(np.clip(prob[np.arange(len(true)), true], 1e-15, 1)).sum()


_GOODNESS = {"accuracy": _hits, "log_loss": _log_likelihood}


def _temperature(held_out):
    """Temperature of least smoothed cross-entropy on held-out scores, from a grid relative to their spread."""
    n_rows = sum(len(true) for _, true in held_out)
    spread = np.mean([scores.std(axis=1).mean() for scores, _ in held_out]) or 1.0
    grid = spread * np.logspace(-2, 2, 41)
    losses = [sum(_smoothed_loss(scores / t, true, n_rows) for scores, true in held_out) for t in grid]
    return grid[int(np.argmin(losses))]


def _smoothed_loss(logits, true, n_rows):
    n_classes = logits.shape[1]
    targets = np.full(logits.shape, 1 / (n_rows + n_classes))
    targets[np.arange(len(true)), true] += n_rows / (n_rows + n_classes)
    return -(targets * log_softmax(logits, axis=1)).sum()
