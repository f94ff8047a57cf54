"""Draws: ranges, uniformity, independence of purposes, one stream for each seed."""

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from skicl.datasets._implicit_patterns._draws import Draws


def test_integers_are_uniform_over_the_whole_range():
    draws = Draws(0)
    counts = Counter(draws.integer(-3, 4) for _ in range(20_000))
    assert sorted(counts) == list(range(-3, 5))
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_a_range_of_one():
    assert {Draws(0).integer(5, 5) for _ in range(10)} == {5}


@pytest.mark.parametrize("value", [0, 2, 4])
def test_other_never_is_the_value(value):
    draws = Draws(1)
    counts = Counter(draws.other(value, 5) for _ in range(8000))
    assert sorted(counts) == sorted(set(range(5)) - {value})
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_choices_and_coins_are_fair():
    draws = Draws(2)
    assert chisquare(list(Counter(draws.choice("abc") for _ in range(9000)).values())).pvalue > 1e-3
    assert abs(np.mean([draws.coin() for _ in range(10_000)]) - 0.5) < 0.02


def test_all_orders_are_equally_probable():
    draws = Draws(3)
    counts = Counter(tuple(draws.shuffled("abcd")) for _ in range(24_000))
    assert len(counts) == 24
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_shuffled_leaves_the_items_alone():
    items = [1, 2, 3]
    assert sorted(Draws(0).shuffled(items)) == items == [1, 2, 3]


def stream(*arguments):
    draws = Draws(*arguments)
    return [draws.integer(0, 999) for _ in range(50)]


def test_equal_seeds_equal_numbers_unless_for_another_purpose():
    assert stream(5, 1, 2) == stream(5, 1, 2)
    assert len({tuple(stream(*arguments)) for arguments in [(5, 1, 2), (5, 1, 3), (5, 2, 2), (6, 1, 2), (5,)]}) == 5


def test_a_random_state_instance_is_drawn_from():
    random_state = np.random.RandomState(0)
    assert stream(random_state) != stream(random_state)
