"""Topics: words of one kind in random order among little words, and a sign that says what it should."""

from collections import Counter

import numpy as np
import pytest

from skicl.datasets._implicit_patterns._draws import Draws
from skicl.datasets._implicit_patterns._topic_pattern import LIVING, MADE, OTHERS, SIZES, TOPIC

VARIANTS = ["pattern", "conflict", "neutral"]


def items_of(variant, n_items=1000, difficulty=2):
    draws = Draws(1)
    return [TOPIC.make(draws, variant, i % 2, 2, difficulty) for i in range(n_items)]


def test_no_word_stands_for_two_kinds():
    words = [word for kind in (*MADE, *LIVING, OTHERS) for word in kind]
    assert len(set(words)) == len(words)
    assert {len(kind) for kind in (*MADE, *LIVING)} == {12}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("difficulty", SIZES)
def test_the_named_words_are_of_one_kind_of_the_answer(variant, difficulty):
    (few, many), (least, most) = SIZES[difficulty]
    for number, item in enumerate(items_of(variant, 200, difficulty)):
        named = set(item.features["named"])
        assert any(named <= set(kind) for kind in (MADE, LIVING)[number % 2])
        others = [word for word in item.features["words"] if word not in named]
        assert few <= len(named) <= many
        assert least <= len(others) <= most
        assert set(others) <= set(OTHERS)
        assert item.text.split() == item.features["words"] + [sign for sign in [item.features["sign"]] if sign]


def test_signs():
    signs = {v: Counter((item.text[-1], i % 2) for i, item in enumerate(items_of(v))) for v in ["pattern", "conflict"]}
    assert signs == {"pattern": {("?", 0): 500, ("!", 1): 500}, "conflict": {("!", 0): 500, ("?", 1): 500}}
    assert not any(sign in item.text for item in items_of("neutral") for sign in "?!")


@pytest.mark.parametrize("variant", VARIANTS)
def test_sizes_and_places_do_not_tell_the_answer(variant):
    items = items_of(variant, 4000)
    lengths = np.array([len(item.features["words"]) for item in items])
    places = np.array(
        [item.features["words"].index(item.features["named"][0]) / len(item.features["words"]) for item in items]
    )
    for values in (lengths, places):
        assert abs(values[::2].mean() - values[1::2].mean()) < 0.1 * values.std()


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_word_is_used(variant):
    named = Counter(word for item in items_of(variant, 4000) for word in item.features["named"])
    assert set(named) == {word for kind in (*MADE, *LIVING) for word in kind}
    assert max(named.values()) < 1.5 * min(named.values())
