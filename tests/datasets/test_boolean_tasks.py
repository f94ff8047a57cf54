"""Boolean tasks: right values, balance, and a posterior equal to brute force over the class."""

import pickle
from itertools import product

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from skicl.datasets import make_boolean_function
from skicl.datasets._boolean_classes import KINDS, cube, enumerate_functions, evaluate

each_kind = pytest.mark.parametrize("kind", KINDS)


def split(tasks, n_context):
    return tasks.X[:, :n_context], tasks.y[:, :n_context], tasks.X[:, n_context:], tasks.y[:, n_context:]


@each_kind
def test_labels_are_those_of_the_truth_tables(kind):
    tasks = make_boolean_function(kind, 20, 30, 5, random_state=0)
    numbers = tasks.X.astype(int) @ (2 ** np.arange(5)[::-1])
    np.testing.assert_array_equal(np.take_along_axis(tasks.truth_tables, numbers, axis=1), tasks.y)
    np.testing.assert_array_equal(evaluate(kind, tasks.functions, cube(5)), tasks.truth_tables)
    assert tasks.truth_tables.any(axis=1).all()
    assert not tasks.truth_tables.all(axis=1).any()


@each_kind
def test_balance(kind):
    tasks = make_boolean_function(kind, 100, 100, 5, random_state=0)
    assert tasks.y.mean() == pytest.approx(0.5, abs=0.02)
    plain = make_boolean_function(kind, 100, 100, 5, balanced=False, random_state=0)
    assert plain.X.mean() == pytest.approx(0.5, abs=0.02)
    assert plain.y.mean() == pytest.approx(plain.truth_tables.mean(), abs=0.02)


def brute_force(kind, size, X, y, query, balanced):
    """P(1) at a query by Bayes' rule, function by function, description by description."""
    points, joint = [tuple(point) for point in cube(size[0])], np.zeros(2)
    for function in enumerate_functions(kind, *size):
        table = dict(zip(points, evaluate(kind, function[None], np.array(points))[0]))
        n_true = sum(table.values())
        if n_true in (0, len(points)):
            continue
        weight = 1.0
        for point, label in zip(X, y):
            chance = 0.5 / (n_true if label else len(points) - n_true) if balanced else 1 / len(points)
            weight *= chance * (table[tuple(point)] == label)
        value = table[tuple(query)]
        chance = 0.5 / (n_true if value else len(points) - n_true) if balanced else 1 / len(points)
        joint[int(value)] += weight * chance
    return joint[1] / joint.sum()


@each_kind
@pytest.mark.parametrize("balanced", [True, False])
def test_the_posterior_is_that_of_brute_force(kind, balanced):
    size = (3, 2, 2)
    tasks = make_boolean_function(kind, 3, 5, 3, n_literals=2, n_terms=2, balanced=balanced, random_state=1)
    X, y, Q, _ = split(tasks, 3)
    mine = tasks.bayes_predict(X, y, Q)
    for i, j in product(range(3), range(2)):
        expected = brute_force(kind, size, X[i].astype(int), y[i], Q[i, j].astype(int), balanced)
        assert mine[i, j] == pytest.approx(expected, abs=1e-12)


@each_kind
def test_nothing_beats_the_reference(kind):
    tasks = make_boolean_function(kind, 60, 34, 5, random_state=2)
    X, y, Q, target = split(tasks, 14)
    right = ((tasks.bayes_predict(X, y, Q) > 0.5) == target).mean()
    for model in (LogisticRegression(), KNeighborsClassifier(1), DecisionTreeClassifier(random_state=0)):
        other = [model.fit(a, b).predict(c) if len(set(b)) == 2 else np.full(20, b[0]) for a, b, c in zip(X, y, Q)]
        assert right > (np.array(other) == target).mean()


def test_the_whole_cube_leaves_no_doubt():
    tasks = make_boolean_function("int_halfspace", 5, 400, 4, random_state=0)
    probability = tasks.bayes_predict(tasks.X, tasks.y, tasks.X)
    np.testing.assert_allclose(probability, tasks.y, atol=1e-12)


def test_parities_cannot_be_told_from_single_features():
    tasks = make_boolean_function("sparse_parity", 100, 200, 6, balanced=False, random_state=0)
    correlations = [np.corrcoef(X[:, j], y)[0, 1] for X, y in zip(tasks.X, tasks.y) for j in range(6)]
    assert np.abs(np.mean(correlations)) < 0.01
    assert np.std(correlations) == pytest.approx(1 / np.sqrt(200), rel=0.15)


def test_large_classes_have_no_reference():
    tasks = make_boolean_function("int_halfspace", 3, 20, 12, random_state=0)
    assert tasks.bayes_predict is None
    assert tasks.n_hypotheses is None
    assert tasks.X.shape == (3, 20, 12)


@pytest.mark.parametrize("kind", ["conjunction", "disjunction", "majority", "int_halfspace", "parity"])
def test_classes_without_a_number_of_literals_ignore_it(kind):
    few, many = (make_boolean_function(kind, 3, 5, 2, n_literals=n, random_state=0) for n in (1, 3))
    np.testing.assert_array_equal(few.truth_tables, many.truth_tables)


def test_number_of_hypotheses():
    # The truth tables are small, and the lists of terms are not: 4 ** 12 of 12 terms each.
    assert make_boolean_function("dnf", 1, 1, 2, n_literals=1, n_terms=12).n_hypotheses is None
    assert make_boolean_function("parity", 1, 1, 5).n_hypotheses == 31
    assert make_boolean_function("conjunction", 1, 1, 4).n_hypotheses == 80
    assert make_boolean_function("sparse_parity", 1, 1, 6, n_literals=2).n_hypotheses == 15
    assert make_boolean_function("majority", 1, 1, 4).n_hypotheses == 8


def test_one_task_empty_context_and_pickle():
    tasks = make_boolean_function("disjunction", 3, 12, 4, random_state=0)
    X, y, Q, _ = split(tasks, 8)
    whole = tasks.bayes_predict(X, y, Q)
    np.testing.assert_array_equal(tasks.bayes_predict(X[1], y[1], Q[1]), whole[1])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(tasks)).bayes_predict(X, y, Q), whole)
    prior = tasks.bayes_predict(X[:, :0], y[:, :0], Q)
    assert ((prior > 0) & (prior < 1)).all()


def test_a_context_that_no_function_explains():
    tasks = make_boolean_function("parity", 1, 4, 3, random_state=0)
    with pytest.raises(ValueError, match="No function of the class agrees with the context of task 0"):
        tasks.bayes_predict(np.zeros((1, 3)), np.ones(1), np.ones((1, 3)))
    with pytest.raises(ValueError, match="must hold 0 and 1 only"):
        tasks.bayes_predict(2 * tasks.X, tasks.y, tasks.X)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "xor"}, "`kind` must be one of 'conjunction', .* got 'xor'"),
        ({"n_features": 17}, "`n_features` must be at most 16, got 17"),
        ({"n_literals": 9}, "`n_literals`=9 is more than `n_features`=6"),
        ({"n_features": 2, "n_literals": 1, "n_terms": 60}, "`n_terms`=60 of `n_literals`=1: nearly all functions"),
        ({"balanced": 1}, "`balanced` must be True or False"),
        ({"n_points": 0}, "`n_points` must be an integer"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_boolean_function(**{"kind": "dnf", **arguments})
