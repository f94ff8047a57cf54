"""Containers that a user passes as ``X``: read as they are, read as another, or refused in one sentence."""

from collections.abc import ItemsView, Iterator, KeysView, Mapping, Set, ValuesView
from importlib.util import find_spec

import numpy as np


def read_container(X, *, parameter="X", one="sample", expected="a collection with one entry for every row"):
    """``X`` if its rows can be counted and read again, what stands for it if it is of Arrow, or an error.

    An array of Arrow becomes a list, a table of Arrow a frame of pandas. Nothing is said of the rows themselves.

    >>> from skicl._validation._containers import read_container
    >>> read_container(("a", "b"))
    ('a', 'b')
    >>> read_container({"a", "b"})
    Traceback (most recent call last):
    TypeError: `X` is of type set: expected a collection with one entry for every row. It has no order, so nobody knows
    which row is which: pass a list.
    """
    if _is_of_arrow(X):
        X = _from_arrow(X, parameter)
    elif hasattr(X, "__array__") and not (hasattr(X, "__len__") or hasattr(X, "shape")):
        X = np.asarray(X)
    advice = _advice(X, parameter)
    if advice is not None:
        raise TypeError(f"`{parameter}` is of type {type(X).__name__}: expected {expected}. {advice}")
    shape = getattr(X, "shape", None)
    if shape == ():
        raise ValueError(
            f"`{parameter}` is a single value, an array of shape (): expected {one}s in shape "
            "(n_samples,) or (n_samples, 1). Put a single one into a list."
        )
    if shape == (0,) or (shape is None and not isinstance(X, str) and not len(X)):
        raise ValueError(f"`{parameter}` is empty: found 0 {one}s while a minimum of 1 is required.")
    if isinstance(X, list | tuple) and _is_of_arrow(X[0]) and hasattr(X[0], "as_py"):
        return [item.as_py() if _is_of_arrow(item) else item for item in X]
    return X


def _advice(X, parameter):
    """What to do with something that has no rows that can be counted and read again; None if it has."""
    if isinstance(X, Iterator):
        return f"It can be read only once: turn it into a list first, list({parameter})."
    if isinstance(X, KeysView | ValuesView | ItemsView):
        return f"It is a view of a dict: turn it into a list first, list({parameter})."
    if isinstance(X, Set):
        return "It has no order, so nobody knows which row is which: pass a list."
    if isinstance(X, Mapping) and not hasattr(X, "shape"):  # a sparse matrix of one kind is a dict
        return (
            f"Pass the rows as a list, list({parameter}.values()), or columns as a frame, "
            f"pandas.DataFrame({parameter})."
        )
    if hasattr(X, "collect_schema") and not hasattr(X, "shape"):
        return f"It is a query that has not been run: run it first, {parameter}.collect()."
    if not (hasattr(X, "__len__") or hasattr(X, "shape")):
        return f"Put a single one into a list: [{parameter}]."
    return None


def _is_of_arrow(value):
    return type(value).__module__.partition(".")[0] == "pyarrow"


def _from_arrow(X, parameter):
    """A frame for a table or record batch, a list for an array."""
    if not hasattr(X, "num_columns"):
        return X.to_pylist() if hasattr(X, "to_pylist") else X
    if find_spec("pandas") is not None:
        return X.to_pandas()
    if X.num_columns == 1:
        return X.column(0).to_pylist()
    raise TypeError(
        f"`{parameter}` is a {type(X).__name__} of pyarrow with {X.num_columns} columns, which is read "
        "through pandas, and pandas is not installed. Install it with: pip install pandas"
    )
