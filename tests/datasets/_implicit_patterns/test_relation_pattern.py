"""Reachability: the same lines whatever the answer, and nothing but the place of Z's line tells it."""

from collections import Counter

import numpy as np
import pytest

from skicl.datasets._implicit_patterns._draws import Draws
from skicl.datasets._implicit_patterns._relation_pattern import CHAINS, RELATION

VARIANTS = ["pattern", "conflict", "neutral"]


def items_of(variant, n_items=1000, difficulty=2):
    draws = Draws(1)
    return [RELATION.make(draws, variant, i % 2, 2, difficulty) for i in range(n_items)]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("difficulty", CHAINS)
def test_every_item_has_the_same_cities_and_lines(variant, difficulty):
    for item in items_of(variant, 100, difficulty):
        cities = Counter(city for edge in item.features["edges"] for city in edge)
        assert cities["A"] == cities["Z"] == 1
        assert len(cities) == 2 * CHAINS[difficulty] + 2
        assert len(item.features["edges"]) == 2 * CHAINS[difficulty]


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_and_z_never_hang_on_one_city(variant):
    for item in items_of(variant):
        beside = {end: set(*[edge for edge in item.features["edges"] if end in edge]) - {end} for end in "AZ"}
        assert not beside["A"] & beside["Z"]


def test_the_line_with_z_is_last_first_or_between():
    places = {
        v: Counter((item.features["place_of_end"], i % 2) for i, item in enumerate(items_of(v))) for v in VARIANTS
    }
    assert set(places["pattern"]) == {(7, 1), (0, 0)}
    assert set(places["conflict"]) == {(7, 0), (0, 1)}
    assert {place for place, _ in places["neutral"]} == set(range(1, 7))


def test_the_line_with_a_stands_anywhere():
    places = [next(i for i, edge in enumerate(item.features["edges"]) if "A" in edge) for item in items_of("pattern")]
    true, false = np.array(places[1::2]), np.array(places[::2]) - 1  # without the line of Z
    assert abs(true.mean() - false.mean()) < 0.5
    assert set(true) == set(false) == set(range(7))


def test_directions_of_writing_are_random():
    first = [edge[0] == "Z" for item in items_of("conflict") for edge in item.features["edges"] if "Z" in edge]
    assert abs(np.mean(first) - 0.5) < 0.06
