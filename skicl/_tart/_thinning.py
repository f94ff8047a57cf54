"""Which rows without a label are read: no more than a few labels can make sense of.

Beside 16 labelled rows, a thousand others make the reasoner unsure, where two hundred help (lab notes).

Shapes: n rows, D features.
"""

import numpy as np

# Rows without a label are read up to so many, or so many for each labelled row.
ALWAYS_READ = 200.0
READ_PER_LABEL = 16.0


def shares_read(X, codes, weight):
    """The shares (n,) of the weights (n,) of rows (n, D) that are read; codes (n,) are -1 without a label.

    The rows that are read lie evenly along the distances from the centre: no order of rows and no rotation matters, and
    a row of weight 2 counts as two.
    """
    share, others = np.ones(len(codes)), np.flatnonzero((codes < 0) & (weight > 0))
    most, total = max(ALWAYS_READ, READ_PER_LABEL * weight[codes >= 0].sum()), weight[others].sum()
    if total <= most:
        return share
    deviations = X[others] - weight[others] @ X[others].astype(float) / total
    deviations /= max(np.abs(deviations).max(), np.finfo(float).tiny)  # squares neither overflow nor vanish
    others = others[np.argsort(np.square(deviations).sum(axis=1), kind="stable")]
    passed = np.cumsum(weight[others]) * (most / total)  # marks are at .5, 1.5, ...: how many lie before the row's end
    read = np.diff(np.floor(passed + 0.5), prepend=0.0)
    share[others] = np.minimum(read / weight[others], 1.0)
    return share
