"""What every reasoner is: labelled context in, a compiled context out, queries scored against it.

Shapes: B tasks, N context rows, Q query rows, D features, C classes.
"""

from abc import abstractmethod
from typing import Any, NamedTuple

import torch
from torch import nn


class Evidence(NamedTuple):
    """What a reasoner may read of a context.

    Parameters
    ----------
    X : Tensor of shape (B, N, D)
        Features of the context rows.
    y : int64 Tensor of shape (B, N)
        Class indices in ``0 .. n_classes - 1``; -1 marks an unlabelled row.
    n_classes : int
        Number of classes C.
    weight : Tensor of shape (B, N) or None, default=None
        Row weights. A row of weight 2 counts as two equal rows, a row of weight 0 as none.
        None means 1 for every row.
    side : Tensor of shape (B, N, C) or None, default=None
        One outside score per (row, class), such as the similarity of the row to the name of
        the class. None means that there is none.
    """

    X: torch.Tensor
    y: torch.Tensor
    n_classes: int
    weight: torch.Tensor | None = None
    side: torch.Tensor | None = None


class Reasoner(nn.Module):
    """A network that reads labelled rows as its context and labels new rows.

    A final class writes :meth:`encode` and :meth:`score`. Neither keeps state in the module: what
    is computed once is returned as a context, a (nested) tuple of tensors that can be printed,
    pickled and moved. Scoring queries together, one by one or in any order gives the same logits.
    """

    @abstractmethod
    def encode(self, evidence: Evidence) -> Any:
        """Compile a labelled context into tensors of fixed meaning; no gradient step."""

    @abstractmethod
    def score(self, context, X, side=None) -> torch.Tensor:
        """Logits of shape (B, Q, C) for the queries ``X`` of shape (B, Q, D)."""

    def forward(self, evidence: Evidence, X, side=None) -> torch.Tensor:
        """Encode the context and score the queries ``X`` in one call."""
        return self.score(self.encode(evidence), X, side)


def map_tensors(function, context):
    """Apply ``function`` to every tensor of a context, whatever its nesting; the rest is kept."""
    if isinstance(context, torch.Tensor):
        return function(context)
    if isinstance(context, tuple):
        mapped = [map_tensors(function, item) for item in context]
        return type(context)(*mapped) if hasattr(context, "_fields") else tuple(mapped)
    return context
