"""What can be wrong with a context: a list of conditions, each of which spoils a clean set in one way.

Every condition takes a set (rows to learn from, rows to predict) and a random generator, and draws one context with
its queries from it. Lengths of shifts and noise are in units of the set's own spread, the root mean squared distance
of its rows to their mean.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

N_CONTEXT = 128
N_QUERIES = 300


class Data(NamedTuple):
    """Rows X (n, d) with labels y (n,), and queries with their labels."""

    X: np.ndarray
    y: np.ndarray
    X_query: np.ndarray
    y_query: np.ndarray


class Condition(NamedTuple):
    """One line of the table."""

    key: str
    label: str
    draw: Callable  # (Data of the whole set, generator) -> Data of one task


def conditions():
    """All conditions, in the order of the table; the first one spoils nothing."""
    return (
        Condition("clean", f"{N_CONTEXT} rows as they are", draw_clean),
        *(
            Condition(f"noise-{percent}", f"{percent} % of the labels wrong", spoilt(wrong_labels, percent / 100))
            for percent in (5, 10, 20, 40)
        ),
        Condition("imbalance", "one class 250 rows, every other 5, balanced queries", draw_imbalanced),
        Condition("rows-32", "32 rows", lambda data, rng: draw_clean(data, rng, 32)),
        Condition("copies", "32 rows, each 10 times with jitter", draw_near_copies),
        Condition("one-each", "one row of each class", draw_one_of_each),
        Condition("long-outliers", "5 % of the rows 10 times as far out", spoilt(far_rows, 10.0)),
        Condition("huge-outliers", "5 % of the rows 1000 times as far out", spoilt(far_rows, 1000.0)),
        Condition("random-outliers", "5 % of the rows in random directions", spoilt(random_rows)),
        *(
            Condition(f"project-{size}", f"random projection to {size} columns", spoilt(projected, size))
            for size in (16, 64)
        ),
        *(Condition(f"pad-{size}", f"columns of noise up to {size}", spoilt(padded, size)) for size in (1024, 4096)),
        Condition("unit", "rows of length one", spoilt(unit_length)),
        Condition("lengths", "rows of random lengths", spoilt(random_lengths)),
        *(
            Condition(f"times-{factor:g}", f"all values times {factor:g}", spoilt(scaled, factor))
            for factor in (1e3, 1e-6, 1e12)
        ),
        Condition("offset", "a common offset of 100 spreads", spoilt(offset, 100.0)),
        *(
            Condition(f"shift-{size:g}", f"queries shifted by {size:g} spreads", spoilt(shifted_queries, size))
            for size in (0.5, 1.0)
        ),
        *(
            Condition(f"query-noise-{size:g}", f"noise of {size:g} spreads on the queries", spoilt(noisy_queries, size))
            for size in (0.5, 1.0)
        ),
        Condition("far-queries", "queries 1000 times as far out", spoilt(far_queries, 1000.0)),
    )


def spoilt(spoil, *arguments):
    """Draw a clean context, then spoil it."""
    return lambda data, rng: spoil(draw_clean(data, rng), rng, *arguments)


def draw_clean(data, rng, n_context=N_CONTEXT):
    """One row of each class, then rows at random; queries at random."""
    order = rng.permutation(len(data.y))
    first = np.unique(data.y[order], return_index=True)[1]
    rest = np.setdiff1d(np.arange(len(order)), first)
    rows = order[np.concatenate([first, rest])[:n_context]]
    queries = rng.permutation(len(data.y_query))[:N_QUERIES]
    return Data(data.X[rows], data.y[rows], data.X_query[queries], data.y_query[queries])


def draw_one_of_each(data, rng):
    return draw_clean(data, rng, len(np.unique(data.y)))


def draw_imbalanced(data, rng):
    """Of the most frequent class 250 rows or all, of the others 5; the same number of queries of each class."""
    labels, counts = np.unique(data.y, return_counts=True)
    wanted = {label: 5 for label in labels} | {labels[counts.argmax()]: 250}
    rows = [rng.permutation(np.flatnonzero(data.y == label))[: wanted[label]] for label in labels]
    of_class = [rng.permutation(np.flatnonzero(data.y_query == label)) for label in labels]
    n_each = min(N_QUERIES // len(labels), *(len(found) for found in of_class))
    rows, queries = np.concatenate(rows), np.concatenate([found[:n_each] for found in of_class])
    return Data(data.X[rows], data.y[rows], data.X_query[queries], data.y_query[queries])


def draw_near_copies(data, rng, n_copies=10):
    """The context of the condition with 32 rows, every row repeated with a jitter of a thousandth of the spread."""
    few = draw_clean(data, rng, 32)
    X = np.repeat(few.X, n_copies, axis=0)
    return few._replace(X=X + _noise(X.shape, 1e-3 * spread(few.X), rng), y=np.repeat(few.y, n_copies))


def wrong_labels(data, rng, share):
    """Replace a share of the labels by another class, but let every class keep a row."""
    labels, codes = np.unique(data.y, return_inverse=True)
    chosen = rng.permutation(len(codes))[: round(share * len(codes))]
    codes = codes.copy()
    for row in chosen:
        if (codes == codes[row]).sum() > 1:
            codes[row] = (codes[row] + rng.integers(1, len(labels))) % len(labels)
    return data._replace(y=labels[codes])


def far_rows(data, rng, factor):
    chosen = _some_rows(data, rng)
    X, centre = data.X.copy(), data.X.mean(axis=0)
    X[chosen] = centre + factor * (X[chosen] - centre)
    return data._replace(X=X)


def random_rows(data, rng):
    chosen = _some_rows(data, rng)
    X, centre = data.X.copy(), data.X.mean(axis=0)
    X[chosen] = centre + _noise(X[chosen].shape, spread(data.X), rng)
    return data._replace(X=X)


def projected(data, rng, size):
    matrix = rng.normal(size=(data.X.shape[1], size)) / np.sqrt(size)
    return _on_both(data, lambda X: X @ matrix)


def padded(data, rng, size):
    """Columns of noise that together spread as much as the real ones."""
    width, length = size - data.X.shape[1], spread(data.X)
    return _on_both(data, lambda X: np.hstack([X, _noise((len(X), width), length, rng)]))


def unit_length(data, rng):
    return _on_both(data, lambda X: X / np.linalg.norm(X, axis=1, keepdims=True))


def random_lengths(data, rng):
    return _on_both(data, lambda X: X * np.exp(0.7 * rng.normal(size=(len(X), 1))))


def scaled(data, rng, factor):
    return _on_both(data, lambda X: X * factor)


def offset(data, rng, size):
    vector = _noise((1, data.X.shape[1]), size * spread(data.X), rng)
    return _on_both(data, lambda X: X + vector)


def shifted_queries(data, rng, size):
    direction = rng.normal(size=data.X.shape[1])
    step = size * spread(data.X) * direction / np.linalg.norm(direction)
    return data._replace(X_query=data.X_query + step)


def noisy_queries(data, rng, size):
    return data._replace(X_query=data.X_query + _noise(data.X_query.shape, size * spread(data.X), rng))


def far_queries(data, rng, factor):
    centre = data.X.mean(axis=0)
    return data._replace(X_query=centre + factor * (data.X_query - centre))


def spread(X):
    """Root mean squared distance of the rows to their mean."""
    return np.sqrt(X.var(axis=0).sum())


def _noise(shape, length, rng):
    """Gaussian rows of a given root mean squared length."""
    return rng.normal(size=shape) * (length / np.sqrt(shape[1]))


def _some_rows(data, rng, share=0.05):
    return rng.permutation(len(data.y))[: max(1, round(share * len(data.y)))]


def _on_both(data, change):
    return data._replace(X=change(data.X), X_query=change(data.X_query))
