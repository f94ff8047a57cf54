"""Scores by name: those of this package, and those of scikit-learn with their sign."""

import warnings
from collections.abc import Mapping

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score, f1_score, get_scorer, get_scorer_names

from skicl.evaluation._metrics import brier_score, expected_calibration_error

_CLIP = 1e-15  # a probability of zero for what happened costs 34.5 nats, not infinity
# Where less is better. Every other score is better the larger it is, as all scorers of scikit-learn are.
_LOSSES = frozenset({"log_loss", "brier", "ece", "ece_quantile", "fit_seconds", "predict_seconds", "seconds"})

# Fields of a record that are no scores.
_RESERVED = frozenset({"dataset", "task", "estimator", "k", "repeat", "n_classes", "n_queries"})
_RESERVED |= {"fit_seconds", "predict_seconds"}


def check_scoring(scoring, classes):
    """The score of each name, as a dict; names that are no scores, or no scores of these classes, are refused.

    `classes` (n_classes,) are sorted.
    """
    if isinstance(scoring, str) or not len(scoring):
        raise ValueError(f"`scoring` must be a sequence of at least one name of a score, got {scoring!r}.")
    scores = dict(scoring) if isinstance(scoring, Mapping) else {name: name for name in scoring}
    for name, score in scores.items():
        if not isinstance(name, str) or name in _RESERVED or (name in _OWN and score != name):
            raise ValueError(
                f"`scoring`: a score cannot be called {name!r}. Pass scorers of your own by names of your own, such as "
                "{'cost': make_scorer(...)}."
            )
        if callable(score):
            continue
        if score not in _OWN and score not in get_scorer_names():
            raise ValueError(
                f"`scoring` must hold names out of {', '.join(_OWN)}, or of scikit-learn's scorers for classifiers "
                f"(sklearn.metrics.get_scorer_names), got {score!r}."
            )
        _try_score(score, classes)
    return scores


def score_of(score, y, prob, classes):
    """One score, a name or a scorer, of probabilities (n_samples, n_classes) and true classes y (n_samples,).

    `classes` (n_classes,) are sorted, one for each column. A scorer is called with a classifier of these probabilities
    and row numbers.
    """
    if isinstance(score, str) and score in _OWN:
        return float(_OWN[score](y, prob, classes))
    return float(get_scorer(score)(_KnownProbabilities(prob, classes), np.arange(len(y)), y))


def is_loss(score):
    """Whether less of a score is better."""
    return score in _LOSSES


def in_words(score):
    """A score as it is called in a sentence, without its sign."""
    plain = score.removeprefix("neg_").removesuffix("_score")
    return {"log_loss": "log-loss", "ece": "ECE", "brier": "Brier score"}.get(plain, plain.replace("_", " "))


def _try_score(name, classes):
    """Find out before any fit whether a score can tell these classes: score a perfect classifier, one row a class."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            score_of(name, classes, np.eye(len(classes)), classes)
    except (IndexError, TypeError, ValueError) as error:
        raise ValueError(
            f"`scoring`: {name!r} cannot score the {len(classes)} classes {', '.join(map(repr, classes[:3].tolist()))}"
            f"{', ...' if len(classes) > 3 else ''}: {error} Scores of two classes often have a form for more, such as "
            "'f1_macro' or 'roc_auc_ovr'."
        ) from error


class _KnownProbabilities(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose probabilities are known, for the scorers of scikit-learn to ask."""

    def __init__(self, prob, classes):
        self.prob = prob
        self.classes = classes
        self.classes_ = classes

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        return self.prob[X]

    def predict(self, X):
        return self.classes_[self.prob[X].argmax(axis=1)]


def _accuracy(y, prob, classes):
    """Share of rows (n_samples,) whose most probable class is the true one."""
    return accuracy_score(y, classes[prob.argmax(axis=1)])


def _macro_f1(y, prob, classes):
    """Mean F1 score of the classes that occur."""
    predicted = classes[prob.argmax(axis=1)]
    return f1_score(y, predicted, labels=np.unique(y), average="macro", zero_division=0)


def _log_loss(y, prob, classes):
    """Mean negative log-probability of the true class, in nats."""
    of_true = prob[np.arange(len(y)), np.searchsorted(classes, y)]
    return -np.log(np.clip(of_true, _CLIP, 1)).mean()


def _negative_log_loss(y, prob, classes):
    """The log-loss with the sign of scikit-learn."""
    return -_log_loss(y, prob, classes)


def _brier(y, prob, classes):
    """Brier score, summed over the classes."""
    return brier_score(y, prob, labels=classes)


def _negative_brier(y, prob, classes):
    """The Brier score with the sign and scale of scikit-learn."""
    # scikit-learn counts two classes once and more than two in full.
    return -_brier(y, prob, classes) / (2 if len(classes) == 2 else 1)


def _ece(y, prob, classes):
    """Expected calibration error with bins of equal width."""
    return expected_calibration_error(y, prob, labels=classes)


def _ece_quantile(y, prob, classes):
    """Expected calibration error with bins of equal mass."""
    return expected_calibration_error(y, prob, labels=classes, strategy="quantile")


_OWN = {
    "accuracy": _accuracy,
    "macro_f1": _macro_f1,
    "log_loss": _log_loss,
    "neg_log_loss": _negative_log_loss,
    "brier": _brier,
    "neg_brier_score": _negative_brier,
    "ece": _ece,
    "ece_quantile": _ece_quantile,
}
