"""A random layer, its filters, rows and labels, for the tests of layers and of what runs them."""

import pytest
import torch

from skicl.reasoning import EquivariantConfig
from skicl.reasoning._layers import N_ROW_FEATURES, N_TASK_FEATURES, Classes, EquivariantLayer, Labels, Rows
from skicl.reasoning._preprocessing import Axes

B, N, C, RANK = 2, 7, 3, 4
CONFIG = EquivariantConfig(n_channels=8, n_values=5, n_logits=3, n_hidden=12, n_constants=4, n_fits=2)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def layer(generator):
    layer = EquivariantLayer(CONFIG).double()
    for parameter in layer.parameters():
        parameter.requires_grad_(False).normal_(generator=generator)
    return layer


@pytest.fixture
def classes(generator):
    count = torch.full((B, C), 2.0, dtype=torch.float64)
    task = torch.randn(B, N_TASK_FEATURES, generator=generator, dtype=torch.float64)
    return Classes(
        torch.ones_like(count),
        count.new_full((B, 1, C), 1 / C),
        count.new_zeros(B, 1, C, 1),
        -torch.ones_like(count),
        count,
        task,
        count.new_tensor(0.0),
        count.new_ones(B, 1, 1),
    )


@pytest.fixture
def filters(layer, classes):
    spectrum = torch.tensor([[0.5, 0.3, 0.15, 0.05]], dtype=torch.float64).expand(B, -1)
    return [f(Axes(None, None, None, spectrum), classes.task) / N for f in layer.filters]


@pytest.fixture
def rows(generator):
    coordinates = [torch.randn(B, N, RANK, generator=generator, dtype=torch.float64) for _ in range(2)]
    features = torch.randn(B, N, N_ROW_FEATURES, generator=generator, dtype=torch.float64)
    return Rows(tuple(coordinates), features, None)


@pytest.fixture
def labels():
    y = torch.tensor([[0, 1, 2, 0, 1, -1, 2], [2, 2, 1, 0, -1, 0, 1]])
    labelled = (y >= 0).double()
    one_hot = torch.nn.functional.one_hot(y.clamp_min(0), C).double() * labelled[..., None]
    return Labels(one_hot, labelled, torch.ones(B, N, dtype=torch.float64))
