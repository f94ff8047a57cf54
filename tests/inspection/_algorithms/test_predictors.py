"""Models of every kind become functions of arrays; tasks become contexts and queries."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import LinearSVC
from sklearn.utils import Bunch

from skicl import TartClassifier
from skicl.datasets import make_linear_tasks, make_logistic_tasks
from skicl.inspection._algorithms._predictors import (
    as_layered_predictor,
    as_predictor,
    check_predictions,
    name_of,
    predict_means,
    split_tasks,
)
from skicl.reasoning import EquivariantConfig, EquivariantReasoner, Reasoner

TASKS = make_logistic_tasks(70, 16, 3, random_state=0)
SPLIT = split_tasks(TASKS, [4, 8], smallest=1)


@pytest.fixture(scope="module")
def reasoner():
    network = EquivariantReasoner(EquivariantConfig(n_layers=2))
    network.reset_parameters(torch.Generator().manual_seed(0))
    return network


def test_queries_are_the_points_after_the_longest_context():
    np.testing.assert_array_equal(SPLIT.X_query, TASKS.X[:, 8:])
    np.testing.assert_array_equal(SPLIT.y_query, TASKS.y[:, 8:])
    X, y, X_query = SPLIT.at(4)
    np.testing.assert_array_equal(X, TASKS.X[:, :4])
    np.testing.assert_array_equal(y, TASKS.y[:, :4])
    assert X_query is SPLIT.X_query
    assert split_tasks(TASKS, None, smallest=2).n_ctx.tolist() == [2, 4, 8]
    assert split_tasks(TASKS, 5, smallest=2).n_ctx.tolist() == [5]


def test_targets_tell_the_kind_of_tasks():
    assert SPLIT.classification
    assert not split_tasks(make_linear_tasks(3, 6, 2, random_state=0), 3, smallest=1).classification


def test_a_reasoner_is_asked_all_tasks_like_each_alone(reasoner):
    """There are more tasks than are read at a time."""
    together = as_predictor(reasoner)(*SPLIT.at(8))
    assert together.shape == (70, 8)
    assert np.ptp(together) > 0.01
    for i in (0, 63, 64, 69):
        alone = as_predictor(reasoner)(*(part[i : i + 1] for part in SPLIT.at(8)))
        np.testing.assert_allclose(alone[0], together[i], atol=1e-5)


def test_the_last_layer_is_the_prediction(reasoner):
    layers = as_layered_predictor(reasoner)(*SPLIT.at(8))
    assert layers.shape == (2, 70, 8)
    np.testing.assert_allclose(layers[-1], as_predictor(reasoner)(*SPLIT.at(8)), atol=1e-6)
    assert np.abs(layers[0] - layers[1]).max() > 0.01


def test_classifiers_are_fitted_to_every_task():
    some = [part[:5] for part in SPLIT.at(8)]
    found = as_predictor(TartClassifier())(*some)
    for predicted, X, y, X_query in zip(found, *some):
        expected = (y.sum() + 1) / 10
        if len(set(y)) > 1:
            expected = TartClassifier().fit(X, y).predict_proba(X_query)[:, 1]
        np.testing.assert_allclose(predicted, expected)


def test_a_single_label_leaves_the_rule_of_succession():
    X, _, X_query = SPLIT.at(4)
    found = as_predictor(LogisticRegression())(X, np.ones((70, 4), dtype=int), X_query)
    np.testing.assert_allclose(found, 5 / 6)


def test_regressors_predict_targets():
    tasks = make_linear_tasks(4, 20, 3, noise=0.0, random_state=0)
    split = split_tasks(tasks, 10, smallest=1)
    np.testing.assert_allclose(as_predictor(LinearRegression())(*split.at(10)), split.y_query, atol=1e-8)


def test_of_means_and_variances_the_means_count():
    zeros = np.zeros(SPLIT.y_query.shape)
    np.testing.assert_array_equal(predict_means(lambda *arrays: (zeros, zeros + 1), SPLIT, 4), zeros)


class OneLayer(Reasoner):
    """A reasoner that shows its answers only."""

    def encode(self, evidence, *, chunk_rows=None):
        return ()

    def score(self, context, X, side=None):
        return X


def test_other_objects_are_refused():
    with pytest.raises(TypeError, match="`model` must be a reasoner"):
        as_predictor("gd_8")
    for model in (OneLayer(), 3):
        with pytest.raises(TypeError, match="predict after every layer"):
            as_layered_predictor(model)
    with pytest.raises(TypeError, match="`tasks` must be a Bunch"):
        split_tasks(TASKS.X, None, smallest=1)
    with pytest.raises(TypeError, match="`model` is the class LogisticRegression"):
        as_predictor(LogisticRegression)
    with pytest.raises(ValueError, match="`tasks` has an X"):
        split_tasks(Bunch(X=TASKS.X[0], y=TASKS.y[0]), None, smallest=1)


@pytest.mark.parametrize("n_ctx", [[0, 4], [4, 16], [], ["4"], [2.0], True])
def test_lengths_without_context_or_queries_are_refused(n_ctx):
    with pytest.raises(ValueError, match="`n_ctx` must hold lengths from 2 to 15"):
        split_tasks(TASKS, n_ctx, smallest=2)


def test_predictions_of_another_shape_or_missing_are_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 3\)"):
        check_predictions(np.zeros((3, 2)), (2, 3))
    with pytest.raises(ValueError, match="1 missing"):
        check_predictions([[0.0, np.nan]], (1, 2))


def test_models_have_names(reasoner):
    assert name_of(reasoner) == "EquivariantReasoner"
    assert name_of(check_predictions) == name_of(partial(check_predictions, shape=())) == "check_predictions"


@pytest.mark.parametrize("name", ["X", "y"])
def test_tasks_with_missing_numbers_are_refused(name):
    """Before a model is blamed for what it predicts from them."""
    tasks = Bunch(X=TASKS.X.copy(), y=TASKS.y.astype(float))
    tasks[name].flat[3] = np.nan
    with pytest.raises(ValueError, match="`tasks` must hold finite numbers"):
        split_tasks(tasks, 4, smallest=1)


def test_tasks_that_are_too_short_are_refused():
    short = make_linear_tasks(4, 3, 2, random_state=0)
    assert split_tasks(short, 2, smallest=2).n_ctx.tolist() == [2]
    with pytest.raises(ValueError, match="`n_ctx`=None means powers of two"):
        split_tasks(short, None, smallest=1)
    with pytest.raises(ValueError, match="`tasks` has 3 points"):
        split_tasks(short, None, smallest=3)
    with pytest.raises(ValueError, match="`n_ctx` must hold lengths"):
        split_tasks(TASKS, 4.0, smallest=1)


def test_a_classifier_without_probabilities_needs_two_labels_too():
    X, y = np.ones((1, 3, 2)), np.ones((1, 3), dtype=int)
    np.testing.assert_allclose(as_predictor(LinearSVC())(X, y, X[:, :2]), 4 / 5)
    two = as_predictor(LinearSVC())(*SPLIT.at(8))
    assert set(np.unique(two)) - {1 / 10, 9 / 10} == {0, 1}
