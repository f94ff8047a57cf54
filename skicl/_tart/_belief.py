"""Contexts read under every hypothesis about the evidence, and how much each hypothesis is believed.

Shapes: n rows of the context, Q queries, D features, C classes, B contexts of equal sizes, H hypotheses.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.special import log_softmax, logsumexp

from skicl._tart._coordinates import Coordinates
from skicl._tart._gaussians import Gaussians
from skicl._tart._hypotheses import (
    SHARE_OF_FREQUENCIES,
    Hypothesis,
    frequencies,
    frequencies_of_others,
    hypotheses_of,
    log_prior,
    one_scale,
    posterior,
    scales_of,
)
from skicl._tart._influence import stack, stack_evidence
from skicl._tart._population import class_frequencies, evening_weights, looks_balanced
from skicl._tart._reading import ReadRows
from skicl._tart._sharpness import fit_sharpness
from skicl._validation._finite import check_finite
from skicl.reasoning import Reasoner

# Rows of the context are processed so many (row, class) pairs at a time, to bound memory.
PAIRS_AT_A_TIME = 200_000
# Log-probabilities of two classes differ by at most this, so that no probability is 0 or 1.
LARGEST_LOG_ODDS = 16.0
# The likely cause of probabilities that are no numbers.
DAMAGED = "The weights of the reasoner may be damaged: load them again, or fit with another `reasoner`."


class Reading(NamedTuple):
    """B contexts of equal sizes, read by a reasoner under one hypothesis."""

    hypothesis: Hypothesis
    read: list[ReadRows]  # one a context
    context: Any
    of_rows: np.ndarray  # (B, n, C): log-probabilities that rows have of the others; NaN where nobody asks for them

    @classmethod
    def of(cls, hypothesis, parts, network, scaled, shift_wanted):
        """Read contexts: a list of ContextRows; ``scaled`` keeps their scaled rows for the next hypothesis.

        Where a shift of the class frequencies is wanted, rows without a label are scored even if they are not read.
        """
        place, believed = place_of(network), [rows.believing(hypothesis) for rows in parts]
        key = (hypothesis.unlabelled, hypothesis.standardized)
        if key not in scaled:
            scaled[key] = [Coordinates.fit(rows.X, rows.total_weight, hypothesis.standardized) for rows in believed]
        read = [ReadRows.read(*pair, place) for pair in zip(believed, scaled[key])]
        evidence = stack_evidence([each.evidence for each in read])
        chunk_rows = max(1, PAIRS_AT_A_TIME // (len(parts) * evidence.n_classes))
        context, logits = network.encode_leaving_out(evidence, chunk_rows=chunk_rows)
        rows, of_rows = parts[0], np.full((len(parts), len(parts[0].codes), evidence.n_classes), np.nan)
        asked = (rows.codes < 0) & shift_wanted
        if logits is not None:
            heard = rows.heard(hypothesis)
            left_out = normalise(logits[:, : read[0].n_rows].cpu()).numpy()
            check_finite(left_out.sum(axis=(0, 2)), "probabilities", DAMAGED)
            of_rows[:, heard] = left_out
            asked = asked & ~heard
        reading, queries = cls(hypothesis, read, context, of_rows), np.flatnonzero(asked)
        for batch in batches(len(queries), chunk_rows):
            numbers = queries[batch]
            scores = None if rows.prior_scores is None else rows.prior_scores[numbers]
            of_rows[:, numbers] = reading.log_proba(network, rows.X[numbers], scores).numpy()
        return reading

    def log_proba(self, network, X, prior_scores):
        """Log-probabilities (B, Q, C) of queries (Q, D)."""
        queries = [read.queries(X, prior_scores if self.hypothesis.prior else None) for read in self.read]
        return normalise(network.score(self.context, *map(stack, zip(*queries))).cpu())


@dataclass(frozen=True, eq=False)
class Belief:
    """B contexts under every hypothesis that their rows leave probable: what queries are scored with."""

    network: Reasoner
    readings: list[Reading]
    weights: np.ndarray  # (H, B): of the readings
    frequencies: np.ndarray  # (B, C): log-probabilities
    weight_of_frequencies: np.ndarray  # (B,)
    gaussians: list[Gaussians | None]  # one a context: what is mixed with the log-probabilities of all these
    sharpness: np.ndarray  # (B,): factors of the mixed log-probabilities
    shift: np.ndarray  # (B, C): logarithms of class frequencies over those of the labelled rows

    def share(self, name):
        """Posterior probability that a piece of evidence, a field of Hypothesis, is to be believed; in one context."""
        believed = [getattr(reading.hypothesis, name) for reading in self.readings]
        return float(self.weights[:, 0] @ np.array(believed, dtype=float))

    def main_reading(self, b):
        """The reading of the most probable hypothesis about context number b."""
        return self.readings[int(self.weights[:, b].argmax())]

    def log_proba(self, X, prior_scores, batch_size):
        """Log-probabilities (Q, B, C) of queries (Q, D), of which a prior thinks (Q, C) or None."""
        found = [
            self._mixed(X[batch], None if prior_scores is None else prior_scores[batch])
            for batch in batches(len(X), batch_size)
        ]
        factor, shift = torch.from_numpy(self.sharpness)[:, None, None], torch.from_numpy(self.shift)[:, None]
        return normalise((factor * torch.cat(found, 1)).log_softmax(-1) + shift).transpose(0, 1).numpy()

    def of_context_rows(self, b, numbers):
        """Log-probabilities (n_numbers, C) of some rows of context number b, by all other rows, before any shift."""
        parts = [reading.of_rows[b, numbers] for reading in self.readings]
        parts.append(np.broadcast_to(self.frequencies[b], parts[0].shape))
        weights = np.append(self.weights[:, b], self.weight_of_frequencies[b])
        mixed, gaussians = logsumexp(np.stack(parts), axis=0, b=weights[:, None, None]), self.gaussians[b]
        if gaussians is not None:
            mixed = gaussians.beside(mixed, gaussians.of_rows[numbers])
        return log_softmax(self.sharpness[b] * mixed, axis=1)

    def _mixed(self, X, prior_scores):
        """Log-probabilities (B, Q, C) before any shift."""
        parts = [reading.log_proba(self.network, X, prior_scores) for reading in self.readings]
        weights = torch.from_numpy(self.weights)
        if self.weight_of_frequencies.any():
            parts.append(torch.from_numpy(self.frequencies)[:, None].expand_as(parts[0]))
            weights = torch.cat([weights, torch.from_numpy(self.weight_of_frequencies)[None]])
        mixed = (torch.stack(parts) + weights.log()[:, :, None, None]).logsumexp(0) if len(parts) > 1 else parts[0]
        for number, gaussians in enumerate(self.gaussians):
            if gaussians is not None:
                mixed[number] = torch.from_numpy(gaussians.beside(mixed[number].numpy(), gaussians.log_proba(X)))
        return mixed


def believe(parts, network, standardize, population):
    """Read contexts, a list of ContextRows of equal sizes, under all hypotheses, and weigh these.

    Rows without a label are read last: those of classes that are more frequent among them than among the labelled
    rows count for less, so that the context has one set of class frequencies.
    """
    scales, scaled = [scales_of(rows, standardize) for rows in parts], {}
    hypotheses = hypotheses_of(parts[0], sorted(set().union(*scales), reverse=True))
    shift_wanted = any(_shift_wanted(rows, population) for rows in parts)

    def read(chosen, of):
        return [Reading.of(hypothesis, of, network, scaled, shift_wanted) for hypothesis in chosen]

    def weighed(readings, everything):
        return _weighed(readings, parts, everything, scales, network, population)

    if not network.leaves_out or any(rows.mass.sum() == 0 for rows in parts):
        believed = [one for one in hypotheses if one[:3] == hypotheses[0][:3]]
        return weighed(read(believed if network.leaves_out else believed[:1], parts), hypotheses[0])
    readings = read([one for one in hypotheses if not one.unlabelled], parts)
    if hypotheses[0].unlabelled:
        evened = parts
        if shift_wanted:
            before = weighed(readings, hypotheses[0]._replace(unlabelled=False))
            evened = [_evened(before, rows, b) for b, rows in enumerate(parts)]
        readings = read([one for one in hypotheses if one.unlabelled], evened) + readings
    return weighed(readings, hypotheses[0])


def _weighed(readings, parts, everything, scales, network, population):
    """The belief in readings of contexts, a list of ContextRows."""
    log_weights = [_log_weights(readings, rows, b, everything, scales[b], network) for b, rows in enumerate(parts)]
    weights = posterior(np.stack(log_weights, 1))  # (H + 1, B)
    kept = np.flatnonzero(weights[:-1].any(axis=1))
    if not len(kept):  # nothing can be learned; one reading tells the sizes
        kept = np.array([0])
    belief = Belief(
        network,
        [readings[i] for i in kept],
        weights[kept],
        np.stack([frequencies(rows.mass) for rows in parts]),
        weights[-1],
        [None] * len(parts),
        np.ones(len(parts)),
        np.zeros((len(parts), len(parts[0].classes))),
    )
    belief = replace(belief, gaussians=[_gaussians(belief, rows, b, population) for b, rows in enumerate(parts)])
    belief = replace(belief, sharpness=np.array([_sharpness(belief, rows, b) for b, rows in enumerate(parts)]))
    return replace(belief, shift=np.stack([_shift(belief, rows, b, population) for b, rows in enumerate(parts)]))


def _evened(belief, rows, b):
    """Rows of context number b, those without a label weighed so that the shift of their classes is undone."""
    if not belief.shift[b].any():
        return rows
    numbers, weight = rows.unlabelled, rows.weight.copy()
    reference = np.exp(belief.frequencies[b])
    shifted = belief.of_context_rows(b, numbers)
    weight[numbers] *= evening_weights(shifted, reference * np.exp(belief.shift[b]), reference)
    return replace(rows, weight=weight)


def _log_weights(readings, rows, b, everything, scales, network):
    """Logarithms (H + 1,) of the weights of the hypotheses, then that of the frequencies, in context number b."""
    labelled = np.flatnonzero(rows.codes >= 0)
    codes, weight, mass = rows.codes[labelled], rows.total_weight[labelled], rows.mass
    hypotheses = [reading.hypothesis for reading in readings]
    log_weights = np.array([log_prior(hypothesis, rows, everything, scales) for hypothesis in hypotheses])
    log_weights = log_weights - logsumexp(log_weights)
    if not network.leaves_out or mass.sum() == 0:
        return np.append(one_scale(hypotheses, log_weights, mass.sum()), -np.inf)
    for number, reading in enumerate(readings):
        log_weights[number] += weight @ reading.of_rows[b, labelled, codes]
    # What is known of a class without rows cannot be weighed against frequencies.
    may_be_nothing = (mass > 0).all() or not (everything.names or everything.prior)
    nothing = np.log(SHARE_OF_FREQUENCIES) + weight @ frequencies_of_others(mass, codes, weight)
    something = np.log1p(-SHARE_OF_FREQUENCIES) + one_scale(hypotheses, log_weights, mass.sum())
    return np.append(something, nothing if may_be_nothing else -np.inf)


def _gaussians(belief, rows, b, population):
    """Gaussians over the rows of context number b, as the most probable hypothesis reads them; None if of no use."""
    if not belief.network.leaves_out or rows.mass.sum() == 0:
        return None
    read = belief.main_reading(b).read[b]
    log_proba = belief.of_context_rows(b, np.flatnonzero(rows.codes >= 0))
    return Gaussians.fit(rows, read, log_proba, shift_wanted=_shift_wanted(rows, population))


def _sharpness(belief, rows, b):
    """The factor of log-probabilities that suits the labelled rows of context number b, each left out."""
    if not belief.network.leaves_out or rows.mass.sum() == 0:
        return 1.0
    labelled = np.flatnonzero(rows.codes >= 0)
    log_proba = belief.of_context_rows(b, labelled)
    return fit_sharpness(log_proba, rows.codes[labelled], rows.total_weight[labelled])


def _shift(belief, rows, b, population):
    """What the frequencies of the classes among unlabelled rows add to log-probabilities, (C,), in context number b."""
    if not _shift_wanted(rows, population):
        return np.zeros(len(rows.classes))
    numbers, reference = rows.unlabelled, np.exp(belief.frequencies[b])
    log_proba = belief.of_context_rows(b, numbers)
    return np.log(class_frequencies(log_proba, rows.weight[numbers], reference) / reference)


def _shift_wanted(rows, population):
    """Whether the frequencies of the classes are those among the unlabelled rows, and these can be told."""
    if population == "labelled" or not len(rows.unlabelled) or rows.mass.sum() == 0:
        return False
    return population == "unlabelled" or looks_balanced(rows.mass)


def place_of(network):
    """Device and precision in which rows are prepared for a reasoner: its own where decompositions exist in them.

    The CPU stands in for mps, and float32 for half precision.
    """
    parameter = next(network.parameters(), None)
    if parameter is None:
        return {"device": torch.device("cpu"), "dtype": torch.float64}
    device = torch.device("cpu") if parameter.device.type == "mps" else parameter.device
    return {"device": device, "dtype": parameter.dtype if parameter.dtype == torch.float64 else torch.float32}


def normalise(logits):
    """Log-probabilities of logits (..., C), none of them so small that the probability would be zero."""
    floor = logits.amax(-1, keepdim=True) - LARGEST_LOG_ODDS
    return torch.maximum(logits, floor).double().log_softmax(-1)


def batches(n_rows, size):
    """Slices of so many rows at a time."""
    return [slice(i, i + size) for i in range(0, n_rows, size)]
