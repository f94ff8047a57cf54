"""Labelled rows that something is learnt from: which of them, and after which demonstrations each is read."""

import numpy as np

from skicl._withholding import withheld_together


def rows_by_class(codes, shown, most):
    """Numbers of rows to learn from: those that are no demonstrations first, the classes by turns."""
    order = np.random.RandomState(0).permutation(len(codes))
    seen, keys = {}, []
    for i in order:  # the place of a row among those of its class that are as it is
        key = (int(i) in shown, int(codes[i]))
        seen[key] = seen.get(key, -1) + 1
        keys.append((key[0], seen[key], int(i)))
    return [i for *_, i in sorted(keys)[:most]]


def rows_as_they_come(codes, shown, most):
    """The same as a sample: classes as frequent as among all rows, but for the first row of each, which is in front."""
    order = np.random.RandomState(0).permutation(len(codes))
    seen, keys = set(), []
    for place, i in enumerate(order):
        key = (int(i) in shown, int(codes[i]))
        keys.append((key[0], key in seen, place, int(i)))
        seen.add(key)
    return [i for *_, i in sorted(keys)[:most]]


def plans_without(numbers, plans, rows, codes, n_classes):
    """The plans of some rows with no row, or copy of it, among its demonstrations, nor told by which one is missing."""
    # How many demonstrations of each class a plan has.
    counts = {tuple(np.bincount(codes[list(plan)], minlength=n_classes)) for plan in plans}
    if len(counts) > 1:
        return [tuple(row for row in plan if rows[row] != rows[i]) for i, plan in zip(numbers, plans)]
    return [tuple(row for row in plan if row not in _withheld(i, plan, rows, codes)) for i, plan in zip(numbers, plans)]


def _withheld(i, plan, rows, codes):
    """A demonstration and one of each other class: the rest has the same number of each class for all of them."""
    equal = [number for number, row in enumerate(plan) if rows[row] == rows[i]]  # itself, or copies of it
    if not equal:
        return ()
    order = np.random.RandomState(1).permutation(len(rows))
    place = {int(row): number for number, row in enumerate(order)}
    order = sorted(range(len(plan)), key=lambda number: place[plan[number]])
    together = withheld_together([rows[j] for j in plan], codes[list(plan)].tolist(), order)
    return [plan[number] for number in {one for twin in equal for one in (twin, *together[twin])}]
