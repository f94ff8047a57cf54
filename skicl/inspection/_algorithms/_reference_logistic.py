"""Logistic regression with standard normal weights, by steps of gradient descent or of Newton's method.

Both go down ``sum log(1 + exp(-scale * s_i x_i'w)) + |w|^2 / 2`` from weights of zero, with s the labels as signs:
minus the logarithm of the posterior, whose minimum is the regularised fit.

Shapes: T tasks, N rows of the context, Q queries, D features.
"""

import numpy as np
from scipy.special import expit

HALVINGS = 30
CONVERGED = 1e-10


def gradient_descent(X, y, X_query, *, n_steps, scale):
    """Probabilities (T, Q) after steps of one over a bound of the curvature each."""
    signed = _signed(X, y, scale)
    curvature = 1 + np.linalg.eigvalsh(np.einsum("tnd,tne->tde", signed, signed))[:, -1:] / 4
    w = np.zeros((len(X), X.shape[2]))
    for _ in range(n_steps):
        w = w + _slope(signed, w) / curvature
    return expit(scale * np.einsum("tqd,td->tq", X_query, w))


def newton(X, y, X_query, *, n_steps, scale):
    """Probabilities (T, Q) after Newton steps, each halved until it goes down."""
    signed = _signed(X, y, scale)
    w = np.zeros((len(X), X.shape[2]))
    for _ in range(n_steps):
        p = expit(np.einsum("tnd,td->tn", signed, w))
        precision = np.eye(X.shape[2]) + np.einsum("tnd,tn,tne->tde", signed, p * (1 - p), signed)
        step = np.linalg.solve(precision, _slope(signed, w)[:, :, None])[:, :, 0]
        if np.abs(step).max(initial=0) < CONVERGED:
            break
        w = w + _lengths(signed, w, step)[:, None] * step
    return expit(scale * np.einsum("tqd,td->tq", X_query, w))


def _lengths(signed, w, step):
    """Lengths (T,) of steps: 1, halved until the loss does not rise."""
    before, lengths = _loss(signed, w), np.ones(len(w))
    for _ in range(HALVINGS):
        rises = _loss(signed, w + lengths[:, None] * step) > before
        if not rises.any():
            break
        lengths[rises] /= 2
    return lengths


def _signed(X, y, scale):
    """Rows (T, N, D) times their labels as signs, so that each term of the loss depends on ``signed @ w``."""
    return scale * X * (2 * y - 1)[:, :, None]


def _slope(signed, w):
    """Downhill (T, D)."""
    return np.einsum("tnd,tn->td", signed, expit(-np.einsum("tnd,td->tn", signed, w))) - w


def _loss(signed, w):
    """The regularised loss (T,)."""
    return np.logaddexp(0, -np.einsum("tnd,td->tn", signed, w)).sum(axis=1) + 0.5 * (w**2).sum(axis=1)
