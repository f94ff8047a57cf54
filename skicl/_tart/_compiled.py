"""The compiled context: all that a reasoner made of the rows of a context, in one value that never changes.

Shapes: n rows of the context, Q queries, D features, C classes, B contexts that each lack a row.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from skicl._tart._class_texts import nearest_name
from skicl._tart._coordinates import Coordinates
from skicl._tart._influence import contexts_at_a_time, indispensable_row, stack, stack_evidence
from skicl._tart._side_scores import SideScorer, fit_side_scorer
from skicl._validation._finite import check_finite
from skicl._validation._labels import class_weights, row_weights
from skicl.reasoning import Evidence, Reasoner

# Rows of the context are processed so many (row, class) pairs at a time, to bound memory.
PAIRS_AT_A_TIME = 200_000
# Queries likewise; memory for more is taken from the system anew for every operation, which costs more time.
QUERIES_AT_A_TIME = 8192
# Log-probabilities of two classes differ by at most this, so that no probability is 0 or 1.
LARGEST_LOG_ODDS = 16.0
# In nats a row, times the root of the number of labelled rows.
CLEARLY_BETTER = 1.0


@dataclass(frozen=True, eq=False)
class ContextRows:
    """Rows of a context and all that is known of them: what it is compiled from, and what a pickle holds of it."""

    X: np.ndarray  # (n, D)
    codes: np.ndarray  # (n,), int64: classes; -1 without a label
    weight: np.ndarray  # (n,): sample weights
    classes: np.ndarray  # (C,)
    class_weight: Any  # dict, "balanced" or None
    names: np.ndarray | None  # (C, D): vectors of the classes
    prior_scores: np.ndarray | None  # (n, C): centred log-probabilities of another model

    @property
    def total_weight(self):
        """Weights of the rows times those of their classes: (n,)."""
        labelled = self.codes >= 0
        labels = self.classes[self.codes[labelled]]
        of_classes = class_weights(self.class_weight, self.classes, labels, self.weight[labelled])
        return row_weights(self.weight, self.codes, of_classes)

    def without(self, row):
        """The same rows, one of which has weight zero. The prior's scores of the others stay."""
        weight = self.weight.copy()
        weight[row] = 0.0
        return replace(self, weight=weight)


class ReadRows(NamedTuple):
    """Rows of a context, as the reasoner is given them."""

    coordinates: Coordinates
    side_scorer: SideScorer | None
    evidence: Evidence

    @classmethod
    def read(cls, rows, standardize, device):
        """Bring rows to the scale of the reasoner, once for all uses, and give each its side scores."""
        weight = rows.total_weight
        coordinates, X = Coordinates.fit(rows.X, weight, standardize)
        X, weights = torch.from_numpy(X).to(device), torch.from_numpy(weight).to(device)
        scores, side_scorer, side = _like(rows.prior_scores, X), None, None
        if rows.names is not None or scores is not None:
            names = None if rows.names is None else _like(coordinates.scaled(rows.names), X)
            side_scorer = fit_side_scorer(X, weights, names, scores)
            side = side_scorer.score(X, scores)[None]
        codes = torch.from_numpy(rows.codes.copy()).to(device)  # an array that was mapped from a file is read-only
        return cls(coordinates, side_scorer, Evidence(X[None], codes[None], len(rows.classes), weights[None], side))

    def queries(self, X, prior_scores):
        """Queries (Q, D) as the reasoner is given them: rows (1, Q, D) and side scores (1, Q, C) or None."""
        rows = torch.from_numpy(self.coordinates.apply(X)).to(self.evidence.X.device)
        side = None if self.side_scorer is None else self.side_scorer.score(rows, _like(prior_scores, rows))[None]
        return rows[None], side


