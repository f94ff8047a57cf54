"""The file of a run: damage and other terms are noticed, and nothing is overwritten then."""

from dataclasses import replace

import pytest
import torch
from pretraining.test_loop import CONFIG, PRIOR, SCHEDULE, run, weights
from safetensors.torch import save_file

from skicl._storage._tensors import CHECKSUM, read_safetensors
from skicl.pretraining._state import WITHOUT_CHECKSUM


@pytest.mark.parametrize(
    "change",
    [
        {"config": replace(CONFIG, n_layers=1)},
        {"prior": replace(PRIOR, n_queries=9)},
        {"schedule": replace(SCHEDULE, seed=3)},
    ],
)
def test_a_run_is_not_continued_under_other_terms(tmp_path, change):
    run(tmp_path / "run", stop_after=2)
    before = (tmp_path / "run.state.safetensors").read_bytes()
    with pytest.raises(ValueError, match="has another"):
        run(tmp_path / "run", **change)
    assert (tmp_path / "run.state.safetensors").read_bytes() == before


def test_a_damaged_state_is_refused(tmp_path):
    run(tmp_path / "run", stop_after=2)
    path = tmp_path / "run.state.safetensors"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match="not a complete"):
        run(tmp_path / "run")
    with pytest.raises(FileNotFoundError, match="`out`"):
        run(tmp_path / "none" / "run")


def test_a_byte_that_changes_in_a_state_is_noticed(tmp_path):
    run(tmp_path / "run", stop_after=2)
    path = tmp_path / "run.state.safetensors"
    sound = path.read_bytes()
    for i in (4, 40, len(sound) // 3, len(sound) - 1):
        path.write_bytes(sound[:i] + bytes([sound[i] ^ 1]) + sound[i + 1 :])
        with pytest.raises(ValueError, match=r"run\.state\.safetensors' is (damaged|not a complete)"):
            run(tmp_path / "run")
    path.write_bytes(sound)
    run(tmp_path / "run")


def test_a_state_of_an_earlier_version_is_continued_with_a_warning(tmp_path):
    run(tmp_path / "run", stop_after=2)
    path = tmp_path / "run.state.safetensors"
    tensors, metadata = read_safetensors(path)
    del metadata[CHECKSUM]
    save_file(tensors, path, {**metadata, "format": WITHOUT_CHECKSUM})
    with pytest.warns(UserWarning, match="was saved by an earlier version"):
        continued = run(tmp_path / "run")
    assert torch.equal(weights(continued), weights(run(tmp_path / "whole")))
