"""The compiled context: all that a reasoner made of the rows of a context, in one value that never changes.

Shapes: n rows of the context, Q queries, D features, C classes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import log_softmax

from skicl._tart._belief import DAMAGED, Belief, batches, believe, normalise, place_of
from skicl._tart._class_texts import nearest_name
from skicl._tart._hypotheses import scales_of
from skicl._tart._influence import contexts_at_a_time, indispensable_row
from skicl._tart._neighbours import Neighbours, are_in_question
from skicl._tart._reading import ContextRows
from skicl._validation._finite import check_finite
from skicl.reasoning import Reasoner

# Queries are scored so many (row, class) pairs at a time; memory for more is taken from the system anew for every
# operation, which costs more time.
QUERIES_AT_A_TIME = 8192


@dataclass(frozen=True, eq=False)
class CompiledContext:
    """A context that was read by a reasoner: all that queries are scored with."""

    rows: ContextRows
    network: Reasoner
    standardize: bool | str
    population: str
    belief: Belief
    neighbours: Neighbours | None

    @classmethod
    def compile(cls, rows, network, standardize, population="auto"):
        """Read a context. "auto" asks the rows whether to standardise columns of unlike ranges."""
        rows = rows.thinned()
        with torch.inference_mode():
            belief = believe([rows], network, standardize, population)
            neighbours = Neighbours.choose(rows, belief) if are_in_question(rows, belief) else None
            return cls(rows, network, standardize, population, belief, neighbours)

    @property
    def evidence(self):
        """How far each source of evidence that was in question is believed, from 0 to 1, and the sharpness."""
        belief, rows = self.belief, self.rows
        in_question = {
            "names": rows.names is not None,
            "prior": rows.prior_scores is not None,
            "unlabelled": len(rows.unlabelled) > 0,
            "standardized": len(scales_of(rows, self.standardize)) > 1,
        }
        found = {"labels": 1.0 - float(belief.weight_of_frequencies[0])}
        found |= {name: belief.share(name) for name, asked in in_question.items() if asked}
        found |= {"population": float(belief.shift.any())} if in_question["unlabelled"] else {}
        gaussians = belief.gaussians[0]
        found["gaussians"] = 0.0 if gaussians is None else gaussians.share
        if are_in_question(rows, belief):
            found["neighbours"] = 0.0 if self.neighbours is None else self.neighbours.share
        return found | {"sharpness": float(belief.sharpness[0])}

    @property
    def standardized(self):
        """Whether columns are scaled to unit variance."""
        return self.belief.share("standardized") > 0.5

    def without(self, numbers):
        """Contexts that each lack one of the rows with these numbers."""
        with torch.inference_mode():
            parts = [self.rows.without(row) for row in numbers]
            return believe(parts, self.network, self.standardize, self.population)

    def log_proba(self, X, prior_scores, batch_size):
        """Log-probabilities (Q, C) of queries (Q, D), of which a prior thinks (Q, C) or None."""
        size = min(batch_size, max(1, QUERIES_AT_A_TIME // len(self.rows.classes)))
        with torch.inference_mode():
            log_proba = self.belief.log_proba(X, prior_scores, size)[:, 0]
        if self.neighbours is not None:
            for batch in batches(len(X), size):
                found = self.neighbours.find(X[batch])
                log_proba[batch] = self._with_votes(found, log_proba[batch], self.belief.shift[0])
        check_finite(log_proba, "probabilities", DAMAGED)
        return log_proba

    def _with_votes(self, found, log_proba, shift, rows=None):
        """Log-probabilities (Q, C) of the belief and the neighbours found, with the weights of ``rows`` if given."""
        before = log_softmax(log_proba - shift, axis=1)
        return normalise(torch.from_numpy(self.neighbours.log_proba(found, before, rows) + shift)).numpy()

    def influence(self, numbers, X, prior_scores, batch_size):
        """What log-probabilities of queries lose without each of the rows with these numbers: (Q, n_numbers, C)."""
        whole = self.log_proba(X, prior_scores, batch_size)
        without, shift = np.repeat(whole[:, None], len(numbers), axis=1), np.zeros((len(numbers), whole.shape[1]))
        rows, weight = self.rows, self.rows.total_weight
        has_side_information = rows.names is not None or rows.prior_scores is not None
        last = indispensable_row(rows.codes, weight, has_side_information=has_side_information)
        if last in numbers:
            nothing_left = ZeroShot(rows.names, rows.classes).log_proba(X, prior_scores, batch_size)
            without[:, numbers == last] = nothing_left[:, None]
        counted = np.flatnonzero((weight[numbers] > 0) & (numbers != last))
        size = contexts_at_a_time(*rows.X.shape, len(rows.classes), place_of(self.network)["device"])
        # Without the only labelled row there is less to weigh: this context is read by itself.
        only = indispensable_row(rows.codes, weight, has_side_information=False)
        alone, together = counted[numbers[counted] == only], counted[numbers[counted] != only]
        with torch.inference_mode():
            for batch in [alone, *(together[part] for part in batches(len(together), size))]:
                if len(batch):
                    others = self.without(numbers[batch])
                    without[:, batch] = others.log_proba(X, prior_scores, max(1, batch_size // size))
                    shift[batch] = others.shift
        if self.neighbours is not None:
            found = self.neighbours.find(X)
            for place in counted:
                others = rows.without(numbers[place])
                without[:, place] = self._with_votes(found, without[:, place], shift[place], others)
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
