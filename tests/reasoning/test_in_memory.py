"""One copy of a reasoner for each file, device and precision."""

import os

import pytest
import torch

from skicl.reasoning import (
    CausalConfig,
    CausalReasoner,
    EquivariantConfig,
    EquivariantReasoner,
    _in_memory,
    save_reasoner,
)
from skicl.reasoning._in_memory import shared_reasoner

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


def test_a_file_that_is_overwritten_in_place_is_loaded_again(tmp_path):
    """With the size and the time that it had: only the content tells."""
    path = tmp_path / "a.safetensors"
    save_new(path, 0)
    _, digest = shared_reasoner(path, CPU, torch.float32)
    before = path.stat()
    saved = save_new(tmp_path / "b.safetensors", 1)
    with path.open("r+b") as file:
        file.write((tmp_path / "b.safetensors").read_bytes())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    after, other = shared_reasoner(path, CPU, torch.float32)
    assert other != digest
    assert torch.equal(after.readout.weight, saved.readout.weight)


def test_a_reasoner_in_use_does_not_change_with_its_file(tmp_path):
    path = tmp_path / "a.safetensors"
    saved = save_new(path, 0)
    used, _ = shared_reasoner(path, CPU, torch.float32)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert torch.equal(used.readout.weight, saved.readout.weight)


def test_a_file_that_changes_while_it_is_loaded_is_loaded_again(tmp_path, monkeypatch):
    path, load, seeds = tmp_path / "a.safetensors", _in_memory.load_reasoner, [1, 2]

    def load_and_replace(path):
        found = load(path)
        if seeds:
            save_new(path, seeds.pop())
        return found

    save_new(path, 0)
    monkeypatch.setattr(_in_memory, "load_reasoner", load_and_replace)
    found, _ = shared_reasoner(path, CPU, torch.float32)
    assert not seeds
    assert torch.equal(found.readout.weight, load(path).readout.weight)
    seeds += range(3, 50)
    save_new(path, 100)
    with pytest.raises(OSError, match="changed while it was loaded, 5 times"):
        shared_reasoner(path, CPU, torch.float32)


def test_sizes_count_in_the_fingerprint(tmp_path):
    """The same tensors compute something else with another number of heads."""
    digests = set()
    for n_heads in (2, 4):
        reasoner = CausalReasoner(CausalConfig(n_features=4, n_points=20, n_channels=16, n_heads=n_heads, n_layers=1))
        reasoner.reset_parameters(torch.Generator().manual_seed(0))
        save_reasoner(tmp_path / f"{n_heads}.safetensors", reasoner)
        digests.add(shared_reasoner(tmp_path / f"{n_heads}.safetensors", CPU, torch.float32)[1])
    assert len(digests) == 2
