"""What the ablations change: one part of the network, of the optimiser or of the prior each.

Nothing here is an option of the package. A network is altered after it was made, by another class for the same
weights or by a silent part in the place of a learned one; a prior by replacing functions of its module while a
variant trains. So every variant starts from the same weights and sees the same tasks as the default, where the
change leaves them as they are.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple
from unittest.mock import patch

import torch
from torch import nn

from skicl.pretraining import _priors
from skicl.reasoning import EquivariantReasoner
from skicl.reasoning._layers import EquivariantLayer

DEFAULT = "default"


class Variant(NamedTuple):
    """One line of the table: what replaces what."""

    key: str
    label: str
    group: str
    sizes: dict | None = None  # fields of the configuration
    alter: Callable | None = None  # changes a reasoner in place
    optimizer: Callable | None = None  # (reasoner, schedule) -> optimiser; None: as the package trains
    prior: dict | None = None  # functions of the prior's module, by name

    def sampling(self):
        """A context in which priors draw the tasks of this variant."""
        stack = ExitStack()
        for name, function in (self.prior or {}).items():
            stack.enter_context(patch.object(_priors, name, function))
        return stack


# -- the network --------------------------------------------------------------------------------------------------


class Silent(nn.Module):
    """Zeros in the place of what a part of the network would say."""

    def __init__(self, width):
        super().__init__()
        self.width = width

    def forward(self, x):
        return x.new_zeros(*x.shape[:-1], self.width)


class SendsNoResiduals(EquivariantLayer):
    """Context rows send their state and their beliefs, not how far these are from their labels."""

    def send(self, normed, beliefs, labels, classes):
        return super().send(normed, beliefs, labels._replace(labelled=torch.zeros_like(labels.labelled)), classes)


class HearsItself(EquivariantLayer):
    """Context rows read the messages with their own contribution."""

    def hear(self, rows, leverage, messages, constant, own):
        return super().hear(rows, leverage, messages, constant, None)


class OneView(EquivariantReasoner):
    """The features themselves alone: whatever the kernel view would say is zero."""

    def _look(self, X, weight, n_landmarks):
        views, (z, kernel_z) = super()._look(X, weight, 1)
        return views, (z, torch.zeros_like(kernel_z))

    def _query_rows(self, views, X, side):
        rows = super()._query_rows(views, X, side)
        z, kernel_z = rows.coordinates
        # The second feature is the norm in the kernel view, the fourth what its landmarks do not explain.
        read = rows.features.new_tensor([1.0, 0.0, 1.0, 0.0, 1.0, 1.0])
        return rows._replace(coordinates=(z, torch.zeros_like(kernel_z)), features=rows.features * read)


def _share_layers(reasoner):
    reasoner.layers = nn.ModuleList([reasoner.layers[0]] * len(reasoner.layers))


def _hear_themselves(reasoner):
    for layer in reasoner.layers:
        layer.__class__ = HearsItself


def _one_view(reasoner):
    reasoner.__class__ = OneView


def _no_residuals(reasoner):
    for layer in reasoner.layers:
        layer.__class__ = SendsNoResiduals


def _no_learned_filters(reasoner):
    for layer in reasoner.layers:
        for spectral_filter in layer.filters:
            spectral_filter.hidden = nn.Identity()
            spectral_filter.out = Silent(spectral_filter.out.out_features)


def _no_sharpness(reasoner):
    reasoner.sharpness = Silent(1)


# -- the optimiser ------------------------------------------------------------------------------------------------


class TwoOptimizers:
    """Two optimisers that step together, with one list of groups for the rate of learning."""

    def __init__(self, *optimizers):
        self.optimizers = optimizers
        self.param_groups = [group for optimizer in optimizers for group in optimizer.param_groups]

    def zero_grad(self, set_to_none=True):
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=set_to_none)

    def step(self):
        for optimizer in self.optimizers:
            optimizer.step()


def muon(reasoner, schedule):
    """Muon for the matrices inside the layers, AdamW for all else; the same rate of learning for both.

    Muon's updates are scaled to the root mean square of AdamW's (Liu et al., 2025, "Muon is scalable for LLM
    training"), so that one rate suits both.
    """
    if not hasattr(torch.optim, "Muon"):
        raise NotImplementedError(f"torch {torch.__version__} has no Muon")
    hidden = [p for p in reasoner.layers.parameters() if p.ndim == 2 and min(p.shape) > 1]
    chosen = {id(p) for p in hidden}
    rest = [p for p in reasoner.parameters() if id(p) not in chosen]
    rate, decay = schedule.learning_rate, schedule.weight_decay
    return TwoOptimizers(
        torch.optim.Muon(hidden, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=rate, weight_decay=decay, betas=(0.9, 0.98)),
    )


# -- the prior ----------------------------------------------------------------------------------------------------


def _any_spectra(draw, n_tasks, n_features):
    """The spectra that are not like those of embeddings: from flat to steep, whatever the dimension."""
    index = torch.arange(n_features, device=draw.device)[None].float()
    knee = draw.log_uniform(n_tasks, 1, low=0.5, high=max(1.0, n_features / 4))
    exponent = draw.uniform(n_tasks, 1, high=2.2) * draw.chance(n_tasks, 1, p=0.9)
    tail = draw.uniform(n_tasks, 1, high=4.0) * draw.chance(n_tasks, 1, p=0.6)
    variance = (1 + index / knee) ** -exponent * torch.exp(-tail * index / n_features)
    return (variance / variance.mean(1, keepdim=True)).sqrt()


def _in_place_of_logistic(make):
    """Tasks of another kind, with all that the logistic tasks lack: spectrum, rough rows, noisy labels."""

    def tasks(draw, sizes, n_pool):
        spread = _priors.sample_spectra(draw, sizes.n_tasks, sizes.n_features)
        X, y = make(draw, sizes, n_pool, spread, _priors.sample_relevance(draw, spread))
        return _priors.roughen(draw, X), _priors.flip_labels(draw, y, sizes.n_classes)

    return tasks


def _only(make):
    kinds = dict.fromkeys(("_gaussian_classes", "_softmax_linear", "_random_network"), make)
    return {**kinds, "_logistic": _in_place_of_logistic(make)}


def _topics(draw, y, n_classes, spread):
    """What rows have in common across classes, (B, P, D): some factors, each with a vector for each of its values.

    A text has a topic, a style and a length beside its class. Values may be more frequent in one class than in
    another, and then they are evidence of it; else they are clusters that mean nothing.
    """
    n_tasks, n_features = spread.shape
    X = 0.0
    for _ in range(draw.integer(1, 4)):
        n_values = draw.integer(2, 24)
        logits = draw.uniform(n_tasks, 1, 1, high=2.0) * draw.normal(n_tasks, 1, n_values)
        telling = draw.uniform(n_tasks, 1, 1, high=1.5) * draw.chance(n_tasks, 1, 1, p=0.6)
        logits = logits + telling * draw.normal(n_tasks, n_classes, n_values)
        of_row = logits.gather(1, y[..., None].expand(-1, -1, n_values)).softmax(-1)
        ratio = draw.log_uniform(n_tasks, 1, low=0.5, high=100.0)
        scale = spread * (_priors.sample_relevance(draw, spread) * ratio).sqrt()
        vectors = draw.normal(n_tasks, n_values, n_features) * scale[:, None]
        X = X + vectors.gather(1, draw.categorical(of_row)[..., None].expand(-1, -1, n_features))
    return X


def _gaussian_classes_with_topics(draw, sizes, n_pool, spread, relevance, plain=_priors._gaussian_classes):
    """Gaussian classes, in two tasks of five with topics beside them."""
    X, y = plain(draw, sizes, n_pool, spread, relevance)
    return (X + _topics(draw, y, sizes.n_classes, spread) if draw.scalar() < 0.4 else X), y


def _gaussian_classes_in_few_directions(draw, sizes, n_pool, spread, relevance, plain=_priors._gaussian_classes):
    """Gaussian classes, in two tasks of three with all signal in the leading directions."""
    relevance = _priors.concentrate(draw, relevance, max(2, sizes.n_labelled // 2))
    return plain(draw, sizes, n_pool, spread, relevance)


def _true_labels(draw, y, n_classes):
    return y


def _names_that_do_not_lie(draw, X, names):
    """Cosines of rows to names of the classes that are more or less honest, or useless, but never exchanged."""
    centred = X - X.mean(1, keepdim=True)
    basis = centred[:, : min(X.shape[1], 4 * X.shape[2])]
    noise = nn.functional.normalize(draw.normal(*names.shape[:2], basis.shape[1]) @ basis, dim=-1)
    rho = draw.uniform(len(X), 1, 1, high=0.95) * draw.chance(len(X), 1, 1, p=0.75)
    rho = rho * (1 - draw.chance(*names.shape[:2], 1, p=0.1))
    hints = rho * nn.functional.normalize(names, dim=-1) + (1 - rho.square()).sqrt() * noise
    hints = hints - hints.mean(1, keepdim=True)
    return nn.functional.normalize(centred, dim=-1) @ nn.functional.normalize(hints, dim=-1).mT


NETWORK, OPTIMIZER, PRIOR = "network", "optimiser", "prior"

# The most telling ones first: a run that is cut short has these.
VARIANTS = (
    Variant(DEFAULT, "default", NETWORK),
    Variant("no-fit", "no fit channels", NETWORK, {"n_fits": 0}),
    Variant("no-constant", "no constant view", NETWORK, {"n_constants": 0}),
    Variant("no-sharpness", "no sharpness of the readout", NETWORK, alter=_no_sharpness),
    Variant("no-residual", "no residuals among the values", NETWORK, alter=_no_residuals),
    Variant("no-kernel", "no kernel view", NETWORK, alter=_one_view),
    Variant("no-filter", "filters without their network", NETWORK, alter=_no_learned_filters),
    Variant("no-loo", "rows hear themselves", NETWORK, alter=_hear_themselves),
    Variant("layers-3", "3 layers", NETWORK, {"n_layers": 3}),
    Variant("layers-9", "9 layers", NETWORK, {"n_layers": 9}),
    Variant("channels-16", "16 channels", NETWORK, {"n_channels": 16}),
    Variant("channels-64", "64 channels", NETWORK, {"n_channels": 64}),
    Variant("shared-layers", "one layer used six times", NETWORK, alter=_share_layers),
    Variant("muon", "Muon for the hidden matrices", OPTIMIZER, optimizer=muon),
    Variant("no-noise", "no label noise", PRIOR, prior={"flip_labels": _true_labels}),
    Variant("topics", "topics that classes share", PRIOR, prior={"_gaussian_classes": _gaussian_classes_with_topics}),
    Variant(
        "few-directions",
        "Gaussian classes in few directions",
        PRIOR,
        prior={"_gaussian_classes": _gaussian_classes_in_few_directions},
    ),
    Variant("only-softmax", "softmax-linear labels only", PRIOR, prior=_only(_priors._softmax_linear)),
    Variant("only-gaussian", "Gaussian classes only", PRIOR, prior=_only(_priors._gaussian_classes)),
    Variant("any-spectra", "no spectra like those of embeddings", PRIOR, prior={"sample_spectra": _any_spectra}),
    Variant("no-lies", "names that do not lie", PRIOR, prior={"side_scores": _names_that_do_not_lie}),
    Variant(
        "no-logistic",
        "no Gaussian logistic tasks",
        PRIOR,
        prior={"_logistic": _in_place_of_logistic(_priors._gaussian_classes)},
    ),
)
