"""One layer of the default reasoner: rows send values, a filter makes messages of them, rows read and update.

Shapes: B tasks, N context rows, n rows of either kind, D features, C classes, r directions of a view,
H state channels, K value channels a view, A channels of the constant view, R logit channels, F fit channels.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

N_VIEWS = 2             # the features themselves, and a radial kernel over them
N_ROW_FEATURES = 6
N_TASK_FEATURES = 5
N_FILTER_FEATURES = 7
WORST_FIT = -6.0        # nats; a single absurd row must not drown what the others say


class Classes(NamedTuple):
    """What is known of the classes: present (B, C), log-frequency and log-count (B, C), task features."""

    present: torch.Tensor
    frequency: torch.Tensor
    count: torch.Tensor
    task: torch.Tensor          # (B, N_TASK_FEATURES)
    has_side: torch.Tensor      # scalar, 0 or 1
    side_scale: torch.Tensor    # (B, 1, 1)


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


class Labels(NamedTuple):
    """Labels of context rows: one-hot (B, n, C), zero without a label; labelled (B, n), 0 or 1; weight (B, n)."""

    one_hot: torch.Tensor
    labelled: torch.Tensor
    weight: torch.Tensor

    def slice(self, start, stop):
        """Labels of the rows ``start .. stop - 1``."""
        return Labels(*(t[:, start:stop] for t in self))


class Messages(NamedTuple):
    """What a layer learned of the context in one view: all that queries need."""

    vectors: torch.Tensor       # (B, r, C * K) filtered weight vectors
    leverage: torch.Tensor      # (B, r, K) the filter itself, over the number of rows


class Memory(NamedTuple):
    """What queries need of one layer."""

    views: tuple[Messages, ...]
    constant: torch.Tensor      # (B, C, A) mean values of the rows
    fit: torch.Tensor           # (B, F) how well rows are predicted by the others, in nats above chance


def rms_norm(x):
    """Divide by the root mean square over the last dimension."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


