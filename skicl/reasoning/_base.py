"""What every reasoner is: labelled context in, a compiled context out, queries scored against it.

Shapes: B tasks, N context rows, Q query rows, D features, C classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
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

    Examples
    --------
    >>> import torch
    >>> from skicl.reasoning import Evidence
    >>> Evidence(torch.zeros(1, 3, 2), torch.tensor([[0, 1, -1]]), n_classes=2).X.shape
    torch.Size([1, 3, 2])
    """

    X: torch.Tensor
    y: torch.Tensor
    n_classes: int
    weight: torch.Tensor | None = None
    side: torch.Tensor | None = None


class Reasoner(nn.Module, ABC):
    """A network that reads labelled rows as its context and labels new rows.

    A final class writes :meth:`encode` and :meth:`score`; this is all that :class:`~skicl.TartClassifier` needs.
    Neither keeps state in the module: what is computed once is returned as a context, a (nested) tuple of tensors that
    can be printed, pickled and moved. Scoring queries together, one by one or in any order gives the same logits. A
    class whose sizes may differ keeps them as ``config``, a dataclass.

    Examples
    --------
    >>> from skicl.reasoning import Reasoner, load_reasoner
    >>> isinstance(load_reasoner(), Reasoner)
    True
    """

    # Whether `Evidence.side` and the argument `side` of `score` may be given.
    reads_side_scores: bool = True
    # Whether `encode_leaving_out` gives scores.
    leaves_out: bool = False
    # The sizes, from which an equal network can be built: a dataclass.
    config: Any = None

    @abstractmethod
    def encode(self, evidence: Evidence, *, chunk_rows: int | None = None) -> Any:
        """Compile a labelled context; no gradient step.

        Parameters
        ----------
        evidence : Evidence
            Rows, labels, weights and outside scores of B tasks.
        chunk_rows : int, default=None
            Rows processed at a time, to bound memory; a hint. None means all.

        Returns
        -------
        tuple
            The context: tensors, however nested.
        """

    def encode_leaving_out(
        self, evidence: Evidence, *, chunk_rows: int | None = None
    ) -> tuple[Any, torch.Tensor | None]:
        """Compile a labelled context, and score each of its rows as a query that hears the other rows only.

        Parameters
        ----------
        evidence : Evidence
            Rows, labels, weights and outside scores of B tasks.
        chunk_rows : int, default=None
            Rows processed at a time, to bound memory; a hint. None means all.

        Returns
        -------
        context : tuple
            What :meth:`encode` returns.
        logits : Tensor of shape (B, N, C) or None
            Scores of the context rows without their own labels, for one copy of each; None where a reasoner cannot
            tell, as is the case unless a final class says otherwise.
        """
        return self.encode(evidence, chunk_rows=chunk_rows), None

    @abstractmethod
    def score(self, context: Any, X: torch.Tensor, side: torch.Tensor | None = None) -> torch.Tensor:
        """Score queries against a context.

        Parameters
        ----------
        context : tuple
            What :meth:`encode` returned.
        X : Tensor of shape (B, Q, D)
            Features of the queries.
        side : Tensor of shape (B, Q, C) or None, default=None
            Outside scores of the queries, where the context had them.

        Returns
        -------
        Tensor of shape (B, Q, C)
            Logits, to be normalised by a softmax over the classes.
        """

    def score_all_layers(self, context: Any, X: torch.Tensor, side: torch.Tensor | None = None) -> list[torch.Tensor]:
        """Score queries after every layer, for pretraining and inspection.

        Parameters
        ----------
        context : tuple
            What :meth:`encode` returned.
        X : Tensor of shape (B, Q, D)
            Features of the queries.
        side : Tensor of shape (B, Q, C) or None, default=None
            Outside scores of the queries, where the context had them.

        Returns
        -------
        list of Tensor of shape (B, Q, C)
            Logits, one entry per layer; those of :meth:`score` alone unless a final class says otherwise.
        """
        return [self.score(context, X, side)]

    def describe(self) -> dict[str, Any]:
        """Describe the sizes.

        Returns
        -------
        dict
            The fields of ``config``, from which an equal network can be built; empty without one.
        """
        return {} if self.config is None else asdict(self.config)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights of all linear layers, LeCun-uniform, with biases of zero.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of randomness. None means PyTorch's own.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                bound = module.in_features**-0.5
                nn.init.uniform_(module.weight, -bound, bound, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def context_fit(self, context: Any) -> torch.Tensor | None:
        """How well the labelled rows of a context are predicted by the others.

        Parameters
        ----------
        context : tuple
            What :meth:`encode` returned.

        Returns
        -------
        Tensor of shape (B,) or None
            Mean log-probability above chance, in nats, estimated without queries; None where a reasoner cannot tell,
            as is the case unless a final class says otherwise.
        """
        return None

    def forward(self, evidence: Evidence, X: torch.Tensor, side: torch.Tensor | None = None) -> torch.Tensor:
        """Encode the context and score the queries in one call.

        Parameters
        ----------
        evidence : Evidence
            Rows, labels, weights and outside scores of B tasks.
        X : Tensor of shape (B, Q, D)
            Features of the queries.
        side : Tensor of shape (B, Q, C) or None, default=None
            Outside scores of the queries, where the context has them.

        Returns
        -------
        Tensor of shape (B, Q, C)
            Logits.
        """
        return self.score(self.encode(evidence), X, side)


def map_tensors(function: Callable, context: tuple) -> tuple:
    """Apply a function to every tensor of a context, whatever its nesting; the rest is kept.

    Parameters
    ----------
    function : callable
        Takes a tensor and returns a tensor.
    context : tuple
        A context, or any nested tuple or named tuple that holds tensors.

    Returns
    -------
    tuple
        Of the same types and nesting.

    Examples
    --------
    >>> import torch
    >>> from skicl.reasoning import map_tensors
    >>> map_tensors(lambda t: t + 1, (torch.tensor(1), None))
    (tensor(2), None)
    """
    if isinstance(context, torch.Tensor):
        return function(context)
    if isinstance(context, tuple):
        mapped = [map_tensors(function, item) for item in context]
        return type(context)(*mapped) if hasattr(context, "_fields") else tuple(mapped)
    return context
