"""Episodes: answers stand where they are said to stand, shares and layouts are as asked."""

import random
from collections import Counter

import pytest

from skicl.pretraining import EpisodePrior
from skicl.pretraining._language_models._episodes import FAMILIES, training_words


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_answers_stand_where_they_are_said_to_stand(family):
    prior = EpisodePrior(families=(family,))
    for seed in range(10):
        episode = prior.sample(random.Random(seed), n_examples=6)
        assert len(episode.codes) == len(episode.answers) == 6
        assert len(set(episode.words)) == len(episode.words)
        for code, (start, end) in zip(episode.codes, episode.answers):
            assert episode.text[start:end] == f" {episode.words[code]}"


def test_an_episode_is_as_long_as_asked():
    for seed in range(20):
        assert 500 <= len(EpisodePrior().sample(random.Random(seed), n_characters=500).text) < 800


def test_same_seed_same_episode():
    assert EpisodePrior().sample(random.Random(3)) == EpisodePrior().sample(random.Random(3))


def test_scrambled_labels_say_nothing_about_the_text():
    def agreement(scrambled):
        prior = EpisodePrior(families=("lookup",), max_classes=2, scrambled=scrambled, balanced=1.0, default_layout=1.0)
        shares = []
        for seed in range(40):
            episode = prior.sample(random.Random(seed), n_examples=60)
            pairs = [part.split("\nLabel: ") for part in episode.text.strip().split("\n\n")]
            by_text = {}
            for text, label in pairs:
                by_text.setdefault(text, []).append(label)
            shares.append(sum(max(Counter(labels).values()) for labels in by_text.values()) / len(pairs))
        return sum(shares) / len(shares)

    assert agreement(scrambled=False) == 1.0
    assert agreement(scrambled=True) < 0.75


def test_balanced_classes_are_equally_frequent():
    counts = Counter()
    for seed in range(50):
        counts.update(
            EpisodePrior(families=("keyword",), max_classes=2, balanced=1.0)
            .sample(random.Random(seed), n_examples=40)
            .codes
        )
    assert abs(counts[0] - counts[1]) < 0.1 * sum(counts.values())


def test_unknown_families_are_refused():
    with pytest.raises(ValueError, match="`families` must be names out of topic"):
        EpisodePrior(families=("topics",))


@pytest.mark.parametrize(("name", "value"), [("max_classes", 1), ("max_classes", 6), ("plain", 1.5), ("balanced", -1)])
def test_values_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be .* got {value}"):
        EpisodePrior(**{name: value})


def test_the_most_classes_work_in_every_family():
    for family in FAMILIES:
        for seed in range(10):
            episode = EpisodePrior(families=(family,), max_classes=5).sample(random.Random(seed), n_examples=2)
            assert 2 <= len(episode.words) <= 5


def test_words_for_the_tokenizer_hold_every_category():
    words = set(training_words())
    assert {" dog", " animal", " the", "Label", " =>"} <= words
