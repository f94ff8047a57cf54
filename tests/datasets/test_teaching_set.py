"""Teaching sets: one function is left by all points, several by any part of them, and no set is smaller."""

from itertools import combinations, product

import numpy as np
import pytest

from skicl.datasets import make_boolean_function, teaching_set
from skicl.datasets._boolean_classes import cube, enumerate_functions, evaluate

each_kind = pytest.mark.parametrize("kind", ["conjunction", "disjunction"])


def class_of(kind, n_features):
    """All functions of the class that are not constant, and their truth tables."""
    functions = enumerate_functions(kind, n_features, 3, 2)
    tables = evaluate(kind, functions, cube(n_features))
    varied = tables.any(axis=1) & ~tables.all(axis=1)
    return functions[varied], tables[varied]


def n_left(tables, X, y):
    """How many functions agree with the points."""
    places = (X @ 2 ** np.arange(X.shape[1])[::-1]).astype(int)
    return int((tables[:, places] == y.astype(bool)).all(axis=1).sum())


@each_kind
@pytest.mark.parametrize("n_features", [1, 2, 3, 4])
def test_all_points_leave_one_function_and_any_fewer_leave_several(kind, n_features):
    functions, tables = class_of(kind, n_features)
    for function, table in zip(functions, tables):
        X, y = teaching_set(kind, function, random_state=1)
        np.testing.assert_array_equal(y, table[(X @ 2 ** np.arange(n_features)[::-1]).astype(int)])
        assert n_left(tables, X, y) == 1
        for left_out in range(len(X)):
            assert n_left(tables, np.delete(X, left_out, axis=0), np.delete(y, left_out)) > 1


@each_kind
@pytest.mark.parametrize("n_features", [1, 2, 3])
def test_no_other_set_of_points_is_smaller(kind, n_features):
    points = cube(n_features)
    functions, tables = class_of(kind, n_features)
    for function, table in zip(functions, tables):
        n_points = len(teaching_set(kind, function, random_state=0)[0])
        smaller = combinations(range(len(points)), n_points - 1)
        assert all(n_left(tables, points[list(rows)], table[list(rows)]) > 1 for rows in smaller)


@each_kind
@pytest.mark.parametrize("balanced", [True, False])
def test_the_posterior_is_certain(kind, balanced):
    tasks = make_boolean_function(kind, 20, 10, 6, balanced=balanced, random_state=0)
    everywhere = cube(6).astype(float)
    for function, table in zip(tasks.functions, tasks.truth_tables):
        X, y = teaching_set(kind, function, random_state=2)
        np.testing.assert_array_equal(tasks.bayes_predict(X, y, everywhere), table)
        assert not np.isin(tasks.bayes_predict(X[1:], y[1:], everywhere), (0, 1)).all()


@each_kind
def test_numbers_of_points(kind):
    for signs in product((-1, 0, 1), repeat=4):
        n_literals = np.count_nonzero(signs)
        if n_literals:
            n_true = 1 if n_literals == 4 else 2
            X, y = teaching_set(kind, signs, random_state=3)
            assert len(X) == n_true + (n_literals if n_literals > 1 else 0)
            assert (y == (kind == "conjunction")).sum() == n_true
            assert len(np.unique(X, axis=0)) == len(X)


def test_seeds_decide_the_order_and_the_free_features():
    signs = [1, 0, 0, -1, 0, 1]
    first, again, other = (teaching_set("conjunction", signs, random_state=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("parity", [1, 0]), "`kind` must be one of 'conjunction', 'disjunction', got 'parity'"),
        (("conjunction", [0, 0]), "`function` must be the signs of the literals"),
        (("conjunction", [1, 2]), "`function` must be the signs of the literals"),
        (("conjunction", [[1, 0], [0, 1]]), "`function` must be the signs of the literals"),
        (("conjunction", []), "`function` must be the signs of the literals"),
        (("conjunction", ["1", "0"]), "`function` must be the signs of the literals"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        teaching_set(*arguments)
