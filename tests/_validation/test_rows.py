"""Some rows of any container, and more rows at its end."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_array

from skicl._validation._rows import Rows, append_rows, count_rows, take_rows

ROWS = np.array([3, 0, 3])
TEXTS = ["a", "b", "c", "d"]
NUMBERS = np.arange(8.0).reshape(4, 2)
CONTAINERS = {
    "list": (list, lambda X: X),
    "tuple": (tuple, list),
    "array": (np.array, np.ndarray.tolist),
    "series": (lambda X: pd.Series(X, index=[5, 5, 6, 7]), pd.Series.tolist),
    "frame": (lambda X: pd.DataFrame({"text": X}, index=[5, 5, 6, 7]), lambda X: X["text"].tolist()),
    "polars series": (pl.Series, pl.Series.to_list),
    "polars frame": (lambda X: pl.DataFrame({"text": X}), lambda X: X["text"].to_list()),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_rows_are_taken_by_position(name):
    build, read = CONTAINERS[name]
    X = build(TEXTS)
    assert count_rows(X) == 4
    taken = take_rows(X, ROWS)
    assert read(taken) == ["d", "a", "d"]
    assert isinstance(taken, list if name == "tuple" else type(X))


def test_rows_of_arrays_and_sparse_matrices():
    np.testing.assert_array_equal(take_rows(NUMBERS, ROWS), NUMBERS[ROWS])
    np.testing.assert_array_equal(take_rows(csr_array(NUMBERS), ROWS).toarray(), NUMBERS[ROWS])
    assert count_rows(csr_array(NUMBERS)) == 4


def test_taken_rows_of_an_array_are_a_copy():
    X = NUMBERS.copy()
    taken = take_rows(X, np.arange(4))
    X[:] = 0
    np.testing.assert_array_equal(taken, NUMBERS)


@pytest.mark.parametrize("first", CONTAINERS)
@pytest.mark.parametrize("second", CONTAINERS)
def test_texts_are_appended_whatever_holds_them(first, second):
    assert append_rows(CONTAINERS[first][0](TEXTS), CONTAINERS[second][0](TEXTS)) == TEXTS + TEXTS


def test_numbers_and_frames_are_appended():
    both = np.concatenate([NUMBERS, NUMBERS])
    np.testing.assert_array_equal(append_rows(NUMBERS, NUMBERS), both)
    np.testing.assert_array_equal(append_rows(NUMBERS, NUMBERS.tolist()), both)
    assert append_rows(NUMBERS.tolist(), NUMBERS.tolist()) == both.tolist()
    for library in (pd, pl):
        frame = library.DataFrame({"a": NUMBERS[:, 0], "b": NUMBERS[:, 1]})
        np.testing.assert_array_equal(append_rows(frame, frame).to_numpy(), both)


def test_rows_of_different_kinds_are_refused():
    with pytest.raises(TypeError, match="`X` is of type ndarray, and the rows before it were of type DataFrame"):
        append_rows(pd.DataFrame(NUMBERS), NUMBERS)


@pytest.mark.parametrize("name", CONTAINERS)
def test_rows_are_counted_taken_copied_and_appended_in_their_container(name):
    build, read = CONTAINERS[name]
    rows = Rows(build(TEXTS))
    assert len(rows) == 4
    assert rows.are_texts
    assert read(rows.take(ROWS)) == ["d", "a", "d"]
    assert rows.append(Rows(TEXTS)).data == TEXTS + TEXTS
    copied = rows.copy()
    assert copied.data is not rows.data
    assert read(copied.data) == TEXTS


def test_what_has_no_rows_is_refused_at_the_door():
    with pytest.raises(TypeError, match="`X` is of type set"):
        Rows({"a"})
