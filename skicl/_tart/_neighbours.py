"""What the nearest labelled rows say, beside the reasoner, where labelled rows are many.

A reasoner of fixed size cannot draw a border as fine as many rows would allow; their neighbours can. With votes
:math:`v_c` of the neighbours, class frequencies :math:`f_c` and the reasoner's probabilities :math:`p_c`,

.. math:: q_c \\propto p_c^r \\, (1 + v_c / (a f_c))^s.

Number of neighbours, a, r and s are those under which labelled rows, each left out, are most probable.

Shapes: n labelled rows, m of them left out, Q queries, D features, C classes, k neighbours.
"""

from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from skicl._tart._coordinates import Coordinates
from skicl._tart._hypotheses import frequencies
from skicl._tart._search import Tree
from skicl._tart._sharpness import SPREAD

# Labelled rows (by weight) from which neighbours are asked. Measured on clusters and public sets: at 1000 they cost
# log-loss on none, at 512 on most (lab notes).
MANY_ROWS = 1000
# The choices: neighbours asked, and how many votes a class needs to count double.
NUMBERS = (15, 30, 60)
DAMPINGS = (0.1, 0.3, 1.0, 3.0)
# Rows left out for the choice, at most.
LEFT_OUT = 1000
# Neighbours are asked if the labelled rows are then more probable by so many nats.
MARGIN = 5.0
# Where the share of their votes is larger than this, they are also looked for with all principal axes on one scale.
LARGE_SHARE = 0.5
SMALLEST_VARIANCE = 1e-5  # of a principal axis, in units of the largest one
LARGEST_VOTES, LARGEST_REASONER = 4.0, 1.0  # bounds of the two exponents; nothing sharpens the reasoner
NEARLY_EQUAL = 1e-9  # of the mean squared length: rows that are nearer than this are the same


class Found(NamedTuple):
    """Distinct labelled rows near to queries: which ones (Q, k), and the squared distances (Q, k)."""

    groups: np.ndarray
    squares: np.ndarray


class Mixture(NamedTuple):
    """How many neighbours are asked, how their votes are damped, and the exponents of votes and reasoner."""

    number: int
    damping: float
    votes: float
    reasoner: float


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """The labelled rows of a context, equal ones of one class as one (g), ready to be searched for near ones."""

    tree: Tree
    axes: np.ndarray | None  # (D, r): onto which rows are projected before; None as they are
    groups: np.ndarray  # (n_context,): which of the distinct rows a row of the context is; -1 for none
    codes: np.ndarray  # (g,)
    weight: np.ndarray  # (g,)
    mass: np.ndarray  # (C,): total weights of the classes

    @property
    def smallest_radius(self):
        """A squared distance below which rows are the same."""
        return NEARLY_EQUAL * 2 * self.tree.half_squares.mean() + np.finfo(float).tiny

    def on(self, axes, X):
        """The same rows, given as X (g, D), on other axes."""
        return replace(self, tree=Tree.grow(X @ axes), axes=axes)

    def without(self, rows):
        """The same rows with the weights that they have in another context (ContextRows), as one without a row."""
        kept = np.flatnonzero(self.groups >= 0)
        weight = np.bincount(self.groups[kept], rows.total_weight[kept], minlength=len(self.weight))
        return replace(self, weight=weight, mass=rows.mass)

    def near(self, X):
        """The rows nearest to queries (Q, D) in float32."""
        # One is no neighbour but the radius, and one may be left out.
        return Found(*self.tree.nearest(X if self.axes is None else X @ self.axes, max(NUMBERS) + 2))

    def log_odds(self, found, number, damping, *, all_vote=True):
        """Logarithms (Q, C) of how much more frequent classes are among neighbours than among all rows, damped.

        A vote counts for less the farther away the row is, and nothing from the radius on, which holds ``number`` rows.
        Equal rows, of which the radius holds more, have so many votes together. Without ``all_vote`` those that equal
        the query have none.
        """
        weight = self.weight[found.groups]
        if not all_vote:
            weight = np.where(found.squares > self.smallest_radius, weight, 0.0)
        beyond = weight.cumsum(axis=1) > number
        last = np.where(beyond.any(axis=1), beyond.argmax(axis=1), beyond.shape[1] - 1)
        radius = np.take_along_axis(found.squares, last[:, None], 1) + self.smallest_radius
        votes = weight * np.square(1.0 - np.minimum(found.squares / radius, 1.0))
        votes *= np.minimum(1.0, number / np.maximum(votes.sum(axis=1, keepdims=True), 1.0))
        shape = (len(votes), len(self.mass))
        cell = np.arange(shape[0])[:, None] * shape[1] + self.codes[found.groups]
        of_classes = np.bincount(cell.ravel(), votes.ravel(), minlength=shape[0] * shape[1]).reshape(shape)
        return np.log1p(of_classes / (damping * np.exp(frequencies(self.mass))))


