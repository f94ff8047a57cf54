"""Linear references against explicit loops, and the laws that tie them together."""

import numpy as np
import pytest

from skicl.datasets import make_linear_tasks
from skicl.inspection._algorithms import _reference_linear as linear

# Enough rows that X'X is well conditioned, for laws about many steps; and fewer rows than features.
TASKS = make_linear_tasks(7, 50, 4, noise=0.5, random_state=0)
SPLIT = TASKS.X[:, :40], TASKS.y[:, :40], TASKS.X[:, 40:]
SHORT = TASKS.X[:, :2], TASKS.y[:, :2], TASKS.X[:, 40:]


def by_hand(X, y, X_query, update, n_steps):
    """Predictions of weights to which `update` is applied, task by task."""
    found = []
    for rows, targets, queries in zip(X, y, X_query):
        w = np.zeros(rows.shape[1])
        for _ in range(n_steps):
            w = update(w, rows, targets)
        found.append(queries @ w)
    return np.stack(found)


@pytest.mark.parametrize("split", [SPLIT, SHORT])
@pytest.mark.parametrize("n_steps", [0, 1, 5])
def test_gradient_descent_is_the_loop(split, n_steps):
    def step(w, X, y):
        return w - X.T @ (X @ w - y) / np.linalg.eigvalsh(X.T @ X)[-1]

    np.testing.assert_allclose(
        linear.gradient_descent(*split, n_steps=n_steps), by_hand(*split, step, n_steps), atol=1e-10
    )


def test_gradient_descent_with_a_rate_of_its_own_even_if_it_overshoots():
    for rate in (0.001, 0.05):

        def step(w, X, y, rate=rate):
            return w - rate * X.T @ (X @ w - y)

        found = linear.gradient_descent(*SPLIT, n_steps=7, learning_rate=rate)
        np.testing.assert_allclose(found, by_hand(*SPLIT, step, 7), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n_steps", [0, 1, 3])
def test_newton_is_the_iteration_of_schulz(n_steps):
    found = []
    for X, y, X_query in zip(*SPLIT):
        S = X.T @ X
        M = S / np.linalg.norm(S, 2) ** 2
        for _ in range(n_steps):
            M = 2 * M - M @ S @ M
        found.append(X_query @ M @ X.T @ y)
    np.testing.assert_allclose(linear.newton(*SPLIT, n_steps=n_steps), found, atol=1e-10)


@pytest.mark.parametrize("split", [SPLIT, SHORT])
def test_least_squares_is_the_shortest_solution(split):
    expected = [q @ np.linalg.lstsq(X, y, rcond=None)[0] for X, y, q in zip(*split)]
    np.testing.assert_allclose(linear.least_squares(*split), expected, atol=1e-8)


def test_many_steps_of_gradient_descent_and_few_of_newton_are_least_squares():
    exact = linear.least_squares(*SPLIT)
    np.testing.assert_allclose(linear.gradient_descent(*SPLIT, n_steps=3000), exact, atol=1e-6)
    np.testing.assert_allclose(linear.newton(*SPLIT, n_steps=12), exact, atol=1e-6)
    assert np.abs(linear.gradient_descent(*SPLIT, n_steps=12) - exact).max() > 1e-6


def test_ridge_is_the_posterior_mean():
    penalty = TASKS.noise**2 / TASKS.weight_scale**2
    for split in (SPLIT, SHORT):
        np.testing.assert_allclose(linear.ridge(*split, penalty=penalty), TASKS.bayes_predict(*split), atol=1e-8)


def test_averaging_is_one_step_of_gradient_descent_of_the_mean_error():
    n = SPLIT[0].shape[1]
    np.testing.assert_allclose(
        linear.averaging(*SPLIT), linear.gradient_descent(*SPLIT, n_steps=1, learning_rate=1 / n), atol=1e-10
    )


def test_rows_of_zeros_teach_nothing():
    X, y, X_query = SPLIT
    for predict in (linear.least_squares, linear.averaging):
        assert not predict(np.zeros_like(X), y, X_query).any()
