"""The tiny language model: before its training, and the one that comes with the package."""

import random
from pathlib import Path

import pytest
import torch

import skicl
from skicl.pretraining import EpisodePrior, tiny_language_model
from skicl.pretraining._language_models._language_model import answer_loss, episode_tokens
from skicl.pretraining._language_models._rules import HELD_OUT_FAMILIES
from skicl.pretraining._language_models._tiny_model import lexicon_tokenizer

SMALL = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_tokenizer_writes_any_text_back():
    tokenizer = lexicon_tokenizer()
    for text in ("the dog is here", "  two  spaces\n\nand lines\t", "12*(3+4)=84", "naïve ∑ 日本", ""):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert len(tokenizer.tokenize(" dog tea late")) == 3


def test_same_seed_same_weights():
    first, second = tiny_language_model(seed=3, **SMALL)[0], tiny_language_model(seed=3, **SMALL)[0]
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(tiny_language_model(seed=4, **SMALL)[0]))


def test_the_second_layer_looks_for_what_followed_the_same_word():
    """Behind a word, an induction head prefers the place behind that word in the context to all others."""
    network, tokenizer = tiny_language_model()
    network.set_attn_implementation("eager")
    words = "cup = a\n dog = yes\n tea = no\n car = good\n rain = bad\n tea ="
    ids = tokenizer(f" {words}")["input_ids"]
    tokens = tokenizer.convert_ids_to_tokens(ids)
    with torch.no_grad():
        second = network(torch.tensor([ids]), output_attentions=True).attentions[1][0]
    answers = [tokens.index(f"Ġ{word}") for word in ("yes", "no", "good", "bad")]
    attention = second[0, -1, answers]  # of the head that compares one place before with two places before
    assert attention.argmax() == 1
    assert attention[1] > 3 * attention[[0, 2, 3]].max()


def test_first_layer_brings_the_tokens_before():
    network, tokenizer = tiny_language_model()
    network.set_attn_implementation("eager")
    ids = torch.tensor([tokenizer("the dog saw a cat near the old table and the lamp")["input_ids"]])
    with torch.no_grad():
        first = network(ids, output_attentions=True).attentions[0][0]
    for head in range(4):
        assert first[head, 9, 8 - head] > 0.9


@pytest.mark.parametrize("name", ["num_hidden_layers", "num_attention_heads"])
def test_induction_heads_need_two_layers_and_two_heads(name):
    with pytest.raises(ValueError, match="`induction` needs two layers and two heads"):
        tiny_language_model(**{**SMALL, name: 1})
    assert getattr(tiny_language_model(induction=False, **{**SMALL, name: 1})[0].config, name) == 1


def test_the_start_keeps_the_loss_finite():
    network, tokenizer = tiny_language_model(**SMALL)
    ids, targets = episode_tokens([EpisodePrior().sample(random.Random(0))], tokenizer, 64)
    assert torch.isfinite(answer_loss(network, ids, targets))


@pytest.fixture(scope="module")
def bundled():
    """The trained model that comes with the package."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = Path(skicl.__file__).parent / "_models" / "weights" / "skicl-tiny"
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)


def share_right(bundled, families, n_examples, n_episodes=100, **parameters):
    """How often the likelier of two label words is the right one after so many examples."""
    network, tokenizer = bundled
    prior = EpisodePrior(families=families, max_classes=2, balanced=1.0, **parameters)
    right = 0
    for seed in range(n_episodes):
        episode = prior.sample(random.Random(seed), n_examples=n_examples + 1)
        start, _ = episode.answers[-1]
        first = [tokenizer(f" {word}")["input_ids"][0] for word in episode.words]
        with torch.no_grad():
            logits = network(torch.tensor([tokenizer(episode.text[:start])["input_ids"]])).logits[0, -1]
        right += logits[first].argmax().item() == episode.codes[-1]
    return right / n_episodes


def test_bundled_model_has_the_tokenizer_of_its_start(bundled):
    network, tokenizer = bundled
    start, words = tiny_language_model()
    assert tokenizer.get_vocab() == words.get_vocab()
    assert {name: p.shape for name, p in network.named_parameters()} == {
        name: p.shape for name, p in start.named_parameters()
    }


def test_bundled_model_learns_held_out_rules_in_context(bundled):
    """Half of the answers without an example, many more with 24; half again when the labels say nothing."""
    families = tuple(family.__name__ for family in HELD_OUT_FAMILIES)
    assert abs(share_right(bundled, families, 0, meaningful=0.0) - 0.5) < 0.15
    assert share_right(bundled, families, 24, meaningful=0.0) > 0.6
    assert abs(share_right(bundled, families, 24, meaningful=0.0, scrambled=True) - 0.5) < 0.15


def test_bundled_model_knows_names_of_categories(bundled):
    assert share_right(bundled, ("topic",), 0, meaningful=1.0, default_layout=1.0) > 0.7
