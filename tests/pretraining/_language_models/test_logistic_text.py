"""Logistic tasks in words, and fine-tuning a tiny language model on them."""

import random

import numpy as np
import pytest
import torch

from skicl.pretraining import EpisodeSchedule, LogisticTextPrior, tiny_language_model, train_on_logistic_texts
from skicl.pretraining._language_models._language_model import answer_loss, episode_tokens

SMALL = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 96}
SCHEDULE = EpisodeSchedule(steps=3, tokens=256, lengths=(128,), parts=(1.0,), warmup=1)


def read(episode, n_features, absent="null"):
    """Signs (n, n_features) and labels (n,) back from the text."""
    examples = [part.split(" : ") for part in episode.text.removesuffix(" , ").split(" , ")]
    signs = np.array([[1 if word != absent else -1 for word in question.split()] for question, _ in examples])
    assert signs.shape == (len(examples), n_features)
    return signs, np.array([episode.words.index(answer) for _, answer in examples])


def test_an_episode_can_be_read_back():
    episode = LogisticTextPrior(n_features=5).sample(random.Random(0), n_examples=20)
    _, labels = read(episode, 5)
    assert labels.tolist() == episode.codes
    assert [episode.text[a:b] for a, b in episode.answers] == [f" {episode.words[code]}" for code in episode.codes]
    assert len(LogisticTextPrior().sample(random.Random(0), n_characters=3000).text) >= 3000


def test_labels_are_a_linear_rule_with_the_noise_that_alpha_says():
    agreement = {}
    for alpha in (0.2, 10.0):
        right = []
        for seed in range(10):
            prior = LogisticTextPrior(n_features=8, alpha=alpha)
            signs, labels = read(prior.sample(random.Random(seed), n_examples=400), 8)
            weights = np.linalg.lstsq(signs, 2.0 * labels - 1, rcond=None)[0]
            right.append(((signs @ weights > 0) == (labels == 1)).mean())
        agreement[alpha] = np.mean(right)
    assert agreement[10.0] > 0.93
    assert 0.55 < agreement[0.2] < 0.75


def test_same_seed_same_episode_and_words_change_only_if_asked():
    first, again = (LogisticTextPrior().sample(random.Random(3)) for _ in range(2))
    assert first == again
    fixed, drawn = (
        {word for seed in range(5) for word in prior.sample(random.Random(seed)).text.split()}
        for prior in (LogisticTextPrior(), LogisticTextPrior(shuffled=True))
    )
    assert len(fixed) == 16 + 5  # with null, positive, negative, colon and comma
    assert len(drawn) > 25


def test_embeddings_stay_and_everything_else_learns():
    network, tokenizer = tiny_language_model(**SMALL)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    run = train_on_logistic_texts(network, tokenizer, schedule=SCHEDULE)
    assert run.step == 3
    shared = {id(p) for m in (network.get_input_embeddings(), network.get_output_embeddings()) for p in m.parameters()}
    for name, parameter in network.named_parameters():
        assert parameter.requires_grad
        assert torch.equal(parameter, before[name]) == (id(parameter) in shared), name
    train_on_logistic_texts(network, tokenizer, schedule=SCHEDULE, freeze_embeddings=False)
    assert not torch.equal(network.get_input_embeddings().weight, before[next(iter(before))])


def test_an_error_leaves_no_parameter_frozen():
    network, _ = tiny_language_model(**SMALL)
    with pytest.raises(TypeError, match="`tokenizer`"):
        train_on_logistic_texts(network, object(), schedule=SCHEDULE)
    assert all(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"n_features": 0}, "n_features"),
        ({"n_features": 33}, "n_features"),
        ({"labels": ("a", "a")}, "labels"),
        ({"labels": ("a",)}, "labels"),
    ],
)
def test_unusable_parameters_are_refused(options, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        LogisticTextPrior(**options)


@pytest.mark.slow
def test_fine_tuning_lowers_the_loss_of_labels():
    network, tokenizer = tiny_language_model(**SMALL)
    prior = LogisticTextPrior(n_features=2)

    def loss():
        episodes = [prior.sample(random.Random(f"held out {i}"), n_characters=800) for i in range(20)]
        with torch.no_grad():
            return answer_loss(network, *episode_tokens(episodes, tokenizer, 200)).item()

    before = loss()
    schedule = EpisodeSchedule(steps=60, tokens=1024, lengths=(128,), parts=(1.0,), learning_rate=5e-3, warmup=5)
    train_on_logistic_texts(network, tokenizer, prior, schedule=schedule, freeze_embeddings=False)
    assert loss() < before - 1.0
