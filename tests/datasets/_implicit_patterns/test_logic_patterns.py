"""Boolean expressions and parities: what decides, what is balanced, what stays hidden."""

from collections import Counter

import numpy as np
import pytest

from skicl.datasets._implicit_patterns._draws import Draws
from skicl.datasets._implicit_patterns._logic_patterns import BOOLEAN, PARITY

VARIANTS = ["pattern", "conflict", "neutral"]


def items_of(task, variant, n_items=2000):
    draws = Draws(1)
    return [task.make(draws, variant, i % 2, 2, 2) for i in range(n_items)]


def test_in_the_pattern_the_constant_is_right_and_decides_in_half_of_the_items():
    items = items_of(BOOLEAN, "pattern", 4000)
    decides = np.array(
        [item.features["constant"] is {"or": True, "and": False}[item.features["operator"]] for item in items]
    )
    assert abs(decides.mean() - 0.5) < 0.03
    for i, (item, decided) in enumerate(zip(items, decides)):
        assert item.features["constant"] is bool(i % 2)
        assert decided or item.features["inner"] is bool(i % 2)
    assert abs(np.mean([item.features["inner"] for item, decided in zip(items, decides) if decided]) - 0.5) < 0.04


def test_the_operator_says_nothing_in_the_pattern():
    counts = Counter((item.features["operator"], i % 2) for i, item in enumerate(items_of(BOOLEAN, "pattern", 4000)))
    assert len(counts) == 4
    assert max(counts.values()) - min(counts.values()) < 200


def test_in_the_conflict_the_constant_passes_the_value_on():
    for i, item in enumerate(items_of(BOOLEAN, "conflict")):
        assert item.features["constant"] is {"or": False, "and": True}[item.features["operator"]]
        assert item.features["inner"] is bool(i % 2)
        assert item.shortcut == 1 - i % 2


def test_neutral_expressions_end_with_a_bracket():
    assert all(item.text.endswith(")") and item.shortcut is None for item in items_of(BOOLEAN, "neutral"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_number_of_x_leans_to_neither_answer(variant):
    """The mean count is the same for odd and even: the parity is in no average."""
    counts = np.array([item.features["count"] for item in items_of(PARITY, variant, 8000)]).reshape(-1, 2)
    assert (counts % 2 == [0, 1]).all()
    means, errors = counts.mean(axis=0), counts.std(axis=0) / np.sqrt(len(counts))
    assert abs(means[0] - means[1]) < 4 * np.hypot(*errors)


def test_the_last_symbol_says_what_it_should():
    lasts = {v: Counter((item.text[-1], i % 2) for i, item in enumerate(items_of(PARITY, v, 200))) for v in VARIANTS}
    assert set(lasts["pattern"]) == {("X", 1), ("O", 0)}
    assert set(lasts["conflict"]) == {("X", 0), ("O", 1)}
    assert set(lasts["neutral"]) == {("S", 0), ("S", 1)}
