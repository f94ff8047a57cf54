"""Files of tensors: whole, unchanged, checked."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

from skicl._models._files import BUNDLED_MODELS
from skicl._storage._tensors import (
    CHECKSUM,
    check_sealed_folder,
    checksum_of,
    has_format,
    read_safetensors,
    save_atomically,
    seal_folder,
)

TENSORS = {
    "weight": torch.arange(6.0).reshape(2, 3),
    "bias": torch.tensor([0.5, -1.0]).bfloat16(),
    "step": torch.tensor(3.0),
    "none": torch.zeros(0, 2),
    "mask": torch.tensor([True, False]),
}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "some.safetensors"
    save_atomically(path, TENSORS, {"format": "some-2", "config": json.dumps({"n_heads": 2})})
    return path


def test_what_is_read_is_what_was_written(saved):
    tensors, metadata = read_safetensors(saved)
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)
    assert {name: value for name, value in metadata.items() if name != CHECKSUM} == {
        "format": "some-2",
        "config": '{"n_heads": 2}',
    }


def test_what_was_read_does_not_change_with_the_file(saved):
    tensors, _ = read_safetensors(saved)
    with saved.open("r+b") as file:
        file.write(b"x" * saved.stat().st_size)
    assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())


@pytest.mark.parametrize("mask", [1, 64, 255])
def test_a_byte_that_changes_anywhere_is_an_error_that_names_the_file(saved, mask):
    sound = saved.read_bytes()
    for i in range(len(sound)):
        saved.write_bytes(sound[:i] + bytes([sound[i] ^ mask]) + sound[i + 1 :])
        with pytest.raises(ValueError, match=r"some\.safetensors' is (damaged|not a complete)"):
            has_format(saved, read_safetensors(saved)[1], "some-2", "some-1")


@pytest.mark.parametrize("content", [b"", b"x", b"\x80\x04\x95 a pickle", b"{}" * 500, bytes(5000)])
def test_files_of_another_kind_are_refused(tmp_path, content):
    path = tmp_path / "other.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.safetensors' is not a complete \.safetensors file"):
        read_safetensors(path)


def test_a_file_that_was_cut_short_or_grew_is_refused(saved):
    sound = saved.read_bytes()
    for content in (*(sound[:n] for n in range(0, len(sound), 7)), sound + b" ", sound + sound):
        saved.write_bytes(content)
        with pytest.raises(ValueError, match="not a complete"):
            read_safetensors(saved)


def test_a_lack_of_memory_is_not_reported_as_damage(saved, monkeypatch):
    def full(data):
        raise MemoryError

    monkeypatch.setattr("safetensors.torch.load", full)
    with pytest.raises(MemoryError):
        read_safetensors(saved)


def test_the_checksum_counts_everything_and_not_the_order():
    metadata = {"a": "1", "b": "2"}
    one = checksum_of(TENSORS, metadata)
    assert checksum_of(dict(reversed(TENSORS.items())), {"b": "2", CHECKSUM: "any", "a": "1"}) == one
    others = [
        checksum_of({**TENSORS, "step": torch.tensor(4.0)}, metadata),
        checksum_of({**TENSORS, "weight": TENSORS["weight"].reshape(3, 2)}, metadata),
        checksum_of({**TENSORS, "weight": TENSORS["weight"].view(torch.int32)}, metadata),
        checksum_of({name + "s": tensor for name, tensor in TENSORS.items()}, metadata),
        checksum_of(TENSORS, {"a": "2", "b": "1"}),
        checksum_of(TENSORS, {"a": "1"}),
    ]
    assert len({one, *others}) == 7


def test_files_of_an_earlier_version_are_read_with_a_warning(tmp_path):
    path = tmp_path / "old.safetensors"
    save_file({"a": torch.ones(2)}, path, {"format": "some-1"})
    with pytest.warns(UserWarning, match=r"old\.safetensors' was saved by an earlier version .*save it again"):
        assert has_format(path, read_safetensors(path)[1], "some-2", "some-1")
    assert not has_format(path, {"format": "else"}, "some-2", "some-1")


# -- folders --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUNDLED_MODELS)
def test_bundled_models_are_sealed(name):
    check_sealed_folder(BUNDLED_MODELS[name])


def test_sealing_changes_no_tensor(tmp_path):
    save_file(TENSORS, tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    seal_folder(tmp_path)
    check_sealed_folder(tmp_path)
    tensors, metadata = read_safetensors(tmp_path / "model.safetensors")
    assert metadata["format"] == "pt"
    assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())
    seal_folder(tmp_path)  # again, after a change
    check_sealed_folder(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "card.json"])
def test_a_byte_that_changes_in_a_sealed_folder_names_its_file(name, tmp_path):
    folder = shutil.copytree(BUNDLED_MODELS["skicl-tiny"], tmp_path / "tiny")
    sound = (folder / name).read_bytes()
    for i in range(1, len(sound) - 1, max(1, len(sound) // 40)):
        if sound[i : i + 1].isspace():
            continue
        (folder / name).write_bytes(sound[:i] + bytes([sound[i] ^ 2]) + sound[i + 1 :])
        with pytest.raises(ValueError, match=rf"{name}' is missing or damaged.*Install skicl again"):
            check_sealed_folder(folder)
    (folder / name).write_bytes(sound.replace(b"\n", b"\r\n"))
    check_sealed_folder(folder)  # git may write ends of lines in another way
    (folder / name).unlink()
    with pytest.raises(ValueError, match=rf"{name}' is missing or damaged"):
        check_sealed_folder(folder)


def test_damaged_weights_in_a_sealed_folder_are_refused(tmp_path):
    folder = shutil.copytree(BUNDLED_MODELS["skicl-tiny"], tmp_path / "tiny")
    weights = folder / "model.safetensors"
    sound = weights.read_bytes()
    for i in (3, 20, 200, len(sound) // 2, len(sound) - 1):
        weights.write_bytes(sound[:i] + bytes([sound[i] ^ 2]) + sound[i + 1 :])
        with pytest.raises(ValueError, match=r"model\.safetensors' is .*Install skicl again"):
            check_sealed_folder(folder)
    save_file(read_safetensors(BUNDLED_MODELS["skicl-tiny"] / "model.safetensors")[0], weights, {"format": "pt"})
    with pytest.raises(ValueError, match="its header lacks checksums"):
        check_sealed_folder(folder)
    weights.unlink()
    with pytest.raises(ValueError, match="is missing"):
        check_sealed_folder(folder)
