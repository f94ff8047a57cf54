"""Draws from the logistic posterior: its mode, and its moments by quadrature."""

import numpy as np
import pytest
from scipy.special import log_expit

from skicl.datasets._logistic_posterior import find_mode, posterior_draws


def on_a_grid(X, y, scale, half_width=5.0, n=401):
    """Points of the plane and the normalised posterior there, for D = 2."""
    axis = np.linspace(-half_width, half_width, n)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    margins = scale * (points @ X.T) * (2 * y - 1)
    log_density = -0.5 * (points**2).sum(axis=1) + log_expit(margins).sum(axis=1)
    density = np.exp(log_density - log_density.max())
    return points, density / density.sum()


def task(n, seed, scale, d=2):
    random = np.random.RandomState(seed)
    X, w = random.standard_normal((n, d)), random.standard_normal(d)
    return X, (random.random_sample(n) < 1 / (1 + np.exp(-scale * X @ w))).astype(int)


@pytest.mark.parametrize(("n", "scale"), [(0, 10.0), (1, 10.0), (20, 10.0), (60, 3.0)])
def test_moments_are_those_of_quadrature(n, scale):
    X, y = task(n, 0, scale)
    points, density = on_a_grid(X, y, scale)
    draws = posterior_draws(X[None], y[None], scale, 400, 40, np.random.RandomState(0))
    flat = draws[:, 0].reshape(-1, 2)
    mean = density @ points
    spread = np.sqrt(density @ (points - mean) ** 2)
    # Of draws worth 1,500 independent ones, the errors are within 3 standard errors.
    assert np.abs(flat.mean(axis=0) - mean).max() < 0.08 * spread.max()
    np.testing.assert_allclose(flat.std(axis=0), spread, rtol=0.06)


def test_draws_of_a_wide_context_are_worth_many_independent_ones():
    """Two runs agree on probabilities: chains that hardly move would not."""
    tasks = [task(40, seed, 10.0, d=10) for seed in range(8)]
    X, y = np.array([X for X, _ in tasks]), np.array([y for _, y in tasks])
    queries = np.random.RandomState(1).standard_normal((10, 30))
    runs = [
        1 / (1 + np.exp(-10.0 * posterior_draws(X, y, 10.0, 32, 20, np.random.RandomState(s)) @ queries))
        for s in (0, 1)
    ]
    difference = runs[0].mean(axis=(0, 2)) - runs[1].mean(axis=(0, 2))
    # Independent draws, 640 in each run and each close to 0 or 1, would differ by about 0.02.
    assert np.sqrt((difference**2).mean()) < 0.04


def test_the_mode_has_no_slope():
    tasks = [task(30, seed, 10.0, d=5) for seed in range(20)]
    signed = np.array([10.0 * X * (2 * y - 1)[:, None] for X, y in tasks])
    w = find_mode(signed)
    slope = np.einsum("tnd,tn->td", signed, 1 / (1 + np.exp(np.einsum("tnd,td->tn", signed, w)))) - w
    assert np.abs(slope).max() < 1e-6


def test_tasks_do_not_mix():
    """The draws of a task have its own moments, whatever else is drawn with it."""
    (X, y), (X2, y2) = task(10, 1, 5.0), task(10, 2, 5.0)
    draws = posterior_draws(np.array([X, X2]), np.array([y, y2]), 5.0, 200, 50, np.random.RandomState(0))
    for i, (a, b) in enumerate([(X, y), (X2, y2)]):
        points, density = on_a_grid(a, b, 5.0)
        np.testing.assert_allclose(draws[:, i].reshape(-1, 2).mean(axis=0), density @ points, atol=0.04)
