"""What a layer promises: leave-one-out messages, honest fits, absent classes unheard."""

import torch
from reasoning.layer_fixtures import CONFIG, B, C, N

from skicl.reasoning._layers import N_TASK_FEATURES, SpectralFilter, leverages, rms_norm
from skicl.reasoning._preprocessing import Axes


def total(labels):
    return labels.weight.sum(1)[:, None]


def random_values(generator):
    return torch.randn(B, N, C, 2 * CONFIG.n_values + CONFIG.n_constants, generator=generator, dtype=torch.float64)


def test_a_row_does_not_hear_itself(layer, filters, rows, labels, generator):
    values, leverage = random_values(generator), leverages(rows, filters, 1)[0]
    learned = layer.learn(filters, [rows], [values], [labels])
    heard = layer.hear(rows, leverage, *learned, (values, labels.weight, total(labels)))
    for row in range(N):
        silent = values.clone()
        silent[:, row] = 0.0
        without = layer.learn(filters, [rows], [silent], [labels])
        expected = layer.hear(rows, leverage, *without, None)
        torch.testing.assert_close(heard[:, row], expected[:, row])


def test_fit_is_zero_at_chance_and_for_rows_without_a_label(layer, rows, labels, classes):
    heard = torch.zeros(B, N, C, 2 * CONFIG.n_values + CONFIG.n_constants, dtype=torch.float64)
    assert layer.measure_fit(heard, rows, labels, classes).abs().max() < 1e-12
    random = torch.randn(heard.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fit = layer.measure_fit(random, rows, labels, classes)
    assert (fit[labels.labelled == 0] == 0).all()
    assert (fit[labels.labelled == 1] != 0).all()
    assert fit.max() <= torch.tensor(3.0).log()


def test_absent_classes_send_nothing_and_do_not_count(layer, labels, classes, generator):
    present = torch.tensor([[1.0, 1, 0], [1, 0, 1]], dtype=torch.float64)
    penalty = -1e4 * (1 - present)[:, None, :, None]
    absent = classes._replace(present=present, share=present[:, None] / 2, penalty=penalty)
    state = torch.randn(B, N, C, CONFIG.n_channels, generator=generator, dtype=torch.float64)
    normed, beliefs = layer.beliefs(state, absent)
    assert (beliefs[0, :, 2] == 0).all()
    values = layer.send(normed, beliefs, labels, absent)
    assert (values[0, :, 2] == 0).all()
    assert (values[1, :, 1] == 0).all()


def test_no_penalty_says_what_a_penalty_of_zero_says(layer, classes, generator):
    state = torch.randn(B, N, C, CONFIG.n_channels, generator=generator, dtype=torch.float64)
    all_present = classes._replace(penalty=None)
    torch.testing.assert_close(layer.beliefs(state, all_present), layer.beliefs(state, classes))
    torch.testing.assert_close(all_present.mean(state), classes.mean(state))
    torch.testing.assert_close(layer.beliefs(state, all_present)[1], layer.logits(rms_norm(state)).softmax(2))


def test_filters_are_positive_and_fade_at_the_edge_of_the_rank(generator):
    spectrum = torch.tensor([[1.0, 1e-3, 0.0]])
    out = SpectralFilter(5)(Axes(None, None, None, spectrum), torch.zeros(1, N_TASK_FEATURES))
    assert (out[:, :2] > 0).all()
    assert (out[:, 2] == 0).all()


def test_rms_norm_gives_unit_root_mean_square(generator):
    x = 1e3 * torch.randn(5, 8, generator=generator)
    torch.testing.assert_close(rms_norm(x).square().mean(-1), torch.ones(5))
