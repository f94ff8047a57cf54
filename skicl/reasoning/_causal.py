"""The reasoner of TART's paper: binary, 16 whitened coordinates, a causal transformer over the labelled rows.

Shapes: B tasks, N context rows, Q query rows, D features, C classes, m blocks of rows, S = B m C sequences, P points.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from skicl.reasoning._base import Reasoner
from skicl.reasoning._causal_network import Cache, CausalNetwork
from skicl.reasoning._causal_points import Whitening, apply_whitening, canonical_order, cut_into_blocks, whiten

# Longer contexts are read in so many parts at most.
N_BLOCKS = 8
# Attention weights of queries held at a time, to bound memory.
WEIGHTS_AT_A_TIME = 2**23


@dataclass(frozen=True)
class CausalConfig:
    """Sizes of a :class:`CausalReasoner`; the defaults are those of the paper.

    Parameters
    ----------
    n_features : int, default=16
        Coordinates of a row that the network sees.
    n_points : int, default=258
        Longest sequence: labelled rows and one query.
    n_channels : int, default=256
        Channels of a token; a multiple of ``n_heads``.
    n_heads : int, default=8
        Heads of the attention.
    n_layers : int, default=12
        Number of layers.

    Examples
    --------
    >>> from skicl.reasoning import CausalConfig, CausalReasoner
    >>> sum(weight.numel() for weight in CausalReasoner(CausalConfig()).parameters())
    9614849
    """

    n_features: int = 16
    n_points: int = 258
    n_channels: int = 256
    n_heads: int = 8
    n_layers: int = 12


class CausalContext(NamedTuple):
    """A context that was read: keys and values of its tokens, and the coordinates in which queries are read."""

    whitening: Whitening
    lengths: torch.Tensor  # (B, m, 1), rows in a block
    layers: tuple[Cache, ...]  # (S, heads, 2 P, channels of a head)
    n_classes: torch.Tensor  # (), the number C


class CausalReasoner(Reasoner):
    """A causal transformer reads ``x1 y1 x2 y2 ...`` and predicts every label from the points before it ([1]_, [2]_).

    The network knows two classes, at most 257 labelled rows and a fixed number of features. Around it: rows are
    projected on the leading principal axes of the context and whitened; every class is set against the rest, and two
    classes against each other in both ways, whose log-odds are averaged; longer contexts are cut into up to eight
    blocks of equal length, whose log-odds are averaged. The keys and values of the context are computed once; queries
    attend to them and to themselves, never to each other.

    Parameters
    ----------
    config : CausalConfig, default=None
        Sizes. None means the defaults of :class:`CausalConfig`.

    Notes
    -----
    The network depends on the order of its context. The order in which it reads is therefore computed from the rows,
    by a hash of their coordinates: permuting the context changes nothing beyond rounding, but another order would give
    other probabilities, and a small change of one row can move it elsewhere in the sequence. Renaming classes permutes
    the probabilities. Rotating the features, moving or scaling them changes nothing beyond rounding, unless two axes
    have equal variance or rows lie symmetrically along one.

    Weights are read as numbers of equal rows: a row of weight two is read twice, and weights that are no whole numbers
    are rounded cumulatively along the sequence. Unlabelled rows shape the axes and are not read otherwise. Outside
    scores cannot be read.

    References
    ----------
    .. [1] Bhatia, Narayan, De Sa and Re (2023), "TART: A plug-and-play Transformer module for task-agnostic
       reasoning", NeurIPS.
    .. [2] Garg, Tsipras, Liang and Valiant (2022), "What can transformers learn in-context? A case study of simple
       function classes", NeurIPS.

    Examples
    --------
    >>> import torch
    >>> from skicl.reasoning import CausalConfig, CausalReasoner, Evidence
    >>> reasoner = CausalReasoner(CausalConfig(n_channels=16, n_heads=2, n_layers=2))
    >>> X = torch.randn(1, 30, 40, generator=torch.Generator().manual_seed(0))
    >>> context = reasoner.encode(Evidence(X, torch.arange(30)[None] % 3, n_classes=3))
    >>> reasoner.score(context, X[:, :5]).shape
    torch.Size([1, 5, 3])
    """

    reads_side_scores = False

    def __init__(self, config: CausalConfig | None = None) -> None:
        super().__init__()
        self.config = config if config is not None else CausalConfig()
        if self.config.n_channels % self.config.n_heads:
            raise ValueError(
                f"`n_channels` must be a multiple of `n_heads`, got {self.config.n_channels} and {self.config.n_heads}."
            )
        self.network = CausalNetwork(**asdict(self.config))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of randomness. None means PyTorch's own.
        """
        self.network.reset_parameters(generator)

    def shortened(self, n_points: int) -> "CausalReasoner":
        """The same network for shorter sequences only, which it reads exactly alike.

        Positions that a run of pretraining has not reached hold nothing but noise: without them, longer contexts are
        read in blocks of the lengths that were practised.

        Parameters
        ----------
        n_points : int
            Longest sequence, at most ``config.n_points``.

        Returns
        -------
        CausalReasoner

        Raises
        ------
        ValueError
            If ``n_points`` is below 2 or above ``config.n_points``.
        """
        if not 2 <= n_points <= self.config.n_points:
            raise ValueError(f"`n_points` must be from 2 to {self.config.n_points}, got {n_points!r}.")
        other = CausalReasoner(replace(self.config, n_points=n_points)).to(self.network.position)
        weights = self.state_dict()
        weights["network.position"] = weights["network.position"][: 2 * n_points]
        other.load_state_dict(weights, strict=True)
        return other.train(self.training)

    def encode(self, evidence: Any, *, chunk_rows: int | None = None) -> CausalContext:
        """Read a labelled context.

        Parameters
        ----------
        evidence : Evidence
            The context. In every task at least one row has a positive weight.
        chunk_rows : int, default=None
            Not used: a sequence is read as a whole.

        Returns
        -------
        CausalContext

        Raises
        ------
        ValueError
            If the evidence holds outside scores.
        """
        X, y, n_classes = evidence.X.double(), evidence.y.to(evidence.X.device), evidence.n_classes
        if evidence.side is not None:
            raise ValueError(
                "`side` must be None: this reasoner reads labelled rows only, no outside scores. Use the "
                "default reasoner for them."
            )
        weight = torch.ones_like(X[..., 0]) if evidence.weight is None else evidence.weight.to(X)
        like = self.network.position
        with torch.no_grad():
            whitening, points = whiten(X, weight, self.config.n_features)
            order = canonical_order(points, y)
            index, lengths = cut_into_blocks(order, weight * (y >= 0), self.config.n_points - 1, N_BLOCKS)
            task = torch.arange(len(index), device=X.device)[:, None, None]
            rows = points[task, index][:, :, None].expand(-1, -1, n_classes, -1, -1)  # (B, m, C, P, r)
            classes = torch.arange(n_classes, device=X.device)[:, None]
            labels = (y[task, index][:, :, None] == classes).long()  # (B, m, C, P)
        layers = self.network.encode(rows.flatten(0, 2).to(like), labels.flatten(0, 2).to(like.device))
        return CausalContext(whitening, lengths[..., None], layers, torch.tensor(n_classes))

    def score(self, context: CausalContext, X: torch.Tensor, side: torch.Tensor | None = None) -> torch.Tensor:
        """Score queries against a context.

        Parameters
        ----------
        context : CausalContext
            What :meth:`encode` returned.
        X : Tensor of shape (B, Q, D)
            Features of the queries.
        side : None, default=None
            Outside scores cannot be read.

        Returns
        -------
        Tensor of shape (B, Q, C)
            Logits, to be normalised by a softmax over the classes.
        """
        return self._logits(context, X, self.network.score)

    def score_all_layers(
        self, context: CausalContext, X: torch.Tensor, side: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        """Score queries after every layer, for inspection.

        States before the last layer are read out as those behind it, for which the network was not trained: what is
        known as the logit lens ([1]_).

        Parameters
        ----------
        context : CausalContext
            What :meth:`encode` returned.
        X : Tensor of shape (B, Q, D)
            Features of the queries.
        side : None, default=None
            Outside scores cannot be read.

        Returns
        -------
        list of Tensor of shape (B, Q, C)
            Logits, one entry per layer.

        References
        ----------
        .. [1] nostalgebraist (2020), "Interpreting GPT: the logit lens".
        """
        return list(self._logits(context, X, self.network.score_all_layers))

    def sequence_log_odds(self, X: torch.Tensor, y: torch.Tensor, start: torch.Tensor | None = None) -> torch.Tensor:
        """Log-odds of every label of a sequence of points, given the points before it; for pretraining.

        Parameters
        ----------
        X : Tensor of shape (S, P, n_features)
            Points as the network sees them.
        y : int64 Tensor of shape (S, P)
            Labels, 0 or 1.
        start : int64 Tensor of shape (S,) or None, default=None
            Position of the first point of every sequence. None means the first one.

        Returns
        -------
        Tensor of shape (S, P)
            Log-odds of label 1.
        """
        return self.network(X, y, start)

    def query_log_odds(
        self, X: torch.Tensor, y: torch.Tensor, X_query: torch.Tensor, *, all_layers: bool = False
    ) -> Any:
        """Log-odds of queries after a labelled sequence, read as it comes: without whitening, ordering or blocks.

        What the network alone has learned. :meth:`score` is for data that are not made like its tasks.

        Parameters
        ----------
        X : Tensor of shape (S, N, n_features)
            Labelled points as the network sees them, fewer than ``config.n_points``.
        y : int64 Tensor of shape (S, N)
            Labels, 0 or 1.
        X_query : Tensor of shape (S, Q, n_features)
            Queries; none of them sees another.
        all_layers : bool, default=False
            Whether to read every layer out, as :meth:`score_all_layers` does.

        Returns
        -------
        Tensor of shape (S, Q), or (n_layers, S, Q)
            Log-odds of label 1.
        """
        read = self.network.score_all_layers if all_layers else self.network.score
        lengths = torch.full((len(X),), X.shape[1], device=X.device)
        return read(self.network.encode(X, y), lengths, X_query)

    def _logits(self, context: Any, X: torch.Tensor, read: Any) -> Any:
        """Logits (B, Q, C), or (L, B, Q, C) where the network's way to read its queries gives all layers."""
        points = apply_whitening(context.whitening, X.to(context.whitening.factor), self.config.n_features, new=True)
        log_odds = self._log_odds(context, points.to(self.network.position), read)
        # Log-odds of each against the other, for two classes; the sigmoids of more are normalised.
        return 0.5 * log_odds if log_odds.shape[-1] == 2 else F.logsigmoid(log_odds)

    def _log_odds(self, context: Any, points: torch.Tensor, read: Any) -> Any:
        """Mean over blocks of the log-odds of each class against the rest, (..., B, Q, C)."""
        n_classes = int(context.n_classes)
        n_tasks, n_blocks, _ = context.lengths.shape
        lengths = context.lengths.expand(-1, -1, n_classes).flatten().to(points.device)
        task = torch.arange(n_tasks, device=points.device).repeat_interleave(n_blocks * n_classes)
        n_tokens = context.layers[0].keys.shape[2]
        size = max(1, WEIGHTS_AT_A_TIME // (self.config.n_heads * points.shape[1] * (n_tokens + 1) or 1))
        found = [
            read(
                [Cache(*(part[i : i + size] for part in layer)) for layer in context.layers],
                lengths[i : i + size],
                points[task[i : i + size]],
            )
            for i in range(0, len(task), size)
        ]
        log_odds = torch.cat(found, -2).unflatten(-2, (n_tasks, n_blocks, n_classes))  # (..., B, m, C, Q)
        # The first block counts even if it is empty: then nothing is known but the position.
        counts = (context.lengths.to(log_odds) > 0).to(log_odds).index_fill(1, torch.zeros_like(task[:1]), 1.0)
        return ((log_odds * counts[..., None]).sum(-3) / counts.sum(1)[..., None]).mT
