"""Which rows a few-shot experiment uses: contexts that grow, rows without a label, queries."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from skicl._validation._labels import read_all_labels
from skicl._validation._scalars import check_integer


def nested_contexts(
    y: ArrayLike,
    k: int | Sequence[int],
    n_repeats: int = 5,
    random_state: int | np.random.RandomState | None = 0,
    *,
    min_per_class: int = 1,
    stratify: bool = True,
) -> list[dict[int, np.ndarray]]:
    """Rows to label for few-shot experiments: contexts that grow by adding rows, for several repeats.

    Each repeat puts the rows of `y` in one order: first one row of each class, the classes in random order, then all
    other rows. The context of size k is the first k rows. It holds every class and contains every smaller context of
    the same repeat.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Classes of the rows to choose from.
    k : int or sequence of int
        Sizes of the contexts. Sizes below ``min_per_class * n_classes`` or above ``n_samples`` are left out.
    n_repeats : int, default=5
        Number of orders. The first repeats do not depend on how many there are.
    random_state : int, RandomState instance or None, default=0
        Seed of the orders. They depend on `y`, this seed and the number of the repeat alone.
    min_per_class : int, default=1
        Smallest mean number of rows per class; smaller sizes are left out. 2 leaves out the sizes at which most folds
        of a cross-validation would miss a class.
    stratify : bool, default=True
        Whether a context holds the classes in the proportions of `y`, as far as whole rows and the first row of each
        class allow. False: the first rows of the classes are followed by random ones, as if labels were bought one by
        one.

    Returns
    -------
    list of dict
        For each repeat the row numbers of the context of each size, ``{k: ndarray of shape (k,)}``.

    Raises
    ------
    ValueError
        If a parameter is not valid, or no size can be drawn.

    Examples
    --------
    >>> from skicl.evaluation import nested_contexts
    >>> y = ["spam", "ham", "ham", "ham", "ham", "spam"]
    >>> contexts = nested_contexts(y, k=[2, 4], n_repeats=1)
    >>> sorted(y[i] for i in contexts[0][2])
    ['ham', 'spam']
    >>> bool((contexts[0][4][:2] == contexts[0][2]).all())
    True
    """
    check_integer(n_repeats, "n_repeats")
    check_integer(min_per_class, "min_per_class")
    asked = np.atleast_1d(k)
    if asked.ndim != 1 or asked.size == 0 or asked.dtype.kind not in "iu" or asked.min() < 1:
        raise ValueError(f"`k` must be one or more sizes of at least 1, got {k!r}.")
    classes, codes = np.unique(read_all_labels(y), return_inverse=True)
    smallest = min_per_class * len(classes)
    sizes = [int(size) for size in np.unique(asked) if smallest <= size <= len(codes)]
    if not sizes:
        raise ValueError(
            f"No size in `k` can be drawn: {len(codes)} rows of {len(classes)} classes allow sizes from "
            f"{smallest} (`min_per_class` times the number of classes) to {len(codes)}, got "
            f"{asked.tolist()}."
        )
    orders = orders_of_rows(codes, n_repeats, random_state, stratify)
    return [{size: order[:size] for size in sizes} for order in orders]


def orders_of_rows(y, n_repeats, random_state, stratify=True):
    """One order of all rows (n_samples,) for each repeat; the context of size k is the first k rows."""
    codes = np.unique(y, return_inverse=True)[1]
    seeds = check_random_state(random_state).randint(2**31 - 1, size=n_repeats)
    order = _stratified_order if stratify else _order
    return [order(codes, np.random.default_rng(seed)) for seed in seeds]


def _stratified_order(codes, rng):
    """All rows: one of each class in random order, then the others in the proportions of the classes."""
    counts = np.bincount(codes)
    shuffled = rng.permutation(len(codes))
    by_class = shuffled[np.argsort(codes[shuffled], kind="stable")]  # rows of one class together, in random order
    place = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)  # 0, 1, ... within each class
    # The j-th of the n rows of a class is due at (j - u) / n of the way, with one uniform u for the class. So after
    # every part of the way each class has its share, rounded up or down, and no class is always rounded up.
    due = (place + 1 - np.repeat(rng.random(len(counts)), counts)) / np.repeat(counts, counts)
    first = place == 0
    return np.concatenate([rng.permutation(by_class[first]), by_class[~first][np.argsort(due[~first], kind="stable")]])


def _order(codes, rng):
    """All rows: one of each class in random order, then the others at random."""
    shuffled = rng.permutation(len(codes))
    first = np.unique(codes[shuffled], return_index=True)[1]  # position of the first row of each class
    # The rest needs a shuffle of its own: all that stands before the first row of a class is of other classes.
    return np.concatenate([shuffled[rng.permutation(first)], rng.permutation(np.delete(shuffled, first))])


def drawn_queries(n_test, n_queries, n_repeats, random_state):
    """Test rows (n_queries,) of each repeat, in ascending order; all where `n_queries` is None or too large.

    `random_state` is the seed of the contexts.
    """
    if n_queries is None:
        return [np.arange(n_test)] * n_repeats
    check_integer(n_queries, "n_queries")
    seeds = check_random_state(random_state).randint(2**31 - 1, size=n_repeats)
    # The second number keeps the queries independent of the context, which uses the seed alone.
    drawn = [np.random.default_rng([seed, 1]).permutation(n_test)[:n_queries] for seed in seeds]
    return [np.sort(rows) for rows in drawn]
