"""Labelled rows that are left out together, so that what is left does not tell the label of any of them."""

from math import ceil

# Fewer folds would leave out more than a fifth of the rows for the sake of a rare class.
LEAST_FOLDS = 5


def withheld_together(rows, labels, order):
    """Which rows are left out when one of them is looked at: those of its fold, which holds a share of every class.

    Were a row left out alone, its label would be the one that is once less among what is left than it is for rows of
    other classes, and whatever depends on what is left would tell it. So there are as many folds as the smallest class
    has rows, but at least five; classes are dealt out to them, and what is left has the same number of rows of each
    class for all folds. With classes of equal size, one row of each is left out. In a random order, what is left out
    for a row says no more of its label than how frequent the labels are.

    >>> from skicl._withholding import withheld_together
    >>> withheld_together("ABCDE", ["odd", "even", "odd", "even", "odd"], order=[0, 1, 2, 3, 4])
    [(0, 1), (0, 1), (2, 3), (2, 3), (1, 4)]
    """
    lists = {}
    for i in order:
        lists.setdefault(labels[i], []).append(i)
    several = [own for own in lists.values() if len(own) > 1]
    n_folds = max(LEAST_FOLDS, min(map(len, several), default=1))
    # Where a class cannot be shared out evenly, folds that got one row less leave out a row of another fold.
    folds = [
        {own[(fold + n_folds * turn) % len(own)] for own in several for turn in range(ceil(len(own) / n_folds))}
        for fold in range(n_folds)
    ]
    withheld, first = [()] * len(order), {}
    for own in lists.values():
        for number, i in enumerate(own):
            twin, fold = first.setdefault((rows[i], labels[i]), (i, number % n_folds))
            withheld[i] = tuple(sorted(folds[fold] if i in folds[fold] else {*folds[fold] - {twin}, i}))
    return withheld
