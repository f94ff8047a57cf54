"""Classes of Boolean functions: their members, one by one or drawn, and their truth tables.

A function is an integer array of shape (n_terms, n_features): the signs of the literals of each term, the members of a
subset, or the weights of a halfspace. Points of the cube are rows of bits.
"""

from itertools import combinations, product
from math import comb

import numpy as np

KINDS = (
    "conjunction",
    "disjunction",
    "sparse_disjunction",
    "dnf",
    "cnf",
    "majority",
    "int_halfspace",
    "parity",
    "sparse_parity",
)
LARGEST_WEIGHT = 3
# Most cells of all truth tables of a class that is enumerated.
MOST_CELLS = 2**26


def cube(n_features):
    """All points: bits of shape (2 ** n_features, n_features), the first feature slowest."""
    numbers = np.arange(2**n_features)
    return (numbers[:, None] >> np.arange(n_features)[::-1]) & 1


def evaluate(kind, functions, points):
    """Values of functions (n_functions, n_terms, n_features) at points: bool of shape (n_functions, n_points)."""
    if kind in ("parity", "sparse_parity"):
        return (functions[:, 0] @ points.T) % 2 == 1
    signs = 2 * points - 1
    agreement = functions @ signs.T
    if kind in ("majority", "int_halfspace"):
        return agreement[:, 0] > 0
    n_literals = np.abs(functions).sum(axis=2)[:, :, None]
    # Of each term (n_functions, n_terms, n_points): all of its literals are true, or at least one.
    all_true, any_true = agreement == n_literals, agreement > -n_literals
    return any_true.all(axis=1) if kind in ("disjunction", "sparse_disjunction", "cnf") else all_true.any(axis=1)


def n_functions(kind, n_features, n_literals, n_terms):
    """How many arrays describe the class; several may describe one function."""
    terms = comb(n_features, n_literals) * 2**n_literals
    return {
        "conjunction": 3**n_features,
        "disjunction": 3**n_features,
        "sparse_disjunction": terms,
        "dnf": terms**n_terms,
        "cnf": terms**n_terms,
        "majority": 2 ** (n_features - 1),
        "int_halfspace": (2 * LARGEST_WEIGHT + 1) ** n_features,
        "parity": 2**n_features,
        "sparse_parity": comb(n_features, n_literals),
    }[kind]


def enumerate_functions(kind, n_features, n_literals, n_terms):
    """All arrays that describe the class: (n_functions, n_terms, n_features)."""
    if kind in ("conjunction", "disjunction"):
        return _words((-1, 0, 1), n_features)
    if kind == "int_halfspace":
        return _words(range(-LARGEST_WEIGHT, LARGEST_WEIGHT + 1), n_features)
    if kind == "parity":
        return cube(n_features)[:, None]
    if kind == "majority":
        subsets = cube(n_features)
        return subsets[subsets.sum(axis=1) % 2 == 1][:, None]
    subsets = np.zeros((comb(n_features, n_literals), n_features), dtype=np.int64)
    for row, members in zip(subsets, combinations(range(n_features), n_literals)):
        row[list(members)] = 1
    if kind == "sparse_parity":
        return subsets[:, None]
    signs = _words((-1, 1), n_literals)[:, 0]
    terms = np.repeat(subsets, len(signs), axis=0)
    # Row by row, the ones of every subset are replaced by each combination of signs.
    terms[terms == 1] = np.tile(signs, (len(subsets), 1)).ravel()
    if kind == "sparse_disjunction":
        return terms[:, None]
    # All tuples of n_terms terms, the last one fastest.
    return terms[np.indices((len(terms),) * n_terms).reshape(n_terms, -1).T]


def draw_functions(kind, n, n_features, n_literals, n_terms, random):
    """`n` arrays, each of those that :func:`enumerate_functions` lists with equal probability."""
    if kind in ("conjunction", "disjunction"):
        return random.randint(-1, 2, size=(n, 1, n_features))
    if kind == "int_halfspace":
        return random.randint(-LARGEST_WEIGHT, LARGEST_WEIGHT + 1, size=(n, 1, n_features))
    if kind in ("parity", "majority"):
        subsets = random.randint(0, 2, size=(n, 1, n_features))
        if kind == "majority":
            # Flipping one member turns the even subsets into the odd ones, one to one.
            subsets[:, :, 0] ^= 1 - subsets.sum(axis=2) % 2
        return subsets
    n_terms = n_terms if kind in ("dnf", "cnf") else 1
    # A random order of the features of each term; those of the ranks below n_literals are its members.
    order = np.argsort(random.random_sample((n, n_terms, n_features)), axis=2)
    members = (order < n_literals).astype(np.int64)
    return members if kind == "sparse_parity" else members * (2 * random.randint(0, 2, size=members.shape) - 1)


def _words(letters, length):
    return np.array(list(product(letters, repeat=length)))[:, None]
