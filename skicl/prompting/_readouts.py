"""Classes read off the network itself rather than off label words: nearest mean of states, nearest neighbours.

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
    """Log-probabilities from squared distances to the mean state of each class.

    The distance is in units of the mean squared distance of an anchor to its own mean.

    Parameters
    ----------
    anchors : ndarray of shape (A, D)
        States of labelled rows.
    codes : ndarray of shape (A,), dtype int
        Numbers of their classes, each at least once.
    states : ndarray of shape (Q, D)
        States of queries.
    n_classes : int
        Number of classes.

    Returns
    -------
    scores : ndarray of shape (Q, C)
        Log-probabilities.

    References
    ----------
    .. [1] Cho, Sakai, Kato, Tanaka, Ishii and Inoue (2025), "Token-based Decision Criteria Are Suboptimal in In-context
       Learning" (hidden calibration), NAACL, arXiv:2406.16535. There the nearest mean is the answer; the probabilities
       are not theirs.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl.prompting._readouts import centroid_scores
    >>> anchors = np.array([[0.0, 0.0], [0.0, 2.0], [4.0, 0.0], [4.0, 2.0]])
    >>> centroid_scores(anchors, np.array([0, 0, 1, 1]), np.array([[1.0, 0.0], [3.0, 9.0]]), 2).argmax(axis=1)
    array([0, 1])
    """
    anchors, states = anchors.astype(np.float64), states.astype(np.float64)
    means = np.stack([anchors[codes == label].mean(axis=0) for label in range(n_classes)])
    spread = np.square(anchors - means[codes]).sum(axis=1).mean()
    between = np.square(means - means.mean(axis=0)).sum(axis=1).mean()
    distances = np.square(states[:, None] - means).sum(axis=2)
    return log_softmax(-distances / max(spread, between * 1e-3, _FLOOR), axis=1)


def neighbor_scores(anchors, codes, vocabulary, n_classes):
    """Log-probabilities from the votes of the nearest anchors, by the divergence of what the network says next.

    Parameters
    ----------
    anchors : ndarray of shape (A, V)
        Log-probabilities of all tokens after labelled rows.
    codes : ndarray of shape (A,), dtype int
        Numbers of their classes.
    vocabulary : ndarray of shape (Q, V)
        The same after queries.
    n_classes : int
        Number of classes.

    Returns
    -------
    scores : ndarray of shape (Q, C)
        Log-probabilities: each class has one vote more, divided by the number of classes, so that none is impossible.

    References
    ----------
    .. [1] Xu, Wang, Mao, Lyu, She and Zhang (2023), "kNN Prompting: Beyond-Context Learning with Calibration-Free
       Nearest Neighbor Inference", ICLR, arXiv:2303.13824.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl.prompting._readouts import neighbor_scores
    >>> anchors = np.log([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9], [0.1, 0.9]])
    >>> neighbor_scores(anchors, np.array([0, 0, 1, 1, 1]), np.log([[0.85, 0.15]]), 2).argmax(axis=1)
    array([0])
    """
    floor = np.log(np.finfo(np.float32).tiny)
    anchors, vocabulary = (np.maximum(part, floor).astype(np.float64) for part in (anchors, vocabulary))
    entropy = (np.exp(anchors) * anchors).sum(axis=1)
    divergence = entropy - vocabulary @ np.exp(anchors).T  # KL(anchor, query)
    nearest = np.argsort(divergence, axis=1, kind="stable")[:, :NEIGHBORS]
    votes = np.stack([(codes[nearest] == label).sum(axis=1) for label in range(n_classes)], axis=1)
    return np.log((votes + 1 / n_classes) / (nearest.shape[1] + 1))
