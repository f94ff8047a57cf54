"""Snippets: the long function is the same in all variants and matters in some."""

import re
from collections import Counter

import numpy as np
import pytest

from skicl.datasets._implicit_patterns._code_pattern import CODE
from skicl.datasets._implicit_patterns._draws import Draws
from skicl.datasets._implicit_patterns._snippet_interpreter import run_snippet

VARIANTS = ["pattern", "conflict", "neutral"]


def items_of(variant, n_items=600, n_answers=10, difficulty=2):
    draws = Draws(1)
    return [CODE.make(draws, variant, i % n_answers, n_answers, difficulty) for i in range(n_items)]


def result_of_first(item):
    """What the long function returns, by a snippet that prints it."""
    head, _, _ = item.text.partition("def second")
    return int(run_snippet(f"{head}print(first({item.features['input']}))"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_features_say_what_the_long_function_returns(variant):
    items = items_of(variant)
    assert [result_of_first(item) for item in items] == [item.features["first"] for item in items]


def test_dropping_the_long_function_changes_the_conflict_only():
    """The long function replaced by one that returns 0."""
    for variant, matters in [("pattern", False), ("conflict", True)]:
        for item in items_of(variant):
            _, second, rest = item.text.partition("def second")
            without = run_snippet("def first(x):\n    return 0\n" + second + rest)
            assert (without != run_snippet(item.text)) is matters
            assert int(without) == item.shortcut


def test_the_long_function_returns_any_number():
    counts = Counter(item.features["first"] for item in items_of("pattern", 2000))
    assert sorted(counts) == list(range(10))
    assert max(counts.values()) < 2 * min(counts.values())
    assert 0 not in {item.features["first"] for item in items_of("conflict")}


def test_operations_and_inputs_are_spread():
    for variant in VARIANTS:
        items = items_of(variant, 1500)
        shares = np.array(list(Counter(item.features["operation"] for item in items).values())) / len(items)
        assert len(shares) == 3
        assert shares.min() > 0.25
        assert {item.features["input"] for item in items} == set(range(10))


def test_the_neutral_snippet_ignores_nothing():
    for item in items_of("neutral", 100):
        assert re.search(r"^def second\(z\):$", item.text, flags=re.MULTILINE)
        assert item.text.endswith("print(second(first(n)))")
