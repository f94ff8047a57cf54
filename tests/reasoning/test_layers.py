"""What a layer promises: leave-one-out messages, honest fits, absent classes unheard."""

import pytest
import torch

from skicl.reasoning import EquivariantConfig
from skicl.reasoning._equivariant import _fit_of_others, _run_layer
from skicl.reasoning._layers import (
    N_ROW_FEATURES,
    N_TASK_FEATURES,
    Classes,
    EquivariantLayer,
    Labels,
    Rows,
    SpectralFilter,
    leverages,
    rms_norm,
)
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


def total(labels):
    return labels.weight.sum(1)[:, None]


def random_values(generator):
    sizes = [CONFIG.n_values, CONFIG.n_values, CONFIG.n_constants]
    return tuple(torch.randn(B, N, C, size, generator=generator, dtype=torch.float64) for size in sizes)


def test_a_row_does_not_hear_itself(layer, filters, rows, labels, generator):
    values, leverage = random_values(generator), leverages(rows, filters, 1)[0]
    learned = layer.learn(filters, [rows], [values], [labels])
    heard = layer.hear(rows, leverage, *learned, (values, labels.weight, total(labels)))
    for row in range(N):
        silent = tuple(value.clone() for value in values)
        for value in silent:
            value[:, row] = 0.0
        without = layer.learn(filters, [rows], [silent], [labels])
        expected = layer.hear(rows, leverage, *without, None)
        torch.testing.assert_close(heard[:, row], expected[:, row])


def test_chunks_of_rows_give_what_all_rows_give(layer, filters, rows, labels, classes, generator):
    state = torch.randn(B, N, C, CONFIG.n_channels, generator=generator, dtype=torch.float64)
    fit = state.new_zeros(B, 1, CONFIG.n_fits)
    own = leverages(rows, filters, 1)
    memory, states, fits = _run_layer(layer, filters, [rows], own, [labels], [state], [fit], classes, False)
    cut = [(0, 3), (3, N)]
    parts = [rows.slice(*c) for c in cut]
    own = [leverages(part, filters, 1)[0] for part in parts]
    memory_2, states_2, fits_2 = _run_layer(
        layer,
        filters,
        parts,
        own,
        [labels.slice(*c) for c in cut],
        [state[:, :3], state[:, 3:]],
        [fit, fit],
        classes,
        False,
    )
    torch.testing.assert_close(torch.cat(states_2, 1), states[0])
    torch.testing.assert_close(torch.cat(fits_2, 1), fits[0])
    torch.testing.assert_close(memory_2.fit, memory.fit)


def test_fit_is_zero_at_chance_and_for_rows_without_a_label(layer, rows, labels, classes):
    heard = torch.zeros(B, N, C, 2 * CONFIG.n_values + CONFIG.n_constants, dtype=torch.float64)
    assert layer.measure_fit(heard, rows, labels, classes).abs().max() < 1e-12
    random = torch.randn(heard.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fit = layer.measure_fit(random, rows, labels, classes)
    assert (fit[labels.labelled == 0] == 0).all()
    assert (fit[labels.labelled == 1] != 0).all()
    assert fit.max() <= torch.tensor(3.0).log()


def test_the_fit_that_a_row_knows_is_that_of_the_others(labels, generator):
    fit = torch.randn(B, N, 2, generator=generator, dtype=torch.float64) * labels.labelled[..., None]
    labels = labels._replace(weight=torch.tensor([[1.0, 2, 1, 3, 1, 1, 1]] * B, dtype=torch.float64))
    mass = (labels.weight * labels.labelled).sum(1)[:, None]
    summed = (fit * labels.weight[..., None]).sum(1)
    others = _fit_of_others(fit, labels, summed, mass)
    for task in range(B):
        repeated = [row for row in range(N) for _ in range(int(labels.weight[task, row])) if labels.labelled[task, row]]
        for row in range(N):
            left = list(repeated)
            if labels.labelled[task, row]:
                left.remove(row)
            torch.testing.assert_close(others[task, row], fit[task, left].mean(0))


def test_the_only_labelled_row_knows_no_fit():
    one = torch.ones(1, 1, dtype=torch.float64)
    labels = Labels(torch.eye(2, dtype=torch.float64)[None, :1], one, one)
    fit = torch.full((1, 1, 2), -0.3, dtype=torch.float64)
    assert (_fit_of_others(fit, labels, fit[:, 0], one) == 0).all()


def test_absent_classes_send_nothing_and_do_not_count(layer, labels, classes, generator):
    present = torch.tensor([[1.0, 1, 0], [1, 0, 1]], dtype=torch.float64)
    penalty = -1e4 * (1 - present)[:, None, :, None]
    absent = classes._replace(present=present, share=present[:, None] / 2, penalty=penalty)
    state = torch.randn(B, N, C, CONFIG.n_channels, generator=generator, dtype=torch.float64)
    normed, beliefs = layer.beliefs(state, absent)
    assert (beliefs[0, :, 2] == 0).all()
    for values in layer.send(normed, beliefs, labels, absent):
        assert (values[0, :, 2] == 0).all()
        assert (values[1, :, 1] == 0).all()


def test_filters_are_positive_and_fade_at_the_edge_of_the_rank(generator):
    spectrum = torch.tensor([[1.0, 1e-3, 0.0]])
    out = SpectralFilter(5)(Axes(None, None, None, spectrum), torch.zeros(1, N_TASK_FEATURES))
    assert (out[:, :2] > 0).all()
    assert (out[:, 2] == 0).all()


def test_rms_norm_gives_unit_root_mean_square(generator):
    x = 1e3 * torch.randn(5, 8, generator=generator)
    torch.testing.assert_close(rms_norm(x).square().mean(-1), torch.ones(5))
