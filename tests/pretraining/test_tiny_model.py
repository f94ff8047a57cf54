"""The tiny language model before its training."""

import random

import pytest
import torch

from skicl.pretraining import EpisodePrior, tiny_language_model
from skicl.pretraining._language_model import answer_loss, episode_tokens
from skicl.pretraining._tiny_model import lexicon_tokenizer

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
    attention = second[0, -1, answers]          # of the head that compares one place before with two places before
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
