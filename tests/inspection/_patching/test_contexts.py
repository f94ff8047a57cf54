"""Pairs of contexts: the same rows, labels that are exchanged or another query, and errors that name what is wrong."""

import numpy as np
import pytest
from inspection.patched_networks import class_rows
from scipy.sparse import csr_matrix

from skicl.inspection import ContextPairs, PatchingPairs, make_context_pairs
from skicl.inspection._patching._contexts import check_contexts


@pytest.mark.parametrize("change", ["labels", "query"])
def test_contexts_are_balanced_and_never_hold_their_query(change):
    X, y = class_rows(3)
    names = np.array(["ant", "bee", "cow"])[y]
    pairs = make_context_pairs(X, names, n_rows=10, change=change, n_pairs=20, random_state=0)
    assert pairs.X.shape == (20, 9, 5)
    label_of = {row.tobytes(): code for row, code in zip(X, y)}
    for rows, clean_y, corrupt_y, clean, corrupt, right, wrong in zip(*pairs):
        assert [label_of[row.tobytes()] for row in rows] == clean_y.tolist()
        assert np.bincount(clean_y).tolist() == np.bincount(corrupt_y).tolist() == [3, 3, 3]
        assert len({row.tobytes() for row in (*rows, clean, corrupt)}) == 9 + 1 + (change == "query")
        assert label_of[clean.tobytes()] == right != wrong
        if change == "query":
            assert np.array_equal(clean_y, corrupt_y)
            assert label_of[corrupt.tobytes()] == wrong
        else:
            assert np.array_equal(clean, corrupt)
            exchanged = np.where(clean_y == right, wrong, np.where(clean_y == wrong, right, clean_y))
            assert np.array_equal(corrupt_y, exchanged)
    assert {(one, other) for one, other in zip(pairs.clean_answers, pairs.corrupt_answers)} == {
        (i, j) for i in range(3) for j in range(3) if i != j
    }


def test_seeds():
    one, two, three = (make_context_pairs(*class_rows(), random_state=seed) for seed in (0, 0, 1))
    assert np.array_equal(one.X, two.X)
    assert not np.array_equal(one.X, three.X)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": [0, 1]}, r"`X` has shape \(80, 5\) and `y` \(2,\)"),
        ({"y": np.zeros(80)}, "`y` has 1 classes, expected two or more"),
        ({"n_rows": 1}, "`n_rows`=1 means 0 rows of each of the 2 classes"),
        ({"n_rows": 80}, "`n_rows`=80 means 40 rows of each of the 2 classes, expected at least 1 and at most 39"),
        ({"n_pairs": 0}, "`n_pairs` must be an integer of at least 1, got 0"),
        ({"change": "rows"}, "`change` must be one of 'labels', 'query', got 'rows'"),
        # One row, which hardly any pair would hold.
        (
            {"X": np.where(np.arange(400).reshape(80, 5) == 7, np.nan, 0), "n_pairs": 1, "n_rows": 2},
            "`X` must hold finite numbers, got 1 that are missing or infinite",
        ),
        ({"y": [None, "a"] * 40}, "`y` has a missing label at position 0"),
        ({"y": [1.0, 0.0] * 39 + [1.0, np.nan]}, "`y` has a missing label at position 79"),
    ],
)
def test_errors_of_the_maker(arguments, message):
    X, y = class_rows()
    given = {"X": X, "y": y, **arguments}
    with pytest.raises(ValueError, match=message):
        make_context_pairs(given.pop("X"), given.pop("y"), **given)


def test_sparse_rows_are_refused():
    X, y = class_rows()
    with pytest.raises(TypeError, match="`X` is a sparse matrix"):
        make_context_pairs(csr_matrix(X), y)


def pairs_with(**columns):
    rows, y, query = np.zeros((2, 4, 3)), np.array([[0, 1, 0, 1]] * 2), np.zeros((2, 3))
    return ContextPairs(rows, y, 1 - y, query, query, np.array([0, 1]), np.array([1, 0]))._replace(**columns)


def test_lists_become_arrays():
    pairs = check_contexts(ContextPairs(*(column.tolist() for column in pairs_with())))
    assert pairs.X.dtype == np.float64
    assert pairs.corrupt_y.dtype == pairs.clean_answers.dtype == np.int64


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"X": np.zeros((2, 4))}, r"`pairs.X` has shape \(2, 4\), expected"),
        ({"corrupt_y": np.zeros((2, 3), int)}, r"`pairs.corrupt_y` has shape \(2, 3\), expected \(2, 4\)"),
        ({"clean_queries": np.zeros((1, 3))}, r"`pairs.clean_queries` has shape \(1, 3\), expected \(2, 3\)"),
        ({"clean_y": np.zeros((2, 4))}, "`pairs.clean_y` must hold integers, got float64"),
        ({"corrupt_answers": np.array([0, 1])}, "`pairs`: pair 0 has the answer 0 in both versions"),
        ({"clean_answers": np.array([2, 1])}, "`pairs.clean_answers` must hold classes of the contexts, numbered"),
        ({"corrupt_y": np.array([[-1, 0, 1, 0]] * 2)}, "some rows have a label in one version only"),
        ({"clean_y": np.full((2, 4), -1), "corrupt_y": np.full((2, 4), -1)}, "must hold classes of the contexts"),
        ({"corrupt_queries": np.full((2, 3), np.inf)}, "`pairs.corrupt_queries` must hold finite numbers, got 6"),
    ],
)
def test_pairs_that_do_not_fit_together_are_named(columns, message):
    with pytest.raises(ValueError, match=message):
        check_contexts(pairs_with(**columns))


def test_contexts_without_labels_are_refused():
    y = np.array([[0, 1, 0, 1], [-1] * 4])
    with pytest.raises(ValueError, match="`pairs`: some contexts have no label at all"):
        check_contexts(pairs_with(clean_y=y, corrupt_y=np.where(y < 0, y, 1 - y)))


def test_prompts_are_no_contexts():
    with pytest.raises(TypeError, match="`pairs` must be ContextPairs for a reasoner, got PatchingPairs"):
        check_contexts(PatchingPairs(["a"], ["b"], ["c"], ["d"]))
