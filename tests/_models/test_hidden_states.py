"""Where the states between layers pass in a network, and their vectors from an ordinary forward pass."""

import copy
import threading

import numpy as np
import pytest
import torch
from encoders.tiny_language_models import CAUSAL, FAMILIES, FEATURES, make_network, make_tokenizer
from encoders.tiny_sentence_models import DENSE_FEATURES, POOLINGS, modules, save_sentence_model

from skicl._models._hidden_states import POOLED_LAYERS, HiddenLayers, hidden_layers, watched
from skicl._models._in_memory import LoadedModel

TEXTS = ["where is my card", "x", "refund please, no refund came yet", "cannot log in"]


def load(folder):
    from sentence_transformers import SentenceTransformer

    return LoadedModel(SentenceTransformer(folder, device="cpu", local_files_only=True).eval())


def pooled_layers(loaded, texts=TEXTS, numbers=None, **options):
    """Pooled layers of each text, (n_texts, n_layers, n_features), by one call of ``encode``."""
    found = hidden_layers(loaded)
    numbers = range(found.n_layers + 1) if numbers is None else numbers
    with watched(loaded.model, found, numbers) as widths:
        outputs = loaded.model.encode(texts, output_value=None, batch_size=64, **options)
    assert len(set(widths)) == 1
    return np.stack([one[POOLED_LAYERS].numpy().reshape(len(numbers), -1) for one in outputs])


def by_hand(states, pooling):
    """The vector of one text without padding, from its states (T, D)."""
    if pooling == "max":
        return states.max(dim=0).values
    weights = {
        "mean": torch.ones(len(states)),
        "weightedmean": torch.arange(1.0, len(states) + 1),
        "lasttoken": torch.eye(len(states))[-1],
        "cls": torch.eye(len(states))[0],
    }[pooling]
    return weights @ states / weights.sum()


def states_of(network, text, family):
    """All hidden states of one text as transformers lists them, and its tokens."""
    tokens = make_tokenizer(family)(text, return_tensors="pt")
    with torch.inference_mode():
        output = network(input_ids=tokens["input_ids"], output_hidden_states=True)
    return [*(state[0] for state in output.hidden_states[:-1]), output.last_hidden_state[0]]


