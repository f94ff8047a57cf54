"""Models and tasks in the form in which they are compared: functions of arrays, contexts and queries.

Shapes: T tasks, N rows of the context, Q queries, L layers.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from sklearn.base import clone, is_classifier

from skicl._validation._scalars import is_integer
from skicl.inspection._algorithms._reference_predictors import is_classification
from skicl.reasoning import Evidence, Reasoner

# Tasks that a reasoner reads at a time, to bound memory.
TASKS_AT_A_TIME = 64


class Split(NamedTuple):
    """Tasks cut into contexts and queries; the queries are the same at every length of the context."""

    X: np.ndarray  # (T, longest, D)
    y: np.ndarray  # (T, longest)
    X_query: np.ndarray  # (T, Q, D)
    y_query: np.ndarray  # (T, Q)
    n_ctx: np.ndarray  # (lengths,)
    classification: bool

    def at(self, n):
        """What a predictor is given of contexts of n rows."""
        return self.X[:, :n], self.y[:, :n], self.X_query


def split_tasks(tasks, n_ctx, *, smallest):
    """The Split of tasks. None as `n_ctx` means all powers of two that leave half of the points as queries."""
    if not all(hasattr(tasks, name) and name in tasks for name in ("X", "y")):
        raise TypeError(
            f"`tasks` must be a Bunch with X and y, such as make_logistic_tasks returns, got {type(tasks).__name__}."
        )
    classification = is_classification(tasks)
    X, y = _check_arrays(tasks)
    lengths = _check_lengths(n_ctx, X.shape[1], smallest)
    longest = lengths[-1]
    return Split(X[:, :longest], y[:, :longest], X[:, longest:], y[:, longest:], np.array(lengths), classification)


def _check_arrays(tasks):
    """X (T, n_points, D) and y (T, n_points) of tasks."""
    X, y = np.asarray(tasks.X, dtype=float), np.asarray(tasks.y)
    if X.ndim != 3 or y.shape != X.shape[:2] or len(X) < 2:
        raise ValueError(
            f"`tasks` has an X of shape {X.shape} and a y of shape {y.shape}; expected (n_tasks, "
            "n_points, n_features) and (n_tasks, n_points), with two tasks or more."
        )
    if not (np.isfinite(X).all() and np.isfinite(y).all()):
        raise ValueError("`tasks` must hold finite numbers in X and y, got NaN or infinity.")
    return X, y


def _check_lengths(n_ctx, n_points, smallest):
    """Lengths of the context in ascending order, each of which leaves a query."""
    if n_points <= smallest:
        raise ValueError(
            f"`tasks` has {n_points} points in each task, expected {smallest + 1} or more: a context and a query."
        )
    if n_ctx is None:
        n_ctx = [2**i for i in range(1, 64) if 2 ** (i + 1) <= n_points]
        if not n_ctx:
            raise ValueError(
                f"`n_ctx`=None means powers of two from 2 that leave half of the points, and `tasks` has "
                f"{n_points} points in each task. Give lengths, or tasks of 4 points or more."
            )
    lengths = list(n_ctx) if np.iterable(n_ctx) else [n_ctx]
    if not lengths or not all(is_integer(n) and smallest <= n < n_points for n in lengths):
        raise ValueError(
            f"`n_ctx` must hold lengths from {smallest} to {n_points - 1}, got {lengths}: the points "
            "after the longest context are the queries."
        )
    return sorted(lengths)


def as_predictor(model):
    """A function ``predict(X_context, y_context, X_query)`` that gives (T, Q), from whatever the model is."""
    if isinstance(model, Reasoner):
        return lambda X, y, X_query: _read_tasks(model, X, y, X_query, _score_last_layer)[0]
    if isinstance(model, type):
        raise TypeError(f"`model` is the class {model.__name__}. Pass an instance of it.")
    if hasattr(model, "fit") and (hasattr(model, "predict_proba") or hasattr(model, "predict")):
        return lambda X, y, X_query: np.stack([_fit_and_predict(model, *task) for task in zip(X, y, X_query)])
    if callable(model):
        return model
    raise TypeError(
        f"`model` must be a reasoner, a classifier or regressor, or a function of (X_context, y_context, "
        f"X_query), got {type(model).__name__}."
    )


def as_layered_predictor(model):
    """The same for predictions after every layer, (L, T, Q)."""
    # The method of the base class knows the last layer only.
    if isinstance(model, Reasoner) and type(model).score_all_layers is not Reasoner.score_all_layers:
        return lambda X, y, X_query: _read_tasks(model, X, y, X_query, _score_all_layers)
    if hasattr(model, "predict_all_layers"):
        return model.predict_all_layers
    if callable(model) and not isinstance(model, Reasoner):
        return model
    raise TypeError(
        f"`model` must predict after every layer: a reasoner with score_all_layers, a LinearAttentionStack, or a "
        f"function that gives an array of shape (n_layers, n_tasks, n_query); got {type(model).__name__}."
    )


def predict_means(predict, split, n):
    """Predictions (T, Q) at one length; of a pair of means and variances, the means."""
    predicted = predict(*split.at(n))
    if isinstance(predicted, tuple):
        predicted = predicted[0]
    return check_predictions(predicted, split.y_query.shape)


def check_predictions(predicted, shape):
    """Predictions as a float array of a shape, all finite."""
    predicted = np.asarray(predicted, dtype=float)
    if predicted.shape != shape or not np.isfinite(predicted).all():
        raise ValueError(
            f"`model` must predict finite numbers of shape {shape}, got shape {predicted.shape} with "
            f"{np.count_nonzero(~np.isfinite(predicted))} missing or infinite."
        )
    return predicted


def name_of(model):
    """What to call a model in reports."""
    while isinstance(model, partial):
        model = model.func
    return getattr(model, "__name__", type(model).__name__)


def _read_tasks(reasoner, X, y, X_query, score):
    """Probabilities of label 1, (L, T, Q), from the logits that `score` takes from a context."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(X), TASKS_AT_A_TIME):
            rows, labels, queries = (
                torch.as_tensor(np.ascontiguousarray(part[start : start + TASKS_AT_A_TIME])) for part in (X, y, X_query)
            )
            context = reasoner.encode(Evidence(rows, labels.long(), n_classes=2))
            logits = torch.stack(score(reasoner, context, queries))
            parts.append(logits.double().softmax(-1)[..., 1].numpy())
    return np.concatenate(parts, axis=1)


def _score_last_layer(reasoner, context, queries):
    return [reasoner.score(context, queries)]


def _score_all_layers(reasoner, context, queries):
    return reasoner.score_all_layers(context, queries)


def _fit_and_predict(estimator, X, y, X_query):
    """Predictions (Q,) for one task; a single label in the context leaves the rule of succession."""
    has_proba = hasattr(estimator, "predict_proba")
    if (has_proba or is_classifier(estimator)) and len(np.unique(y)) == 1:
        return np.full(len(X_query), (y.sum() + 1) / (len(y) + 2))
    fitted = clone(estimator).fit(X, y)
    return fitted.predict_proba(X_query)[:, 1] if has_proba else fitted.predict(X_query)
