"""Logistic references: they go down the loss, and both end at the mode of the posterior."""

import numpy as np
from scipy.special import expit

from skicl.datasets import make_logistic_tasks
from skicl.datasets._logistic_posterior import find_mode
from skicl.inspection._algorithms import _reference_logistic as logistic

TASKS = make_logistic_tasks(5, 60, 3, scale=2.0, random_state=0)
SPLIT = TASKS.X[:, :40], TASKS.y[:, :40], TASKS.X[:, 40:]


def at_the_mode(X, y, X_query, scale):
    """By the independent solver of the data sets."""
    w = find_mode(scale * X * (2 * y - 1)[:, :, None])
    return expit(scale * np.einsum("tqd,td->tq", X_query, w))


def test_no_step_is_a_half():
    for predict in (logistic.gradient_descent, logistic.newton):
        assert (predict(*SPLIT, n_steps=0, scale=2.0) == 0.5).all()


def test_few_newton_steps_and_many_of_gradient_descent_reach_the_mode():
    expected = at_the_mode(*SPLIT, 2.0)
    np.testing.assert_allclose(logistic.newton(*SPLIT, n_steps=8, scale=2.0), expected, atol=1e-8)
    np.testing.assert_allclose(logistic.gradient_descent(*SPLIT, n_steps=3000, scale=2.0), expected, atol=1e-6)
    assert np.abs(logistic.gradient_descent(*SPLIT, n_steps=8, scale=2.0) - expected).max() > 1e-3


def test_newton_reaches_the_mode_of_steep_separable_tasks():
    steep = make_logistic_tasks(5, 20, 6, scale=10.0, random_state=1)
    split = steep.X[:, :8], steep.y[:, :8], steep.X[:, 8:]
    np.testing.assert_allclose(logistic.newton(*split, n_steps=100, scale=10.0), at_the_mode(*split, 10.0), atol=1e-6)


def test_every_step_lowers_the_loss():
    X, y, _ = SPLIT
    for predict in (logistic.gradient_descent, logistic.newton):
        # Predictions for the rows themselves show the fit: no weight is so large that the prior would rule.
        losses = [
            -np.log(np.where(y == 1, p, 1 - p)).sum(axis=1)
            for p in (predict(X, y, X, n_steps=k, scale=2.0) for k in range(4))
        ]
        assert (np.diff(losses, axis=0) < 0).all()


def test_flipped_labels_flip_the_probabilities():
    X, y, X_query = SPLIT
    for predict in (logistic.gradient_descent, logistic.newton):
        np.testing.assert_allclose(
            predict(X, 1 - y, X_query, n_steps=3, scale=2.0),
            1 - predict(X, y, X_query, n_steps=3, scale=2.0),
            atol=1e-12,
        )
