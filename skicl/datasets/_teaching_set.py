"""teaching_set: the fewest labelled points that leave one conjunction, or one disjunction, and no other."""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from skicl._validation._scalars import check_choice

KINDS = ("conjunction", "disjunction")


def teaching_set(
    kind: str, function: ArrayLike, *, random_state: int | np.random.RandomState | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Make the fewest labelled points that tell a conjunction, or a disjunction, from all others.

    Random points leave many functions possible for a long time; a teacher who knows the function needs few points [1]_.
    A conjunction is taught by two points where it is true, alike in its literals and opposite in all other features,
    and by one point for each literal at which only this literal fails. Models that learn in context were found to make
    use of such examples [2]_.

    Parameters
    ----------
    kind : {"conjunction", "disjunction"}
        The class of functions, as in :func:`make_boolean_function`.
    function : array-like of shape (n_features,) or (1, n_features)
        Signs of the literals: 1 for a feature, -1 for its negation, 0 for neither, not all of them 0. The `functions`
        of :func:`make_boolean_function` are such arrays.
    random_state : int, RandomState instance or None, default=None
        Draws the order of the points, and the features that may have any value.

    Returns
    -------
    X : ndarray of shape (n_points, n_features)
        Bits 0.0 and 1.0.
    y : ndarray of shape (n_points,), dtype int
        Values 0 and 1.

    Raises
    ------
    ValueError
        If `kind` is another class, or `function` is not an array of signs.

    Notes
    -----
    A function of r literals takes r + 2 points. It takes one less if all features are in it, as one point where the
    function is true is then enough. If r = 1, the point at which the literal fails is not needed, as constant functions
    are in neither class. No smaller set of points singles out the function.

    References
    ----------
    .. [1] Goldman and Kearns (1995), "On the complexity of teaching", Journal of Computer and System Sciences 50.
    .. [2] Bhattamishra, Patel, Blunsom and Kanade (2024), "Understanding in-context learning in transformers and LLMs
       by learning to learn discrete functions", ICLR.

    Examples
    --------
    >>> from skicl.datasets import make_boolean_function, teaching_set
    >>> X, y = teaching_set("conjunction", [1, 0, -1, 0], random_state=0)
    >>> for point, label in sorted(zip(X.astype(int).tolist(), y.tolist())):
    ...     print(point, label)
    [0, 1, 0, 1] 0
    [1, 0, 0, 1] 1
    [1, 1, 0, 0] 1
    [1, 1, 1, 0] 0
    >>> tasks = make_boolean_function("conjunction", 10, 8, random_state=0)
    >>> X, y = teaching_set("conjunction", tasks.functions[0], random_state=0)
    >>> bayes = tasks.bayes_predict(X, y, tasks.X[0])
    >>> bool((bayes == tasks.y[0]).all())
    True
    """
    check_choice(kind, "kind", KINDS)
    signs = _signs(function)
    random = check_random_state(random_state)
    # A disjunction is the negation of the conjunction of the negated literals.
    literals = signs if kind == "conjunction" else -signs
    members = np.flatnonzero(literals)
    first = np.where(literals == 0, random.randint(0, 2, size=len(signs)), literals > 0)
    others = [np.where(literals == 0, 1 - first, first)] if len(members) < len(signs) else []
    for member in members if len(members) > 1 else ():
        point = np.where(literals == 0, random.randint(0, 2, size=len(signs)), first)
        point[member] = 1 - point[member]
        others.append(point)
    X = np.array([first, *others], dtype=float)
    y = (((2 * X - 1)[:, members] == literals[members]).all(axis=1) == (kind == "conjunction")).astype(np.int64)
    order = random.permutation(len(X))
    return X[order], y[order]


def _signs(function):
    """Signs of the literals, (n_features,)."""
    signs = np.asarray(function)
    signs = signs[0] if signs.ndim == 2 and len(signs) == 1 else signs
    if signs.ndim != 1 or signs.dtype.kind not in "if" or not np.isin(signs, (-1, 0, 1)).all() or not signs.any():
        raise ValueError(
            "`function` must be the signs of the literals: 1, -1 or 0 for each feature, and not all of "
            f"them 0; got {function!r}."
        )
    return signs.astype(np.int64)
