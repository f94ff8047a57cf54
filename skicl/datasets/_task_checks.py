"""Checks shared by the generators of tasks: counts, numbers, choices, arrays of a context and its queries."""

from numbers import Integral, Real

import numpy as np

from skicl._validation._wording import did_you_mean


def check_count(value, parameter, smallest=1):
    """Refuse anything but an integer of at least `smallest`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < smallest:
        raise ValueError(f"`{parameter}` must be an integer of at least {smallest}, got {value!r}.")


def check_number(value, parameter, low, high=np.inf, *, open_low=False):
    """Refuse anything but a finite number between `low` and `high`."""
    number = isinstance(value, Real) and not isinstance(value, bool) and np.isfinite(value)
    if not number or value > high or value < low or (open_low and value == low):
        bound = f"{'above' if open_low else 'at least'} {low}" + ("" if high == np.inf else f" and at most {high}")
        raise ValueError(f"`{parameter}` must be a number {bound}, got {value!r}.")


def check_choice(value, parameter, choices):
    """Refuse anything but one of some strings."""
    if not (isinstance(value, str) and value in choices):
        raise ValueError(
            f"`{parameter}` must be one of {', '.join(map(repr, choices))}, got {value!r}."
            + did_you_mean(value, choices)
        )


def as_batch(X_context, y_context, X_query, n_features):
    """Arrays of one task or of several as arrays of several, and whether there was one.

    Returns
    -------
    X_context : ndarray of shape (n_tasks, n_context, n_features)
    y_context : ndarray of shape (n_tasks, n_context)
    X_query : ndarray of shape (n_tasks, n_query, n_features)
    single : bool
    """
    X_context, y_context = np.asarray(X_context, dtype=float), np.asarray(y_context)
    if y_context.dtype.kind not in "biuf":
        raise ValueError(f"`y_context` must hold numbers, got {y_context.dtype}.")
    X_query = np.asarray(X_query, dtype=float)
    single = X_query.ndim == 2
    if single:
        X_context, y_context, X_query = X_context[None], y_context[None], X_query[None]
    fits = X_query.ndim == 3 and X_context.ndim == 3 and y_context.shape == X_context.shape[:2]
    if not fits or len(X_query) != len(X_context) or {X_query.shape[2], X_context.shape[2]} != {n_features}:
        raise ValueError(
            f"`X_context`, `y_context` and `X_query` have the shapes {X_context.shape}, {y_context.shape} and "
            f"{X_query.shape} (one task in front where there was one only); expected (n_tasks, n_context, "
            f"{n_features}), (n_tasks, n_context) and (n_tasks, n_query, {n_features})."
        )
    for name, values in [("X_context", X_context), ("y_context", y_context), ("X_query", X_query)]:
        if not np.isfinite(values).all():
            raise ValueError(f"`{name}` must hold finite numbers, got NaN or infinity.")
    return X_context, y_context, X_query, single
