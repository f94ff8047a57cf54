"""Alignment: what the labels show along the spectrum, by the laws of the reasoner and against chance."""

import pytest
import torch

from skicl.reasoning._alignment import N_ALIGNMENTS, centred_labels, label_alignment, label_moments

N_CLASSES = 3


def align(z, y, weight=None):
    """Alignment of one task from coordinates (N, r) and labels (N,), -1 without one."""
    weight = torch.ones(len(y), dtype=z.dtype) if weight is None else weight
    labelled = (y >= 0).to(z)
    one_hot = torch.nn.functional.one_hot(y.clamp_min(0), N_CLASSES).to(z) * labelled[:, None]
    spectrum = (weight[:, None] * z.square()).sum(0) / weight.sum()
    targets = centred_labels(one_hot[None], labelled[None], weight[None])
    moment, own = label_moments(z[None], targets, weight[None])
    return label_alignment(spectrum[None], moment, own, torch.tensor([N_CLASSES - 1.0], dtype=z.dtype))[0]


@pytest.fixture
def task(generator):
    """Sixty rows on axes of decaying variance, a third without a label; the first direction tells the classes apart."""
    y = torch.randint(0, N_CLASSES, (60,), generator=generator)
    z = torch.randn(60, 12, generator=generator, dtype=torch.float64)
    z[:, 0] += 3 * y
    y[40:] = -1
    return (z - z.mean(0)) * 0.7 ** torch.arange(12), y


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_centred_labels_have_mean_zero_and_equal_classes(generator):
    y = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 2, 2])
    one_hot = torch.nn.functional.one_hot(y, N_CLASSES).double()[None]
    weight = torch.rand(1, 10, generator=generator, dtype=torch.float64)
    targets = centred_labels(one_hot, torch.ones(1, 10, dtype=torch.float64), weight)
    torch.testing.assert_close((weight[..., None] * targets).sum(1), torch.zeros(1, N_CLASSES, dtype=torch.float64))
    frequency = (weight[..., None] * one_hot).sum(1) / weight.sum()
    variance = (weight[..., None] * targets.square()).sum(1) / weight.sum()
    torch.testing.assert_close(variance, 1 - frequency)


def test_the_direction_of_the_labels_stands_out(task):
    found = align(*task)
    assert found.shape == (12, N_ALIGNMENTS)
    size, significance = found[:, 0], found[:, 4]
    assert size.argmax() == 0
    assert significance[0] > 0.4                                        # asinh(z) / 5, z above 3
    beyond = found[0, 2]
    assert beyond < size[0]


def test_labels_without_meaning_have_expectation_zero(generator):
    z = torch.randn(400, 50, 8, generator=generator, dtype=torch.float64) * 0.8 ** torch.arange(8)
    y = torch.randint(0, N_CLASSES, (400, 50), generator=generator)
    sizes = torch.stack([torch.sinh(align(a - a.mean(0), b)[:, 0] / 0.3) for a, b in zip(z, y)])
    # Centring leaves each pair of rows a correlation of -1 / 49: that and the noise of 400 draws.
    assert sizes.mean(0).abs().max() < 0.15


def test_order_repetition_and_sums_over_chunks(task, generator):
    z, y = task
    order = torch.randperm(60, generator=generator)
    torch.testing.assert_close(align(z[order], y[order]), align(z, y))
    weight = torch.randint(1, 4, (60,), generator=generator)
    torch.testing.assert_close(align(z.repeat_interleave(weight, 0), y.repeat_interleave(weight)),
                               align(z, y, weight.double()))
    targets, weight = torch.randn(1, 60, N_CLASSES, generator=generator).double(), weight.double()[None]
    whole = label_moments(z[None], targets, weight)
    parts = [label_moments(z[None, part], targets[:, part], weight[:, part]) for part in (slice(0, 7), slice(7, 60))]
    for got, expected in zip(map(sum, zip(*parts)), whole):
        torch.testing.assert_close(got, expected)


def test_equal_variances_may_be_mixed_by_any_rotation(generator):
    z = torch.linalg.qr(torch.randn(30, 6, generator=generator, dtype=torch.float64))[0]
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64))[0]
    y = torch.randint(0, N_CLASSES, (30,), generator=generator)
    torch.testing.assert_close(align(z @ rotation, y), align(z, y))


def test_directions_without_variance_and_contexts_without_labels_say_nothing(task):
    z, y = task
    z = torch.cat([z, torch.zeros(60, 2, dtype=z.dtype)], 1)
    found = align(z, y)
    assert (found[12:] == 0).all()
    torch.testing.assert_close(found[:12], align(z[:, :12], y))
    assert (align(z, -torch.ones_like(y)) == 0).all()
