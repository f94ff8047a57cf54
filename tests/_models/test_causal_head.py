import json
import shutil
from pathlib import Path

import pytest
import torch
from prompting.tiny_causal_models import FAMILIES, network_of, pair_of, save_pair
from safetensors.torch import load_file, save_file

from skicl._models import _causal_head
from skicl._models._causal_head import load_causal_model, put_head_on
from skicl._models._language_model import load_language_model
from skicl.encoders import LanguageModelEncoder, LiveModel, clear_model_cache

CPU = torch.device("cpu")
IDS = torch.tensor([[5, 6, 7, 8]])


def logits_of(network):
    with torch.inference_mode():
        return network(IDS).logits


@pytest.fixture(autouse=True)
def empty_cache():
    clear_model_cache()
    yield
    clear_model_cache()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_loaded_model_computes_what_was_saved(family, tmp_path):
    folder = save_pair(family, tmp_path / family)
    loaded = load_causal_model(folder, None, CPU, None)
    torch.testing.assert_close(logits_of(loaded.model.whole), logits_of(network_of(family)))
    assert loaded.model.whole.base_model is loaded.model.network
    assert not loaded.model.whole.training


def test_body_and_head_are_in_memory_once(tmp_path, monkeypatch):
    folder = save_pair("gpt_neox", tmp_path / "model")
    encoder = LanguageModelEncoder(folder, device="cpu").fit(["a text"])
    read = []
    import safetensors.torch

    original = safetensors.torch.load_file
    monkeypatch.setattr("safetensors.torch.load_file", lambda *a, **k: read.append(a) or original(*a, **k))
    loaded = load_causal_model(folder, None, CPU, None)
    assert loaded is load_language_model(folder, None, CPU, None) is encoder._load(CPU)
    again = load_causal_model(folder, None, CPU, None)
    assert again.model.whole is loaded.model.whole
    body = {id(parameter) for parameter in loaded.model.network.parameters()}
    head = [p for p in loaded.model.whole.parameters() if id(p) not in body]
    assert [tuple(p.shape) for p in head] == [(loaded.model.whole.config.vocab_size, 32)]
    assert not read, "no file was read as a whole"


def test_tied_heads_are_the_embeddings(tmp_path):
    folder = save_pair("gpt2", tmp_path / "model")
    whole = load_causal_model(folder, None, CPU, None).model.whole
    assert whole.get_output_embeddings().weight is whole.get_input_embeddings().weight


def test_weights_in_several_files(tmp_path):
    network, tokenizer = pair_of("llama")
    network.save_pretrained(tmp_path, max_shard_size="20KB")
    tokenizer.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors.index.json").is_file()
    whole = load_causal_model(str(tmp_path), None, CPU, None).model.whole
    torch.testing.assert_close(logits_of(whole), logits_of(network))


def test_weights_that_are_not_found_one_by_one(tmp_path):
    """Such as those under other names or in another format: then the whole model is read, and its body dropped."""
    folder = tmp_path / "model"
    save_pair("gpt_neox", folder)
    body = load_language_model(str(folder), None, CPU, None).model.network
    (folder / "model.safetensors").rename(folder / "weights.safetensors")
    names = network_of("gpt_neox").state_dict()
    for listed in (list(names), [name for name in names if not name.startswith("embed_out")]):
        place = {"metadata": {}, "weight_map": dict.fromkeys(listed, "weights.safetensors")}
        (folder / "model.safetensors.index.json").write_text(json.dumps(place), encoding="utf-8")
        whole = put_head_on(body, folder, "model")
        torch.testing.assert_close(logits_of(whole), logits_of(network_of("gpt_neox")))
        assert whole.base_model is body


def test_live_models_keep_their_head():
    pair = pair_of("llama")
    handle = LiveModel(pair)
    LanguageModelEncoder(handle).fit(["a text"])
    loaded = load_causal_model(handle, None, CPU, None, stay=True)
    assert loaded.model.whole is pair[0]


def test_the_head_follows_the_body(monkeypatch):
    network, tokenizer = pair_of("llama")
    network.lm_head.to("meta")  # the only other device that every machine has
    moved = []
    monkeypatch.setattr(network, "to", lambda device: moved.append(device))
    load_causal_model(LiveModel((network, tokenizer)), None, CPU, None, stay=True)
    assert moved == [CPU]
    network.hf_device_map = {"lm_head": "meta", "": "cpu"}
    load_causal_model(LiveModel((network, tokenizer)), None, CPU, None, stay=True)
    assert moved == [CPU]


def test_live_models_without_a_head_are_refused():
    network, tokenizer = pair_of("llama")
    with pytest.raises(ValueError, match=r"without a head \(LlamaModel\)"):
        load_causal_model(LiveModel((network.base_model, tokenizer)), None, CPU, None, stay=True)


def test_masked_models_are_refused(tmp_path):
    from encoders.tiny_language_models import save_tiny_model

    folder = save_tiny_model("roberta", tmp_path / "roberta")
    with pytest.raises(ValueError, match=r"masked language model|no causal language model"):
        load_causal_model(folder, None, CPU, None)


def test_the_format_is_that_of_the_body(tmp_path):
    folder = save_pair("gpt_neox", tmp_path / "model")
    whole = load_causal_model(folder, None, CPU, "bfloat16").model.whole
    assert {parameter.dtype for parameter in whole.parameters()} == {torch.bfloat16}


def save_heads(tmp_path):
    """The weights of two models that differ in everything, and a folder that holds the first."""
    folders = [Path(save_pair("llama", tmp_path / f"model{seed}")) for seed in (0, 1)]
    weights = [folder / "model.safetensors" for folder in folders]
    tensors = {name: tensor.flip(0).contiguous() for name, tensor in load_file(weights[0]).items()}
    save_file(tensors, weights[1], {"format": "pt"})
    return weights, shutil.copytree(folders[0], tmp_path / "model")


def test_a_head_does_not_change_with_its_file(tmp_path):
    (_, other), folder = save_heads(tmp_path)
    loaded = load_causal_model(str(folder), None, CPU, None)
    before = logits_of(loaded.model.whole)
    with (folder / "model.safetensors").open("r+b") as file:
        file.write(other.read_bytes())
    assert torch.equal(logits_of(loaded.model.whole), before)
    after = logits_of(load_causal_model(str(folder), None, CPU, None).model.whole)
    assert not torch.allclose(after, before, atol=1e-2)


def test_a_head_is_never_put_on_another_body(tmp_path, monkeypatch):
    """The files change after the body was loaded and before its head is asked for, or while it is read."""
    (first, other), folder = save_heads(tmp_path)
    shutil.copyfile(other, folder / "model.safetensors")
    expected = logits_of(load_causal_model(str(folder), None, CPU, None).model.whole)
    for change in ("before", "while"):
        shutil.copyfile(first, folder / "model.safetensors")
        clear_model_cache()
        LanguageModelEncoder(str(folder), device="cpu").fit(["a text"])  # the body alone
        if change == "before":
            shutil.copyfile(other, folder / "model.safetensors")
        else:
            original = _causal_head.put_head_on

            def put(network, place, name, original=original):
                shutil.copyfile(other, folder / "model.safetensors")
                return original(network, place, name)

            monkeypatch.setattr(_causal_head, "put_head_on", put)
        torch.testing.assert_close(logits_of(load_causal_model(str(folder), None, CPU, None).model.whole), expected)
