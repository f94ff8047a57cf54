"""From rows as they were stored to rows as a reasoner reads them: scaled, with their side scores, with the names.

Shapes: n rows of the context, Q queries, D features, C classes.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from skicl._tart._coordinates import Coordinates
from skicl._tart._side_scores import SideScorer, fit_side_scorer
from skicl._tart._thinning import shares_read
from skicl._validation._labels import class_weights, row_weights
from skicl.reasoning import Evidence

# The name of a class is also read as a row of that class, of this weight; measured in the lab notes.
WEIGHT_OF_A_NAME = 0.3


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
    share_read: np.ndarray | None = None  # (n,): shares of the weights with which rows are read; None means all

    @property
    def total_weight(self):
        """Weights of the rows times those of their classes: (n,)."""
        labelled = self.codes >= 0
        labels = self.classes[self.codes[labelled]]
        of_classes = class_weights(self.class_weight, self.classes, labels, self.weight[labelled])
        return row_weights(self.weight, self.codes, of_classes)

    @property
    def mass(self):
        """Total weights of the labelled rows of every class: (C,)."""
        labelled = self.codes >= 0
        return np.bincount(self.codes[labelled], self.total_weight[labelled], minlength=len(self.classes))

    @property
    def unlabelled(self):
        """Numbers of the rows without a label that have a weight."""
        return np.flatnonzero((self.codes < 0) & (self.weight > 0))

    def thinned(self):
        """The same rows, of which those without a label are read as far as the labels can make sense of them."""
        return replace(self, share_read=shares_read(self.X, self.codes, self.weight))

    def heard(self, hypothesis):
        """Which rows are read under a hypothesis: (n,), bool."""
        if not hypothesis.unlabelled:
            return self.codes >= 0
        return np.ones(len(self.codes), dtype=bool) if self.share_read is None else self.share_read > 0

    def without(self, row):
        """The same rows, one of which has weight zero. The prior's scores of the others stay."""
        weight = self.weight.copy()
        weight[row] = 0.0
        return replace(self, weight=weight)

    def believing(self, hypothesis):
        """The rows and what else is evidence under a hypothesis."""
        names = self.names if hypothesis.names else None
        scores = self.prior_scores if hypothesis.prior else None
        weight = self.weight if self.share_read is None else self.weight * self.share_read
        kept = self.heard(hypothesis)
        if kept.all():
            return replace(self, weight=weight, names=names, prior_scores=scores)
        scores = None if scores is None else scores[kept]
        X, codes, weight = self.X[kept], self.codes[kept], weight[kept]
        return replace(self, X=X, codes=codes, weight=weight, names=names, prior_scores=scores, share_read=None)


class ReadRows(NamedTuple):
    """Rows of a context, as the reasoner is given them: the rows, then one for each name."""

    coordinates: Coordinates
    side_scorer: SideScorer | None
    evidence: Evidence
    n_rows: int

    @classmethod
    def read(cls, rows, scaled, place):
        """Give rows that were scaled, as by ``Coordinates.fit``, their side scores, and put the names behind them.

        ``place`` holds the device and the precision of the reasoner, in which rows are read once they are centred.
        """
        coordinates, X = scaled
        X, weight = torch.from_numpy(X).to(**place), torch.from_numpy(rows.total_weight).to(**place)
        device = X.device
        codes = torch.from_numpy(rows.codes.copy()).to(device)  # an array that was mapped from a file is read-only
        scores, side_scorer, side = like(rows.prior_scores, X), None, None
        names = None if rows.names is None else like(coordinates.scaled(rows.names), X)
        if names is not None or scores is not None:
            side_scorer = fit_side_scorer(X, weight, names, scores)
            side = side_scorer.score(X, scores)
        if names is not None:
            at_the_centre = names - names.mean(0)  # where that of the rows lies
            no_opinion = None if scores is None else torch.zeros_like(names[:, :1]).expand(-1, len(names))
            X, side = torch.cat([X, at_the_centre]), torch.cat([side, side_scorer.score(at_the_centre, no_opinion)])
            codes = torch.cat([codes, torch.arange(len(names), device=device)])
            weight = torch.cat([weight, torch.full_like(weight[:1], WEIGHT_OF_A_NAME).expand(len(names))])
        side = None if side is None else side[None]
        evidence = Evidence(X[None], codes[None], len(rows.classes), weight[None], side)
        return cls(coordinates, side_scorer, evidence, len(rows.codes))

    def queries(self, X, prior_scores):
        """Queries (Q, D) as the reasoner is given them: rows (1, Q, D) and side scores (1, Q, C) or None."""
        rows = torch.from_numpy(self.coordinates.apply(X)).to(self.evidence.X)
        side = None if self.side_scorer is None else self.side_scorer.score(rows, like(prior_scores, rows))[None]
        return rows[None], side


def like(array, tensor):
    """An array as a tensor of the type and on the device of another, or None."""
    if array is None:
        return None
    return torch.from_numpy(array if array.flags.writeable else array.copy()).to(tensor)  # a map of a file is read-only
