"""Pairs of labelled contexts for activation patching of reasoners: the same rows, with different answers."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.utils import check_random_state

from skicl._validation._labels import read_all_labels
from skicl._validation._scalars import check_choice, check_integer

_CHANGES = ("labels", "query")


class ContextPairs(NamedTuple):
    """Pairs of labelled contexts with a query each, which have different answers.

    Made by :func:`make_context_pairs`, or by hand. The rows of a pair are the same in both contexts; the labels or the
    query differ. Classes are integers from 0.

    Attributes
    ----------
    X : ndarray of shape (n_pairs, n_rows, n_features)
        The rows.
    clean_y, corrupt_y : ndarray of shape (n_pairs, n_rows)
        Their labels in the clean and in the corrupt context. -1 means no label, in both.
    clean_queries, corrupt_queries : ndarray of shape (n_pairs, n_features)
        The row to be labelled.
    clean_answers, corrupt_answers : ndarray of shape (n_pairs,)
        The class of the query in the clean and in the corrupt context.

    See Also
    --------
    activation_patching : What they are for.
    PatchingPairs : Pairs of prompts for language models.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl.inspection import ContextPairs
    >>> X, y = np.array([[[0.0], [1.0]]]), np.array([[0, 1]])
    >>> query = np.array([[0.1]])
    >>> pairs = ContextPairs(X, y, 1 - y, query, query, np.array([0]), np.array([1]))
    >>> len(pairs.X)
    1
    """

    X: Any
    clean_y: Any
    corrupt_y: Any
    clean_queries: Any
    corrupt_queries: Any
    clean_answers: Any
    corrupt_answers: Any


def make_context_pairs(
    X: ArrayLike,
    y: ArrayLike,
    *,
    n_rows: int = 32,
    change: str = "labels",
    n_pairs: int = 64,
    random_state: int | np.random.RandomState | None = None,
) -> ContextPairs:
    """Draw labelled contexts with a query, each in two versions that have different answers.

    Contexts hold equally many rows of every class. The query is another row. It belongs to one of two classes that are
    drawn for the pair.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Rows, such as embeddings.
    y : array-like of shape (n_samples,)
        Their labels. They are numbered from 0 in sorted order.
    n_rows : int, default=32
        Number of rows of a context, rounded down to a multiple of the number of classes.
    change : {"labels", "query"}, default="labels"
        What the corrupt version changes. "labels": the labels of the two classes are exchanged in the context.
        "query": the query is a row of the other class.
    n_pairs : int, default=64
        Number of pairs.
    random_state : int, RandomState instance or None, default=None
        Draws the pairs.

    Returns
    -------
    pairs : ContextPairs

    Raises
    ------
    TypeError
        If `X` is a sparse matrix.
    ValueError
        If lengths differ, values are missing, there are fewer than two classes or too few rows of one, or a parameter
        is out of range.

    See Also
    --------
    activation_patching : What they are for.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl.inspection import make_context_pairs
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["no", "yes"], 20)
    >>> X = rng.normal(size=(40, 5)) + (y == "yes")[:, None]
    >>> pairs = make_context_pairs(X, y, n_rows=8, n_pairs=3, random_state=0)
    >>> pairs.X.shape, pairs.clean_y.shape
    ((3, 8, 5), (3, 8))
    """
    samples, labels = _checked_rows(X), read_all_labels(y)
    if samples.ndim != 2 or labels.shape != (len(samples),):
        raise ValueError(
            f"`X` has shape {samples.shape} and `y` {labels.shape}, expected (n_samples, n_features) and (n_samples,)."
        )
    classes, codes = np.unique(labels, return_inverse=True)
    for name, value in (("n_rows", n_rows), ("n_pairs", n_pairs)):
        check_integer(value, name)
    check_choice(change, "change", _CHANGES)
    if len(classes) < 2:
        raise ValueError(f"`y` has {len(classes)} classes, expected two or more.")
    n_per_class, fewest = n_rows // len(classes), np.bincount(codes).min()
    if not 1 <= n_per_class < fewest:
        raise ValueError(
            f"`n_rows`={n_rows} means {n_per_class} rows of each of the {len(classes)} classes, expected at "
            f"least 1 and at most {fewest - 1}: the smallest class has {fewest} rows, and one is the query."
        )
    random_state = check_random_state(random_state)
    members = [np.flatnonzero(codes == code) for code in range(len(classes))]
    pairs = [_draw_pair(members, n_per_class, change, random_state) for _ in range(n_pairs)]
    rows, clean_y, corrupt_y, clean, corrupt, *answers = (np.array(column) for column in zip(*pairs))
    return check_contexts(ContextPairs(samples[rows], clean_y, corrupt_y, samples[clean], samples[corrupt], *answers))


def _checked_rows(X):
    if issparse(X):
        raise TypeError("`X` is a sparse matrix, and reasoners read dense rows. Pass X.toarray().")
    X = np.asarray(X, dtype=float)
    if not np.isfinite(X).all():
        raise ValueError(
            f"`X` must hold finite numbers, got {np.count_nonzero(~np.isfinite(X))} that are missing or infinite."
        )
    return X


def _draw_pair(members, n_per_class, change, random_state):
    """Numbers of the rows, labels in both versions, the two queries and their answers; `members` are rows by class."""
    first, second = random_state.choice(len(members), 2, replace=False)
    # One row more of each class: a possible query.
    drawn = [random_state.choice(rows, n_per_class + 1, replace=False) for rows in members]
    order = random_state.permutation(n_per_class * len(members))
    rows = np.concatenate([part[1:] for part in drawn])[order]
    labels = np.repeat(np.arange(len(members)), n_per_class)[order]
    query = drawn[first][0]
    if change == "query":
        return rows, labels, labels, query, drawn[second][0], first, second
    renamed = np.arange(len(members))
    renamed[[first, second]] = second, first
    return rows, labels, renamed[labels], query, query, first, second


def check_contexts(pairs):
    """Pairs of contexts as arrays that fit together: rows and queries in float64, labels in int64."""
    if not isinstance(pairs, ContextPairs):
        raise TypeError(
            f"`pairs` must be ContextPairs for a reasoner, got {type(pairs).__name__}. Make them by make_context_pairs."
        )
    X = np.asarray(pairs.X)
    if X.ndim != 3 or 0 in X.shape:
        raise ValueError(f"`pairs.X` has shape {X.shape}, expected (n_pairs, n_rows, n_features), none of them 0.")
    shapes = {"X": X.shape, "queries": (len(X), X.shape[2]), "y": X.shape[:2], "answers": X.shape[:1]}
    columns = {}
    for name, column in pairs._asdict().items():
        kind = name.split("_")[-1]
        columns[name] = _checked(column, f"pairs.{name}", shapes[kind], integers=kind in ("y", "answers"))
    pairs = ContextPairs(**columns)
    if (pairs.clean_answers == pairs.corrupt_answers).any():
        number = int(np.argmax(pairs.clean_answers == pairs.corrupt_answers))
        raise ValueError(
            f"`pairs`: pair {number} has the answer {pairs.clean_answers[number]} in both versions. "
            "The two answers must differ."
        )
    if ((pairs.clean_y < 0) != (pairs.corrupt_y < 0)).any():
        raise ValueError("`pairs`: some rows have a label in one version only. Label the same rows in both.")
    n_classes = max(pairs.clean_y.max(), pairs.corrupt_y.max()) + 1
    for name in ("clean_y", "corrupt_y", "clean_answers", "corrupt_answers"):
        values, least = getattr(pairs, name), -1 if name.endswith("y") else 0
        if values.min() < least or values.max() >= n_classes:
            raise ValueError(
                f"`pairs.{name}` must hold classes of the contexts, numbered from 0, got numbers from "
                f"{values.min()} to {values.max()} where contexts have {n_classes} classes."
            )
    if (pairs.clean_y < 0).all(axis=1).any():
        raise ValueError("`pairs`: some contexts have no label at all. Label one row or more of each.")
    return pairs


def _checked(column, name, shape, *, integers):
    """An array of a shape, of integers or of finite numbers."""
    values = np.asarray(column)
    if values.shape != shape:
        raise ValueError(f"`{name}` has shape {values.shape}, expected {shape}.")
    if integers:
        if not np.issubdtype(values.dtype, np.integer):
            raise ValueError(f"`{name}` must hold integers, got {values.dtype}.")
        return values.astype(np.int64)
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(
            f"`{name}` must hold finite numbers, got {np.count_nonzero(~np.isfinite(values))} that are "
            "missing or infinite."
        )
    return values
