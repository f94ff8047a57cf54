"""Classes read off what a network made of a prompt: its label words, its last state, its next tokens, or a reasoner.

Shapes: A anchors (labelled training rows), Q queries, D features of a state, V tokens of the vocabulary, C classes.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.preprocessing import FunctionTransformer

READOUTS = ("auto", "label_words", "reasoner", "hidden_centroid", "knn")
# What the label words may have in the answer beside a reasoner, found out with so many parts of the labelled rows.
SHARES, N_FOLDS = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0]), 8
# Neighbours that vote.
NEIGHBORS = 3
_FLOOR = 1e-12


class Heard(NamedTuple):
    """What a network said after the prompts of some rows."""

    words: np.ndarray  # (Q, C): Log-probabilities of the classes by their label words, normalised
    mass: np.ndarray  # (Q,): Probability of all label words together
    states: np.ndarray | None = None  # (Q, D): Hidden states at the ends of the prompts
    vocabulary: np.ndarray | None = None  # (Q, V): Log-probabilities of all tokens there

    def by_row(self):
        """One for each row, without the axis of rows."""
        return [Heard(*(None if part is None else part[i] for part in self)) for i in range(len(self.mass))]

    @classmethod
    def of_rows(cls, rows):
        """The whole out of rows."""
        return cls(*(None if parts[0] is None else np.stack(parts) for parts in zip(*rows)))


class Readout:
    """How classes are read off; each kind says what it needs."""

    depths: tuple = ()  # of the hidden states that it looks at, 1.0 for the last
    reads_vocabulary = False  # whether it looks at the next tokens
    n_anchors = 0  # labelled rows that it learns from, at most
    needs_all_classes = False  # whether it needs a labelled row of each class, and takes classes by turns
    reads_calibrated_words = True  # rather than that its own answers are calibrated
    learns_scale = False  # whether it learns how far to trust the words, so that a calibration need only shift them
    is_kept = True  # whether what it has learnt goes into a pickle; if not, the rows that it learns from do


class LabelWords(Readout):
    """The label words as they are."""

    def log_proba(self, heard):
        """Log-probabilities (Q, C)."""
        return heard.words


class HiddenCentroid(Readout):
    """The mean state of each class."""

    depths, n_anchors, needs_all_classes, reads_calibrated_words, is_kept = (1.0,), 256, True, False, False

    def fit(self, anchors, codes, n_classes):
        """Keep the states of labelled rows, at least one of each class."""
        self._anchors = anchors.states, codes, n_classes
        return self

    def log_proba(self, heard):
        """Log-probabilities (Q, C)."""
        states, codes, n_classes = self._anchors
        return centroid_scores(states, codes, heard.states, n_classes)


class NearestPredictions(Readout):
    """The votes of the labelled rows after which the network predicts the most similar next tokens."""

    reads_vocabulary, n_anchors, needs_all_classes, reads_calibrated_words, is_kept = True, 256, True, False, False

    def fit(self, anchors, codes, n_classes):
        """Keep what is predicted after labelled rows, at least one of each class."""
        self._anchors = anchors.vocabulary, codes, n_classes
        return self

    def log_proba(self, heard):
        """Log-probabilities (Q, C)."""
        vocabulary, codes, n_classes = self._anchors
        return neighbor_scores(vocabulary, codes, heard.vocabulary, n_classes)


class ReadByReasoner(Readout):
    """TartClassifier on hidden states, with what the label words say as its prior, and a share in the answer.

    The answer is the geometric mean of what the reasoner and the label words say, with the shares that labelled rows
    bear out which the reasoner has not read: words need no row, while a dozen say little about so many features.
    """

    depths, n_anchors, learns_scale = (2 / 3, 5 / 6, 1.0), 512, True

    def __init__(self, device):
        self._device = device

    def fit(self, anchors, codes, n_classes):
        """Read labelled rows as the context; some classes may have none."""
        X = _side_by_side(anchors)
        self.classifier = self._read(X, codes, n_classes)
        self.share_of_words = _share(self._held_out(X, codes, n_classes), anchors.words, codes)
        return self

    def log_proba(self, heard):
        """Log-probabilities (Q, C)."""
        return _mixed(self.classifier.predict_log_proba(_side_by_side(heard)), heard.words, self.share_of_words)

    def _read(self, X, codes, n_classes):
        """A TartClassifier of rows."""
        from skicl import TartClassifier

        columns = {"n_classes": n_classes}
        encoder, prior = FunctionTransformer(_states_of, kw_args=columns), partial(_words_of, **columns)
        # A few features of the states of many models vary ten times as much as the others.
        reader = TartClassifier(encoder, prior=prior, standardize=True, device=self._device)
        return reader.fit(X, codes, classes=np.arange(n_classes))

    def _held_out(self, X, codes, n_classes):
        """Log-probabilities (A, C) of rows, each by what the reasoner says that has read those of the other folds."""
        order = np.argsort(codes, kind="stable")
        fold = np.empty(len(codes), dtype=np.int64)
        fold[order] = np.arange(len(codes)) % N_FOLDS
        _, first, copy_of = np.unique(X, axis=0, return_index=True, return_inverse=True)
        fold = fold[first[copy_of.ravel()]]  # copies of a row are held out together
        found = np.full((len(codes), n_classes), -np.log(n_classes))
        for number in np.unique(fold) if len(codes) > 1 else ():
            test = fold == number
            found[test] = self._read(X[~test], codes[~test], n_classes).predict_log_proba(X[test])
        return found

    @property
    def evidence(self):
        """How far it believes what it reads, as ``TartClassifier.evidence_``."""
        return self.classifier.evidence_


def _mixed(read, words, share):
    """The geometric mean of probabilities, as log-probabilities (Q, C)."""
    return log_softmax((1 - share) * read + share * words, axis=1)


def _share(read, words, codes):
    """The mean share of the words, over those that are possible, weighed by how probable they make the labels."""
    rows = np.arange(len(codes))
    support = np.array([_mixed(read, words, share)[rows, codes].sum() for share in SHARES])
    return float(softmax(support) @ SHARES)


def make_readout(name, device):
    """The readout of a name, not fitted."""
    if name == "reasoner":
        return ReadByReasoner(device)
    return {"label_words": LabelWords, "hidden_centroid": HiddenCentroid, "knn": NearestPredictions}[name]()


def _side_by_side(heard):
    """States and log-probabilities of the classes (Q, D + C), as one array that keeps rows together, in float64."""
    return np.hstack([heard.states, heard.words], dtype=np.float64)


def _states_of(X, n_classes):
    return X[:, :-n_classes]


def _words_of(X, n_classes):
    """Probabilities of the classes by their label words."""
    return softmax(X[:, -n_classes:], axis=1)


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
