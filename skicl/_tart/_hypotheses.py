"""What to believe: hypotheses about the evidence, weighed by how well the labelled rows then predict each other.

Shapes: n labelled rows, C classes, H hypotheses, B contexts.

A hypothesis says which evidence is read. Its weight is its posterior probability: what it had before any row was
seen, times the probability that it gives to every labelled row with this row left out. One more hypothesis reads
nothing but the frequencies of the classes.
"""

from itertools import product
from typing import NamedTuple

import numpy as np

from skicl._tart._coordinates import has_mixed_units

# Odds of each piece of evidence before any row was seen, for it to against it. Chosen on the development half of the
# public sets (lab notes).
ODDS = {"names": 4.0, "prior": 4.0, "unlabelled": 1.0}
# Share of the hypothesis that nothing but the frequencies of the classes can be learned.
SHARE_OF_FREQUENCIES = 0.2
# Columns of unlike ranges stay on one scale unless the rows then predict each other better by so many nats, times the
# root of their number.
CLEARLY_BETTER = 1.0
# Hypotheses with a smaller weight are left out.
NEGLIGIBLE = 1e-3


class Hypothesis(NamedTuple):
    """Which evidence is read beside the labels, and whether columns are put on one scale."""

    names: bool
    prior: bool
    unlabelled: bool
    standardized: bool


def scales_of(rows, standardize):
    """The ways in which columns of rows (ContextRows) may be read, standardised or not: one or both, (True, False)."""
    if isinstance(standardize, str):
        return (True, False) if has_mixed_units(rows.X[rows.total_weight > 0]) else (False,)
    return (bool(standardize),)


def hypotheses_of(rows, scales):
    """All hypotheses about rows (ContextRows). The first one believes everything; ``scales`` are those of columns."""
    given = (rows.names is not None, rows.prior_scores is not None, len(rows.unlabelled) > 0)
    options = [(True, False) if part else (False,) for part in given]
    return [Hypothesis(*chosen) for chosen in product(*options, scales)]


def log_prior(hypothesis, rows, everything, scales):
    """Logarithm of the odds of a hypothesis before any row was seen; -inf where it cannot be meant.

    Labelled rows of some classes cannot tell whether to believe what names and a prior say of the others.
    """
    mass = rows.mass
    if hypothesis.standardized not in scales:
        return -np.inf
    if mass.sum() == 0:
        return 0.0 if hypothesis._replace(standardized=everything.standardized) == everything else -np.inf
    if (mass == 0).any() and (hypothesis.names, hypothesis.prior) != (everything.names, everything.prior):
        return -np.inf
    believed = [odds for name, odds in ODDS.items() if getattr(everything, name) and getattr(hypothesis, name)]
    return float(np.log(believed).sum())


def one_scale(hypotheses, log_weights, n_labelled):
    """Logarithms of weights (H,), those of all hypotheses but those with the better way of scaling columns -inf.

    One way alone, or probabilities would depend on the units of the columns.
    """
    standardized = np.array([hypothesis.standardized for hypothesis in hypotheses])
    by_scale = [np.logaddexp.reduce(log_weights[standardized == scale], initial=-np.inf) for scale in (False, True)]
    chosen = by_scale[1] > -np.inf and by_scale[0] - by_scale[1] <= CLEARLY_BETTER * n_labelled**0.5
    return np.where(standardized == chosen, log_weights, -np.inf)


def frequencies(mass):
    """Log-probabilities (..., C) of the classes by their frequencies alone, from their masses (..., C)."""
    return np.log(mass + 0.5) - np.log(mass.sum(axis=-1, keepdims=True) + 0.5 * mass.shape[-1])


def frequencies_without(mass, codes, weight):
    """Log-probabilities (n, C) of the classes by their frequencies, one copy of each row (n,) left out."""
    left = np.repeat(mass[None], len(codes), axis=0)
    left[np.arange(len(codes)), codes] -= np.minimum(weight, 1.0)
    return frequencies(left)


def frequencies_of_others(mass, codes, weight):
    """Log-probabilities (n,) of labels (n,) by the frequencies of the classes, one copy of the row left out."""
    return frequencies_without(mass, codes, weight)[np.arange(len(codes)), codes]


def posterior(log_weights):
    """Weights (H, B) that sum to one, from their logarithms; negligible ones are zero."""
    weights = np.exp(log_weights - log_weights.max(axis=0))
    weights = weights / weights.sum(axis=0)
    weights = np.where(weights < NEGLIGIBLE, 0.0, weights)
    return weights / weights.sum(axis=0)
