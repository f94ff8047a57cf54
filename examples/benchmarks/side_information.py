"""Competitors that read more than labelled rows: vectors of the class names, or unlabelled rows.

Rows without a label carry None, or -1 where labels are integers, as `few_shot_curve(n_unlabelled=...)` gives
them. They are part of the training rows of every fold and are never held out.
"""

import numpy as np
from competitors import build_logistic_regression
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.metrics.pairwise import cosine_similarity, euclidean_distances
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from skicl._command_line._baseline import PENALTIES, choose, dealt_folds, goodness, probabilities

# Sentence encoders are trained on the softmax of cosines times 20 (MultipleNegativesRankingLoss).
COSINE_SCALE = 20.0
WORDS = (
    "violin", "harbour", "cement", "orchid", "ladder", "pepper", "glacier", "button", "falcon", "velvet", "kettle",
    "tunnel", "amber", "walnut", "compass", "drizzle", "marble", "saddle", "lantern", "thistle", "anchor", "copper",
    "meadow", "needle",
)  # fmt: skip


def unrelated_words(n_classes):
    """Names that say nothing: so many different words, or pairs of words."""
    n = len(WORDS)
    return [WORDS[i] if i < n else f"{WORDS[i // n]} {WORDS[i % n]}" for i in range(n_classes)]


class NearestName(ClassifierMixin, BaseEstimator):
    """The class whose name is most similar to the row: no label is used, the context only says which classes exist."""

    def __init__(self, names):
        self.names = names

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.vectors_ = np.stack([self.names[label] for label in self.classes_])
        return self

    def predict_proba(self, X):
        return softmax(COSINE_SCALE * cosine_similarity(X, self.vectors_), axis=1)

    def predict(self, X):
        return self.classes_[cosine_similarity(X, self.vectors_).argmax(axis=1)]


class NamesAsExamples(ClassifierMixin, BaseEstimator):
    """Tuned logistic regression, each class having its name as one more example.

    Seven values of C by log-loss, on folds of the real rows. The names are part of the training rows of every
    fold, so that the only row of a class can be held out as well.
    """

    def __init__(self, names):
        self.names = names

    def fit(self, X, y):
        classes = np.unique(y)
        extra = len(y) + np.arange(len(classes))
        X = np.concatenate([X, [self.names[label] for label in classes]])
        folds = [(np.append(train, extra), test) for train, test in dealt_folds(y, hold_out_single=True)]
        y = np.concatenate([y, classes])
        best = choose(build_logistic_regression(), PENALTIES, X, y, "log_loss", folds)
        self.best_params_ = best
        self.regression_ = build_logistic_regression().set_params(**best).fit(X, y)
        self.classes_ = self.regression_.classes_
        return self

    def predict_proba(self, X):
        return self.regression_.predict_proba(X)

    def predict(self, X):
        return self.regression_.predict(X)


class FromUnlabelledRows(ClassifierMixin, BaseEstimator):
    """Base of the competitors that read unlabelled rows: the candidate with the best held-out log-loss.

    `candidates(X, y)` gives scikit-learn estimators that take codes 0, 1, ... of classes and -1 for unknown.
    """

    def fit(self, X, y):
        unknown = np.array([label is None for label in y]) if y.dtype == object else y == -1
        self.classes_ = np.unique(y[~unknown].astype(str) if y.dtype == object else y[~unknown])
        codes = np.full(len(y), -1)
        codes[~unknown] = np.searchsorted(self.classes_, y[~unknown].astype(self.classes_.dtype))
        candidates = self.candidates(X, codes)
        if len(candidates) > 1:
            losses = [-self._held_out(candidate, X, codes) for candidate in candidates]
            candidates = [candidates[int(np.argmin(losses))]]
        self.best_estimator_ = candidates[0].fit(X, codes)
        return self

    def predict_proba(self, X):
        return self.best_estimator_.predict_proba(X)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    @staticmethod
    def _held_out(estimator, X, codes):
        """Log-likelihood of held-out labels."""
        labelled, unlabelled = np.flatnonzero(codes >= 0), np.flatnonzero(codes < 0)
        total = 0.0
        for train, test in dealt_folds(codes[labelled]):
            rows, held_out = np.append(labelled[train], unlabelled), labelled[test]
            fitted = clone(estimator).fit(X[rows], codes[rows])
            total += goodness([(probabilities(fitted, X[held_out]), codes[held_out])], "log_loss")
        return total


class SelfTraining(FromUnlabelledRows):
    """Tuned logistic regression that goes on to learn from its own confident guesses on the unlabelled rows.

    C is tuned on the labelled rows, then the probability from which a guess counts as a label, or whether any does:
    more often than not the guesses do harm. The first candidate is plain tuned logistic regression.
    """

    thresholds = (0.8, 0.5)

    def candidates(self, X, codes):
        known = codes >= 0
        best = choose(build_logistic_regression(), PENALTIES, X[known], codes[known], "log_loss")
        plain = SelfTrainingClassifier(build_logistic_regression().set_params(**best), max_iter=0)
        return [plain, *(clone(plain).set_params(threshold=value, max_iter=10) for value in self.thresholds)]


class Spreading(FromUnlabelledRows):
    """Label spreading over a radial kernel, its width relative to the mean squared distance of the rows."""

    widths = (3, 10, 30)
    softness = (0.2, 0.8)  # how far the labelled rows may be overruled

    def candidates(self, X, codes):
        scale = euclidean_distances(X, squared=True).mean()
        return [
            LabelSpreading(gamma=width / scale, alpha=alpha, max_iter=30)
            for width in self.widths
            for alpha in self.softness
        ]
