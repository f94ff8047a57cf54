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


class Guide(NamedTuple):
    """All that turns a row and its outside opinion into side scores; taken from the context once.

    Attributes
    ----------
    centre : Tensor of shape (D,) or None
        From where the directions of rows are taken; None without names.
    directions : Tensor of shape (C, D) or None
        Unit vectors from the mean of the names to each name.
    scales : tuple of two float
        What divides the cosines and the opinions. Infinite for one that says nothing in the context.
    limit : float
        Scores of queries are cut off here.
    """

    centre: torch.Tensor | None
    directions: torch.Tensor | None
    scales: tuple[float, float]
    limit: float


def take_guide(rows, weight, names, opinions):
    """Read from the context how side scores are made.

    Parameters
    ----------
    rows : Tensor of shape (n, D)
        Rows of the context.
    weight : Tensor of shape (n,)
        Their weights, of positive sum.
    names : Tensor of shape (C, D) or None
        Vectors of the classes, on the scale of the rows.
    opinions : Tensor of shape (n, C) or None
        Outside scores of the rows, such as centred log-probabilities.

    Returns
    -------
    Guide
    """
    centre = directions = None
    if names is not None:
        centre = _centre(rows, weight, names)
        offsets = names - names.mean(0)
        # Equal names differ from their mean by rounding only: they point nowhere.
        directions = _unit(offsets, 1e-9 * names.abs().max().clamp_min(1e-300))
    guide = Guide(centre, directions, (1.0, 1.0), torch.inf)
    if names is not None and opinions is not None:
        parts = [side_scores(guide, rows, None), side_scores(guide._replace(directions=None), rows, opinions)]
        guide = guide._replace(scales=tuple(_root_mean_square(part, weight) or torch.inf for part in parts))
    seen = side_scores(guide, rows, opinions)[weight > 0]
    return guide._replace(limit=FARTHEST_SCORE * seen.abs().max().item())


def side_scores(guide, rows, opinions):
    """Side scores of rows.

    Parameters
    ----------
    guide : Guide
        What :func:`take_guide` returned for the context.
    rows : Tensor of shape (n, D)
        Rows of the context, or queries.
    opinions : Tensor of shape (n, C) or None
        Their outside scores, where the context had them.

    Returns
    -------
    Tensor of shape (n, C)
        The cosine of the angle between a row and the name of a class, seen from the centre, plus the opinion; where
        there are both, each is divided by its root mean square over the context.
    """
    scores = 0.0
    if guide.directions is not None:
        scores = _unit(rows - guide.centre, 1e-9) @ guide.directions.mT / guide.scales[0]
    if opinions is not None:
        scores = scores + opinions / guide.scales[1]
    return scores.clamp(-guide.limit, guide.limit)


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
