"""The tasks of the comparison with TART: two classes as the paper has them, and whole sets as they are.

TART classifies two classes. Its text tasks are two-class sets, and one class of a topic set against the rest; its
images and recordings are two classes out of ten. Both classes are equally frequent there, and so they are here: of the
larger class as many rows are drawn as the smaller one has.
"""

from typing import NamedTuple

import numpy as np
from data_sets import PIXELS, TEXT, Part

BINARY, WHOLE = "binary", "whole"
AGAINST_REST = {
    "agnews": ("world", "sports", "business", "sci_tech"),
    "dbpedia": ("company", "educational institution", "artist", "athlete"),
}
PAIRS = {"mnist": ((0, 8), (2, 4)), "digits": ((0, 8), (2, 4)), "fsdd": ((0, 1), (5, 9))}
GROUPS = {
    (BINARY, TEXT): "Two classes, texts",
    (BINARY, PIXELS): "Two classes, images and recordings",
    (WHOLE, TEXT): "More than two classes, texts",
    (WHOLE, PIXELS): "More than two classes, images and recordings",
}


class Task(NamedTuple):
    """One task: its name, the set it comes from and how, and both parts."""

    name: str
    origin: str
    kind: str
    family: str
    train: Part
    test: Part

    @property
    def group(self):
        return self.family, TEXT if self.kind == TEXT else PIXELS

    @property
    def n_classes(self):
        return len(np.unique(self.train.y))


def tasks_of(name, kind, train, test):
    """All tasks that are made of a set."""
    classes = np.unique(train.y)
    if len(classes) == 2:
        return [_balanced(name, name, kind, train, test)]
    found = [Task(name, name, kind, WHOLE, train, test)]
    for label in (label for label in AGAINST_REST.get(name, ()) if label in classes):
        parts = [Part(part.X, np.where(part.y == label, label, "other")) for part in (train, test)]
        found.append(_balanced(f"{name}.{label}", name, kind, *parts))
    for pair in PAIRS.get(name, ()):
        parts = [_take(part, np.flatnonzero(np.isin(part.y, pair))) for part in (train, test)]
        found.append(_balanced(f"{name}.{pair[0]}-{pair[1]}", name, kind, *parts))
    return found


def _balanced(name, origin, kind, train, test):
    return Task(name, origin, kind, BINARY, *(_take(part, equally_many(part.y)) for part in (train, test)))


def equally_many(y):
    """Rows of all classes, equally many of each, in ascending order; always the same."""
    rng = np.random.default_rng(0)
    by_class = [rng.permutation(np.flatnonzero(y == label)) for label in np.unique(y)]
    smallest = min(map(len, by_class))
    return np.sort(np.concatenate([rows[:smallest] for rows in by_class]))


def _take(part, rows):
    X = [part.X[row] for row in rows] if isinstance(part.X, list) else part.X[rows]
    return Part(X, part.y[rows])
