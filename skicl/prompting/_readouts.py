"""Classes by the states and predictions of a network rather than by label words: nearest mean, nearest neighbours.

Shapes: A anchors (labelled training rows), Q queries, D features of a state, V tokens of the vocabulary, C classes.
"""

import numpy as np
from scipy.special import log_softmax

READOUTS = ("label_words", "hidden_centroid", "knn")
# Neighbours that vote, and anchors at most.
NEIGHBORS = 3
ANCHORS = 256
_FLOOR = 1e-12


def centroid_scores(anchors, codes, states, n_classes):
    """Log-probabilities (Q, C) from squared distances of states (Q, D) to the mean state of each class of the anchors.

    `anchors` (A, D) are states of labelled rows, `codes` (A,) the numbers of their classes, each at least once. The
    distance is in units of the mean squared distance of an anchor to the mean of its class.

    The nearest mean is the answer of Cho, Sakai, Kato, Tanaka, Ishii and Inoue (2025), "Token-based Decision Criteria
    Are Suboptimal in In-context Learning" (hidden calibration), NAACL, arXiv:2406.16535; the probabilities are not
    theirs.
    """
    anchors, states = anchors.astype(np.float64), states.astype(np.float64)
    means = np.stack([anchors[codes == label].mean(axis=0) for label in range(n_classes)])
    spread = np.square(anchors - means[codes]).sum(axis=1).mean()
    between = np.square(means - means.mean(axis=0)).sum(axis=1).mean()
    distances = np.square(states[:, None] - means).sum(axis=2)
    return log_softmax(-distances / max(spread, between * 1e-3, _FLOOR), axis=1)


def neighbor_scores(anchors, codes, vocabulary, n_classes):
    """Log-probabilities (Q, C) from the votes of the nearest anchors, by the divergence of what the network says next.

    `anchors` (A, V) and `vocabulary` (Q, V) are log-probabilities of all tokens after labelled rows and after queries,
    `codes` (A,) the numbers of the classes of the anchors. Each class has one vote more, divided by the number of
    classes, so that none is impossible.

    Xu, Wang, Mao, Lyu, She and Zhang (2023), "kNN Prompting: Beyond-Context Learning with Calibration-Free Nearest
    Neighbor Inference", ICLR, arXiv:2303.13824.
    """
    floor = np.log(np.finfo(np.float32).tiny)
    anchors, vocabulary = (np.maximum(part, floor).astype(np.float64) for part in (anchors, vocabulary))
    entropy = (np.exp(anchors) * anchors).sum(axis=1)
    divergence = entropy - vocabulary @ np.exp(anchors).T  # KL(anchor, query)
    nearest = np.argsort(divergence, axis=1, kind="stable")[:, :NEIGHBORS]
    votes = np.stack([(codes[nearest] == label).sum(axis=1) for label in range(n_classes)], axis=1)
    return np.log((votes + 1 / n_classes) / (nearest.shape[1] + 1))
