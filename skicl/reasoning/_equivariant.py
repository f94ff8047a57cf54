"""The default reasoner: a learned optimiser in function space, with the symmetries built in.

Exactly invariant to the order of the context and to rotations of the features, equivariant to the
naming of the classes, and every query is scored on its own. It therefore takes any number of
features, rows and classes. The equations stand in the user guide ("How the reasoner works").

Shapes: B tasks, N context rows, Q query rows, n rows of either kind, D features, C classes,
r directions of a view, m landmarks, H state channels, K value channels a view, R logit channels.
"""

from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from skicl.reasoning._base import Reasoner
from skicl.reasoning._preprocessing import (
    Axes,
    Landmarks,
    choose_landmarks,
    expand,
    principal_axes,
    project,
)

N_VIEWS = 2             # the features themselves, and a radial kernel over them
N_ROW_FEATURES = 6
N_TASK_FEATURES = 5
N_FILTER_FEATURES = 7
RANK_TOLERANCE = {torch.float32: 3e-6, torch.float64: 1e-6}
LANDMARK_TOLERANCE = 1e-4


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
    n_hidden: int = 96
    n_layers: int = 6
    n_landmarks: int = 128


class View(NamedTuple):
    """One set of coordinates: the axes and, for the kernel, what leads to them."""

    axes: Axes
    landmarks: Landmarks | None


class Classes(NamedTuple):
    """What is known of the classes: present (B, C), log-frequency and log-count (B, C), task features."""

    present: torch.Tensor
    frequency: torch.Tensor
    count: torch.Tensor
    task: torch.Tensor          # (B, N_TASK_FEATURES)
    has_side: torch.Tensor      # scalar, 0 or 1
    side_scale: torch.Tensor    # (B, 1, 1)


class Weights(NamedTuple):
    """What a layer learned of the context in one view: all that queries need."""

    message: torch.Tensor       # (B, r, C * K) filtered weight vectors
    leverage: torch.Tensor      # (B, r, K) the filter itself, over the number of rows


class EquivariantContext(NamedTuple):
    """A compiled context: a network of fixed size, whatever the number of examples was."""

    classes: Classes
    views: tuple[View, ...]
    layers: tuple[tuple[Weights, ...], ...]     # [layer][view]


class Rows(NamedTuple):
    """Rows in every view: coordinates (B, n, r) a view, row features (B, n, F), side (B, n, C) or None."""

    coordinates: tuple[torch.Tensor, ...]
    features: torch.Tensor
    side: torch.Tensor | None

    def slice(self, start, stop):
        """Rows ``start .. stop - 1``."""
        side = None if self.side is None else self.side[:, start:stop]
        coordinates = tuple(z[:, start:stop] for z in self.coordinates)
        return Rows(coordinates, self.features[:, start:stop], side)


