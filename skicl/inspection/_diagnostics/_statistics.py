"""Numbers for the diagnostics of in-context estimators: divergences and noise floors.

Shapes: R repeats (fits), Q queries, C classes. Probabilities of one fit are (Q, C), of several (R, Q, C).
"""

import numpy as np
from scipy.special import entr

from skicl._resampling import resampling_weights


def divergence(p, q):
    """Jensen-Shannon divergence of probabilities along the last axis, in bits: 0 for equal, 1 for disjoint ones."""
    middle = (p + q) / 2
    nats = entr(middle).sum(axis=-1) - (entr(p).sum(axis=-1) + entr(q).sum(axis=-1)) / 2
    return np.clip(nats / np.log(2), 0, 1)


def changed(p, q):
    """1 where the most probable classes of two probabilities (..., C) differ, else 0."""
    return (p.argmax(axis=-1) != q.argmax(axis=-1)).astype(float)


def total_variation(p, q):
    """Half the sum of absolute differences along the last axis."""
    return np.abs(p - q).sum(axis=-1) / 2


def missing_entropy(p):
    """How far probabilities (..., C) are from uniform: 0 for uniform, 1 for certainty."""
    return 1 - entr(p).sum(axis=-1) / np.log(p.shape[-1])


def slopes(rates, accuracies):
    """Least-squares slopes of accuracies (..., n) on rates (n,)."""
    centred = rates - rates.mean()
    return accuracies @ centred / (centred @ centred)


def agreement_by_chance(labels, expected, n_bootstrap, random):
    """Shares of queries on which two sets of labels (R, Q) agree after the queries of the second were permuted."""
    orders = np.array([random.permutation(labels.shape[1]) for _ in range(n_bootstrap)])
    return np.array([(labels == expected[:, order]).mean() for order in orders])


def bias_by_chance(proba, truth, n_bootstrap, random):
    """Distances of mean probabilities (Q, C) to frequencies of labels (Q, C), each query's two exchanged at random."""
    signs = random.choice([-1.0, 1.0], size=(n_bootstrap, len(proba)))
    return np.abs(signs @ (proba - truth)).sum(axis=1) / len(proba) / 2


def preference_by_chance(proba, n_bootstrap, random):
    """Missing entropy of the mean of probabilities (Q, C) whose classes were renamed at random, row by row."""
    deficits = []
    for _ in range(n_bootstrap):
        order = np.argsort(random.random_sample(proba.shape), axis=1)  # a permutation of the classes in each row
        deficits.append(missing_entropy(np.take_along_axis(proba, order, axis=1).mean(axis=0)))
    return np.array(deficits)


def gain_by_chance(hits, n_bootstrap, random):
    """How much better one of several fits on meaningless labels (R, Q) is than the others, queries drawn anew."""
    queries = resampling_weights(hits.shape[1], n_bootstrap, random)
    accuracies = queries @ hits.T
    chosen = random.randint(len(hits), size=n_bootstrap)
    of_chosen = accuracies[np.arange(n_bootstrap), chosen]
    return of_chosen - (accuracies.sum(axis=1) - of_chosen) / (len(hits) - 1)


def signs_by_chance(differences, n_bootstrap, random):
    """Means of paired differences (Q,) whose signs were drawn at random."""
    return (random.choice([-1.0, 1.0], size=(n_bootstrap, len(differences))) * differences).mean(axis=1)
