"""Files of reasoners: whole, strict, without pickle."""

import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from skicl import TartClassifier
from skicl._storage._tensors import CHECKSUM, read_safetensors
from skicl.reasoning import (
    EquivariantConfig,
    EquivariantReasoner,
    bundled_reasoners,
    load_reasoner,
    read_card,
    save_reasoner,
)
from skicl.reasoning._checkpoint import BUNDLED, FORMAT, WITHOUT_CHECKSUM

SMALL = EquivariantConfig(n_channels=8, n_values=4, n_logits=2, n_hidden=8, n_layers=1)


@pytest.fixture
def saved(tmp_path):
    reasoner = EquivariantReasoner(SMALL)
    path = tmp_path / "small.safetensors"
    save_reasoner(path, reasoner, {"steps": 3})
    return path, reasoner


def test_a_loaded_reasoner_equals_the_saved_one(saved):
    path, reasoner = saved
    loaded = load_reasoner(path)
    assert loaded.config == SMALL
    assert all(torch.equal(a, b) for a, b in zip(reasoner.state_dict().values(), loaded.state_dict().values()))
    assert not any(p.requires_grad for p in loaded.parameters())
    assert read_card(path) == {"steps": 3}


def test_the_bundled_reasoner_has_a_complete_card():
    assert "tart-equivariant" in bundled_reasoners()
    card = read_card()
    assert {"prior", "schedule", "steps", "tasks", "seconds", "hardware", "evaluation"} <= set(card)
    assert card["steps"] > 0
    assert card["evaluation"]
    assert (BUNDLED / "tart-equivariant.safetensors").stat().st_size < 10e6


def test_a_missing_file_lists_the_bundled_names(tmp_path):
    with pytest.raises(FileNotFoundError, match="tart-equivariant"):
        load_reasoner(tmp_path / "none.safetensors")
    with pytest.raises(FileNotFoundError, match="no-such-name"):
        load_reasoner("no-such-name")


@pytest.mark.parametrize("keep", [0, 5, 200, -10])
def test_a_truncated_file_is_refused(saved, keep):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="not a complete"):
        load_reasoner(path)


def test_a_pickle_is_refused_and_not_executed(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was executed",))

    path = tmp_path / "trap.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match="not a complete"):
        load_reasoner(path)


@pytest.mark.parametrize("name", bundled_reasoners())
def test_bundled_reasoners_carry_a_checksum(name):
    path = BUNDLED / f"{name}.safetensors"
    assert read_safetensors(path)[1]["format"] == FORMAT
    assert CHECKSUM in read_safetensors(path)[1]
    load_reasoner(name)


@pytest.mark.parametrize("name", bundled_reasoners())
def test_a_byte_that_changes_in_a_bundled_reasoner_is_noticed(name, tmp_path):
    sound, path = (BUNDLED / f"{name}.safetensors").read_bytes(), tmp_path / "damaged.safetensors"
    header = int.from_bytes(sound[:8], "little")
    for i in [*range(0, header, header // 30), header + 8, header + 99, len(sound) // 2, len(sound) - 1]:
        path.write_bytes(sound[:i] + bytes([sound[i] ^ 16]) + sound[i + 1 :])
        with pytest.raises(ValueError, match=r"damaged\.safetensors' is (damaged|not a complete)"):
            load_reasoner(path)
        with pytest.raises(ValueError, match=r"damaged\.safetensors' is (damaged|not a complete)"):
            TartClassifier(reasoner=str(path), device="cpu").fit([[0.0], [1.0]], [0, 1])


def test_a_reasoner_of_an_earlier_version_is_loaded_with_a_warning(saved):
    path, reasoner = saved
    tensors, header = read_safetensors(path)
    save_file(tensors, path, {**{k: v for k, v in header.items() if k != CHECKSUM}, "format": WITHOUT_CHECKSUM})
    with pytest.warns(UserWarning, match=r"small\.safetensors' was saved by an earlier version"):
        loaded = load_reasoner(path)
    assert all(torch.equal(a, b) for a, b in zip(reasoner.state_dict().values(), loaded.state_dict().values()))
    save_file(tensors, path, {k: v for k, v in header.items() if k != CHECKSUM})
    with pytest.raises(ValueError, match="its header lacks the checksum"):
        load_reasoner(path)


@pytest.mark.filterwarnings("ignore:.*without a checksum")
def test_weights_that_do_not_fit_are_refused(saved):
    path, _ = saved
    tensors = load_file(path)
    header = {
        "format": "skicl-reasoner-1",
        "architecture": "equivariant",
        "card": "{}",
        "config": json.dumps(EquivariantReasoner(SMALL).describe()),
    }
    name = next(iter(tensors))
    wrong = {
        "missing": {k: v for k, v in tensors.items() if k != name},
        "extra": {**tensors, "more": torch.ones(1)},
        "misshapen": {**tensors, name: tensors[name][:1].repeat(3, *[1] * (tensors[name].dim() - 1))},
        "not finite": {**tensors, name: tensors[name] * torch.nan},
    }
    for weights in wrong.values():
        save_file({k: v.contiguous() for k, v in weights.items()}, path, header)
        with pytest.raises(ValueError, match="do not fit"):
            load_reasoner(path)
    # Files of an earlier version, without a checksum.
    save_file(tensors, path, {**header, "architecture": "recurrent"})
    with pytest.raises(ValueError, match="architecture 'recurrent', which this version"):
        load_reasoner(path)
    save_file(tensors, path, {**header, "format": "other"})
    with pytest.raises(ValueError, match="not a reasoner of skicl"):
        load_reasoner(path)


def test_a_failed_save_leaves_the_old_file(saved, monkeypatch):
    path, _ = saved
    before = path.read_bytes()

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_reasoner(path, EquivariantReasoner(SMALL))
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]
