"""Muon: orthogonal steps for hidden matrices, Adam's own steps for everything else."""

import torch

from skicl.pretraining._causal_optimizer import SIZE, Muon, orthogonal


def matrix(rows, columns, seed=0):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def test_singular_values_become_about_equal_and_directions_stay():
    for shape in ((8, 8), (32, 8), (8, 32)):
        step = orthogonal(matrix(*shape)) / (SIZE * max(shape) ** 0.5)
        values = torch.linalg.svdvals(step)
        assert values.min() > 0.3
        assert values.max() < 1.4
        assert torch.linalg.svdvals(matrix(*shape)).max() > 2 * torch.linalg.svdvals(matrix(*shape)).min()
        assert (step * matrix(*shape)).sum() > 0
        torch.testing.assert_close(orthogonal(5 * matrix(*shape)), orthogonal(matrix(*shape)), atol=1e-4, rtol=1e-3)


def test_a_step_has_the_size_of_one_of_adam():
    step = orthogonal(matrix(16, 64))
    assert 0.1 < step.square().mean().sqrt() < 0.25


def test_queries_keys_and_values_are_orthogonal_one_by_one():
    weight = torch.nn.Parameter(torch.zeros(24, 8))
    weight.grad = matrix(24, 8)
    Muon([("blocks.0", weight)], 1.0, lambda name: True, momentum=0.0).step()
    for number in range(3):
        part = slice(8 * number, 8 * number + 8)
        torch.testing.assert_close(weight[part], -orthogonal(weight.grad[part]))


def test_other_parameters_move_as_under_adam():
    own, reference = (torch.nn.Parameter(matrix(4, 3)) for _ in range(2))
    muon = Muon([("readout", own)], 0.1, lambda name: False, weight_decay=0.01)
    adam = torch.optim.AdamW([reference], lr=0.1, betas=(0.9, 0.98), weight_decay=0.01)
    for seed in range(5):
        own.grad, reference.grad = matrix(4, 3, seed), matrix(4, 3, seed)
        muon.step()
        adam.step()
    torch.testing.assert_close(own, reference)


def test_it_finds_a_minimum():
    weight, target = torch.nn.Parameter(torch.zeros(6, 6)), matrix(6, 6)
    optimizer = Muon([("blocks.0", weight)], 0.02, lambda name: True)
    for step in range(300):
        optimizer.zero_grad()
        (weight - target).square().sum().backward()
        for group in optimizer.param_groups:  # steps do not shrink by themselves
            group["lr"] = 0.05 * (1 - step / 300)
        optimizer.step()
    assert (weight - target).norm() < 0.15 * target.norm()
