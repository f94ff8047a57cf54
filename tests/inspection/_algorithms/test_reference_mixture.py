"""Bayes predictor of mixtures: its limits are the Bayes predictors of the data sets."""

import numpy as np
import pytest

from skicl.datasets import make_linear_tasks
from skicl.inspection import mixture_bayes_predictor

D = 3


def test_one_gaussian_family_is_ridge_regression():
    tasks = make_linear_tasks(6, 20, D, noise=0.4, weight_scale=1.5, random_state=0)
    predict = mixture_bayes_predictor(np.zeros((1, D)), 1.5**2 * np.eye(D)[None], noise=0.4)
    for n in (0, 2, 10):
        split = tasks.X[:, :n], tasks.y[:, :n], tasks.X[:, 10:]
        for found, expected in zip(
            predict(*split, return_variance=True), tasks.bayes_predict(*split, return_variance=True)
        ):
            np.testing.assert_allclose(found, expected, atol=1e-9)


def test_families_of_single_weights_are_a_pool():
    tasks = make_linear_tasks(6, 20, D, noise=0.8, n_distinct=4, random_state=0)
    predict = mixture_bayes_predictor(tasks.pool, np.zeros((4, D, D)), noise=0.8)
    split = tasks.X[:, :5], tasks.y[:, :5], tasks.X[:, 5:]
    for found, expected in zip(
        predict(*split, return_variance=True), tasks.bayes_predict(*split, return_variance=True)
    ):
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_shares_decide_without_a_context():
    predict = mixture_bayes_predictor([[1.0], [-1.0]], np.zeros((2, 1, 1)), shares=[3, 1])
    empty = np.empty((1, 0, 1)), np.empty((1, 0)), np.ones((1, 1, 1))
    assert predict(*empty)[0, 0] == pytest.approx(0.5)


def test_knowing_the_families_beats_knowing_only_their_common_covariance():
    random = np.random.RandomState(0)
    signs = random.choice([-1.0, 1.0], size=(400, 1))
    weights = 3 * signs * np.ones(D) + 0.2 * random.standard_normal((400, D))
    X = random.standard_normal((400, 6, D))
    y = np.einsum("tnd,td->tn", X, weights) + 0.5 * random.standard_normal((400, 6))
    split = X[:, :2], y[:, :2], X[:, 2:]
    two = mixture_bayes_predictor([[3.0] * D, [-3.0] * D], 0.04 * np.eye(D) * np.ones((2, 1, 1)), noise=0.5)
    one = mixture_bayes_predictor(np.zeros((1, D)), (9 * np.ones((D, D)) + 0.04 * np.eye(D))[None], noise=0.5)
    errors = [((predict(*split) - y[:, 2:]) ** 2).mean() for predict in (two, one)]
    assert errors[0] < 0.95 * errors[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"covariances": np.eye(2)}, "`covariances`"),
        ({"shares": [1, 1]}, "`shares`"),
        ({"shares": [0]}, "`shares`"),
        ({"noise": 0}, "`noise`"),
        ({"noise": "0.1"}, "`noise`"),
        ({"noise": np.inf}, "`noise`"),
        ({"shares": [np.inf]}, "`shares`"),
        ({"means": [[np.nan, 0.0]]}, "`means` must hold finite numbers"),
        ({"covariances": -np.eye(2)[None]}, "`covariances` symmetric matrices without negative eigenvalues"),
        ({"covariances": [[[1.0, 0.5], [0.0, 1.0]]]}, "`covariances` symmetric"),
        ({"means": np.zeros((0, 2)), "covariances": np.zeros((0, 2, 2))}, "n_families"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        mixture_bayes_predictor(**({"means": np.zeros((1, 2)), "covariances": np.zeros((1, 2, 2))} | change))


def test_one_task_may_be_given_without_the_first_axis():
    predict = mixture_bayes_predictor(np.zeros((2, D)), np.stack([np.eye(D), 4 * np.eye(D)]), noise=0.4)
    tasks = make_linear_tasks(2, 9, D, random_state=0)
    together = predict(tasks.X[:, :6], tasks.y[:, :6], tasks.X[:, 6:], return_variance=True)
    alone = predict(tasks.X[1, :6], tasks.y[1, :6], tasks.X[1, 6:], return_variance=True)
    for one, both in zip(alone, together):
        np.testing.assert_allclose(one, both[1])
    with pytest.raises(ValueError, match="have the shapes"):
        predict(tasks.X[1, :6, :2], tasks.y[1, :6], tasks.X[1, 6:, :2])
