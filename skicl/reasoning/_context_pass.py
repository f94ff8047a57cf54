"""One layer over the rows of a context: what they send, what queries need of it, and the states after it.

Shapes: B tasks, n rows of a chunk, C classes, H state channels, F fit channels, V views of K value channels.
"""

from functools import reduce
from typing import Any, NamedTuple

import torch

from skicl.reasoning._layers import Classes, Labels, Memory, Rows


class Chunk(NamedTuple):
    """Rows of a context that are processed together, and what they know so far."""

    rows: Rows
    labels: Labels
    leverages: list[torch.Tensor]  # (B, n, V * K) a layer: how much a row weighs in its own messages
    state: torch.Tensor  # (B, n, C, H)
    fit: torch.Tensor  # (B, n or 1, F): of the other rows
    as_queries: Rows | None  # the same rows described as queries are; None if none is left out
    blind: torch.Tensor | None  # (B, n, C, H): their states without their labels and their own messages


def run_layer(
    layer: Any, number: int, filters: list[torch.Tensor], chunks: list[Chunk], classes: Classes, *, is_last: bool
) -> tuple[Memory, list[Chunk]]:
    """One layer over the chunks of a context: its memory, and the chunks after it.

    After the last layer nobody asks for the states of the context rows: they come back as they were.
    """
    # One chunk: the beliefs from which rows send are those with which they read; more chunks would hold too much.
    seen = [layer.beliefs(chunk.state, classes) for chunk in chunks] if len(chunks) == 1 else None
    values = [
        layer.send(*(seen[i] if seen else layer.beliefs(chunk.state, classes)), chunk.labels, classes)
        for i, chunk in enumerate(chunks)
    ]
    labels = [chunk.labels for chunk in chunks]
    messages, constant = layer.learn(filters, [chunk.rows for chunk in chunks], values, labels)
    total = reduce(torch.add, [own.weight.sum(1) for own in labels])
    after, measured = [], []
    for i, chunk in enumerate(chunks):
        leverage, own = chunk.leverages[number], (values[i], chunk.labels.weight.clamp_max(1.0), total[:, None])
        heard = layer.hear(chunk.rows, leverage, messages, constant, own)
        measured.append(layer.measure_fit(heard, chunk.rows, chunk.labels, classes))
        if not is_last or chunk.blind is not None:
            offset = layer.offset(chunk.fit, classes)
        if chunk.blind is not None:
            believed = layer.beliefs(chunk.blind, classes)
            blind = layer.read(chunk.blind, *believed, heard, leverage, chunk.as_queries, offset, classes)
            chunk = chunk._replace(blind=blind)
        if not is_last:
            believed = seen[i] if seen else layer.beliefs(chunk.state, classes)
            state = layer.read(chunk.state, *believed, heard, leverage, chunk.rows, offset, classes)
            chunk = chunk._replace(state=state)
        after.append(chunk)
    mass = reduce(torch.add, [(own.weight * own.labelled).sum(1, keepdim=True) for own in labels])  # (B, 1)
    summed = reduce(torch.add, [(fit * own.weight[..., None]).sum(1) for fit, own in zip(measured, labels)])  # (B, F)
    memory = Memory(messages, constant, summed / mass.clamp_min(1e-6), None)
    fits = [_fit_of_others(fit, own, summed, mass) for fit, own in zip(measured, labels)]
    return memory, [chunk._replace(fit=fit) for chunk, fit in zip(after, fits)]


def _fit_of_others(fit: torch.Tensor, labels: Labels, summed: torch.Tensor, mass: torch.Tensor) -> torch.Tensor:
    """Mean fit of all labelled rows but one copy of the row itself: (B, n, F)."""
    unit = (labels.weight.clamp_max(1.0) * labels.labelled)[..., None]
    left = mass[..., None] - unit
    others = (summed[:, None] - unit * fit) / left.clamp_min(1e-6)
    return torch.where(left > 1e-6, others, 0.0)