def class_mean(x, present):
    """Mean over the classes that are present: (B, n, C, h), (B, C) -> (B, n, h)."""
    share = present / present.sum(1, keepdim=True).clamp_min(1.0)
    return torch.einsum("bnch,bc->bnh", x, share)


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
    """Rows send values, a filter turns their moments into messages, every row reads them.

    Values travel in every view, filtered direction by direction, and in the constant view, where the
    message is their mean: what an intercept is to a linear model. A layer also measures its *fit*:
    how well each labelled row is predicted from what it heard from the others. The next layer and the
    readout know it, and so how far the messages deserve to be trusted in this task.
    """

    def __init__(self, config):
        super().__init__()
        h, k, n_logits, hidden = config.n_channels, config.n_values, config.n_logits, config.n_hidden
        sent = h + 2 * n_logits
        heard = N_VIEWS * k + config.n_constants
        self.logits = nn.Linear(h, n_logits, bias=False)
        self.values = nn.Linear(sent, heard, bias=False)
        self.filters = nn.ModuleList(SpectralFilter(k) for _ in range(N_VIEWS))
        # Messages of rare classes are small sums: each channel learns how far to undo that.
        self.rarity = nn.Parameter(torch.cat([torch.linspace(0.0, 1.0, k).repeat(N_VIEWS),
                                              torch.linspace(0.0, 1.0, config.n_constants)]))
        self.fits = nn.Linear(heard + 1, config.n_fits, bias=False)
        self.update = nn.Linear(h + heard + n_logits + 2, hidden, bias=False)
        self.update_row = nn.Linear(h + heard + N_VIEWS * k + N_ROW_FEATURES + N_TASK_FEATURES + config.n_fits, hidden)
        self.out = nn.Linear(hidden, h)
        self.n_values, self.n_constants = k, config.n_constants

    def beliefs(self, state, classes):
        """Normalised state and provisional probabilities over the classes, (B, n, C, R)."""
        normed = rms_norm(state)
        logits = self.logits(normed)
        absent = (classes.present == 0)[:, None, :, None]
        return normed, logits.masked_fill(absent, -1e4).softmax(2)

    def send(self, state, labels, classes):
        """Values that the context rows send: (B, N, C, V * K + A)."""
        normed, beliefs = self.beliefs(state, classes)
        residual = (labels.one_hot[..., None] - beliefs) * labels.labelled[:, :, None, None]
        share = classes.present / classes.present.sum(1, keepdim=True)
        values = self.values(torch.cat([normed, residual, beliefs - share[:, None, :, None]], -1))
        return values * self.amplification(classes)

    def amplification(self, classes):
        """Frequency of the class to a learned negative power: (B, 1, C, V * K + A)."""
        return torch.exp(-self.rarity * classes.frequency[:, None, :, None]) * classes.present[:, None, :, None]

    def learn(self, views, parts, values, labels, classes):
        """Messages of the values, summed over chunks of rows: filtered moments of every view, and means."""
        k, learned = self.n_values, []
        total = sum(part.weight.sum(1) for part in labels)[:, None, None]
        weighted = [value * part.weight[:, :, None, None] for value, part in zip(values, labels)]
        for number, (view, spectral_filter) in enumerate(zip(views, self.filters)):
            g = spectral_filter(view.axes, classes.task) / total                     # (B, r, K)
            moment = sum(part.coordinates[number].mT @ value[..., number * k:(number + 1) * k].flatten(2)
                         for part, value in zip(parts, weighted))                    # (B, r, C * K)
            n_tasks, rank, _ = g.shape
            learned.append(Messages((moment.view(n_tasks, rank, -1, k) * g[:, :, None]).flatten(2), g))
        constant = sum(value[..., N_VIEWS * k:].sum(1) for value in weighted) / total
        return tuple(learned), constant

    def hear(self, rows, messages, constant, own):
        """What rows read, (B, n, C, V * K + A), and their leverages, (B, n, V * K).

        Context rows must not hear themselves: ``own`` holds their values, the weight of one copy of each,
        and the total weight. It is None for queries.
        """
        n_tasks, n_rows, _ = rows.features.shape
        n_classes, k = constant.shape[1], self.n_values
        heard, leverages = [], []
        for number, (z, learned) in enumerate(zip(rows.coordinates, messages)):
            message = (z @ learned.vectors).view(n_tasks, n_rows, n_classes, k)
            leverage = z.square() @ learned.leverage                                # (B, n, K)
            if own is not None:
                values, unit, _ = own
                message = message - (leverage * unit[..., None])[:, :, None] * values[..., number * k:(number + 1) * k]
            heard.append(message)
            leverages.append(leverage)
        mean = constant[:, None].expand(-1, n_rows, -1, -1)
        if own is not None:
            values, unit, total = own
            mean = mean - (unit / total)[:, :, None, None] * values[..., N_VIEWS * k:]
        return torch.cat([*heard, mean], -1), torch.cat(leverages, -1)

    def measure_fit(self, heard, rows, labels, classes):
        """Log-probability above chance that what a row heard gives to its label: (B, n, F), 0 without a label."""
        side = torch.zeros_like(heard[..., 0]) if rows.side is None else rows.side
        logits = self.fits(torch.cat([heard, side[..., None]], -1))
        absent = (classes.present == 0)[:, None, :, None]
        log_p = logits.masked_fill(absent, -1e4).log_softmax(2)
        fit = torch.einsum("bncf,bnc->bnf", log_p, labels.one_hot).clamp_min(WORST_FIT)
        return (fit + classes.present.sum(1).log()[:, None, None]) * labels.labelled[..., None]

    def read(self, state, heard, leverage, rows, fit, classes):
        """New state of rows, from what they heard and the fit of the layer before, (B, n or 1, F)."""
        normed, beliefs = self.beliefs(state, classes)
        n_tasks, n_rows, n_classes, _ = state.shape
        side = rows.side if rows.side is not None else state.new_zeros(n_tasks, n_rows, n_classes)
        side = torch.stack([side, classes.has_side.expand_as(side)], -1)
        task = classes.task[:, None].expand(-1, n_rows, -1)
        by_row = torch.cat([class_mean(normed, classes.present), class_mean(heard, classes.present),
                            torch.log1p(leverage), rows.features, task, fit.expand(-1, n_rows, -1)], -1)
        hidden = self.update(torch.cat([normed, heard, beliefs, side], -1))
        return state + self.out(F.silu(hidden + self.update_row(by_row)[:, :, None]))
