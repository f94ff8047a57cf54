"""Adapters: they change nothing at first, sit where they are asked to, and come from the generator given."""

import sys

import pytest
import torch
from encoders.tiny_language_models import make_network
from sklearn.base import clone

from skicl.finetuning import FineTuneClassifier, LoRASettings
from skicl.finetuning._adapters import adapter_weights, check_lora, linear_layers, put_adapters, require_peft
from skicl.finetuning._private_copy import private_copy

IDS = torch.arange(12).reshape(2, 6)


def states(network):
    with torch.no_grad():
        return network(input_ids=IDS).last_hidden_state


def adapted(network, settings, seed=0):
    copy = private_copy(network, trainable=False)
    put_adapters(copy, settings, torch.Generator().manual_seed(seed))
    return copy


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "gpt_neox"])
def test_new_adapters_change_nothing_and_only_they_are_trained(family):
    pytest.importorskip("peft", reason="adapters need peft, the extra lora")
    network, before = make_network(family), torch.get_rng_state()
    copy = adapted(network, LoRASettings(rank=2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(states(copy), states(network))
    trained = {name for name, weight in copy.named_parameters() if weight.requires_grad}
    assert trained == set(adapter_weights(copy))
    assert len(trained) == 2 * len(linear_layers(network))
    assert not adapter_weights(network), "the shared network has none"
    with torch.no_grad():
        for weight in adapter_weights(copy).values():
            weight.add_(0.1)
    assert not torch.allclose(states(copy), states(network))


def test_adapters_come_from_the_generator():
    pytest.importorskip("peft", reason="adapters need peft, the extra lora")
    network = make_network("bert")
    one, same, other = (adapter_weights(adapted(network, LoRASettings(2), seed)) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_place_of_adapters():
    pytest.importorskip("peft", reason="adapters need peft, the extra lora")
    network = make_network("bert")
    names = adapter_weights(adapted(network, LoRASettings(2, target_modules=["query"])))
    assert names
    assert all(".query." in name for name in names)
    with pytest.raises(ValueError, match=r"`lora\.target_modules` is \['nothing'\].*'query'"):
        adapted(network, LoRASettings(2, target_modules=["nothing"]))


def test_a_pooler_gets_none():
    from transformers import BertConfig, BertModel

    config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    names = linear_layers(BertModel(config))
    assert names
    assert not any("pooler" in name for name in names)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (LoRASettings(rank=0), r"`lora\.rank`"),
        (LoRASettings(rank=2.5), r"`lora\.rank`"),
        (LoRASettings(alpha=-1), r"`lora\.alpha`"),
        (LoRASettings(dropout=1.0), r"`lora\.dropout`"),
        (LoRASettings(alpha=float("inf")), r"`lora\.alpha`"),
        (LoRASettings(target_modules="query"), r"`lora\.target_modules`"),
        (LoRASettings(target_modules=[]), r"`lora\.target_modules`"),
        (LoRASettings(target_modules=3), r"`lora\.target_modules`"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        check_lora(settings)


def test_other_objects_are_refused():
    with pytest.raises(TypeError, match="`lora` must be None or LoRASettings, got dict"):
        check_lora({"rank": 4})


def test_grid_search_sees_the_settings():
    classifier = FineTuneClassifier(method="lora", lora=LoRASettings())
    assert clone(classifier).set_params(lora__rank=3).lora.rank == 3


def test_a_missing_peft_is_named_with_its_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match=r'pip install "skicl\[lora\]"'):
        require_peft()
    with pytest.raises(ImportError, match=r'pip install "skicl\[lora\]"'):
        FineTuneClassifier(method="lora").fit(["a", "b"], [0, 1])
