"""The Bayes predictor of the logistic tasks: against quadrature, where that is possible."""

import math

import numpy as np
import pytest
import torch
from benchmark_modules import load
from scipy.special import expit, log_expit, logsumexp

bayes = load("logistic_bayes")


def drawn_task(n_rows, n_features, alpha, seed):
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(1, n_rows, n_features, generator=generator, dtype=torch.float64)
    v = alpha * torch.randn(1, n_features, 1, generator=generator, dtype=torch.float64)
    y = (torch.rand(1, n_rows, generator=generator) < torch.sigmoid((X @ v)[..., 0])).long()
    return X, y, torch.randn(1, 7, n_features, generator=generator, dtype=torch.float64)


def by_quadrature(X, y, X_query, alpha, n_nodes=401):
    """Predictive probabilities and log evidence of a task in one or two dimensions, by a grid over the prior."""
    d = X.shape[-1]
    nodes = np.linspace(-7, 7, n_nodes) * alpha
    grid = np.stack(np.meshgrid(*[nodes] * d), -1).reshape(-1, d)
    log_prior = -0.5 * (grid**2).sum(1) / alpha**2 - d * math.log(alpha * math.sqrt(2 * math.pi))
    margins = (2 * y[0].numpy() - 1) * (grid @ X[0].numpy().T)
    log_joint = log_prior + log_expit(margins).sum(1)
    total = logsumexp(log_joint)
    predictive = np.exp(log_joint - total) @ expit(grid @ X_query[0].numpy().T)
    return predictive, total + d * math.log(nodes[1] - nodes[0])


@pytest.mark.parametrize(("n_rows", "n_features", "alpha"), [(3, 1, 10.0), (20, 1, 0.5), (12, 2, 5.0), (40, 2, 1.0)])
def test_predictions_and_evidence_are_those_of_quadrature(n_rows, n_features, alpha):
    X, y, X_query = drawn_task(n_rows, n_features, alpha, seed=n_rows)
    alphas = [0.5 * alpha, alpha]
    found = bayes.bayes_predictions(X, y, X_query, alphas, n_draws=1500)
    for at, candidate in enumerate(alphas):
        predictive, evidence = by_quadrature(X, y, X_query, candidate)
        np.testing.assert_allclose(found.known[0, at], predictive, atol=0.015)
        assert found.log_evidence[0, at].item() == pytest.approx(evidence, abs=0.02)


def test_sixteen_dimensions_with_rows_on_one_line():
    """Only the component along the line has a likelihood, the others keep their prior: quadrature again."""
    alpha, rng = 5.0, np.random.default_rng(0)
    direction = rng.normal(size=16)
    direction /= np.linalg.norm(direction)
    positions = rng.normal(size=(1, 30, 1))
    y = torch.from_numpy((rng.random((1, 30)) < expit(2.0 * positions[..., 0])).astype(np.int64))
    X = torch.from_numpy(positions * direction)
    X_query = torch.from_numpy(rng.normal(size=(1, 5, 16)))
    found = bayes.bayes_predictions(X, y, X_query, [alpha], n_draws=3000)

    nodes = np.linspace(-7, 7, 2001) * alpha
    log_joint = -0.5 * (nodes / alpha) ** 2 + log_expit(
        (2 * y[0].numpy() - 1) * np.outer(nodes, positions[0, :, 0])
    ).sum(1)
    weights = np.exp(log_joint - logsumexp(log_joint))
    evidence = logsumexp(log_joint) + math.log((nodes[1] - nodes[0]) / alpha / math.sqrt(2 * math.pi))
    along = X_query[0].numpy() @ direction
    across = alpha * np.sqrt((X_query[0].numpy() ** 2).sum(1) - along**2)
    noise, mass = np.polynomial.hermite_e.hermegauss(80)
    for query in range(5):
        p = expit(nodes[:, None] * along[query] + across[query] * noise) @ mass / mass.sum()
        assert found.known[0, 0, query].item() == pytest.approx(weights @ p, abs=0.015)
    assert found.log_evidence.item() == pytest.approx(evidence, abs=0.05)


def test_without_rows_the_posterior_is_the_prior():
    X_query = torch.randn(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    empty = torch.zeros(2, 0, 3, dtype=torch.float64)
    found = bayes.bayes_predictions(empty, torch.zeros(2, 0), X_query, [1.0, 4.0], n_draws=2000)
    np.testing.assert_allclose(found.known, 0.5, atol=0.02)
    np.testing.assert_allclose(found.log_evidence, 0.0, atol=0.01)
    np.testing.assert_allclose(found.mixed(), found.known.mean(1), atol=0.005)


def test_the_evidence_tells_noisy_tasks_from_sharp_ones():
    for at, alpha in enumerate((0.3, 8.0)):
        X, y, X_query = drawn_task(150, 4, alpha, seed=5)
        found = bayes.bayes_predictions(X, y, X_query, [0.3, 8.0], n_draws=200)
        assert found.log_evidence[0].argmax() == at
        np.testing.assert_allclose(found.mixed(), found.known[:, at], atol=0.01)
