"""What the diagnostics change about a context: its order, its rows, its labels; and queries without content.

Labels are codes from 0 here, and rows are numbers of rows.
"""

from itertools import pairwise
from numbers import Real

import numpy as np
from scipy.sparse import issparse


def sliceable(X):
    """The same rows; a sparse matrix in the layout that has rows."""
    return X.tocsr() if issparse(X) else X


def draw_rows(codes, n_rows, random):
    """Numbers of `n_rows` rows, at least one of each class and otherwise by the shares of the classes."""
    ranks = np.empty(len(codes))
    for code in np.unique(codes):
        members = random.permutation(np.flatnonzero(codes == code))
        # The first of each class comes before all others.
        ranks[members] = np.concatenate([[-1.0], (np.arange(1, len(members)) + random.random_sample()) / len(members)])
    return random.permutation(np.argsort(ranks, kind="stable")[:n_rows])


def with_wrong_labels(codes, rate, n_classes, random):
    """Codes of which a share `rate` is replaced by another class, at random; never the last of its class."""
    noisy, n_wrong = codes.copy(), round(rate * len(codes))
    counts = np.bincount(codes, minlength=n_classes)
    for row in random.permutation(len(codes)):
        if n_wrong == 0:
            break
        if counts[noisy[row]] > 1:
            counts[noisy[row]] -= 1
            noisy[row] = (noisy[row] + random.randint(1, n_classes)) % n_classes
            counts[noisy[row]] += 1
            n_wrong -= 1
    return noisy


def rotation(n_classes, random):
    """A renaming of the classes, in one random cycle, so that none keeps its name."""
    order = random.permutation(n_classes)
    renamed = np.empty(n_classes, dtype=np.int64)
    renamed[order] = np.roll(order, -1)
    return renamed


def without_content(X, random):
    """Queries of the same kind that mean nothing, or None where it is not known how to make them.

    Texts become as many words drawn from all texts; in arrays, lists of rows, sparse matrices and frames each
    column is shuffled on its own.
    """
    if issparse(X):
        return _shuffled_columns(X, random)
    if hasattr(X, "columns") and hasattr(X, "iloc"):
        shuffled = X.copy()
        for name in X.columns:
            shuffled[name] = random.permutation(X[name].to_numpy())
        return shuffled
    if getattr(X, "ndim", 1) == 2 and hasattr(X, "dtype"):
        return np.stack([random.permutation(column) for column in X.T], axis=1)
    texts = list(X)
    if not all(isinstance(text, str) for text in texts):
        table = _as_table(texts)
        return None if table is None else without_content(table, random)
    words = [word for text in texts for word in text.split()]
    if not words:
        return None
    counts = [max(1, len(text.split())) for text in texts]
    return [" ".join(words[i] for i in random.randint(len(words), size=count)) for count in counts]


def _as_table(rows):
    """Lists of equally many numbers as an array; None for other lists."""
    are_lists = all(isinstance(row, list | tuple | np.ndarray) for row in rows)
    equally_long = are_lists and len({len(row) for row in rows}) == 1
    numbers = equally_long and all(isinstance(value, Real) for row in rows for value in row)
    return np.array(rows) if numbers else None


def _shuffled_columns(X, random):
    """A sparse matrix with each column shuffled on its own, by the orders that a dense one would get."""
    columns = X.tocsc(copy=True)
    rows = columns.indices.copy()
    for start, end in pairwise(columns.indptr):
        places = np.argsort(random.permutation(X.shape[0]))
        rows[start:end] = places[rows[start:end]]
    return type(columns)((columns.data, rows, columns.indptr), shape=X.shape).tocsr()
