"""How sharp probabilities should be: a factor of the log-probabilities that suits rows which were left out.

It never sharpens. What a label did to the other rows stays when its row is left out, so that rows of many small
classes seem to predict each other too well (lab notes).

Shapes: n labelled rows, C classes.
"""

import numpy as np
from scipy.optimize import brentq

# Standard deviation of the logarithm of the factor before any row was seen. Chosen on the development half of the
# public sets (lab notes).
SPREAD = 0.05
SMALLEST, LARGEST = 0.2, 1.0


def fit_sharpness(log_proba, codes, weight):
    """The factor of log-probabilities (n, C) that is most probable given the labels (n,) of rows with weights (n,)."""
    own = log_proba[np.arange(len(codes)), codes]

    def slope(factor):
        proba = np.exp(factor * log_proba)
        expected = (proba * log_proba).sum(axis=1) / proba.sum(axis=1)
        return weight @ (expected - own) + np.log(factor) / (factor * SPREAD**2)

    if slope(SMALLEST) >= 0:
        return SMALLEST
    return LARGEST if slope(LARGEST) <= 0 else brentq(slope, SMALLEST, LARGEST, xtol=1e-12)
