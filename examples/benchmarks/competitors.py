"""Classifiers on labelled vectors, each set up as a careful practitioner would set it up."""

from itertools import product

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from tuning import Tempered, best_calibration

from skicl._command_line._baseline import Tuned, dealt_folds, goodness, scores_of_classes, tuned_logistic_regression


def build_logistic_regression():
    return LogisticRegression(max_iter=1000)


def build_tuned_logistic_regression():
    """Seven values of C, chosen by log-loss: better in accuracy and log-loss than the choice by accuracy."""
    return tuned_logistic_regression()


def build_accuracy_tuned_lr():
    """The same, chosen by accuracy, as GridSearchCV and LogisticRegressionCV do unless told otherwise."""
    return tuned_logistic_regression(criterion="accuracy")


def build_discriminant_analysis():
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")


def build_centroid():
    return Tempered(NearestMean())


def build_neighbours():
    counts = (35, 25, 15, 11, 7, 5, 3, 1)
    return Tuned(CappedNeighbours(), [{"n_neighbors": count} for count in counts], criterion="accuracy")


def build_gaussian_process():
    """Amplitude and width by held-out log-loss: maximal marginal likelihood gives up on few rows in many columns."""
    candidates = [{"variance": variance, "width": width} for variance in (10, 1000, 100000) for width in (1, 2)]
    return Tuned(LaplaceProcess(), candidates, criterion="log_loss")


def build_forest():
    return RandomForestClassifier(n_estimators=100, random_state=0)


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


class LaplaceProcess(ClassifierMixin, BaseEstimator):
    """Gaussian process by Laplace's approximation, one class against the rest, with a fixed radial kernel.

    The width is relative to the root of the mean squared distance of the rows, variance that of the latent function.
    """

    def __init__(self, variance=10, width=1):
        self.variance = variance
        self.width = width

    def fit(self, X, y):
        X = np.asarray(X, dtype=np.float64)
        width = self.width * max(np.sqrt(2 * X.var(axis=0).sum()), np.finfo(float).tiny)
        kernel = ConstantKernel(self.variance) * RBF(width)
        self.process_ = GaussianProcessClassifier(kernel, optimizer=None).fit(X, y)
        self.classes_ = self.process_.classes_
        return self

    def predict_proba(self, X):
        return self.process_.predict_proba(X)

    def predict(self, X):
        return self.process_.predict(X)


class TunedSVM(ClassifierMixin, BaseEstimator):
    """RBF support vector machine: C and width by 5-fold accuracy, probabilities by a calibration.

    The distances between the rows are computed once for all candidates, which changes no result. The
    calibration is fitted on the held-out scores of the chosen candidate, see `best_calibration`.
    """

    costs = (0.1, 1, 10, 100)
    widths = (0.1, 0.3, 1, 3)  # in units of scikit-learn's gamma="scale"

    def fit(self, X, y):
        self.rows_ = np.asarray(X, dtype=np.float64)
        scale = 1 / max(self.rows_.shape[1] * self.rows_.var(), np.finfo(float).tiny)
        distances = euclidean_distances(self.rows_, squared=True)
        kernels = {width * scale: np.exp(-width * scale * distances) for width in self.widths}
        folds = dealt_folds(y)
        best, cost, self.gamma_, held_out = -1, 1, scale, []
        for candidate in product(self.costs, kernels) if folds else ():
            scores = list(_held_out_by_kernel(candidate[0], kernels[candidate[1]], y, folds))
            hits = goodness(scores, "accuracy")
            if hits > best:
                best, (cost, self.gamma_), held_out = hits, candidate, scores
        self.svm_ = SVC(C=cost, kernel="precomputed").fit(np.exp(-self.gamma_ * distances), y)
        self.classes_ = self.svm_.classes_
        self.calibration_ = best_calibration(held_out)
        return self

    def decision_function(self, X):
        distances = euclidean_distances(np.asarray(X, dtype=np.float64), self.rows_, squared=True)
        return scores_of_classes(self.svm_, np.exp(-self.gamma_ * distances))

    def predict_proba(self, X):
        return self.calibration_(self.decision_function(X))

    def predict(self, X):
        return self.classes_[self.decision_function(X).argmax(axis=1)]


def _held_out_by_kernel(cost, kernel, y, folds):
    """`held_out_scores` of a support vector machine, from the kernel matrix of all rows."""
    for train, test in folds:
        fitted = SVC(C=cost, kernel="precomputed").fit(kernel[np.ix_(train, train)], y[train])
        scores = scores_of_classes(fitted, kernel[np.ix_(test, train)])
        yield scores, np.searchsorted(fitted.classes_, y[test])