def rms_norm(x):
    """Divide by the root mean square over the last dimension."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


def class_mean(x, present):
    """Mean over the classes that are present: (B, n, C, h), (B, C) -> (B, n, h)."""
    share = present / present.sum(1, keepdim=True).clamp_min(1.0)
    return torch.einsum("bnch,bc->bnh", x, share)


def count_classes(evidence, weight):
    """Labelled mass of every class (B, C), from row weights (B, N)."""
    labelled = (evidence.y >= 0).to(weight.dtype)
    index = evidence.y.clamp_min(0)
    counts = weight.new_zeros(weight.shape[0], evidence.n_classes)
    return counts.scatter_add_(1, index, weight * labelled)


def participation(spectrum):
    """Effective number of directions of a spectrum that sums to one: (B, r) -> (B,)."""
    return 1.0 / spectrum.square().sum(1).clamp_min(1e-12)


def describe_spectrum(axes, task):
    """Inputs of the spectral filter: (B, r, N_FILTER_FEATURES)."""
    spectrum = axes.spectrum.clamp_min(1e-12)
    absolute = spectrum.log()
    relative = (spectrum / spectrum[:, :1]).log()
    own = torch.stack([0.2 * absolute, 0.2 * relative], -1)
    return torch.cat([own, task[:, None].expand(-1, own.shape[1], -1)], -1)


class SpectralFilter(nn.Module):
    """A learned preconditioner: a positive number for every direction and value channel.

    ``g = (s + l)^-a exp(f(...))`` with ``s`` the variance relative to the largest one; ridge
    regression and Newton steps are the case ``a = 1``, one gradient step the case ``a = 0``.
    """

    def __init__(self, n_values):
        super().__init__()
        self.power = nn.Parameter(torch.linspace(0.0, 1.0, n_values))
        self.ridge = nn.Parameter(torch.linspace(-1.0, -6.0, n_values).roll(n_values // 2))
        self.hidden = nn.Linear(N_FILTER_FEATURES, 32)
        self.out = nn.Linear(32, n_values)

    def forward(self, axes, task):
        relative = (axes.spectrum / axes.spectrum[:, :1].clamp_min(1e-12))[..., None]   # (B, r, 1)
        learned = self.out(F.silu(self.hidden(describe_spectrum(axes, task))))
        learned = 6.0 * torch.tanh(learned / 6.0)
        base = -self.power * torch.log(relative + self.ridge.exp())
        # Directions at the edge of the numerical rank fade out instead of breaking off.
        edge = relative / (relative + 1e-5)
        return torch.exp(learned + base) * edge                                         # (B, r, K)


class EquivariantLayer(nn.Module):
    """Rows send values, a filter turns their moments into weight vectors, every row reads them."""

    def __init__(self, config):
        super().__init__()
        h, k, n_logits, hidden = config.n_channels, config.n_values, config.n_logits, config.n_hidden
        self.logits = nn.Linear(h, n_logits, bias=False)
        self.values = nn.Linear(h + 2 * n_logits, N_VIEWS * k, bias=False)
        self.filters = nn.ModuleList(SpectralFilter(k) for _ in range(N_VIEWS))
        # Messages of rare classes are small sums: each channel learns how far to undo that.
        self.rarity = nn.Parameter(torch.linspace(0.0, 1.0, k).repeat(N_VIEWS))
        self.update = nn.Linear(h + N_VIEWS * k + n_logits + 2, hidden, bias=False)
        self.update_row = nn.Linear(h + 2 * N_VIEWS * k + N_ROW_FEATURES + N_TASK_FEATURES, hidden)
        self.out = nn.Linear(hidden, h)

    def beliefs(self, state, classes):
        """Normalised state and provisional probabilities over the classes, (B, n, C, R)."""
        normed = rms_norm(state)
        logits = self.logits(normed)
        absent = (classes.present == 0)[:, None, :, None]
        return normed, logits.masked_fill(absent, -1e4).softmax(2)

    def send(self, state, one_hot, labelled, classes):
        """Values that the context rows send: (B, N, C, V * K)."""
        normed, beliefs = self.beliefs(state, classes)
        residual = (one_hot[..., None] - beliefs) * labelled[:, :, None, None]
        share = classes.present / classes.present.sum(1, keepdim=True)
        values = self.values(torch.cat([normed, residual, beliefs - share[:, None, :, None]], -1))
        return values * self.amplification(classes)

    def amplification(self, classes):
        """Frequency of the class to a learned negative power: (B, 1, C, V * K)."""
        return torch.exp(-self.rarity * classes.frequency[:, None, :, None]) * classes.present[:, None, :, None]

    def read(self, state, rows, weights, own, classes):
        """New state of rows that read the messages; ``own`` is what a row must not hear from itself."""
        normed, beliefs = self.beliefs(state, classes)
        n_tasks, n_rows, n_classes, _ = state.shape
        heard, leverages = [], []
        for view, (z, learned) in enumerate(zip(rows.coordinates, weights)):
            message = (z @ learned.message).view(n_tasks, n_rows, n_classes, -1)    # (B, n, C, K)
            leverage = z.square() @ learned.leverage                                # (B, n, K)
            if own is not None:
                values, unit = own
                k = leverage.shape[-1]
                message = message - (leverage * unit[..., None])[:, :, None] * values[..., view * k:(view + 1) * k]
            heard.append(message)
            leverages.append(leverage)
        heard = torch.cat(heard, -1)
        side = rows.side if rows.side is not None else state.new_zeros(n_tasks, n_rows, n_classes)
        side = torch.stack([side, classes.has_side.expand_as(side)], -1)
        task = classes.task[:, None].expand(-1, n_rows, -1)
        by_row = torch.cat([class_mean(normed, classes.present), class_mean(heard, classes.present),
                            torch.log1p(torch.cat(leverages, -1)), rows.features, task], -1)
        hidden = self.update(torch.cat([normed, heard, beliefs, side], -1))
        return state + self.out(F.silu(hidden + self.update_row(by_row)[:, :, None]))


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

    def __init__(self, config=None):
        super().__init__()
        self.config = config if config is not None else EquivariantConfig()
        self.start = nn.Linear(6 + N_ROW_FEATURES + N_TASK_FEATURES, self.config.n_channels)
        self.layers = nn.ModuleList(EquivariantLayer(self.config) for _ in range(self.config.n_layers))
        self.readout = nn.Linear(self.config.n_channels, 1)
        self.reset_parameters()

    def reset_parameters(self, generator=None):
        """Draw new weights: LeCun-uniform, smaller where a branch ends.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of randomness. None means PyTorch's own.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                bound = module.in_features ** -0.5
                nn.init.uniform_(module.weight, -bound, bound, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        with torch.no_grad():
            for layer in self.layers:
                layer.out.weight.mul_(0.3)
                for spectral_filter in layer.filters:
                    spectral_filter.out.weight.mul_(0.1)

    def describe(self):
        """Describe the sizes.

        Returns
        -------
        dict
            The fields of the configuration, from which an equal network can be built.
        """
        return asdict(self.config)

    def encode(self, evidence, *, chunk_rows=None, n_landmarks=None):
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
        return self._run_context(evidence, chunk_rows, n_landmarks)[0]

    def score(self, context, X, side=None):
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
        return self.score_all_layers(context, X, side)[-1]

    def score_all_layers(self, context, X, side=None):
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
        classes = context.classes
        side = None if side is None else side / classes.side_scale
        rows = self._query_rows(context.views, X, side)
        state = self._start(rows, None, None, classes)
        logits = []
        for layer, weights in zip(self.layers, context.layers):
            state = layer.read(state, rows, weights, None, classes)
            logits.append(self._read_out(state, classes))
        return logits

    # -- the steps, in order of use -------------------------------------------------------------

    def _run_context(self, evidence, chunk_rows, n_landmarks):
        X, y = evidence.X, evidence.y
        weight = torch.ones_like(X[..., 0]) if evidence.weight is None else evidence.weight
        with torch.no_grad():
            views, rows = self._look(X, weight, n_landmarks or self.config.n_landmarks)
            # The decomposition may be on another device and in another precision than the network.
            like = self.readout.weight
            views = tuple(v._replace(axes=v.axes._replace(spectrum=v.axes.spectrum.to(like))) for v in views)
            weight, y = weight.to(like), y.to(like.device)
            classes, side = self._describe_classes(evidence._replace(y=y), weight, views)
            labelled = (y >= 0).to(like)
            rows = Rows(tuple(z.to(like) for z in rows), None, None)
            features = _row_features(rows.coordinates, None, labelled)
            rows = Rows(rows.coordinates, features, side)
            one_hot = F.one_hot(y.clamp_min(0), evidence.n_classes).to(like) * labelled[..., None]
        size = chunk_rows or X.shape[1]
        chunks = [slice(i, min(i + size, X.shape[1])) for i in range(0, X.shape[1], size)]
        parts = [rows.slice(c.start, c.stop) for c in chunks]
        states = [self._start(part, one_hot[:, c], labelled[:, c], classes) for c, part in zip(chunks, parts)]
        total = weight.sum(1)[:, None, None]
        learned = []
        for layer in self.layers:
            values = [layer.send(state, one_hot[:, c], labelled[:, c], classes) for c, state in zip(chunks, states)]
            weights = _learn(layer, views, parts, values, [weight[:, c] for c in chunks], total, classes)
            states = [layer.read(state, part, weights, (value, weight[:, c].clamp_max(1.0)), classes)
                      for c, state, part, value in zip(chunks, states, parts, values)]
            learned.append(weights)
        return EquivariantContext(classes, views, tuple(learned)), states

    def _look(self, X, weight, n_landmarks):
        """Both views of the context, in the precision of ``X``: the views and the coordinates."""
        axes = principal_axes(X, weight, tolerance=RANK_TOLERANCE[X.dtype])
        z, _ = project(axes, X)
        landmarks = choose_landmarks(z, weight, n_landmarks, tolerance=LANDMARK_TOLERANCE)
        kernel_features = expand(landmarks, z)
        kernel_axes = principal_axes(kernel_features, weight, tolerance=RANK_TOLERANCE[X.dtype])
        kernel_z, _ = project(kernel_axes, kernel_features)
        return (View(axes, None), View(kernel_axes, landmarks)), (z, kernel_z)

    def _query_rows(self, views, X, side):
        linear, kernel = views
        like = self.readout.weight
        z, off = project(linear.axes, X.to(linear.axes.mean.dtype))
        kernel_features = expand(kernel.landmarks, z)
        # Distance to the landmarks also counts what lies off the axes of the context.
        kernel_features = kernel_features * torch.exp(-off)[..., None]
        kernel_z, _ = project(kernel.axes, kernel_features)
        novelty = (1.0 - kernel_features.square().sum(-1)).clamp_min(0.0)
        coordinates = (z.to(like), kernel_z.to(like))
        features = _row_features(coordinates, (off.to(like), novelty.to(like)), None)
        return Rows(coordinates, features, None if side is None else side.to(like))

    def _describe_classes(self, evidence, weight, views):
        counts = count_classes(evidence, weight)
        has_side = evidence.side is not None
        present = torch.ones_like(counts) if has_side else (counts > 0).to(weight.dtype)
        n_present = present.sum(1)
        labelled = counts.sum(1)
        frequency = ((counts + 0.5) / (labelled + 0.5 * n_present)[:, None]).log()
        task = 0.2 * torch.stack([weight.sum(1).clamp_min(1e-3).log(), labelled.clamp_min(1e-3).log(), n_present.log(),
                                  *[participation(v.axes.spectrum).log() for v in views]], -1)
        side, scale = None, weight.new_ones(weight.shape[0], 1, 1)
        if has_side:
            side = evidence.side.to(weight)
            total = weight.sum(1)[:, None, None] * evidence.n_classes
            scale = ((weight[..., None] * side.square()).sum((1, 2), keepdim=True) / total).sqrt().clamp_min(1e-6)
            side = side / scale
        flag = weight.new_tensor(float(has_side))
        return Classes(present, frequency, 0.2 * counts.log1p(), task, flag, scale), side

    def _start(self, rows, one_hot, labelled, classes):
        """State of the rows before the first layer: (B, n, C, H)."""
        n_tasks, n_rows, _ = rows.features.shape
        n_classes = classes.present.shape[1]
        shape = (n_tasks, n_rows, n_classes)
        frequency = classes.frequency.exp()[:, None]
        if one_hot is None:
            raw = scaled = rows.features.new_zeros(shape)
        else:
            raw = (one_hot - frequency) * labelled[..., None]
            scaled = raw * frequency.rsqrt()
        side = rows.side if rows.side is not None else torch.zeros_like(raw)
        own = torch.stack([raw, scaled, 0.2 * classes.frequency[:, None].expand(shape),
                           classes.count[:, None].expand(shape), side, classes.has_side.expand(shape)], -1)
        row = torch.cat([rows.features, classes.task[:, None].expand(-1, n_rows, -1)], -1)
        by_class, by_row = self.start.weight.split([6, row.shape[-1]], 1)
        return F.linear(own, by_class, self.start.bias) + F.linear(row, by_row)[:, :, None]

    def _read_out(self, state, classes):
        """Logits (B, n, C). A class without a labelled row gets what the rule of succession leaves it."""
        logits = self.readout(rms_norm(state))[..., 0]
        absent = (classes.present == 0)[:, None]
        seen = logits.masked_fill(absent, -torch.inf).logsumexp(2, keepdim=True)
        log_total = 5.0 * classes.task[:, 1, None, None]
        return torch.where(absent, seen - F.softplus(log_total), logits)


def _row_features(coordinates, off, labelled):
    """Norms in and off both views, and what kind of row it is: (B, n, N_ROW_FEATURES)."""
    norms = [torch.log1p(z.square().sum(-1)) for z in coordinates]
    if off is None:
        zero = torch.zeros_like(norms[0])
        return torch.stack([*norms, zero, zero, zero, labelled], -1)
    return torch.stack([*norms, torch.log1p(off[0]), off[1], torch.ones_like(norms[0]), torch.zeros_like(norms[0])], -1)


def _learn(layer, views, parts, values, weights, total, classes):
    """Filtered moments of the values in every view, summed over chunks of rows."""
    learned, k = [], layer.values.out_features // N_VIEWS
    for number, (view, spectral_filter) in enumerate(zip(views, layer.filters)):
        g = spectral_filter(view.axes, classes.task) / total                     # (B, r, K)
        moment = 0.0
        for part, value, weight in zip(parts, values, weights):
            v = value[..., number * k:(number + 1) * k] * weight[:, :, None, None]
            moment = moment + part.coordinates[number].mT @ v.flatten(2)         # (B, r, C * K)
        n_tasks, rank, _ = g.shape
        message = moment.view(n_tasks, rank, -1, k) * g[:, :, None]
        learned.append(Weights(message.flatten(2), g))
    return tuple(learned)
