"""make_boolean_function: tasks of learning Boolean functions, and the posterior over all functions of the class."""

from functools import partial

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skicl._validation._scalars import check_choice, check_integer
from skicl._validation._task_arrays import as_batch
from skicl.datasets._boolean_classes import (
    KINDS,
    MOST_CELLS,
    cube,
    draw_functions,
    enumerate_functions,
    evaluate,
    n_functions,
)

MOST_FEATURES = 16
SIZED_KINDS = ("sparse_disjunction", "sparse_parity", "dnf", "cnf")
# If so many functions in a row are constant, hardly any others are left to find.
MOST_CONSTANT = 10_000
# Cells that are evaluated at a time, to bound memory.
CELLS_AT_A_TIME = 2**22


def make_boolean_function(
    kind: str,
    n_tasks: int = 100,
    n_points: int = 64,
    n_features: int = 6,
    *,
    n_literals: int = 3,
    n_terms: int = 2,
    balanced: bool = True,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Generate tasks of learning a Boolean function of bits from examples.

    The function classes are those of Bhattamishra et al. [1]_. They range from what a few well-chosen examples
    determine (conjunctions) to what statistics of single features say nothing about (parities).

    Parameters
    ----------
    kind : {"conjunction", "disjunction", "sparse_disjunction", "dnf", "cnf", "majority", "int_halfspace", "parity", \
            "sparse_parity"}
        The class. Conjunctions and disjunctions hold each feature, its negation, or neither, with equal probabilities;
        sparse disjunctions have `n_literals`. "dnf" is a disjunction of conjunctions of `n_literals`, "cnf" a
        conjunction of such disjunctions. "majority" takes the majority of an odd subset of the features,
        "int_halfspace" has integer weights from -3 to 3, "parity" takes the parity of any subset, and "sparse_parity"
        that of a subset of `n_literals` features.
    n_tasks : int, default=100
        Number of tasks, each with its own function. Constant functions are left out.
    n_points : int, default=64
        Number of points in each.
    n_features : int, default=6
        Number of bits, at most 16.
    n_literals : int, default=3
        Literals of a sparse disjunction, of a term of "dnf" and of a clause of "cnf"; members of a sparse parity. The
        other classes ignore it.
    n_terms : int, default=2
        Terms of "dnf" and clauses of "cnf". The other classes ignore it.
    balanced : bool, default=True
        If True, each label has probability 1/2, and the point is drawn from those with this label. If False, points
        are drawn from the whole cube; long conjunctions are then hardly ever true.
    random_state : int, RandomState instance or None, default=None
        Equal seeds give equal tasks.

    Returns
    -------
    tasks : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        X : ndarray of shape (n_tasks, n_points, n_features)
            Bits 0.0 and 1.0.
        y : ndarray of shape (n_tasks, n_points), dtype int
            Values 0 and 1.
        truth_tables : ndarray of shape (n_tasks, 2 ** n_features), dtype bool
            Each function at all points, in the order of binary numbers; the first feature is the highest digit.
        functions : ndarray of shape (n_tasks, n_terms, n_features), dtype int
            What the functions are made of: signs of literals, members of a subset, or weights. There is one term,
            except in "dnf" and "cnf".
        n_hypotheses : int or None
            Number of different functions in the class; None if it is too large to be enumerated.
        bayes_predict : callable or None
            ``bayes_predict(X_context, y_context, X_query)``: the posterior predictive probability of 1, of shape
            (n_tasks, n_query), computed over all functions of the class; None if there are too many. A single task may
            be given without the first axis; the context may be empty.
        kind : str
            The parameter.

    Raises
    ------
    ValueError
        If a parameter is out of range, or nearly all functions of the class are constant; or, by ``bayes_predict``, if
        no function of the class agrees with a context.

    Notes
    -----
    With ``balanced=True`` the points say something about the function even without their labels: where it is seldom
    true, the few points at which it is true are drawn often. ``bayes_predict`` makes use of that.

    A class is enumerated if its truth tables, and the arrays that describe its functions, have at most 2 ** 26 cells
    in all. Several descriptions of one function all count. This is so for conjunctions of up to 10 features and
    halfspaces of up to 6.

    References
    ----------
    .. [1] Bhattamishra, Patel, Blunsom and Kanade (2024), "Understanding in-context learning in transformers and LLMs
       by learning to learn discrete functions", ICLR.

    Examples
    --------
    >>> from skicl.datasets import make_boolean_function
    >>> tasks = make_boolean_function("parity", 30, 20, 5, random_state=0)
    >>> tasks.n_hypotheses
    31
    >>> bayes = tasks.bayes_predict(tasks.X[:, :12], tasks.y[:, :12], tasks.X[:, 12:])
    >>> bool(((bayes > 0.5) == tasks.y[:, 12:]).mean() > 0.95)
    True
    """
    check_choice(kind, "kind", KINDS)
    for name, value in [
        ("n_tasks", n_tasks),
        ("n_points", n_points),
        ("n_features", n_features),
        ("n_literals", n_literals),
        ("n_terms", n_terms),
    ]:
        check_integer(value, name)
    if n_features > MOST_FEATURES:
        raise ValueError(
            f"`n_features` must be at most {MOST_FEATURES}, got {n_features}: truth tables have 2 ** n_features cells."
        )
    if kind in SIZED_KINDS and n_literals > n_features:
        raise ValueError(f"`n_literals`={n_literals} is more than `n_features`={n_features}.")
    if not isinstance(balanced, bool | np.bool_):
        raise ValueError(f"`balanced` must be True or False, got {balanced!r}.")
    random = check_random_state(random_state)
    size = (n_features, n_literals, n_terms)
    functions, tables = _draw_not_constant(kind, n_tasks, size, random)
    points = cube(n_features)
    drawn = np.array([_draw_points(table, n_points, balanced, random) for table in tables])  # numbers of points
    y = np.take_along_axis(tables, drawn, axis=1).astype(np.int64)
    predict, n_hypotheses = None, None
    if n_functions(kind, *size) * max(len(points), functions[0].size) <= MOST_CELLS:
        candidates = enumerate_functions(kind, *size)
        step = max(1, CELLS_AT_A_TIME // (len(points) * candidates.shape[1]))
        blocks = [evaluate(kind, candidates[i : i + step], points) for i in range(0, len(candidates), step)]
        hypotheses, weights = _distinct_tables(np.concatenate(blocks))
        n_hypotheses = len(hypotheses)
        predict = partial(enumeration_posterior, hypotheses=hypotheses, weights=weights, balanced=bool(balanced))
    return Bunch(
        X=points[drawn].astype(float),
        y=y,
        truth_tables=tables,
        functions=functions,
        n_hypotheses=n_hypotheses,
        bayes_predict=predict,
        kind=kind,
    )


def enumeration_posterior(X_context, y_context, X_query, *, hypotheses, weights, balanced):
    """Posterior predictive probability of 1 over functions with truth tables (M, 2 ** n_features) and weights (M,)."""
    n_features = hypotheses.shape[1].bit_length() - 1
    X, y, X_query, single = as_batch(X_context, y_context, X_query, n_features)
    if not (np.isin(X, (0, 1)).all() and np.isin(y, (0, 1)).all() and np.isin(X_query, (0, 1)).all()):
        raise ValueError("`X_context`, `y_context` and `X_query` must hold 0 and 1 only.")
    digits = 2 ** np.arange(n_features)[::-1]
    # A point is read as a binary number, its place in every truth table.
    places, queries, y = (X @ digits).astype(int), (X_query @ digits).astype(int), y.astype(bool)
    n_true = hypotheses.sum(axis=1)
    # One over the probability of a point, up to a factor. If balanced, points of one label are equally probable given
    # the label; otherwise all points are.
    chances = np.stack([hypotheses.shape[1] - n_true, n_true]) if balanced else np.full((2, len(hypotheses)), 1.0)
    probability = np.empty(queries.shape)
    for i in range(len(X)):
        agree = (hypotheses[:, places[i]] == y[i]).all(axis=1)
        if not agree.any():
            raise ValueError(f"No function of the class agrees with the context of task {i}.")
        n_positive = y[i].sum()
        log_posterior = np.log(weights[agree]) - n_positive * np.log(chances[1, agree])
        log_posterior -= (len(y[i]) - n_positive) * np.log(chances[0, agree])
        posterior = np.exp(log_posterior - log_posterior.max())
        values = hypotheses[agree][:, queries[i]]  # of every function left, at every query
        true, false = (posterior / chances[1, agree]) @ values, (posterior / chances[0, agree]) @ ~values
        probability[i] = true / (true + false)
    return probability[0] if single else probability


def _draw_not_constant(kind, n_tasks, size, random):
    """Functions that are not constant, and their truth tables."""
    points = cube(size[0])
    functions, tables, n_constant = [], [], 0
    while len(functions) < n_tasks:
        drawn = draw_functions(kind, 1, *size, random)
        table = evaluate(kind, drawn, points)[0]
        if table.any() and not table.all():
            functions.append(drawn[0])
            tables.append(table)
            n_constant = 0
        elif (n_constant := n_constant + 1) == MOST_CONSTANT:
            raise ValueError(
                f"`n_terms`={size[2]} of `n_literals`={size[1]}: nearly all functions of {kind!r} of "
                f"{size[0]} features are constant. Take fewer terms or more literals."
            )
    return np.array(functions), np.array(tables)


def _draw_points(table, n_points, balanced, random):
    """Numbers (n_points,) of points drawn for a function with this truth table."""
    if not balanced:
        return random.randint(len(table), size=n_points)
    labels = random.random_sample(n_points) < 0.5
    drawn = np.empty(n_points, dtype=np.int64)
    for label in (False, True):
        members = np.flatnonzero(table == label)
        drawn[labels == label] = members[random.randint(len(members), size=(labels == label).sum())]
    return drawn


def _distinct_tables(tables):
    """Truth tables that differ and are not constant, and how many descriptions each has."""
    tables = tables[tables.any(axis=1) & ~tables.all(axis=1)]
    # As bytes, unique has an eighth of the columns to sort by.
    packed, counts = np.unique(np.packbits(tables, axis=1), axis=0, return_counts=True)
    return np.unpackbits(packed, axis=1, count=tables.shape[1]).astype(bool), counts
