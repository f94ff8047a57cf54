"""One layer of the default reasoner: rows send values, a filter makes messages of them, rows read and update.

Shapes: B tasks, N context rows, n rows of either kind, D features, C classes, r directions of a view,
H state channels, K value channels a view, A channels of the constant view, R logit channels, F fit channels.
"""

from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from skicl.reasoning._preprocessing import Axes

N_VIEWS = 2  # the features themselves, and a radial kernel over them
N_ROW_FEATURES = 6
N_TASK_FEATURES = 5
N_FILTER_FEATURES = 7
WORST_FIT = -6.0  # nats; a single absurd row must not drown what the others say


class Classes(NamedTuple):
    """What is known of the classes: present (B, C), log-frequency and log-count (B, C), task features."""

    present: torch.Tensor
    share: torch.Tensor  # (B, 1, C) equal shares of the classes that are present
    penalty: torch.Tensor | None  # (B, 1, C, 1) added to logits: 0 where the class is present; None if all are
    frequency: torch.Tensor
    count: torch.Tensor  # type: ignore[assignment]  # a field may hide tuple.count
    task: torch.Tensor  # (B, N_TASK_FEATURES)
    has_side: torch.Tensor  # scalar, 0 or 1
    side_scale: torch.Tensor  # (B, 1, 1)

    def mean(self, x: torch.Tensor) -> torch.Tensor:
        """Mean over the classes that are present: (B, n, C, K) -> (B, n, K)."""
        return x.mean(2) if self.penalty is None else (x * self.share[..., None]).sum(2)

    def normalised(self, function: Any, logits: torch.Tensor) -> torch.Tensor:
        """A softmax or its logarithm over the classes that are present: (B, n, C, R), of the same shape."""
        logits = logits if self.penalty is None else logits + self.penalty
        # With the classes in front, PyTorch takes many rows at a time: a third of the time.
        return function(logits.permute(2, 0, 1, 3), 0).permute(1, 2, 0, 3)


class Rows(NamedTuple):
    """Rows in every view: coordinates (B, n, r) a view, row features (B, n, F), side (B, n, C) or None."""

    coordinates: tuple[torch.Tensor, ...]
    features: torch.Tensor
    side: torch.Tensor | None

    def slice(self, start: int, stop: int) -> "Rows":
        """Rows ``start .. stop - 1``."""
        side = None if self.side is None else self.side[:, start:stop]
        coordinates = tuple(z[:, start:stop] for z in self.coordinates)
        return Rows(coordinates, self.features[:, start:stop], side)


class Labels(NamedTuple):
    """Labels of context rows: one-hot (B, n, C), zero without a label; labelled (B, n), 0 or 1; weight (B, n)."""

    one_hot: torch.Tensor
    labelled: torch.Tensor
    weight: torch.Tensor

    def slice(self, start: int, stop: int) -> "Labels":
        """Labels of the rows ``start .. stop - 1``."""
        return Labels(*(t[:, start:stop] for t in self))


class Memory(NamedTuple):
    """What queries need of one layer."""

    messages: tuple[torch.Tensor, ...]  # (B, r, C * K) filtered weight vectors, one a view
    constant: torch.Tensor  # (B, C, A) mean values of the rows
    fit: torch.Tensor  # (B, F) how well rows are predicted by the others, in nats above chance
    offset: torch.Tensor | None  # (B, 1, hidden) what the task says to every query


def rms_norm(x: torch.Tensor) -> torch.Tensor:
    """Divide by the root mean square over the last dimension."""
    return F.rms_norm(x, x.shape[-1:], eps=1e-6)


def participation(spectrum: torch.Tensor) -> torch.Tensor:
    """Effective number of directions of a spectrum that sums to one: (B, r) -> (B,)."""
    return 1.0 / spectrum.square().sum(1).clamp_min(1e-12)


