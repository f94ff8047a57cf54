"""Rows of whatever a user passes as ``X``: how many there are, some of them by number, and more of them at the end."""

import numpy as np

from skicl._validation._containers import read_container
from skicl._validation._texts import check_texts, is_text


class Rows:
    """What a user passed as ``X``, read once at the door; ``data`` is of the kind that was passed.

    >>> from skicl._validation._rows import Rows
    >>> rows = Rows(["a", "b", "c"])
    >>> len(rows), rows.take([2, 0]), rows.append(Rows(("d",))).data
    (3, ['c', 'a'], ['a', 'b', 'c', 'd'])
    """

    def __init__(self, X):
        self.data = read_container(X)

    @classmethod
    def already_read(cls, data):
        """Rows in a container that was read before."""
        rows = cls.__new__(cls)
        rows.data = data
        return rows

    def __len__(self):
        return count_rows(self.data)

    @property
    def are_texts(self):
        """Whether they are a collection of strings."""
        return is_text(self.data)

    def take(self, numbers):
        """Some rows, by an array of their numbers, in a container of the same kind."""
        return take_rows(self.data, numbers)

    def append(self, more):
        """These rows with others of the same kind after them."""
        return Rows.already_read(append_rows(self.data, more.data))

    def copy(self):
        """The same rows in a container of their own."""
        return Rows.already_read(self.take(np.arange(len(self))))


def count_rows(X):
    """Number of rows of anything that :func:`take_rows` takes."""
    return X.shape[0] if hasattr(X, "shape") else len(X)


def take_rows(X, numbers):
    """Some rows by an array of their numbers, in a container of the same kind; a list for any other sequence."""
    if hasattr(X, "iloc"):
        return X.iloc[numbers]
    if hasattr(X, "shape"):  # arrays, sparse matrices, polars
        return X[numbers]
    return [X[i] for i in numbers]


def append_rows(X, more):
    """Rows with others of the same kind after them: a list for sequences, else an array or a frame."""
    if is_text(X) and is_text(more):
        return check_texts(X) + check_texts(more)
    if type(X) is type(more) and hasattr(X, "iloc"):
        import pandas

        return pandas.concat([X, more])
    if type(X) is type(more) and hasattr(X, "vstack"):
        return X.vstack(more)
    if isinstance(X, list | tuple) and isinstance(more, list | tuple):
        return [*X, *more]
    if isinstance(X, np.ndarray | list | tuple) and isinstance(more, np.ndarray | list | tuple):
        return np.concatenate([np.asarray(X), np.asarray(more)])
    raise TypeError(
        f"`X` is of type {type(more).__name__}, and the rows before it were of type {type(X).__name__}. "
        "A `prior` that is fitted with every call needs rows of one kind: arrays, frames or lists."
    )
