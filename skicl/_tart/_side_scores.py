"""Side scores, one for every (row, class): how near a row is to a class's name, what another model thinks of it.

Shapes: n rows, D features, C classes. Rows are on the scale on which the reasoner sees them, where the weighted
mean of the context is the origin.
"""

from typing import NamedTuple

import torch

# Rows at the mean of the names that join the context where its centre is taken. The mean of one or two rows says
# more about these rows than about the texts to come; measured in the lab notes.
PSEUDO_ROWS = 2.0
# A query's score counts as so many times the largest of the context, at most: beyond, nothing is known.
FARTHEST_SCORE = 3.0


class SideScorer(NamedTuple):
    """All that turns a row and the scores of a prior into side scores; fitted to a context."""

    centre: torch.Tensor | None  # (D,): from where the directions of rows are taken; None without names
    directions: torch.Tensor | None  # (C, D): unit vectors from the mean of the names to each name
    scales: tuple[float, float]  # divide the cosines and the prior's scores; infinite for one that says nothing
    limit: float  # scores of queries are cut off here

    def score(self, rows, prior_scores):
        """Side scores (n, C) of rows (n, D), with the prior's scores (n, C) where the context had them.

        The cosine of the angle between a row and the name of a class, seen from the centre, plus the prior's score;
        where there are both, each is divided by its root mean square over the context.
        """
        scores = 0.0
        if self.directions is not None:
            scores = _unit(rows - self.centre, 1e-9) @ self.directions.mT / self.scales[0]
        if prior_scores is not None:
            scores = scores + prior_scores / self.scales[1]
        return scores.clamp(-self.limit, self.limit)


def fit_side_scorer(rows, weight, names, prior_scores):
    """A scorer for a context: rows (n, D), weights (n,) of positive sum, names (C, D) or None, scores (n, C) or None.

    Names are vectors on the scale of the rows; the prior's scores are centred log-probabilities.
    """
    centre = directions = None
    if names is not None:
        centre = _centre(rows, weight, names)
        offsets = names - names.mean(0)
        # Equal names differ from their mean by rounding only: they point nowhere.
        directions = _unit(offsets, 1e-9 * names.abs().max().clamp_min(1e-300))
    scorer = SideScorer(centre, directions, (1.0, 1.0), torch.inf)
    if names is not None and prior_scores is not None:
        parts = [scorer.score(rows, None), scorer._replace(directions=None).score(rows, prior_scores)]
        scorer = scorer._replace(scales=tuple(_root_mean_square(part, weight) or torch.inf for part in parts))
    seen = scorer.score(rows, prior_scores)[weight > 0]
    return scorer._replace(limit=FARTHEST_SCORE * seen.abs().max().item())


def _centre(rows, weight, names):
    """Mean of the context and of a few rows at the mean of the names, no farther away than the rows themselves."""
    spread = ((weight[:, None] * rows.square()).sum() / weight.sum()).sqrt()
    middle = names.mean(0)
    distance = middle.norm()
    if spread > 0 and distance > spread:
        middle = middle * (spread / distance)
    return middle * (PSEUDO_ROWS / (weight.sum() + PSEUDO_ROWS))


def _root_mean_square(scores, weight):
    return ((weight[:, None] * scores.square()).sum() / (weight.sum() * scores.shape[1])).sqrt().item()


def _unit(rows, smallest):
    return rows / rows.norm(dim=-1, keepdim=True).clamp_min(smallest)
