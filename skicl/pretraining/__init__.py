"""Pretraining of reasoners on synthetic tasks: priors and the loop; ``python -m skicl.pretraining``."""

from skicl.pretraining._loop import Schedule, pretrain
from skicl.pretraining._priors import EmbeddingPrior, Sizes, Tasks

__all__ = ["EmbeddingPrior", "Schedule", "Sizes", "Tasks", "pretrain"]
