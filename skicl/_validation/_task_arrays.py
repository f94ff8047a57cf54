"""Arrays of a context and its queries, of one task or of several: checked alike by all generators of tasks."""

import numpy as np


def as_batch(X_context, y_context, X_query, n_features):
    """The arrays (T, N, D), (T, N) and (T, Q, D), and whether they came as one task, without the axis T."""
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