@dataclass(frozen=True, eq=False)
class Neighbours:
    """What neighbours say, and how it is mixed with the opinion of a reasoner."""

    coordinates: Coordinates
    labelled: LabelledRows
    mixture: Mixture
    share: float  # of the votes in the log-odds, from 0 to 1

    @classmethod
    def choose(cls, rows, belief):
        """The neighbours in a context (ContextRows) with its belief; None where the reasoner does without them."""
        coordinates, X, numbers = labelled_vectors(rows, belief)
        codes, weight = rows.codes[numbers], rows.total_weight[numbers]
        left_out = spread_out(X, weight)
        log_proba = belief.of_context_rows(0, numbers[left_out])
        question = Question(X[left_out], codes[left_out], log_proba, weight.sum())
        first, groups = distinct(X, codes)
        X, weight = X[first], np.bincount(groups, weight)
        of_context = np.full(len(rows.codes), -1)
        of_context[numbers] = groups
        labelled = LabelledRows(Tree.grow(X), None, of_context, codes[first], weight, rows.mass)
        loss, mixture, share = question.answer(labelled, question.loss_alone)
        if share > LARGE_SHARE:
            on_axes = labelled.on(even_axes(X, weight), X)
            other = question.answer(on_axes, loss)
            if other[1] is not None:
                labelled, (_, mixture, share) = on_axes, other
        return None if mixture is None else cls(coordinates, labelled, mixture, share)

    def find(self, X):
        """The neighbours of queries (Q, D)."""
        return self.labelled.near(self.coordinates.apply(X).astype(np.float32))

    def log_proba(self, found, log_proba, rows=None):
        """Log-probabilities (Q, C) of a reasoner and the votes together; with the weights of ``rows`` if given."""
        labelled = self.labelled if rows is None else self.labelled.without(rows)
        number, damping, votes, reasoner = self.mixture
        return log_softmax(reasoner * log_proba + votes * labelled.log_odds(found, number, damping), axis=1)


class Question(NamedTuple):
    """Rows that were left out (m), to be predicted by the others."""

    X: np.ndarray  # (m, D)
    codes: np.ndarray  # (m,)
    log_proba: np.ndarray  # (m, C): what the reasoner thinks of them
    mass: float  # so many rows they stand for

    @property
    def loss_alone(self):
        """Loss of the reasoner alone, in nats."""
        return -self.mass * self.log_proba[np.arange(len(self.codes)), self.codes].mean()

    def answer(self, labelled, loss_before):
        """The smallest loss of labelled rows (LabelledRows), the mixture, and the share of the votes in it.

        No mixture and no share where the loss is not clearly smaller than before.
        """
        found = labelled.near(self.X)
        best, mixture, share = loss_before - MARGIN, None, 0.0
        for number, damping in product(NUMBERS, DAMPINGS):
            log_odds = labelled.log_odds(found, number, damping, all_vote=False)  # not the row itself, nor its copies
            loss, (votes, reasoner) = fit_exponents(log_odds, self.log_proba, self.codes, self.mass)
            if loss < best and votes > 0:
                best, mixture = loss, Mixture(number, damping, float(votes), float(reasoner))
                spread = np.array([votes, reasoner]) * [part.std(axis=1).mean() for part in (log_odds, self.log_proba)]
                share = float(spread[0] / max(spread.sum(), np.finfo(float).tiny))
        return best, mixture, share