class ContextsWithout(NamedTuple):
    """Contexts that each lack one of the rows, read together."""

    network: Reasoner
    read: list[ReadRows]
    context: Any

    def log_proba(self, X, prior_scores, batch_size):
        """Log-probabilities (Q, B, C) of queries (Q, D)."""
        with torch.inference_mode():
            logits = []
            for batch in _batches(len(X), max(1, batch_size // len(self.read))):
                queries = [read.queries(X[batch], _part(prior_scores, batch)) for read in self.read]
                logits.append(self.network.score(self.context, *map(stack, zip(*queries))).cpu())
            return normalise(torch.cat(logits, 1)).transpose(0, 1).numpy()


@dataclass(frozen=True, eq=False)
class CompiledContext:
    """A context that was read by a reasoner: all that queries are scored with."""

    rows: ContextRows
    network: Reasoner
    standardize: Any  # the rule by which columns were scaled in the end: the parameter, or False
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
            without = plain.context_fit()
            n_labelled = rows.total_weight[rows.codes >= 0].sum()
            if without is None or n_labelled == 0:
                return compiled
            better = float(without - compiled.context_fit()) > CLEARLY_BETTER * n_labelled**-0.5
            return plain if better else compiled

    @classmethod
    def _read(cls, rows, network, standardize):
        read = ReadRows.read(rows, standardize, device_of(network))
        context = network.encode(read.evidence, chunk_rows=_rows_at_a_time(1, len(rows.classes)))
        return cls(rows, network, standardize, read, context)

    @property
    def standardized(self):
        """Whether columns are scaled to unit variance."""
        return self.read.coordinates.standardized

    def context_fit(self):
        """How well the rows predict each other, shape (1,), or None; see :meth:`Reasoner.context_fit`."""
        return self.network.context_fit(self.context)

    def without(self, numbers):
        """Contexts that each lack one of the rows with these numbers."""
        device = device_of(self.network)
        with torch.inference_mode():
            read = [ReadRows.read(self.rows.without(row), self.standardize, device) for row in numbers]
            evidence = stack_evidence([each.evidence for each in read])
            context = self.network.encode(evidence, chunk_rows=_rows_at_a_time(len(read), len(self.rows.classes)))
            return ContextsWithout(self.network, read, context)

    def log_proba(self, X, prior_scores, batch_size):
        """Log-probabilities (Q, C) of queries (Q, D), of which a prior thinks (Q, C) or None."""
        size = min(batch_size, max(1, QUERIES_AT_A_TIME // len(self.rows.classes)))
        with torch.inference_mode():
            logits = [
                self.network.score(self.context, *self.read.queries(X[batch], _part(prior_scores, batch))).cpu()
                for batch in _batches(len(X), size)
            ]
            log_proba = normalise(torch.cat(logits, 1))[0].numpy()
        check_finite(
            log_proba,
            "probabilities",
            "The weights of the reasoner may be damaged: load them again, or fit with another `reasoner`.",
        )
        return log_proba

    def influence(self, numbers, X, prior_scores, batch_size):
        """What log-probabilities of queries lose without each of the rows with these numbers: (Q, n_numbers, C)."""
        whole = self.log_proba(X, prior_scores, batch_size)
        without = np.repeat(whole[:, None], len(numbers), axis=1)
        rows, weight = self.rows, self.rows.total_weight
        has_side_information = rows.names is not None or rows.prior_scores is not None
        last = indispensable_row(rows.codes, weight, has_side_information=has_side_information)
        if last in numbers:
            nothing_left = ZeroShot(rows.names, rows.classes).log_proba(X, prior_scores, batch_size)
            without[:, numbers == last] = nothing_left[:, None]
        counted = np.flatnonzero((weight[numbers] > 0) & (numbers != last))
        size = contexts_at_a_time(*rows.X.shape, len(rows.classes), device_of(self.network))
        for batch in _batches(len(counted), size):
            others = self.without(numbers[counted[batch]])
            without[:, counted[batch]] = others.log_proba(X, prior_scores, batch_size)
        return whole[:, None] - without


@dataclass(frozen=True, eq=False)
class ZeroShot:
    """What stands for a compiled context where there is no row: the names of the classes (C, D), a prior, or both."""

    names: np.ndarray | None
    classes: np.ndarray

    def log_proba(self, X, prior_scores, batch_size):
        """Log-probabilities (Q, C) of queries (Q, D): of the nearest name times those of the prior."""
        scores = np.zeros((len(prior_scores if X is None else X), len(self.classes)))
        if self.names is not None:
            scores = scores + nearest_name(X, self.names)
        if prior_scores is not None:
            scores = scores + prior_scores
        return normalise(torch.from_numpy(scores)).numpy()

    def influence(self, numbers, X, prior_scores, batch_size):
        """There is no row that could have any: (Q, 0, C)."""
        return np.zeros((len(prior_scores if X is None else X), 0, len(self.classes)))


def device_of(network):
    """Where rows are prepared: the decompositions are in float64, which mps has not, so the CPU takes them there."""
    parameter = next(network.parameters(), None)
    return torch.device("cpu") if parameter is None or parameter.device.type == "mps" else parameter.device


def normalise(logits):
    """Log-probabilities of logits (..., C), none of them so small that the probability would be zero."""
    floor = logits.amax(-1, keepdim=True) - LARGEST_LOG_ODDS
    return torch.maximum(logits, floor).double().log_softmax(-1)


def _like(array, tensor):
    """An array as a tensor of the type and on the device of another, or None."""
    if array is None:
        return None
    return torch.from_numpy(array if array.flags.writeable else array.copy()).to(tensor)  # a map of a file is read-only


def _part(prior_scores, batch):
    return None if prior_scores is None else prior_scores[batch]


def _batches(n_rows, size):
    return [slice(i, i + size) for i in range(0, n_rows, size)]


def _rows_at_a_time(n_contexts, n_classes):
    return max(1, PAIRS_AT_A_TIME // (n_contexts * n_classes))
