"""Rows of whatever a user passes as ``X``: some of them by number, and more of them at the end."""

import numpy as np

from skicl._validation._texts import check_texts, is_text


def take_rows(X, rows):
    """Some rows of samples, in a container of the same kind.

    Parameters
    ----------
    X : array, sparse matrix, Series, frame or sequence of n_samples items
        Anything that an estimator may take.
    rows : ndarray of int
        Numbers of the rows, in the order wanted.

    Returns
    -------
    object
        A list for lists, tuples and other sequences; else of the type of ``X``.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl._validation._rows import take_rows
    >>> take_rows(["a", "b", "c"], np.array([2, 0]))
    ['c', 'a']
    """
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if hasattr(X, "shape"):  # arrays, sparse matrices, polars
        return X[rows]
    return [X[i] for i in rows]


def count_rows(X):
    """Number of rows of samples.

    Parameters
    ----------
    X : object
        Anything that :func:`take_rows` takes.

    Returns
    -------
    int
    """
    return X.shape[0] if hasattr(X, "shape") else len(X)


def append_rows(X, more):
    """Samples with further samples after them.

    Parameters
    ----------
    X, more : array, frame, or sequence of items
        Two collections of the same kind. Collections of texts may be of different kinds.

    Returns
    -------
    object
        A list for texts and other sequences, an array or a frame otherwise.

    Raises
    ------
    TypeError
        If the two cannot be put together.

    Examples
    --------
    >>> from skicl._validation._rows import append_rows
    >>> append_rows(["a"], ("b", "c"))
    ['a', 'b', 'c']
    """
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
