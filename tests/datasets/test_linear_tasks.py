"""Linear tasks: statistics of the parameters, and a reference that nothing beats."""

import pickle

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.linear_model import LinearRegression, Ridge

from skicl.datasets import make_linear_tasks


def split(tasks, n_context):
    return tasks.X[:, :n_context], tasks.y[:, :n_context], tasks.X[:, n_context:], tasks.y[:, n_context:]


def squared_error(prediction, y):
    return ((prediction - y) ** 2).mean()


def test_statistics_are_those_of_the_parameters():
    tasks = make_linear_tasks(400, 50, 6, noise=0.7, weight_scale=2.0, random_state=0)
    assert (tasks.X.shape, tasks.y.shape, tasks.weights.shape) == ((400, 50, 6), (400, 50), (400, 6))
    residual = tasks.y - np.einsum("tnd,td->tn", tasks.X, tasks.weights)
    assert residual.std() == pytest.approx(0.7, rel=0.03)
    assert tasks.weights.std() == pytest.approx(2.0, rel=0.05)
    assert tasks.X.std() == pytest.approx(1.0, rel=0.01)
    assert tasks.pool is None


@pytest.mark.parametrize("condition_number", [1.0, 100.0])
def test_rows_have_the_condition_number_and_mean_variance_one(condition_number):
    tasks = make_linear_tasks(3, 20_000, 4, condition_number=condition_number, random_state=0)
    covariances = [np.cov(X.T) for X in tasks.X]
    for covariance in covariances:
        values = np.linalg.eigvalsh(covariance)
        assert values[-1] / values[0] == pytest.approx(condition_number, rel=0.1)
        assert values.mean() == pytest.approx(1, rel=0.05)
    if condition_number > 1:
        assert np.abs(covariances[0] - covariances[1]).max() > 0.1, "axes differ from task to task"


def test_the_reference_is_ridge_regression():
    tasks = make_linear_tasks(5, 12, 8, noise=0.5, weight_scale=2.0, random_state=0)
    X, y, Q, _ = split(tasks, 6)
    ridge = [Ridge(alpha=0.25 / 4, fit_intercept=False).fit(a, b).predict(c) for a, b, c in zip(X, y, Q)]
    np.testing.assert_allclose(tasks.bayes_predict(X, y, Q), ridge, atol=1e-10)


@pytest.mark.parametrize("n_context", [0, 3, 9])
def test_mean_and_variance_are_those_of_the_joint_gaussian(n_context):
    """Brute force: condition the Gaussian of all targets on those of the context."""
    tasks = make_linear_tasks(4, 12, 5, noise=0.6, weight_scale=1.5, condition_number=9, random_state=1)
    X, y, Q, _ = split(tasks, n_context)
    mean, variance = tasks.bayes_predict(X, y, Q, return_variance=True)
    for i in range(4):
        joint = 1.5**2 * tasks.X[i] @ tasks.X[i].T + 0.36 * np.eye(12)
        A, B, C = joint[:n_context, :n_context], joint[n_context:, :n_context], joint[n_context:, n_context:]
        gain = B @ np.linalg.inv(A)
        np.testing.assert_allclose(mean[i], gain @ y[i], atol=1e-10)
        np.testing.assert_allclose(variance[i], np.diag(C - gain @ B.T), atol=1e-10)


@pytest.mark.parametrize("n_context", [3, 8, 15])
def test_without_noise_it_is_the_shortest_least_squares_solution(n_context):
    tasks = make_linear_tasks(6, 20, 8, noise=0.0, random_state=0)
    X, y, Q, target = split(tasks, n_context)
    shortest = np.einsum("tqd,tdn,tn->tq", Q, np.linalg.pinv(X), y)
    mean, variance = tasks.bayes_predict(X, y, Q, return_variance=True)
    np.testing.assert_allclose(mean, shortest, atol=1e-6)
    if n_context >= 8:
        np.testing.assert_allclose(mean, target, atol=1e-6)
        np.testing.assert_allclose(variance, 0, atol=1e-12)


