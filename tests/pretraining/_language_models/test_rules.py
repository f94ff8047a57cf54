"""Rules: a text has one label, classes can be told apart, seeds decide everything."""

import random

import pytest

from skicl.pretraining._language_models._lexicon import read_lexicon
from skicl.pretraining._language_models._rules import HELD_OUT_FAMILIES, TRAINING_FAMILIES, any_word, distinct

ALL = (*TRAINING_FAMILIES, *HELD_OUT_FAMILIES)


@pytest.mark.parametrize("family", ALL, ids=lambda family: family.__name__)
def test_a_text_has_one_label(family):
    for seed in range(20):
        rng = random.Random(seed)
        rule = family(rng, 2)
        label_of = {}
        for _ in range(200):
            code = rng.randrange(rule.n_classes)
            text = rule.draw(rng, code)
            assert text
            assert text.strip() == text
            assert label_of.setdefault(text, code) == code, (family.__name__, text)


@pytest.mark.parametrize("family", ALL, ids=lambda family: family.__name__)
def test_same_seed_same_texts(family):
    def texts(seed):
        rng = random.Random(seed)
        rule = family(rng, 3)
        return [rule.draw(rng, i % rule.n_classes) for i in range(20)]

    assert texts(5) == texts(5)
    assert texts(5) != texts(6)


def test_no_family_is_both_trained_and_held_out():
    assert not set(TRAINING_FAMILIES) & set(HELD_OUT_FAMILIES)
    assert len({family.__name__ for family in ALL}) == len(ALL)


def test_names_mean_the_classes_in_their_order():
    category = {category.names: category.words for category in read_lexicon()}
    for family in TRAINING_FAMILIES[:2]:
        rng = random.Random(0)
        rule = family(rng, 4)
        for code in range(4):
            words = set(rule.draw(rng, code).split())
            assert words & set(category[rule.names[code]])


def test_distinct_gives_different_words():
    words = distinct(random.Random(0), any_word, 50)
    assert len(set(words)) == 50
