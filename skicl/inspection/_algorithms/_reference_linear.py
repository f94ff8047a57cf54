"""Linear predictors by least squares, exactly or by a few steps of an iteration, for many tasks at once.

All start from weights of zero and are functions of the spectrum of ``X'X``: where an iteration would shrink the error
along an axis step by step, the result of all steps is written down. Iterative Newton inverts ``X'X`` by the scheme of
Schulz, as in Fu et al. (2024), "Transformers achieve higher-order optimization methods for in-context linear
regression".

Shapes: T tasks, N rows of the context, Q queries, D features.
"""

import numpy as np

# Squared singular values below this share of the largest count as zero.
NEGLIGIBLE = 1e-10


def ridge(X, y, X_query, *, penalty):
    """Minimiser of the squared error plus `penalty` times the squared weights; the shortest one where penalty is 0."""
    return _predict(X, y, X_query, lambda values, _: 1 / (values + penalty))


def least_squares(X, y, X_query):
    """The shortest weights of least squares."""
    return ridge(X, y, X_query, penalty=0.0)


def gradient_descent(X, y, X_query, *, n_steps, learning_rate=None):
    """Steps down half the summed squared error, each of `learning_rate` or else of one over its largest curvature."""

    def inverse(values, largest):
        remaining = 1 - values * (1 / largest if learning_rate is None else learning_rate)
        return _removed_share(remaining, n_steps) / values

    return _predict(X, y, X_query, inverse)


def newton(X, y, X_query, *, n_steps):
    """Steps ``M <- 2 M - M S M`` towards the inverse of ``S = X'X``, from S over the square of its largest value."""
    return _predict(
        X, y, X_query, lambda values, largest: _removed_share(1 - (values / largest) ** 2, 2**n_steps) / values
    )


def averaging(X, y, X_query):
    """The mean of the rows times their targets as weights."""
    return np.einsum("tqd,td->tq", X_query, np.einsum("tnd,tn->td", X, y) / X.shape[1])


def _predict(X, y, X_query, inverse):
    """Predictions (T, Q) of the weights ``g(X'X) X'y``; `inverse` takes eigenvalues and the largest, and gives g."""
    values, axes = np.linalg.eigh(np.einsum("tnd,tne->tde", X, X))
    largest = values[:, -1:]
    seen = (values > NEGLIGIBLE * largest) & (largest > 0)
    factors = np.where(seen, inverse(np.where(seen, values, 1.0), np.where(largest > 0, largest, 1.0)), 0.0)
    along = np.einsum("tde,tnd,tn->te", axes, X, y) * factors
    return np.einsum("tqd,tde,te->tq", X_query, axes, along)


def _removed_share(remaining, n_steps):
    """``1 - remaining ** n_steps``: the share of the error that steps remove, exact also where it is tiny."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        tiny_too = -np.expm1(n_steps * np.log(np.maximum(remaining, 0.0)))
        return np.where(remaining > 0, tiny_too, 1 - remaining ** float(n_steps))
