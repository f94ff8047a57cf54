"""The compiled context: all that a reasoner made of the rows of a context, in one value that never changes.

Shapes: n rows of the context, Q queries, D features, C classes.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from skicl._tart._influence import stack, stack_evidence
from skicl._tart._prior import Opinions, log_scores
from skicl._tart._reach import Reach, pull_in, take_reach
from skicl._tart._scaling import column_scaling
from skicl._tart._side_scores import Guide, side_scores, take_guide
from skicl._validation._finite import check_finite
from skicl._validation._labels import class_weights, row_weights
from skicl.reasoning import Evidence, Reasoner

# Rows of the context are processed so many (row, class) pairs at a time, to bound memory.
PAIRS_AT_A_TIME = 200_000
# Queries likewise; larger buffers than these are taken from the system anew for every operation, which costs more.
QUERIES_AT_A_TIME = 8192
# Log-probabilities of two classes differ by at most this, so that no probability is 0 or 1.
LARGEST_LOG_ODDS = 16.0
# A query so many times farther out than any labelled row is as far as one can be; its squares stay finite.
FARTHEST = 1e6
# In nats a row, times the root of the number of labelled rows.
CLEARLY_BETTER = 1.0


@dataclass(frozen=True, eq=False)
class ContextRows:
    """Rows of a context and all that is known of them: what it is compiled from, and what a pickle holds of it.

    Attributes
    ----------
    X : ndarray of shape (n, D)
    codes : ndarray of shape (n,), dtype int64
        Classes; -1 without a label.
    weight : ndarray of shape (n,)
        Sample weights.
    classes : ndarray of shape (C,)
    class_weight : dict, "balanced" or None
    names : ndarray of shape (C, D) or None
        Vectors of the classes.
    opinions : Opinions or None
        Of a prior, on the rows.
    """

    X: np.ndarray
    codes: np.ndarray
    weight: np.ndarray
    classes: np.ndarray
    class_weight: Any
    names: np.ndarray | None
    opinions: Opinions | None

    @property
    def total_weight(self):
        """Weights of the rows times those of their classes: (n,)."""
        labelled = self.codes >= 0
        labels = self.classes[self.codes[labelled]]
        of_classes = class_weights(self.class_weight, self.classes, labels, self.weight[labelled])
        return row_weights(self.weight, self.codes, of_classes)

    def without(self, row):
        """The same rows, one of which has weight zero. Opinions on the others stay."""
        weight = self.weight.copy()
        weight[row] = 0.0
        return replace(self, weight=weight)


class Coordinates(NamedTuple):
    """From rows as they are given to rows as the reasoner sees them; taken from the context."""

    shift: np.ndarray
    factor: np.ndarray
    standardized: bool
    reach: Reach

    def scaled(self, X):
        """Vectors (n, D) on the scale of the context, in float64."""
        return _scaled(X, self.shift, self.factor)

    def apply(self, X):
        """Rows (n, D) on the scale and within the reach of the context."""
        return np.clip(pull_in(self.scaled(X), self.reach), -FARTHEST, FARTHEST)


class ReadRows(NamedTuple):
    """Rows of a context, as the reasoner is given them."""

    coordinates: Coordinates
    guide: Guide | None
    evidence: Evidence
    classes: np.ndarray

    def queries(self, X, opinions):
        """Queries as the reasoner is given them: rows (1, Q, D) and side scores (1, Q, C) or None."""
        rows = torch.from_numpy(self.coordinates.apply(X)).to(self.evidence.X.device)
        side = None if self.guide is None else side_scores(self.guide, rows, _scores(opinions, self.classes, rows))
        return rows[None], None if side is None else side[None]


@dataclass(frozen=True, eq=False)
class CompiledContext:
    """A context that was read by a reasoner: all that queries are scored with."""

    rows: ContextRows
    network: Reasoner
    rule: Any  # how columns were scaled in the end: the parameter `standardize`, or False
    read: ReadRows
    context: Any

    @classmethod
    def compile(cls, rows, network, standardize):
        """Read a context; columns of unlike ranges stay as they are if the rows then predict each other better."""
        with torch.inference_mode():
            compiled = cls._read(rows, network, standardize)
            if not (compiled.standardized and isinstance(standardize, str)):
                return compiled
            plain = cls._read(rows, network, False)
            without = plain.fit()
            n_labelled = rows.total_weight[rows.codes >= 0].sum()
            if without is None or n_labelled == 0:
                return compiled
            better = float(without - compiled.fit()) > CLEARLY_BETTER * n_labelled**-0.5
            return plain if better else compiled

    @classmethod
    def _read(cls, rows, network, rule):
        read = read_rows(rows, rule, device_of(network))
        context = network.encode(read.evidence, chunk_rows=_rows_at_a_time(1, len(rows.classes)))
        return cls(rows, network, rule, read, context)

    @property
    def standardized(self):
        """Whether columns are scaled to unit variance."""
        return self.read.coordinates.standardized

    def fit(self):
        """How well the rows predict each other, shape (1,), or None; see :meth:`Reasoner.context_fit`."""
        return self.network.context_fit(self.context)

    def log_proba(self, X, opinions, batch_size):
        """Log-probabilities (Q, C) of queries."""
        size = min(batch_size, max(1, QUERIES_AT_A_TIME // len(self.rows.classes)))
        with torch.inference_mode():
            logits = [
                self.network.score(self.context, *self.read.queries(X[batch], _some(opinions, batch))).cpu()
                for batch in _batches(len(X), size)
            ]
            log_proba = normalise(torch.cat(logits, 1))[0].numpy()
        check_finite(
            log_proba,
            "probabilities",
            "The weights of the reasoner may be damaged: load them again, or fit with another `reasoner`.",
        )
        return log_proba

    def log_proba_without(self, left_out, X, opinions, batch_size):
        """Log-probabilities (Q, n_left_out, C) of queries, by contexts that each lack one of the rows."""
        device = device_of(self.network)
        with torch.inference_mode():
            others = [read_rows(self.rows.without(row), self.rule, device) for row in left_out]
            evidence = stack_evidence([other.evidence for other in others])
            context = self.network.encode(evidence, chunk_rows=_rows_at_a_time(len(others), len(self.rows.classes)))
            logits = []
            for batch in _batches(len(X), max(1, batch_size // len(others))):
                queries = [other.queries(X[batch], _some(opinions, batch)) for other in others]
                logits.append(self.network.score(context, *map(stack, zip(*queries))).cpu())
            return normalise(torch.cat(logits, 1)).transpose(0, 1).numpy()


def read_rows(rows, rule, device):
    """Bring the rows of a context to the scale of the reasoner, with their side scores: one pass for all uses."""
    weight = rows.total_weight
    X = rows.X.astype(np.float64, copy=False)
    shift, factor, standardized = column_scaling(X, weight, rule)
    coordinates = Coordinates(shift, factor, standardized, take_reach(_scaled(X, shift, factor), weight))
    seen = torch.from_numpy(coordinates.apply(X)).to(device)
    opinions = _scores(rows.opinions, rows.classes, seen)
    guide = side = None
    if rows.names is not None or opinions is not None:
        names = None if rows.names is None else torch.from_numpy(coordinates.scaled(rows.names)).to(seen)
        guide = take_guide(seen, torch.from_numpy(weight).to(seen), names, opinions)
        side = side_scores(guide, seen, opinions)[None]
    codes = torch.from_numpy(rows.codes.copy())  # an array that was mapped from a file is read-only
    weights = torch.from_numpy(weight)[None].to(device)
    evidence = Evidence(seen[None], codes[None].to(device), len(rows.classes), weights, side)
    return ReadRows(coordinates, guide, evidence, rows.classes)


def device_of(network):
    """Where rows are prepared: the decompositions are in float64, which mps has not, so the CPU takes them there."""
    parameter = next(network.parameters(), None)
    return torch.device("cpu") if parameter is None or parameter.device.type == "mps" else parameter.device


def normalise(logits):
    """Log-probabilities of logits (..., C), none of them so small that the probability would be zero."""
    floor = logits.amax(-1, keepdim=True) - LARGEST_LOG_ODDS
    return torch.maximum(logits, floor).double().log_softmax(-1)


def _scaled(X, shift, factor):
    return (X.astype(np.float64, copy=False) - shift) / factor


def _scores(opinions, classes, like):
    """Opinions as centred log-probabilities (n, C), or None."""
    return None if opinions is None else torch.from_numpy(log_scores(opinions, classes)).to(like)


def _some(opinions, batch):
    return None if opinions is None else opinions._replace(proba=opinions.proba[batch])


def _batches(n_rows, size):
    return [slice(i, i + size) for i in range(0, n_rows, size)]


def _rows_at_a_time(n_contexts, n_classes):
    return max(1, PAIRS_AT_A_TIME // (n_contexts * n_classes))
