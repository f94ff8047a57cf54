"""One copy of a reasoner for each file, device and precision."""

import os

import torch

from skicl.reasoning import EquivariantConfig, EquivariantReasoner, save_reasoner
from skicl.reasoning._shared import shared_reasoner

CPU = torch.device("cpu")


def save_new(path, seed):
    reasoner = EquivariantReasoner(EquivariantConfig(n_layers=1))
    reasoner.reset_parameters(torch.Generator().manual_seed(seed))
    save_reasoner(path, reasoner, {})
    return reasoner


def test_one_copy_for_each_precision(tmp_path):
    path = tmp_path / "a.safetensors"
    saved = save_new(path, 0)
    single, digest = shared_reasoner(path, CPU, torch.float32)
    double, same = shared_reasoner(path, CPU, torch.float64)
    assert digest == same
    assert shared_reasoner(tmp_path / "." / "a.safetensors", CPU, torch.float32)[0] is single
    assert single.readout.weight.dtype == torch.float32
    assert double.readout.weight.dtype == torch.float64
    assert torch.equal(single.readout.weight, saved.readout.weight)


def test_a_file_that_changed_is_loaded_again(tmp_path):
    path = tmp_path / "a.safetensors"
    save_new(path, 0)
    before, digest = shared_reasoner(path, CPU, torch.float32)
    saved = save_new(path, 1)
    os.utime(path, ns=(1, 1))
    after, other = shared_reasoner(path, CPU, torch.float32)
    assert after is not before
    assert other != digest
    assert torch.equal(after.readout.weight, saved.readout.weight)
