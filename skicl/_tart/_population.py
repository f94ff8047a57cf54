"""How frequent the classes are where queries come from, read off rows without a label.

People label equally many rows of each class, and the population is not so. Where that is seen, the frequencies are
those under which the unlabelled rows are most probable (Saerens, Latinne and Decaestecker, 2002, "Adjusting the
Outputs of a Classifier to New a Priori Probabilities", Neural Computation).

Shapes: n unlabelled rows, C classes.
"""

import numpy as np
from scipy.special import logsumexp

N_ROUNDS = 100
# The frequencies of the labels count as so many rows of each class, and as so many unlabelled rows as nothing is known
# of. Chosen on the development half of the public sets (lab notes).
ROWS_OF_A_CLASS = 10.0


def looks_balanced(counts):
    """Whether labelled rows were drawn class by class: as many of each of the classes (C,), up to one."""
    return bool(counts.max() - counts.min() <= 1)


def class_frequencies(log_proba, weight, reference):
    """Frequencies (C,) of the classes among rows without a label, by expectation maximisation.

    Log-probabilities (n, C), where the classes have the ``reference`` frequencies (C,), and weights (n,) of the rows.
    """
    entropy = -(np.exp(log_proba) * log_proba).sum(axis=1) / np.log(len(reference))
    pseudo = (ROWS_OF_A_CLASS * len(reference) + weight @ entropy) * reference
    frequency = reference
    for _ in range(N_ROUNDS):
        mass = weight @ _shifted(log_proba, frequency / reference) + pseudo
        before, frequency = frequency, mass / mass.sum()
        if np.abs(frequency - before).max() < 1e-6:
            break
    return frequency


def evening_weights(log_proba, frequency, reference):
    """Weights (n,), at most 1, under which rows without a label have about the reference frequencies of the classes."""
    return np.minimum(_shifted(log_proba, frequency / reference) @ (reference / frequency), 1.0)


def _shifted(log_proba, ratio):
    """Probabilities (n, C) after the frequencies of the classes changed by a ratio (C,)."""
    adjusted = log_proba + np.log(ratio)
    return np.exp(adjusted - logsumexp(adjusted, axis=1, keepdims=True))
