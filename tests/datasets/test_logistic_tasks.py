"""Logistic tasks: labels as probable as said, and a reference that is calibrated and that nothing beats."""

import pickle

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit, log_expit
from sklearn.linear_model import LogisticRegression

from skicl.datasets import make_logistic_tasks
from skicl.datasets._logistic_tasks import logistic_posterior


def log_loss(probability, y):
    p = np.clip(probability, 1e-12, 1 - 1e-12)
    return -np.where(y == 1, np.log(p), np.log(1 - p)).mean()


def split(tasks, n_context):
    return tasks.X[:, :n_context], tasks.y[:, :n_context], tasks.X[:, n_context:], tasks.y[:, n_context:]


def test_labels_follow_the_weights():
    tasks = make_logistic_tasks(400, 50, 4, scale=2.0, random_state=0)
    assert (tasks.X.shape, tasks.y.shape) == ((400, 50, 4), (400, 50))
    assert set(np.unique(tasks.y)) == {0, 1}
    np.testing.assert_allclose(tasks.probability, expit(2.0 * np.einsum("tnd,td->tn", tasks.X, tasks.weights)))
    for low in np.arange(0, 1, 0.2):
        inside = (tasks.probability >= low) & (tasks.probability < low + 0.2)
        assert tasks.y[inside].mean() == pytest.approx(tasks.probability[inside].mean(), abs=0.03)
    assert tasks.y.mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_in_one_dimension_it_is_the_integral(scale):
    tasks = make_logistic_tasks(4, 7, 1, scale=scale, random_state=0)
    X, y, Q, _ = split(tasks, 5)
    mine = tasks.bayes_predict(X, y, Q, n_chains=300, n_draws=40)
    for i in range(4):

        def posterior(w, power, i=i, q=0.0):
            signs = 2 * y[i] - 1
            density = np.exp(-0.5 * w**2 + log_expit(scale * w * X[i, :, 0] * signs).sum())
            return density * expit(scale * w * q) ** power

        total = quad(posterior, -8, 8, args=(0,), limit=400, points=[0])[0]
        for j, q in enumerate(Q[i, :, 0]):
            value = quad(lambda w, q=q: posterior(w, 1, q=q), -8, 8, limit=400, points=[0])[0] / total
            assert mine[i, j] == pytest.approx(value, abs=0.01)


def test_without_context_every_label_is_equally_probable():
    tasks = make_logistic_tasks(3, 10, 5, random_state=0)
    np.testing.assert_allclose(tasks.bayes_predict(*split(tasks, 0)[:3], n_draws=200), 0.5, atol=0.03)


@pytest.mark.parametrize(("n_context", "scale"), [(6, 10.0), (40, 2.0)])
def test_nothing_beats_the_reference_and_it_is_calibrated(n_context, scale):
    tasks = make_logistic_tasks(100, n_context + 10, 4, scale=scale, random_state=0)
    X, y, Q, target = split(tasks, n_context)
    bayes = tasks.bayes_predict(X, y, Q)
    assert log_loss(tasks.probability[:, n_context:], target) < log_loss(bayes, target)
    for C in (0.3, 3.0, 100.0):
        model = LogisticRegression(C=C, fit_intercept=False, max_iter=500)
        other = [
            model.fit(a, b).predict_proba(c)[:, 1] if len(set(b)) > 1 else np.full(10, b.mean())
            for a, b, c in zip(X, y, Q)
        ]
        assert log_loss(bayes, target) < log_loss(np.array(other), target)
    confident = bayes > 0.8
    assert target[confident].mean() == pytest.approx(bayes[confident].mean(), abs=0.04)


def test_more_context_is_better():
    tasks = make_logistic_tasks(50, 60, 3, random_state=1)
    losses = [
        log_loss(tasks.bayes_predict(tasks.X[:, :n], tasks.y[:, :n], tasks.X[:, 50:]), tasks.y[:, 50:])
        for n in (0, 3, 10, 50)
    ]
    assert losses == sorted(losses, reverse=True)


def test_one_task_blocks_of_tasks_and_pickle(monkeypatch):
    tasks = make_logistic_tasks(6, 30, 3, random_state=0)
    X, y, Q, _ = split(tasks, 25)
    whole = tasks.bayes_predict(X, y, Q, n_chains=100, n_draws=40)
    np.testing.assert_allclose(tasks.bayes_predict(X[2], y[2], Q[2], n_chains=100, n_draws=40), whole[2], atol=0.04)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(tasks)).bayes_predict(X, y, Q, 100, 40), whole)
    monkeypatch.setattr("skicl.datasets._logistic_tasks.TRIPLES_AT_A_TIME", 1)
    in_blocks = logistic_posterior(X, y, Q, 100, 40, scale=tasks.scale, n_features=3)
    np.testing.assert_allclose(in_blocks, whole, atol=0.04)


def test_equal_seeds_equal_tasks_and_predictions():
    first, second = (make_logistic_tasks(2, 9, 3, random_state=4) for _ in range(2))
    np.testing.assert_array_equal(first.X, second.X)
    predictions = [tasks.bayes_predict(*split(tasks, 5)[:3]) for tasks in (first, second)]
    np.testing.assert_array_equal(*predictions)


def test_errors():
    with pytest.raises(ValueError, match="`scale` must be a number above 0"):
        make_logistic_tasks(scale=0)
    tasks = make_logistic_tasks(2, 9, 3)
    with pytest.raises(ValueError, match="`y_context` must hold 0 and 1"):
        tasks.bayes_predict(tasks.X, 2 * tasks.y - 1, tasks.X)
    with pytest.raises(ValueError, match="`n_chains` must be an integer"):
        tasks.bayes_predict(tasks.X, tasks.y, tasks.X, n_chains=0)
