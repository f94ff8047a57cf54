"""Labelled texts of one's own as episodes."""

import random

import pandas as pd
import pytest

from skicl.pretraining import EpisodeSchedule, LabelledTexts, tiny_language_model, train_language_model
from skicl.prompting import PromptTemplate

TEXTS, LABELS = ["a great lemon", "a poor dog", "it is fine", "not nice"], ["good", "bad", "good", "bad"]


def test_episodes_hold_different_texts_with_their_labels():
    prior = LabelledTexts(TEXTS, LABELS, n_examples=4)
    episode = prior.sample(random.Random(0))
    assert sorted(episode.text.split("\n\n")[:-1]) == sorted(f"Text: {x}\nLabel: {y}" for x, y in zip(TEXTS, LABELS))
    found = [episode.text[start:end] for start, end in episode.answers]
    assert found == [f" {episode.words[code]}" for code in episode.codes]
    assert episode.words == ["bad", "good"]
    assert prior.sample(random.Random(0)) == episode != prior.sample(random.Random(1))


def test_every_text_is_drawn_equally_often():
    prior, rng = LabelledTexts(pd.Series(TEXTS, index=[3, 3, 5, 7]), pd.Series(LABELS)), random.Random(0)
    drawn = [prior.sample(rng).text for _ in range(400)]
    assert all(60 < sum(text in episode for episode in drawn) < 140 for text in TEXTS)


def test_the_layout_is_that_of_prompts():
    prompt = PromptTemplate().render([({"text": TEXTS[1]}, LABELS[1])], {"text": TEXTS[0]})
    episode = LabelledTexts(TEXTS[1:2], LABELS[1:2]).sample(random.Random(0))
    assert prompt.startswith(episode.text)


def test_a_language_model_learns_them():
    network, tokenizer = tiny_language_model(hidden_size=48, num_hidden_layers=2, num_attention_heads=2)
    schedule = EpisodeSchedule(steps=100, tokens=128, lengths=(32,), parts=(1.0,), learning_rate=5e-3, warmup=1)
    run = train_language_model(network, tokenizer, LabelledTexts(TEXTS[:2], LABELS[:2]), schedule=schedule)
    assert run.loss < 0.1


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((TEXTS, LABELS[:3]), ValueError, "`labels` must be as many as `texts`, got 3 and 4"),
        ((TEXTS, [0, 1, 0, 1]), TypeError, "`labels`"),
        ((TEXTS, LABELS, 0), ValueError, "`n_examples` must be an integer from 1 to 4"),
        ((TEXTS, LABELS, 5), ValueError, "`n_examples` must be an integer from 1 to 4"),
    ],
)
def test_unusable_parameters_are_refused(arguments, error, match):
    with pytest.raises(error, match=match):
        LabelledTexts(*arguments)