def are_in_question(rows, belief):
    """Whether labelled rows (of ContextRows) are many, and there are some of each class of which anything is known."""
    mass = rows.mass
    only_described = (mass == 0).any() and (rows.names is not None or rows.prior_scores is not None)
    return belief.network.leaves_out and mass.sum() > MANY_ROWS * (1 - 1e-9) and not only_described


def labelled_vectors(rows, belief):
    """Labelled rows of a context as its belief reads them: coordinates, vectors (n, D) in float32, numbers (n,)."""
    reading = belief.main_reading(0)
    read, numbers = reading.read[0], np.flatnonzero((rows.codes >= 0) & (rows.total_weight > 0))
    places = (np.cumsum(rows.heard(reading.hypothesis)) - 1)[numbers]
    X = read.evidence.X[0, : read.n_rows].float().cpu().numpy()
    return read.coordinates, X if len(places) == len(X) else X[places], numbers


def distinct(X, codes):
    """Where distinct pairs of a row (n, D) and a class (n,) stand first, (g,), and which of them each pair is, (n,)."""
    rows = np.column_stack([X + 0.0, codes.astype(X.dtype)])  # of two zeros one has a sign
    keys = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.itemsize * rows.shape[1])))[:, 0]
    return np.unique(keys, return_index=True, return_inverse=True)[1:]


def centre_of(X, weight):
    """The mean (D,) of rows (n, D) with weights (n,), summed in float64 without a copy of the rows."""
    return (np.einsum("i,ij->j", weight, X) / weight.sum()).astype(X.dtype)


def even_axes(X, weight):
    """Principal axes (D, r) of rows (n, D) with weights (n,), divided by the standard deviations along them."""
    weighted = X - centre_of(X, weight)
    weighted *= np.sqrt(weight)[:, None].astype(X.dtype)
    variance, axes = np.linalg.eigh((weighted.T @ weighted).astype(np.float64))
    kept = variance > SMALLEST_VARIANCE * variance[-1]
    return (axes[:, kept] / np.sqrt(variance[kept] / weight.sum())).astype(X.dtype)


def spread_out(X, weight):
    """Numbers of rows (n, D) with weights (n,), each as often as it counts, or LEFT_OUT of them from near to far."""
    from_centre = X - centre_of(X, weight)
    order = np.argsort(np.einsum("ij,ij->i", from_centre, from_centre), kind="stable")
    reached = weight[order].cumsum()
    number = min(LEFT_OUT, int(np.ceil(reached[-1])))
    return order[np.searchsorted(reached, (np.arange(number) + 0.5) / number * reached[-1])]


def fit_exponents(log_odds, log_proba, codes, mass):
    """The exponents of votes (m, C) and of a reasoner's probabilities (m, C), and the loss of labels (m,) in nats.

    The rows stand for ``mass`` rows. The exponent of the reasoner is near one beforehand, as its sharpness is.
    """
    parts, rows = np.stack([log_odds, log_proba]), np.arange(len(codes))
    own = parts[:, rows, codes].mean(axis=1)

    def loss(exponents):
        mixed = log_softmax(np.tensordot(exponents, parts, 1), axis=1)
        slope = np.tensordot(parts, np.exp(mixed), 2) / len(codes) - own
        off = exponents[1] - 1.0
        value = -mass * mixed[rows, codes].mean() + 0.5 * (off / SPREAD) ** 2
        return value / mass, slope + np.array([0.0, off / SPREAD**2 / mass])

    bounds = [(0.0, LARGEST_VOTES), (0.0, LARGEST_REASONER)]
    found = minimize(loss, [0.5, 0.7], jac=True, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-10})
    return found.fun * mass, found.x
