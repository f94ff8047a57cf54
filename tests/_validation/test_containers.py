"""Containers of rows: taken as they are, read as another, or refused."""

from collections import UserList, deque

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from scipy import sparse

from skicl._validation import _containers
from skicl._validation._containers import read_container


@pytest.mark.parametrize(
    "X",
    [
        ["a"],
        ("a",),
        deque("ab"),
        UserList("ab"),
        range(3),
        np.zeros((2, 0)),
        np.zeros((0, 2)),
        pd.Series(["a"]),
        pd.DataFrame({"a": []}),
        pd.Index(["a"]),
        pl.Series(["a"]),
        pl.DataFrame({"a": ["b"]}),
        torch.zeros(2, 2),
        sparse.csr_array(np.eye(2)),
        sparse.dok_array(np.eye(2)),
        "a bare string",
        b"bytes",
    ],
    ids=lambda X: type(X).__name__,
)
def test_what_has_rows_is_the_same_object(X):
    assert read_container(X) is X


def test_arrow_becomes_lists_and_frames():
    assert read_container(pa.array(["a", None])) == ["a", None]
    assert read_container(pa.chunked_array([["a"], ["b"]])) == ["a", "b"]
    assert read_container([pa.scalar("a"), "b", pa.scalar("c")]) == ["a", "b", "c"]
    table = pa.table({"text": ["a", "b"], "number": [1, 2]})
    pd.testing.assert_frame_equal(read_container(table), table.to_pandas())
    assert read_container(pa.array([[1.0, 2.0]])) == [[1.0, 2.0]]


def test_without_pandas_a_column_of_arrow_is_read_and_a_table_says_what_to_install(monkeypatch):
    monkeypatch.setattr(_containers, "find_spec", lambda name: None)
    assert read_container(pa.table({"text": ["a", "b"]})) == ["a", "b"]
    with pytest.raises(TypeError, match=r"2 columns.*pip install pandas"):
        read_container(pa.table({"a": [1], "b": [2]}))


def test_what_only_numpy_can_read_becomes_an_array():
    class Readable:
        def __array__(self, dtype=None, copy=None):
            return np.eye(2)

    np.testing.assert_array_equal(read_container(Readable()), np.eye(2))


def test_messages_take_the_words_of_the_caller():
    with pytest.raises(TypeError, match=r"^`texts` is of type set: expected some strings\. It has no order"):
        read_container({"a"}, parameter="texts", expected="some strings")
    with pytest.raises(ValueError, match=r"^`texts` is empty: found 0 texts while"):
        read_container([], parameter="texts", one="text")
    with pytest.raises(ValueError, match=r"expected texts in shape"):
        read_container(np.array("a"), one="text")
