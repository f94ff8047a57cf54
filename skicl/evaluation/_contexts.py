"""Which rows a few-shot experiment uses: contexts that grow, rows without a label, queries."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from skicl._validation._labels import read_all_labels
from skicl._validation._scalars import check_integer

BALANCED = "balanced"


def nested_contexts(
    y: ArrayLike,
    k: int | Sequence[int],
    n_repeats: int = 5,
    random_state: int | np.random.RandomState | None = 0,
    *,
    min_per_class: int = 1,
    stratify: bool | str = True,
) -> list[dict[int, np.ndarray]]:
    """Rows to label for few-shot experiments: contexts that grow by adding rows, for several repeats.

    Each repeat puts the rows of `y` in one order: first one row of each class, the classes in random order, then all
    other rows. The context of size k is the first k rows, or with ``stratify="balanced"`` the first ``k // n_classes``
    rows of each class. It holds every class and contains every smaller context of the same repeat.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Classes of the rows to choose from.
    k : int or sequence of int
        Sizes of the contexts. Sizes below ``min_per_class * n_classes`` or above ``n_samples`` are left out, and of
        balanced contexts those for which a class has too few rows.
    n_repeats : int, default=5
        Number of orders. The first repeats do not depend on how many there are.
    random_state : int, RandomState instance or None, default=0
        Seed of the orders. They depend on `y`, this seed and the number of the repeat alone.
    min_per_class : int, default=1
        Smallest mean number of rows per class; smaller sizes are left out. 2 leaves out the sizes at which most folds
        of a cross-validation would miss a class.
    stratify : bool or "balanced", default=True
        Whether a context holds the classes in the proportions of `y`, as far as whole rows and the first row of each
        class allow. False: the first rows of the classes are followed by random ones, as if labels were bought one by
        one. "balanced": a context holds exactly as many rows of one class as of another, ``k // n_classes`` of each,
        whatever their proportions in `y`; up to ``n_classes - 1`` of the k rows are left over.

    Returns
    -------
    list of dict
        For each repeat the row numbers of the context of each size, ``{k: ndarray of shape (k,)}``. Balanced ones are
        found under the k that was asked for and have shape ``(k // n_classes * n_classes,)``.

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
    >>> balanced = nested_contexts(y, k=[2, 5], n_repeats=1, stratify="balanced")
    >>> sorted(y[i] for i in balanced[0][5])
    ['ham', 'ham', 'spam', 'spam']
    """
    check_integer(n_repeats, "n_repeats")
    check_integer(min_per_class, "min_per_class")
    check_stratify(stratify)
    asked = np.atleast_1d(k)
    if asked.ndim != 1 or asked.size == 0 or asked.dtype.kind not in "iu" or asked.min() < 1:
        raise ValueError(f"`k` must be one or more sizes of at least 1, got {k!r}.")
    classes, codes, counts = np.unique(read_all_labels(y), return_inverse=True, return_counts=True)
    smallest = min_per_class * len(classes)
    sizes = [int(size) for size in np.unique(asked) if smallest <= size <= len(codes)]
    if is_balanced(stratify):
        sizes = [size for size in sizes if size // len(classes) <= counts.min()]
    if not sizes:
        rarest = classes[counts.argmin()].item()
        few = f", and equally many of each class at most {counts.min()}, all rows of {rarest!r}"
        raise ValueError(
            f"No size in `k` can be drawn: {len(codes)} rows of {len(classes)} classes allow sizes from "
            f"{smallest} (`min_per_class` times the number of classes) to {len(codes)}"
            f"{few if is_balanced(stratify) else ''}, got {asked.tolist()}."
        )
    orders = orders_of_rows(codes, n_repeats, random_state, stratify)
    if is_balanced(stratify):
        return [{size: _equally_many(order, codes, size // len(classes)) for size in sizes} for order in orders]
    return [{size: order[:size] for size in sizes} for order in orders]


def check_stratify(stratify):
    """Refuse what says nothing about the classes in a context."""
    if not is_balanced(stratify) and not isinstance(stratify, bool | np.bool_):
        raise ValueError(f"`stratify` must be True, False or {BALANCED!r}, got {stratify!r}.")


def is_balanced(stratify):
    """Whether contexts hold equally many rows of each class."""
    return isinstance(stratify, str) and stratify == BALANCED


def orders_of_rows(y, n_repeats, random_state, stratify=True):
    """One order of all rows (n_samples,) for each repeat; the context of size k is the first k rows.

    A balanced context is the first rows of each class in the order of ``stratify=False``.
    """
    codes = np.unique(y, return_inverse=True)[1]
    seeds = check_random_state(random_state).randint(2**31 - 1, size=n_repeats)
    order = _order if is_balanced(stratify) or not stratify else _stratified_order
    return [order(codes, np.random.default_rng(seed)) for seed in seeds]


def _equally_many(order, codes, n_each):
    """The first rows of each class in an order (n_samples,): the first of all classes, then the second of all."""
    ordered = codes[order]
    by_class = np.argsort(ordered, kind="stable")
    place = np.empty(len(order), dtype=int)  # 0, 1, ... within each class
    counts = np.bincount(codes)
    place[by_class] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return order[np.argsort(place, kind="stable")][: n_each * len(counts)]


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
