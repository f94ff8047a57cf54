"""A network of one's own beside the shared one: what is trained is copied, all else shares its memory."""

from contextlib import contextmanager
from copy import deepcopy

import numpy as np

# Above this fraction of changed rows a tensor is kept as a whole.
MOST_CHANGED_ROWS = 0.5


def private_copy(model, *, trainable):
    """A copy of a network, in evaluation mode, that can be trained or given further parts without touching the network.

    With `trainable` the weights are copied, in float32. Without, the copy reads the memory of the weights of `model`,
    and no gradient reaches them.
    """
    import torch

    memo = {}
    for weight in model.parameters():
        own = weight.detach()
        if trainable and own.is_floating_point():
            own = own.to(torch.float32, copy=True)
        memo[id(weight)] = torch.nn.Parameter(own, requires_grad=trainable and own.is_floating_point())
    for buffer in model.buffers():
        memo[id(buffer)] = buffer.detach().clone()
    return deepcopy(model, memo).eval()


def freeze(model):
    """Take gradients and the wish for them off all weights of a private copy."""
    for weight in model.parameters():
        weight.requires_grad_(False)
        weight.grad = None


def changed_tensors(before, after):
    """What training has changed between two networks, as small as it can be said exactly: (rows, values) by name.

    Only weights that differ. `rows` are the numbers of the changed rows, such as those of the tokens that occurred, or
    None where `values` are the whole tensor.
    """
    import torch

    changes = {}
    for (name, old), new in zip(before.named_parameters(), after.parameters()):
        old, new = old.detach().to(torch.float32), new.detach().to(torch.float32)
        differs = (old != new).reshape(len(new), -1).any(dim=1) if new.dim() else (old != new)
        if not differs.any():
            continue
        if new.dim() < 2 or differs.float().mean() > MOST_CHANGED_ROWS:
            changes[name] = None, new.cpu().numpy().copy()
        else:
            rows = differs.nonzero()[:, 0]
            changes[name] = rows.cpu().numpy().astype(np.int32), new[rows].cpu().numpy()
    return changes


def put_changes(model, changes):
    """Write what :func:`changed_tensors` found into a fresh private copy that is trainable.

    A ValueError if the network has no such weights.
    """
    import torch

    weights = dict(model.named_parameters())
    with torch.no_grad():
        for name, (rows, values) in changes.items():
            values = torch.tensor(values)  # a copy: what was loaded as a memory map cannot be written to
            fits = name in weights and weights[name].shape[1:] == values.shape[1:]
            if not fits or (rows is None and weights[name].shape != values.shape):
                raise ValueError(
                    f"`encoder` has no weight {name!r} of the shape that was trained: the model has changed since "
                    "`fit`. Fit again, or restore the model."
                )
            values = values.to(weights[name].device)
            if rows is None:
                weights[name].copy_(values)
            else:
                weights[name][torch.tensor(rows).long().to(values.device)] = values


@contextmanager
def seeded_dropout(model, generator):
    """Dropout layers are active inside and draw from a generator of their own instead of the global one.

    The rest of the network stays in evaluation mode, so dropout inside of attention kernels, which can only draw from
    the global generator, is off. Yields the active layers: ``layers.train()`` after something has put the network into
    evaluation mode.
    """
    import torch

    class SeededDropout(torch.nn.Module):
        def __init__(self, p):
            super().__init__()
            self.p = p

        def forward(self, x):
            if not self.training:
                return x
            kept = torch.rand(x.shape, device=x.device, generator=generator) >= self.p
            return x * (kept.to(x.dtype) / (1.0 - self.p))

    dropouts = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, torch.nn.Dropout) and 0.0 < child.p < 1.0
    ]
    layers = torch.nn.ModuleList(SeededDropout(child.p) for _, _, child in dropouts)
    for (parent, name, _), layer in zip(dropouts, layers):
        setattr(parent, name, layer)
    try:
        yield layers
    finally:
        for parent, name, child in dropouts:
            setattr(parent, name, child)