@pytest.mark.parametrize("family", FAMILIES)
def test_pooled_layers_are_those_of_each_text_alone(family, tmp_path):
    """Decoders are padded on the left and read by their last token; the vector of the model ends in a smaller one."""
    pooling, padding = ("lasttoken", "left") if family in CAUSAL else ("mean", "right")
    loaded = load(save_sentence_model(family, tmp_path, pooling, after=("dense", "normalize"), padding=padding))
    found, vectors = hidden_layers(loaded), pooled_layers(loaded)
    assert found.n_layers == 2
    assert found.widths == (FEATURES,) * 3
    assert loaded.model.encode(["a"]).shape == (1, DENSE_FEATURES)
    for text, vector in zip(TEXTS, vectors):
        expected = [by_hand(states, pooling) for states in states_of(make_network(family), text, family)]
        np.testing.assert_allclose(vector, torch.stack(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_layers_are_pooled_as_the_model_pools_its_last(pooling, tmp_path):
    loaded = load(save_sentence_model("bert", tmp_path, pooling))
    for text, vector in zip(TEXTS, pooled_layers(loaded)):
        expected = [by_hand(states, pooling) for states in states_of(make_network("bert"), text, "bert")]
        np.testing.assert_allclose(vector, torch.stack(expected), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(pooled_layers(loaded)[:, -1], loaded.model.encode(TEXTS), rtol=1e-4, atol=1e-5)


def test_a_prompt_counts_as_in_the_pooling(tmp_path):
    loaded = load(save_sentence_model("gpt2", tmp_path, "mean", include_prompt=False))
    prompt = "Sentence:"
    n_before = len(make_tokenizer("gpt2")(prompt)["input_ids"])
    for text, vector in zip(TEXTS, pooled_layers(loaded, prompt=prompt)):
        for states, layer in zip(states_of(make_network("gpt2"), prompt + text, "gpt2"), vector):
            np.testing.assert_allclose(layer, states[n_before:].mean(dim=0), rtol=1e-4, atol=1e-4)
    own = loaded.model.encode(TEXTS, prompt=prompt)
    np.testing.assert_allclose(pooled_layers(loaded, prompt=prompt)[:, -1], own, rtol=1e-4, atol=1e-5)


def test_without_a_pooling_of_its_own_a_layer_is_the_mean_of_its_tokens(tmp_path):
    class Weighted(torch.nn.Module):
        """Has weights, which were trained for the last layer."""

        def __init__(self):
            super().__init__()
            self.query = torch.nn.Parameter(torch.ones(FEATURES))

        def forward(self, features):
            states = features["token_embeddings"]
            scores = (states @ self.query).masked_fill(features["attention_mask"] == 0, -torch.inf)
            return {**features, "sentence_embedding": (scores.softmax(1)[..., None] * states).sum(1)}

    loaded = load(save_sentence_model("bert", tmp_path))
    loaded.model[1] = Weighted()
    for text, vector in zip(TEXTS, pooled_layers(loaded)):
        expected = [states.mean(dim=0) for states in states_of(make_network("bert"), text, "bert")]
        np.testing.assert_allclose(vector, torch.stack(expected), rtol=1e-4, atol=1e-4)


def test_one_module_may_be_several_layers(tmp_path):
    from transformers import AlbertConfig, AlbertModel

    network = AlbertModel(
        AlbertConfig(
            vocab_size=len(make_tokenizer("bert")),
            embedding_size=8,
            hidden_size=FEATURES,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=48,
        )
    ).eval()
    loaded = load(save_sentence_model("bert", tmp_path, network=network))
    found = hidden_layers(loaded)
    assert found.n_layers == 3
    assert len({place.module for place in found.places[1:]}) < 3
    for text, vector in zip(TEXTS, pooled_layers(loaded)):
        expected = [states.mean(dim=0) for states in states_of(network, text, "bert")]
        np.testing.assert_allclose(vector, torch.stack(expected), rtol=1e-4, atol=1e-4)


def test_half_precision_is_pooled_in_float32(tmp_path):
    loaded = load(save_sentence_model("bert", tmp_path))
    expected = pooled_layers(loaded)
    loaded.model.to(torch.bfloat16)
    vectors = pooled_layers(loaded)
    assert vectors.dtype == np.float32
    cosines = (vectors * expected).sum(2) / np.linalg.norm(vectors, axis=2) / np.linalg.norm(expected, axis=2)
    assert cosines.min() > 0.999


def hooks_of(network):
    return [
        (name, kind, len(getattr(module, kind)))
        for name, module in network.named_modules()
        for kind in ("_forward_hooks", "_forward_pre_hooks")
    ]


def test_nothing_stays_at_the_network(tmp_path):
    loaded = load(save_sentence_model("bert", tmp_path))
    before, printed = hooks_of(loaded.model), repr(loaded.model)
    config = loaded.model.transformers_model.config.to_dict()
    pooled_layers(loaded)
    with pytest.raises(ZeroDivisionError), watched(loaded.model, hidden_layers(loaded), [1]):
        raise ZeroDivisionError
    assert hooks_of(loaded.model) == before
    assert repr(loaded.model) == printed
    assert loaded.model.transformers_model.config.to_dict() == config
    copy.deepcopy(loaded.model)
    assert POOLED_LAYERS not in loaded.model.encode(TEXTS, output_value=None)[0]


def test_passes_of_other_threads_are_not_seen(tmp_path):
    loaded = load(save_sentence_model("bert", tmp_path))
    found, expected = hidden_layers(loaded), pooled_layers(loaded, TEXTS[:2], [1])
    other_texts, others = ["something else"] * 7, []

    def others_come_first(*_):
        handle.remove()
        thread = threading.Thread(target=lambda: others.extend(loaded.model.encode(other_texts, output_value=None)))
        thread.start()
        thread.join(60)

    with watched(loaded.model, found, [1]):
        *_, last = loaded.model.children()
        handle = last.register_forward_pre_hook(others_come_first)
        outputs = loaded.model.encode(TEXTS[:2], output_value=None)
    assert len(others) == 7
    assert POOLED_LAYERS not in others[0]
    np.testing.assert_allclose(np.stack([one[POOLED_LAYERS] for one in outputs])[:, None], expected, rtol=1e-5)


def test_the_trial_is_made_once_for_the_modules_of_a_model(tmp_path, monkeypatch):
    from skicl._models import _hidden_states

    trials, original = [], _hidden_states._find
    monkeypatch.setattr(_hidden_states, "_find", lambda network: trials.append(network) or original(network))
    loaded = load(save_sentence_model("bert", tmp_path))
    for _ in range(3):
        assert hidden_layers(loaded).widths == (FEATURES,) * 3
    assert len(trials) == 1
    loaded.live = True  # others may put modules in
    hidden_layers(loaded)
    assert len(trials) == 1
    loaded.model[1] = modules().Pooling(FEATURES, "cls")
    hidden_layers(loaded)
    assert len(trials) == 2


def test_models_without_layers_say_why(tmp_path, monkeypatch):
    from sentence_transformers import SentenceTransformer

    words = SentenceTransformer(modules=[modules().StaticEmbedding(make_tokenizer("bert"), embedding_dim=4)])
    assert hidden_layers(LoadedModel(words)) == HiddenLayers(reason="it holds no network of transformers in PyTorch")
    loaded = load(save_sentence_model("bert", tmp_path))
    inner = type(loaded.model.transformers_model)
    original = inner.forward

    def others_states(self, *args, **options):
        output = original(self, *args, **options)
        if output.hidden_states is not None:
            output.hidden_states = tuple(states + 0 for states in output.hidden_states)
        return output

    monkeypatch.setattr(inner, "forward", others_states)
    found = hidden_layers(loaded)
    assert found.n_layers == 0
    assert found.reason.startswith("a trial found no states between its layers (no module gives or gets those of layer")


def test_a_lack_of_memory_in_the_trial_is_an_error(tmp_path, monkeypatch):
    loaded = load(save_sentence_model("bert", tmp_path))

    def no_memory(self, *args, **options):
        raise MemoryError

    monkeypatch.setattr(type(loaded.model.transformers_model), "forward", no_memory)
    with pytest.raises(MemoryError):
        hidden_layers(loaded)
    monkeypatch.undo()
    assert hidden_layers(loaded).n_layers == 2