def test_nothing_beats_the_reference():
    tasks = make_linear_tasks(300, 40, 8, noise=1.0, random_state=0)
    X, y, Q, target = split(tasks, 10)
    best = squared_error(tasks.bayes_predict(X, y, Q), target)
    others = [LinearRegression(fit_intercept=False), Ridge(0.2, fit_intercept=False), Ridge(5.0, fit_intercept=False)]
    for model in others:
        prediction = np.array([model.fit(a, b).predict(c) for a, b, c in zip(X, y, Q)])
        assert squared_error(prediction, target) > best


def test_the_variance_is_the_mean_squared_error():
    for n_distinct in (None, 5):
        tasks = make_linear_tasks(3000, 8, 4, noise=0.8, n_distinct=n_distinct, random_state=0)
        X, y, Q, target = split(tasks, 3)
        mean, variance = tasks.bayes_predict(X, y, Q, return_variance=True)
        assert squared_error(mean, target) == pytest.approx(variance.mean(), rel=0.07)


def test_a_pool_is_a_finite_number_of_tasks():
    tasks = make_linear_tasks(200, 10, 4, n_distinct=3, random_state=0)
    assert tasks.pool.shape == (3, 4)
    assert len(np.unique(tasks.weights, axis=0)) == 3
    assert {tuple(w) for w in tasks.weights} == {tuple(w) for w in tasks.pool}


def test_the_posterior_over_a_pool_is_that_of_brute_force():
    tasks = make_linear_tasks(5, 9, 3, noise=0.9, n_distinct=4, random_state=2)
    X, y, Q, _ = split(tasks, 5)
    expected = []
    for a, b, c in zip(X, y, Q):
        likelihood = np.array([multivariate_normal(a @ w, 0.81 * np.eye(5)).pdf(b) for w in tasks.pool])
        expected.append(c @ (likelihood / likelihood.sum() @ tasks.pool))
    np.testing.assert_allclose(tasks.bayes_predict(X, y, Q), expected, atol=1e-10)


def test_who_knows_the_pool_beats_ridge_regression():
    tasks = make_linear_tasks(800, 12, 8, noise=0.5, n_distinct=6, random_state=0)
    X, y, Q, target = split(tasks, 4)
    ridge = np.array([Ridge(0.25, fit_intercept=False).fit(a, b).predict(c) for a, b, c in zip(X, y, Q)])
    assert squared_error(tasks.bayes_predict(X, y, Q), target) < 0.5 * squared_error(ridge, target)


def test_one_task_order_of_the_context_and_pickle():
    tasks = make_linear_tasks(3, 20, 5, random_state=0)
    X, y, Q, _ = split(tasks, 15)
    whole = tasks.bayes_predict(X, y, Q)
    np.testing.assert_allclose(tasks.bayes_predict(X[1], y[1], Q[1]), whole[1], atol=1e-12)
    np.testing.assert_allclose(tasks.bayes_predict(X[:, ::-1], y[:, ::-1], Q), whole, atol=1e-12)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(tasks)).bayes_predict(X, y, Q), whole)


def test_equal_seeds_equal_tasks():
    first, second, other = (make_linear_tasks(4, 6, 3, n_distinct=2, random_state=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.y, second.y)
    assert np.abs(first.y - other.y).max() > 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_tasks": 0}, "`n_tasks` must be an integer of at least 1, got 0"),
        ({"noise": -1.0}, "`noise` must be a number of at least 0, got -1.0"),
        ({"weight_scale": 0.0}, "`weight_scale` must be a number above 0"),
        ({"condition_number": 0.5}, "`condition_number` must be a number of at least 1"),
        ({"n_distinct": 3, "noise": 0.0}, "`n_distinct` needs a positive `noise`"),
        ({"n_distinct": 0}, "`n_distinct` must be an integer"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_linear_tasks(**arguments)
