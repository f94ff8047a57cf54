"""TART's own tasks for the paper's reasoner: sequences of points with logistic labels, and a curriculum.

Shapes: S sequences, P points, D features.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from skicl.pretraining._priors import Draw


class Sequences(NamedTuple):
    """A batch of sequences of labelled points; every label is to be predicted from the points before it.

    Attributes
    ----------
    X : Tensor of shape (S, P, D)
        Points.
    y : int64 Tensor of shape (S, P)
        Labels, 0 or 1.
    start : int64 Tensor of shape (S,) or None, default=None
        Position of the first point of every sequence. None means that all begin at the first position.

    Examples
    --------
    >>> import torch
    >>> from skicl.pretraining import LogisticPrior
    >>> sequences = LogisticPrior(n_points=20, n_sequences=4).sample(torch.Generator().manual_seed(0))
    >>> sequences.X.shape, sequences.y.shape
    (torch.Size([4, 20, 16]), torch.Size([4, 20]))
    """

    X: torch.Tensor
    y: torch.Tensor
    start: torch.Tensor | None = None


@dataclass(frozen=True)
class LogisticPrior:
    """The logistic tasks of TART [1]_, with their curriculum.

    Points are standard normal, weights ``w`` normal with standard deviation ``alpha``, labels 1 with probability
    ``sigmoid(w.x)``. As in the paper there is no intercept. The number of features that are not zero and the number of
    points grow while the network learns.

    Parameters
    ----------
    n_features : int, default=16
        Features of a point.
    n_points : int, default=258
        Points of a sequence at the end of the curriculum.
    n_sequences : int, default=128
        Sequences of a step, at the start of the curriculum.
    alpha : float, default=10.0
        Standard deviation of the weights. At 10 and 16 features the labels are nearly noiseless: the Bayes error is
        1.4 %.
    start_features : int, default=4
        Features that are not zero at first.
    more_features : int, default=4
        By how many they grow at a time.
    features_every : int, default=1000
        Steps between two growths.
    start_points : int, default=18
        Points at first.
    more_points : int, default=30
        By how many they grow at a time.
    points_every : int, default=1000
        Steps between two growths.
    points_a_step : int, default=0
        Most points of a step, all sequences together: fewer sequences where they are longer. 0 means no limit.
    small_share : float, default=0.0
        Share of the steps, after the start, with a random smaller number of features, so that the network does not
        forget how to read points with zeros. The paper has none.
    random_start : float, default=0.0
        Share of the sequences that begin at a random one of the ``n_points`` positions that leaves room for them, so
        that short sequences practise the late positions too. The paper has none.

    References
    ----------
    .. [1] Bhatia, Narayan, De Sa and Re (2023), "TART: A plug-and-play Transformer module for task-agnostic
       reasoning", NeurIPS.

    Examples
    --------
    >>> import torch
    >>> from skicl.pretraining import LogisticPrior
    >>> prior = LogisticPrior()
    >>> prior.at(0).n_points, prior.at(8000).n_points
    (18, 258)
    >>> int((prior.at(0).sample(torch.Generator().manual_seed(0)).X[0, 0] != 0).sum())
    4
    """

    n_features: int = 16
    n_points: int = 258
    n_sequences: int = 128
    alpha: float = 10.0
    start_features: int = 4
    more_features: int = 4
    features_every: int = 1000
    start_points: int = 18
    more_points: int = 30
    points_every: int = 1000
    points_a_step: int = 0
    small_share: float = 0.0
    random_start: float = 0.0

    def at(self, step: int) -> "OfStep":
        """The prior of a step of the curriculum.

        Parameters
        ----------
        step : int
            The step, counted from 0.

        Returns
        -------
        OfStep
            Sequences of one size, with a method ``sample`` like that of the prior.
        """
        grown = step // self.features_every * self.more_features
        n_active = min(self.n_features, self.start_features + grown)
        n_points = min(self.n_points, self.start_points + step // self.points_every * self.more_points)
        return OfStep(replace(self, n_points=n_points), n_active, self.n_points)

    def sample(self, generator: torch.Generator) -> Sequences:
        """Draw a batch from the end of the curriculum.

        Parameters
        ----------
        generator : torch.Generator
            Source of all randomness; sequences are on its device.

        Returns
        -------
        Sequences
        """
        return OfStep(self, self.n_features, self.n_points).sample(generator)


class OfStep(NamedTuple):
    """A prior at one step: so many points, of which the first features are not zero, somewhere in so many positions."""

    prior: LogisticPrior
    n_active: int
    n_positions: int

    @property
    def n_points(self) -> Any:
        return self.prior.n_points

    def sample(self, generator: torch.Generator) -> Any:
        prior, draw, n_active = self.prior, Draw(generator), self.n_active
        if prior.small_share and draw.scalar() < prior.small_share:
            n_active = 1 + int(draw.scalar(0, n_active))
        n_sequences = prior.n_sequences
        if prior.points_a_step:
            n_sequences = max(1, min(n_sequences, prior.points_a_step // prior.n_points))
        X = draw.normal(n_sequences, prior.n_points, prior.n_features)
        X[..., n_active:] = 0.0
        log_odds = prior.alpha * X @ draw.normal(n_sequences, prior.n_features, 1)
        y = draw.uniform(n_sequences, prior.n_points) < log_odds[..., 0].sigmoid()
        return Sequences(X, y.long(), self._start(draw, n_sequences) if prior.random_start else None)

    def _start(self, draw: Any, n_sequences: Any) -> Any:
        """Positions (S,) of first points."""
        free = self.n_positions - self.n_points + 1
        anywhere = (draw.uniform(n_sequences) * free).long().clamp(max=free - 1)
        return torch.where(draw.uniform(n_sequences) < self.prior.random_start, anywhere, 0)


def sequence_loss(reasoner: Any, sequences: Any) -> tuple:
    """Cross-entropy of all labels of all sequences, the first among them; and the same without gradient."""
    log_odds = reasoner.sequence_log_odds(*sequences).float()
    loss = F.binary_cross_entropy_with_logits(log_odds, sequences.y.to(log_odds))
    return loss, loss.detach()
