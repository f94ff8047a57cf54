"""Arrays of a context and its queries: of one task or of several, refused where they do not fit."""

import numpy as np
import pytest

from skicl._validation._task_arrays import as_batch


def test_one_task_becomes_a_batch_of_one():
    X, y, Q, single = as_batch(np.ones((5, 3)), np.ones(5), np.ones((2, 3)), 3)
    assert (X.shape, y.shape, Q.shape, single) == ((1, 5, 3), (1, 5), (1, 2, 3), True)
    assert as_batch(X, y, Q, 3)[3] is False


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(("place", "name"), [(0, "X_context"), (1, "y_context"), (2, "X_query")])
def test_numbers_that_are_not_finite(place, name, bad):
    arrays = [np.ones((5, 3)), np.ones(5), np.ones((2, 3))]
    arrays[place].flat[1] = bad
    with pytest.raises(ValueError, match=f"`{name}` must hold finite numbers"):
        as_batch(*arrays, 3)


def test_labels_that_are_no_numbers():
    with pytest.raises(ValueError, match="`y_context` must hold numbers, got <U1"):
        as_batch(np.ones((2, 3)), np.array(["a", "b"]), np.ones((2, 3)), 3)


@pytest.mark.parametrize(
    "shapes",
    [
        ((5, 3), (4,), (2, 3)),
        ((5, 3), (5,), (2, 4)),
        ((5, 4), (5,), (2, 4)),
        ((2, 5, 3), (2, 5), (3, 2, 3)),
        ((2, 5, 3), (2, 4), (2, 2, 3)),
        ((5, 3), (5,), (3,)),
    ],
)
def test_shapes_that_do_not_fit(shapes):
    with pytest.raises(ValueError, match="`X_context`, `y_context` and `X_query` have the shapes"):
        as_batch(*map(np.ones, shapes), 3)
