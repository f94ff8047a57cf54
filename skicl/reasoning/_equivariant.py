"""The default reasoner: a learned optimiser in function space, with the symmetries built in.

Exactly invariant to the order of the context and to rotations of the features, equivariant to the
naming of the classes, and every query is scored on its own. It therefore takes any number of
features, rows and classes. The equations stand in the user guide ("How the reasoner works").

Shapes: B tasks, N context rows, Q query rows, n rows of either kind, D features, C classes,
r directions of a view, m landmarks, H state channels, F fit channels.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from skicl.reasoning._base import Evidence, Reasoner
from skicl.reasoning._context_pass import Chunk, run_layer
from skicl.reasoning._layers import (
    N_ROW_FEATURES,
    N_TASK_FEATURES,
    Classes,
    EquivariantLayer,
    Labels,
    Memory,
    Rows,
    layer_channels,
    leverages,
    participation,
    rms_norm,
)
from skicl.reasoning._preprocessing import (
    Axes,
    Landmarks,
    choose_landmarks,
    expand,
    principal_axes,
    project,
)

RANK_TOLERANCE = {torch.float32: 3e-6, torch.float64: 1e-6}
LANDMARK_TOLERANCE = 1e-4
LOG_SCALE = 0.2  # logarithms of counts enter the network at this scale, so that thousands of rows are no outlier
ABSENT = -1e4  # a logit so low that a class without any evidence gets no weight
LARGEST_LOG_SCALE = 2.0  # the readout sharpens or flattens its logits by at most exp of this


@dataclass(frozen=True)
class EquivariantConfig:
    """Sizes of an :class:`EquivariantReasoner`.

    Parameters
    ----------
    n_channels : int, default=32
        Channels of the state of every (row, class) pair.
    n_values : int, default=24
        Channels that rows exchange in every view.
    n_logits : int, default=8
        Provisional logits a layer forms, whose residuals the context rows send.
    n_constants : int, default=8
        Channels of the constant view, whose message is a mean over the context.
    n_fits : int, default=6
        Channels in which a layer measures how well its messages predict the labelled rows.
    n_hidden : int, default=96
        Hidden units of the state update.
    n_layers : int, default=6
        Number of layers.
    n_landmarks : int, default=128
        Most rows over which the radial kernel is expanded.

    Examples
    --------
    >>> from skicl.reasoning import EquivariantConfig
    >>> EquivariantConfig(n_layers=2).n_channels
    32
    """

    n_channels: int = 32
    n_values: int = 24
    n_logits: int = 8
    n_constants: int = 8
    n_fits: int = 6
    n_hidden: int = 96
    n_layers: int = 6
    n_landmarks: int = 128


class View(NamedTuple):
    """One set of coordinates: the axes and, for the kernel, what leads to them."""

    axes: Axes
    landmarks: Landmarks | None


class EquivariantContext(NamedTuple):
    """A compiled context: a network of fixed size, whatever the number of examples was."""

    classes: Classes
    views: tuple[View, ...]
    filters: tuple[torch.Tensor, ...]  # (B, r, L * K) of all layers over the number of rows, one a view
    layers: tuple[Memory, ...]


def count_classes(evidence: Evidence, weight: torch.Tensor) -> torch.Tensor:
    """Labelled mass of every class (B, C), from row weights (B, N)."""
    labelled = (evidence.y >= 0).to(weight.dtype)
    index = evidence.y.clamp_min(0)
    counts = weight.new_zeros(weight.shape[0], evidence.n_classes)
    return counts.scatter_add_(1, index, weight * labelled)


class EquivariantReasoner(Reasoner):
    """Layers of linear attention with a learned spectral preconditioner, over two views of the rows.

    Every layer computes, for all rows and classes with the same weights, ``M = g(spectrum) * Z'V / n``
    from the values ``V`` of the context rows and lets every row read ``Z M``, context rows without
    their own contribution (leave-one-out by their leverage). With the residual ``one-hot - softmax``
    among the values a layer can express a step of functional gradient descent, or of Newton's method,
    on the logistic loss ([1]_, [2]_); training decides what it does.

    Parameters
    ----------
    config : EquivariantConfig, default=None
        Sizes. None means the defaults of :class:`EquivariantConfig`.

    References
    ----------
    .. [1] von Oswald et al. (2023), "Transformers learn in-context by gradient descent", ICML.
    .. [2] Bhatia et al. (2023), "TART: a plug-and-play Transformer module for task-agnostic
       reasoning", NeurIPS.

    Examples
    --------
    >>> import torch
    >>> from skicl.reasoning import EquivariantConfig, EquivariantReasoner, Evidence
    >>> reasoner = EquivariantReasoner(EquivariantConfig(n_layers=2))
    >>> X = torch.randn(1, 10, 5, generator=torch.Generator().manual_seed(0))
    >>> context = reasoner.encode(Evidence(X, torch.tensor([[0, 1] * 5]), n_classes=2))
    >>> reasoner.score(context, X[:, :3]).shape
    torch.Size([1, 3, 2])
    """

    leaves_out = True
    # Any: what they hold is known, what nn.Module says of its parts is not.
    layers: Any
    start: Any
    readout: Any
    sharpness: Any

    def __init__(self, config: EquivariantConfig | None = None) -> None:
        super().__init__()
        self.config = config if config is not None else EquivariantConfig()
        self.start = nn.Linear(6 + N_ROW_FEATURES + N_TASK_FEATURES, self.config.n_channels)
        self.layers = nn.ModuleList(EquivariantLayer(self.config) for _ in range(self.config.n_layers))
        self.readout = nn.Linear(self.config.n_channels, 1)
        self.sharpness = nn.Sequential(nn.Linear(N_TASK_FEATURES + self.config.n_fits, 16), nn.SiLU(), nn.Linear(16, 1))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights: LeCun-uniform, smaller where a branch ends.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of randomness. None means PyTorch's own.
        """
        super().reset_parameters(generator)
        with torch.no_grad():
            for layer in self.layers:
                layer.out.weight.mul_(0.3)
                for spectral_filter in layer.filters:
                    spectral_filter.out.weight.mul_(0.1)
            self.sharpness[-1].weight.zero_()

    def encode(
        self, evidence: Any, *, chunk_rows: int | None = None, n_landmarks: int | None = None
    ) -> EquivariantContext:
        """Compile a labelled context.

        Parameters
        ----------
        evidence : Evidence
            The context. In every task at least one row has a positive weight.
        chunk_rows : int, default=None
            Rows processed at a time, to bound memory. None means all. Results do not depend on it.
        n_landmarks : int, default=None
            Landmarks of the kernel view. None means ``config.n_landmarks``.

        Returns
        -------
        EquivariantContext
        """
        return self._run_context(evidence, chunk_rows, n_landmarks, leave_out=False)[0]

    def encode_leaving_out(
        self, evidence: Any, *, chunk_rows: int | None = None
    ) -> tuple[EquivariantContext, torch.Tensor | None]:
        """Compile a labelled context, and score each of its rows as a query that hears the other rows only.

        Parameters
        ----------
        evidence : Evidence
            The context. In every task at least one row has a positive weight.
        chunk_rows : int, default=None
            Rows processed at a time, to bound memory. None means all. Results do not depend on it.

        Returns
        -------
        context : EquivariantContext
            What :meth:`encode` returns.
        logits : Tensor of shape (B, N, C)
            Scores of the context rows. A row's own message is taken out of every layer, exactly; what its label did
            to the states of the other rows stays. No row is scored with its own label.
        """
        return self._run_context(evidence, chunk_rows, None, leave_out=True)

    def score(self, context: EquivariantContext, X: torch.Tensor, side: torch.Tensor | None = None) -> torch.Tensor:
        """Score queries against a context.

        Parameters
        ----------
        context : EquivariantContext
            What :meth:`encode` returned.
        X : Tensor of shape (B, Q, D)
            Features of the queries.
        side : Tensor of shape (B, Q, C) or None, default=None
            Outside scores, where the context had them.

        Returns
        -------
        Tensor of shape (B, Q, C)
            Logits, to be normalised by a softmax over the classes.
        """
        return self._read_out(self._states(context, X, side)[-1], context.layers[-1].fit, context.classes)

    def score_all_layers(
        self, context: EquivariantContext, X: torch.Tensor, side: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        """Score queries after every layer, for pretraining and inspection.

        Parameters
        ----------
        context : EquivariantContext
            What :meth:`encode` returned.
        X : Tensor of shape (B, Q, D)
            Features of the queries.
        side : Tensor of shape (B, Q, C) or None, default=None
            Outside scores, where the context had them.

        Returns
        -------
        list of Tensor of shape (B, Q, C)
            Logits, one entry per layer.
        """
        return [
            self._read_out(state, memory.fit, context.classes)
            for state, memory in zip(self._states(context, X, side), context.layers)
        ]

    def context_fit(self, context: EquivariantContext) -> torch.Tensor:
        """How well the labelled rows of a context are predicted by the others.

        Parameters
        ----------
        context : EquivariantContext
            What :meth:`encode` returned.

        Returns
        -------
        Tensor of shape (B,)
            Nats above chance: the largest fit among the channels of the last layer, which leave out each row's own
            message.
        """
        return context.layers[-1].fit.amax(-1)

    # -- the steps, in order of use -------------------------------------------------------------

    def _run_context(
        self, evidence: Evidence, chunk_rows: int | None, n_landmarks: int | None, *, leave_out: bool
    ) -> tuple[EquivariantContext, torch.Tensor | None]:
        X, y = evidence.X, evidence.y
        weight = torch.ones_like(X[..., 0]) if evidence.weight is None else evidence.weight
        with torch.no_grad():
            looked_at, looked_from = self._look(X, weight, n_landmarks or self.config.n_landmarks)
            # The decomposition may be on another device and in another precision than the network.
            like = self.readout.weight
            views = tuple(_in_precision_of(view, like) for view in looked_at)
            weight, y = weight.to(like), y.to(like.device)
            classes, side = self._describe_classes(evidence._replace(y=y), weight, views)
            labelled = (y >= 0).to(like)
            coordinates = tuple(z.to(like) for z in looked_from)
            rows = Rows(coordinates, _row_features(coordinates, None, labelled), side)
            one_hot = F.one_hot(y.clamp_min(0), evidence.n_classes).to(like) * labelled[..., None]
        n_layers, total = len(self.layers), weight.sum(1)[:, None, None]
        filters = tuple(
            torch.cat([layer.filters[number](view.axes, classes.task) for layer in self.layers], -1) / total
            for number, view in enumerate(views)
        )
        labels, size = Labels(one_hot, labelled, weight), chunk_rows or X.shape[1]
        chunks = [
            self._first_chunk(rows.slice(i, i + size), labels.slice(i, i + size), filters, classes, leave_out)
            for i in range(0, X.shape[1], size)
        ]
        memories, fit = [], chunks[0].fit[:, 0]
        for number, layer in enumerate(self.layers):
            of_layer = [layer_channels(g, number, n_layers) for g in filters]
            offset = layer.offset(fit[:, None], classes)
            memory, chunks = run_layer(layer, number, of_layer, chunks, classes, is_last=number + 1 == n_layers)
            memories.append(memory._replace(offset=offset))
            fit = memory.fit
        left_out = [self._read_out(chunk.blind, chunk.fit, classes) for chunk in chunks if chunk.blind is not None]
        context = EquivariantContext(classes, views, filters, tuple(memories))
        return context, torch.cat(left_out, 1) if left_out else None

    def _first_chunk(
        self, rows: Rows, labels: Labels, filters: tuple[torch.Tensor, ...], classes: Classes, leave_out: bool
    ) -> Chunk:
        """Rows of the context before the first layer; with ``leave_out`` also as queries, which know no label."""
        state = self._start(rows, labels, classes)
        fit, leverage = self._no_fit(state), leverages(rows, filters, len(self.layers))
        if not leave_out:
            return Chunk(rows, labels, leverage, state, fit, None, None)
        nothing = torch.zeros_like(labels.labelled)
        as_queries = rows._replace(features=_row_features(rows.coordinates, (nothing, nothing), None))
        return Chunk(rows, labels, leverage, state, fit, as_queries, self._start(as_queries, None, classes))

    def _states(self, context: EquivariantContext, X: torch.Tensor, side: torch.Tensor | None) -> list[torch.Tensor]:
        """States of queries after every layer."""
        classes = context.classes
        side = None if side is None else side / classes.side_scale
        rows = self._query_rows(context.views, X, side)
        of_layers = leverages(rows, context.filters, len(self.layers))
        states = [self._start(rows, None, classes)]
        for layer, leverage, memory in zip(self.layers, of_layers, context.layers):
            seen = layer.beliefs(states[-1], classes)
            heard = layer.hear(rows, leverage, memory.messages, memory.constant, None)
            states.append(layer.read(states[-1], *seen, heard, leverage, rows, memory.offset, classes))
        return states[1:]

    def _no_fit(self, state: torch.Tensor) -> torch.Tensor:
        """Fit before the first layer: nothing known, (B, 1, F)."""
        return state.new_zeros(state.shape[0], 1, self.config.n_fits)

    def _look(
        self, X: torch.Tensor, weight: torch.Tensor, n_landmarks: int
    ) -> tuple[tuple[View, View], tuple[torch.Tensor, torch.Tensor]]:
        """Both views of the context, in the precision of ``X``: the views and the coordinates."""
        axes, z = principal_axes(X, weight, tolerance=RANK_TOLERANCE[X.dtype])
        landmarks, kernel_features = choose_landmarks(z, weight, n_landmarks, tolerance=LANDMARK_TOLERANCE)
        kernel_axes, kernel_z = principal_axes(kernel_features, weight, tolerance=RANK_TOLERANCE[X.dtype])
        return (View(axes, None), View(kernel_axes, landmarks)), (z, kernel_z)

    def _query_rows(self, views: tuple[View, ...], X: torch.Tensor, side: torch.Tensor | None) -> Rows:
        linear, kernel = views
        like = self.readout.weight
        z, off = project(linear.axes, X.to(linear.axes.mean))
        kernel_features = expand(kernel.landmarks, z)
        # Distance to the landmarks also counts what lies off the axes of the context.
        kernel_features = kernel_features * torch.exp(-off)[..., None]
        kernel_z, _ = project(kernel.axes, kernel_features)
        novelty = (1.0 - kernel_features.square().sum(-1)).clamp_min(0.0)
        features = _row_features((z, kernel_z), (off, novelty), None)
        return Rows((z, kernel_z), features, None if side is None else side.to(like))

    def _describe_classes(
        self, evidence: Evidence, weight: torch.Tensor, views: tuple[View, ...]
    ) -> tuple[Classes, torch.Tensor | None]:
        counts = count_classes(evidence, weight)
        has_side = evidence.side is not None
        present = torch.ones_like(counts) if has_side else (counts > 0).to(weight.dtype)
        n_present = present.sum(1)
        labelled = counts.sum(1)
        frequency = ((counts + 0.5) / (labelled + 0.5 * n_present)[:, None]).log()
        task = LOG_SCALE * torch.stack(
            [
                weight.sum(1).clamp_min(1e-3).log(),
                labelled.clamp_min(1e-3).log(),
                n_present.log(),
                *[participation(v.axes.spectrum).log() for v in views],
            ],
            -1,
        )
        side, scale = None, weight.new_ones(weight.shape[0], 1, 1)
        if evidence.side is not None:
            side = evidence.side.to(weight)
            total = weight.sum(1)[:, None, None] * evidence.n_classes
            scale = ((weight[..., None] * side.square()).sum((1, 2), keepdim=True) / total).sqrt().clamp_min(1e-6)
            side = side / scale
        flag = weight.new_tensor(float(has_side))
        share = (present / n_present[:, None])[:, None]
        penalty = None if bool(present.all()) else ABSENT * (present == 0).to(present.dtype)[:, None, :, None]
        return Classes(present, share, penalty, frequency, LOG_SCALE * counts.log1p(), task, flag, scale), side

    def _start(self, rows: Rows, labels: Labels | None, classes: Classes) -> torch.Tensor:
        """State of the rows before the first layer: (B, n, C, H)."""
        n_row = N_ROW_FEATURES + N_TASK_FEATURES
        by_label, by_class, by_side, by_flag, by_row = self.start.weight.split([2, 2, 1, 1, n_row], 1)
        own = torch.stack([LOG_SCALE * classes.frequency, classes.count], -1)  # (B, C, 2)
        own = F.linear(own, by_class, self.start.bias) + classes.has_side * by_flag[:, 0]
        task = F.linear(classes.task, by_row[:, N_ROW_FEATURES:])
        row = F.linear(rows.features, by_row[:, :N_ROW_FEATURES]) + task[:, None]
        state = own[:, None] + row[:, :, None]
        if labels is not None:
            frequency = classes.frequency.exp()[:, None]
            raw = (labels.one_hot - frequency) * labels.labelled[..., None]
            state = state + F.linear(torch.stack([raw, raw * frequency.rsqrt()], -1), by_label)
        return state if rows.side is None else state + rows.side[..., None] * by_side[:, 0]

    def _read_out(self, state: torch.Tensor, fit: torch.Tensor, classes: Classes) -> torch.Tensor:
        """Logits (B, n, C). A class without a labelled row gets what the rule of succession leaves it."""
        if fit.ndim == 2:  # one for all rows, or one a row
            fit = fit[:, None]
        task = classes.task[:, None].expand(-1, fit.shape[1], -1)
        scale = self.sharpness(torch.cat([task, fit], -1))  # (B, n or 1, 1)
        scale = torch.exp(LARGEST_LOG_SCALE * torch.tanh(scale / LARGEST_LOG_SCALE))
        logits = self.readout(rms_norm(state))[..., 0] * scale
        absent = (classes.present == 0)[:, None]
        seen = logits.masked_fill(absent, -torch.inf).logsumexp(2, keepdim=True)
        log_total = (1 / LOG_SCALE) * classes.task[:, 1, None, None]  # of the labelled rows' weight
        return torch.where(absent, seen - F.softplus(log_total), logits)


def _in_precision_of(view: View, like: torch.Tensor) -> View:
    """A view as the network needs it; means stay as exact as the rows, or a common offset would drown them."""
    axes = view.axes._replace(directions=view.axes.directions.to(like), spectrum=view.axes.spectrum.to(like))
    landmarks = None if view.landmarks is None else Landmarks(*(part.to(like) for part in view.landmarks))
    return View(axes, landmarks)


def _row_features(coordinates: tuple[torch.Tensor, ...], off: Any, labelled: torch.Tensor | None) -> torch.Tensor:
    """Norms in and off both views, and what kind of row it is: (B, n, N_ROW_FEATURES)."""
    norms = [torch.log1p(z.square().sum(-1)) for z in coordinates]
    if labelled is not None:
        zero = torch.zeros_like(norms[0])
        return torch.stack([*norms, zero, zero, zero, labelled], -1)
    return torch.stack([*norms, torch.log1p(off[0]), off[1], torch.ones_like(norms[0]), torch.zeros_like(norms[0])], -1)