def describe_spectrum(axes: Axes, task: torch.Tensor) -> torch.Tensor:
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

    def __init__(self, n_values: int) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.linspace(0.0, 1.0, n_values))
        self.ridge = nn.Parameter(torch.linspace(-1.0, -6.0, n_values).roll(n_values // 2))
        self.hidden = nn.Linear(N_FILTER_FEATURES, 32)
        self.out = nn.Linear(32, n_values)

    def forward(self, axes: Axes, task: torch.Tensor) -> torch.Tensor:
        relative = (axes.spectrum / axes.spectrum[:, :1].clamp_min(1e-12))[..., None]  # (B, r, 1)
        learned = self.out(F.silu(self.hidden(describe_spectrum(axes, task))))
        learned = 6.0 * torch.tanh(learned / 6.0)
        base = -self.power * torch.log(relative + self.ridge.exp())
        # Directions at the edge of the numerical rank fade out instead of breaking off.
        edge = relative / (relative + 1e-5)
        return torch.exp(learned + base) * edge  # (B, r, K)


class EquivariantLayer(nn.Module):
    """Rows send values, a filter turns their moments into messages, every row reads them.

    Values travel in every view, filtered direction by direction, and in the constant view, where the
    message is their mean: what an intercept is to a linear model. A layer also measures its *fit*:
    how well each labelled row is predicted from what it heard from the others. The next layer and the
    readout know it, and so how far the messages deserve to be trusted in this task.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        h, k, n_logits, hidden = config.n_channels, config.n_values, config.n_logits, config.n_hidden
        sent = h + 2 * n_logits
        heard = N_VIEWS * k + config.n_constants
        self.logits = nn.Linear(h, n_logits, bias=False)
        self.values = nn.Linear(sent, heard, bias=False)
        self.filters = nn.ModuleList(SpectralFilter(k) for _ in range(N_VIEWS))
        # Messages of rare classes are small sums: each channel learns how far to undo that.
        self.rarity = nn.Parameter(
            torch.cat([torch.linspace(0.0, 1.0, k).repeat(N_VIEWS), torch.linspace(0.0, 1.0, config.n_constants)])
        )
        self.fits = nn.Linear(heard + 1, config.n_fits, bias=False)
        self.update = nn.Linear(h + heard + n_logits + 2, hidden, bias=False)
        self.update_row = nn.Linear(h + heard + N_VIEWS * k + N_ROW_FEATURES + N_TASK_FEATURES + config.n_fits, hidden)
        self.out = nn.Linear(hidden, h)
        self.sizes = [k] * N_VIEWS + [config.n_constants]

    def beliefs(self, state: torch.Tensor, classes: Classes) -> tuple[torch.Tensor, ...]:
        """Normalised state and provisional probabilities over the classes, (B, n, C, R)."""
        normed = rms_norm(state)
        return normed, classes.normalised(torch.softmax, self.logits(normed))

    def send(self, normed: torch.Tensor, beliefs: torch.Tensor, labels: Labels, classes: Classes) -> torch.Tensor:
        """Values that the context rows send in every view and, last, in the constant one: (B, N, C, V * K + A)."""
        residual = (labels.one_hot[..., None] - beliefs) * labels.labelled[:, :, None, None]
        evidence = torch.cat([normed, residual, beliefs - classes.share[..., None]], -1)
        return self.values(evidence) * self.amplification(classes)

    def amplification(self, classes: Classes) -> torch.Tensor:
        """Frequency of the class to a learned negative power: (B, 1, C, V * K + A)."""
        return torch.exp(-self.rarity * classes.frequency[:, None, :, None]) * classes.present[:, None, :, None]

    def learn(
        self, filters: list[torch.Tensor], parts: list[Rows], values: list[torch.Tensor], labels: list[Labels]
    ) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        """Messages of the values, summed over chunks of rows: filtered moments of every view, and means."""
        weighted = [
            (value * own.weight[..., None, None]).split(self.sizes, -1) for value, own in zip(values, labels)
        ]  # (B, n, C, K or A) a view
        learned = []
        for number, g in enumerate(filters):  # (B, r, K)
            moments = (part.coordinates[number].mT @ value[number].flatten(2) for part, value in zip(parts, weighted))
            moment = reduce(torch.add, moments).view(*g.shape[:2], -1, g.shape[2])  # (B, r, C, K)
            learned.append((moment * g[:, :, None]).flatten(2))
        total = reduce(torch.add, [own.weight.sum(1) for own in labels])
        constant = reduce(torch.add, [value[-1].sum(1) for value in weighted])  # (B, C, A)
        return tuple(learned), constant / total[:, None, None]

    def hear(
        self,
        rows: Rows,
        leverage: torch.Tensor,
        messages: tuple[torch.Tensor, ...] | list[torch.Tensor],
        constant: torch.Tensor,
        own: tuple | None,
    ) -> torch.Tensor:
        """What rows read, (B, n, C, V * K + A).

        Context rows must not hear themselves: ``own`` holds their values, the weight of one copy of each,
        and the total weight. It is None for queries. Leverages (B, n, V * K) are those of this layer.
        """
        n_tasks, n_rows, _ = rows.features.shape
        parts = [
            (z @ message).view(n_tasks, n_rows, constant.shape[1], -1) for z, message in zip(rows.coordinates, messages)
        ]
        heard = torch.cat([*parts, constant[:, None].expand(-1, n_rows, -1, -1)], -1)
        if own is None:
            return heard
        values, unit, total = own
        share = (unit / total)[..., None].expand(-1, -1, constant.shape[2])
        shares = torch.cat([leverage * unit[..., None], share], -1)  # (B, n, V * K + A)
        return torch.addcmul(heard, shares[:, :, None], values, value=-1)

    def measure_fit(self, heard: torch.Tensor, rows: Rows, labels: Labels, classes: Classes) -> torch.Tensor:
        """Log-probability above chance that what a row heard gives to its label: (B, n, F), 0 without a label."""
        by_heard, by_side = self.fits.weight[:, :-1], self.fits.weight[:, -1]
        logits = F.linear(heard, by_heard)
        if rows.side is not None:
            logits = logits + rows.side[..., None] * by_side
        log_proba = classes.normalised(torch.log_softmax, logits)
        fit = (log_proba * labels.one_hot[..., None]).sum(2).clamp_min(WORST_FIT)
        return (fit + classes.present.sum(1).log()[:, None, None]) * labels.labelled[..., None]

    def offset(self, fit: torch.Tensor, classes: Classes) -> torch.Tensor:
        """What task and fit of the layer before, (B, n or 1, F), say to the hidden units: (B, n or 1, hidden)."""
        n_fits = self.fits.out_features
        by_task, by_fit = self.update_row.weight[:, -N_TASK_FEATURES - n_fits :].split([N_TASK_FEATURES, n_fits], 1)
        task = F.linear(classes.task, by_task, self.update_row.bias) + classes.has_side * self.update.weight[:, -1]
        return task[:, None] + F.linear(fit, by_fit)

    def read(
        self,
        state: torch.Tensor,
        normed: torch.Tensor,
        beliefs: Any,
        heard: Any,
        leverage: torch.Tensor,
        rows: Rows,
        offset: torch.Tensor,
        classes: Classes,
    ) -> Any:
        """New state of rows, from what they believe and heard."""
        evidence = torch.cat([normed, heard, beliefs], -1)
        means = classes.mean(evidence)[..., : -beliefs.shape[-1]]  # (B, n, H + V * K + A)
        of_row = torch.cat([means, torch.log1p(leverage), rows.features], -1)
        by_row = F.linear(of_row, self.update_row.weight[:, : of_row.shape[-1]]) + offset
        hidden = F.linear(evidence, self.update.weight[:, :-2]) + by_row[:, :, None]
        if rows.side is not None:
            hidden = hidden + rows.side[..., None] * self.update.weight[:, -2]
        return state + self.out(F.silu(hidden))


def layer_channels(stacked: torch.Tensor, number: int, n_layers: int) -> torch.Tensor:
    """Channels of one layer out of those of all: (..., L * K) -> (..., K)."""
    k = stacked.shape[-1] // n_layers
    return stacked[..., number * k : (number + 1) * k]


def leverages(rows: Rows, filters: tuple[torch.Tensor, ...], n_layers: int) -> list[torch.Tensor]:
    """How much each row weighs in its own messages, (B, n, V * K) a layer, from the filters of all layers."""
    stacked = [z.square() @ g for z, g in zip(rows.coordinates, filters)]
    return [torch.cat([layer_channels(part, number, n_layers) for part in stacked], -1) for number in range(n_layers)]
