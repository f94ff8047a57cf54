"""The set of references: what belongs to it, and what each does to labels."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils import Bunch

from skicl.datasets import make_boolean_function, make_linear_tasks, make_logistic_tasks
from skicl.inspection import reference_predictors

LINEAR = make_linear_tasks(6, 30, 4, random_state=0)
LOGISTIC = make_logistic_tasks(6, 30, 4, random_state=0)
BOOLEAN = make_boolean_function("conjunction", 6, 30, 5, random_state=0)


def cut(tasks, n=20):
    return tasks.X[:, :n], tasks.y[:, :n], tasks.X[:, n:]


@pytest.mark.parametrize("tasks", [LINEAR, LOGISTIC, BOOLEAN], ids=["linear", "logistic", "boolean"])
def test_all_predict_finite_numbers_for_every_query_and_permuted_tasks_alike(tasks):
    split, order = cut(tasks), np.array([3, 1, 5, 0, 2, 4])
    for name, predict in reference_predictors(tasks).items():
        found = predict(*split)
        assert found.shape == (6, 10)
        assert np.isfinite(found).all()
        if tasks is not LINEAR:
            assert found.min() >= 0
            assert found.max() <= 1
        if not (tasks is LOGISTIC and name == "bayes"):  # which draws
            np.testing.assert_allclose(predict(*(part[order] for part in split)), found[order], atol=1e-9)


def test_names_follow_the_kind_of_tasks():
    shared = {
        "mean",
        "averaging",
        "knn_3",
        "least_squares",
        "ridge",
        "gd_1",
        "gd_8",
        "gd_64",
        "newton_2",
        "newton_4",
        "bayes",
    }
    assert set(reference_predictors(LINEAR)) == shared
    assert set(reference_predictors(LOGISTIC)) == shared | {"logistic_regression"}
    chosen = reference_predictors(Bunch(X=LINEAR.X, y=LINEAR.y), gd_steps=[3], newton_steps=[], n_neighbors=2)
    assert set(chosen) == {"mean", "averaging", "knn_2", "least_squares", "ridge", "gd_3"}


def test_ridge_is_bayes_for_linear_gaussian_tasks():
    found = reference_predictors(LINEAR)
    np.testing.assert_allclose(found["ridge"](*cut(LINEAR)), found["bayes"](*cut(LINEAR)), atol=1e-8)


def test_nearest_neighbours_are_those_of_scikit_learn():
    X, y, X_query = cut(LOGISTIC)
    expected = [KNeighborsClassifier(3).fit(*task[:2]).predict_proba(task[2])[:, 1] for task in zip(X, y, X_query)]
    np.testing.assert_allclose(reference_predictors(LOGISTIC)["knn_3"](X, y, X_query), expected)
    few = reference_predictors(LOGISTIC)["knn_3"](X[:, :2], y[:, :2], X_query)
    np.testing.assert_allclose(few, np.repeat(y[:, :2].mean(axis=1)[:, None], 10, axis=1))


def test_bayes_of_boolean_tasks_beats_the_linear_references():
    parity = make_boolean_function("parity", 20, 40, 5, random_state=0)
    split = cut(parity, 15)
    hits = {
        name: ((predict(*split) > 0.5) == parity.y[:, 15:]).mean()
        for name, predict in reference_predictors(parity).items()
    }
    assert hits.pop("bayes") > 0.95
    assert max(hits.values()) < 0.75


def test_bits_are_read_with_a_constant():
    """Which a disjunction needs that is true almost everywhere."""
    tasks = make_boolean_function("disjunction", 10, 80, 4, balanced=False, random_state=0)
    X, y, X_query = cut(tasks, 60)
    fit = reference_predictors(tasks)["logistic_regression"](X, y, X_query)
    assert ((fit > 0.5) == tasks.y[:, 60:]).mean() > 0.9


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"gd_steps": 3}, "gd_steps"),
        ({"newton_steps": [-1]}, "newton_steps"),
        ({"n_neighbors": 0}, "n_neighbors"),
        ({"penalty": -1}, "penalty"),
        ({"penalty": "1"}, "penalty"),
        ({"penalty": np.inf}, "penalty"),
        ({"gd_steps": None}, "gd_steps"),
        ({"gd_steps": [True]}, "gd_steps"),
    ],
)
def test_parameters_out_of_range_are_refused(change, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        reference_predictors(LINEAR, **change)


def test_labels_other_than_0_and_1_are_refused():
    with pytest.raises(ValueError, match="labels 0 and 1"):
        reference_predictors(Bunch(X=LINEAR.X, y=np.full((6, 30), 2)))


def test_an_iterator_of_steps_is_read_once():
    assert "gd_3" in reference_predictors(LINEAR, gd_steps=iter([3]))


@pytest.mark.parametrize("tasks", [None, 3, LINEAR.X, "tasks"])
def test_other_objects_are_refused(tasks):
    with pytest.raises(TypeError, match="`tasks` must be a Bunch with X and y"):
        reference_predictors(tasks)


def test_labels_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="`tasks` must have numbers in y, got <U5"):
        reference_predictors(Bunch(X=LOGISTIC.X, y=(LOGISTIC.y > 0).astype(str)))
