"""The nearest rows: exact while rows are few, nearly so in a tree, whatever their order."""

import numpy as np
import pytest

from skicl._tart import _search
from skicl._tart._search import Tree


def clusters(n=1000, n_features=6, seed=0):
    rng = np.random.default_rng(seed)
    centres = 4 * rng.normal(size=(20, n_features))
    return (centres[rng.integers(20, size=n)] + rng.normal(size=(n, n_features))).astype(np.float32)


def exact(rows, X, k):
    squares = np.square(X[:, None].astype(float) - rows[None].astype(float)).sum(axis=2)
    numbers = squares.argsort(axis=1)[:, :k]
    return numbers, np.take_along_axis(squares, numbers, 1)


@pytest.fixture
def small_leaves(monkeypatch):
    monkeypatch.setattr(_search, "LEAF_ROWS", 16)
    monkeypatch.setattr(_search, "BEAM", 8)


def test_few_rows_are_searched_exactly():
    rows, X = clusters(), clusters(300, seed=1)
    numbers, squares = Tree.grow(rows).nearest(X, 10)
    expected = exact(rows, X, 10)
    np.testing.assert_array_equal(numbers, expected[0])
    np.testing.assert_allclose(squares, expected[1], atol=1e-9)


def test_there_are_no_more_neighbours_than_rows():
    rows = clusters(5)
    numbers, _ = Tree.grow(rows).nearest(rows, 10)
    assert [sorted(near) for near in numbers.tolist()] == [[0, 1, 2, 3, 4]] * 5
    assert numbers[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_a_tree_finds_most_neighbours(small_leaves):
    rows, X = clusters(), clusters(300, seed=0)
    numbers, squares = Tree.grow(rows).nearest(X, 10)
    expected = exact(rows, X, 10)[0]
    assert np.mean([len({*found} & {*true}) / 10 for found, true in zip(numbers, expected)]) > 0.95
    assert (np.diff(squares, axis=1) >= 0).all()


def test_leaves_hold_every_row_once_and_a_query_sees_few(small_leaves):
    tree = Tree.grow(clusters(3000))
    assert sorted(tree.numbers.tolist()) == list(range(3000))
    sizes = np.diff(tree.bounds[-1])
    assert sizes.sum() == 3000
    assert sizes.max() <= 16
    assert tree._leaves(clusters(9)).shape == (9, 8)
    for centre, begin, end in zip(tree.centres[-1], tree.bounds[-1], tree.bounds[-1][1:]):
        np.testing.assert_allclose(centre, tree.rows[begin:end].mean(axis=0), atol=1e-5)


def test_the_order_of_the_rows_means_nothing(small_leaves):
    rows, X = clusters(), clusters(50, seed=2)
    order = np.random.default_rng(0).permutation(len(rows))
    numbers, squares = Tree.grow(rows).nearest(X, 7)
    shuffled, same = Tree.grow(rows[order]).nearest(X, 7)
    np.testing.assert_array_equal(order[shuffled], numbers)
    np.testing.assert_array_equal(same, squares)


@pytest.mark.parametrize("size", [1, 7])
def test_queries_are_independent(size, small_leaves, monkeypatch):
    rows, X = clusters(), clusters(50, seed=2)
    tree = Tree.grow(rows)
    together = tree.nearest(X, 7)
    monkeypatch.setattr(_search, "QUERIES_AT_A_TIME", size)
    for found, expected in zip(tree.nearest(X, 7), together):
        np.testing.assert_array_equal(found, expected)


def test_equal_rows_are_no_obstacle(small_leaves):
    rows = np.repeat(clusters(3), 200, axis=0)
    tree = Tree.grow(rows)
    numbers, squares = tree.nearest(rows[[0, 200, 400]], 20)
    assert (squares == 0).all()
    assert (numbers // 200 == np.arange(3)[:, None]).all()
    assert np.isfinite(tree.centres[-1]).all()
