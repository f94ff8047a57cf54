"""Tables of numbers: what scikit-learn takes is taken unchanged; tests/batteries/test_misuse.py has what is refused."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from skicl._validation._columns import read_columns

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3))


class Estimator(BaseEstimator):
    pass


@pytest.mark.parametrize("table", [X, X.tolist(), pd.DataFrame(X, columns=list("abc")), X.astype(np.float32), X > 0])
def test_a_table_is_what_scikit_learn_makes_of_it(table):
    one, other = Estimator(), Estimator()
    found, expected = read_columns(one, table), validate_data(other, table)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype
    assert vars(one).keys() == vars(other).keys()
    with pytest.raises(ValueError, match="X has 2 features, but Estimator is expecting 3"):
        read_columns(one, X[:, :2], reset=False)


def test_targets_go_along():
    read, y = read_columns(Estimator(), X, [0, 1] * 3)
    assert len(read) == len(y) == 6
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        read_columns(Estimator(), X, [0, 1])


def test_tensors_of_any_kind_are_read():
    for tensor in (torch.tensor(X), torch.tensor(X, requires_grad=True)):
        np.testing.assert_array_equal(read_columns(Estimator(), tensor), X)
    np.testing.assert_allclose(read_columns(Estimator(), torch.tensor(X).bfloat16()), X, atol=0.02)
    with pytest.raises(TypeError, match="sparse"):
        read_columns(Estimator(), torch.tensor(X).to_sparse())


def test_dates_are_for_those_who_write_them_out():
    dates = np.full((2, 1), "2020-01-01", "M8[D]")
    with pytest.raises(TypeError, match="`X` holds dates"):
        read_columns(Estimator(), dates)
    np.testing.assert_array_equal(read_columns(Estimator(), dates, dtype=None), dates)


def test_strings_are_explained_and_other_errors_are_left_alone():
    with pytest.raises(ValueError, match=r"`X` holds strings .*ColumnTransformer.*could not convert"):
        read_columns(Estimator(), [["a", 1]], dtype=np.float64)
    with pytest.raises(ValueError, match="Complex data not supported"):
        read_columns(Estimator(), X + 1j)


def test_a_value_too_large_for_float32_is_said_by_scikit_learn():
    with pytest.raises(ValueError, match="too large for dtype"):
        read_columns(Estimator(), [[1e300]], dtype=np.float32)
