"""Expressions and equations: what is zero, what is unique, what keeps its distribution."""

import numpy as np
import pytest
from datasets.pattern_solvers import cramer, equations, shortcut_algebra, shortcut_expression, solve_algebra
from scipy.stats import ks_2samp

from skicl.datasets._implicit_patterns._arithmetic_patterns import ALGEBRA, EXPRESSION
from skicl.datasets._implicit_patterns._draws import Draws

VARIANTS = ["pattern", "conflict", "neutral"]


def items_of(task, variant, n_items=2000, difficulty=2, n_answers=10):
    draws = Draws(0)
    return [task.make(draws, variant, i % n_answers, n_answers, difficulty) for i in range(n_items)]


def test_the_second_bracket_is_zero_in_the_pattern_only():
    zero = {v: [sum(item.features["factor"]) == 0 for item in items_of(EXPRESSION, v)] for v in VARIANTS}
    assert all(zero["pattern"])
    assert not any(zero["conflict"])


def test_the_last_bracket_has_one_distribution():
    """Its sum and its terms do not tell the pattern from the conflict."""
    pattern, conflict = (items_of(EXPRESSION, v) for v in ("pattern", "conflict"))
    for number in (sum, max, min):
        values = [[number(item.features["other"]) for item in items] for items in (pattern, conflict)]
        assert ks_2samp(*values).pvalue > 1e-3
    assert not any(sum(item.features["other"]) == 0 for item in pattern + conflict)


def test_no_term_is_zero_unless_it_stands_alone():
    for variant in VARIANTS:
        for item in items_of(EXPRESSION, variant):
            for name in ("kept", "factor", "other"):
                terms = item.features[name]
                assert len(terms) == 1 or 0 not in terms
                assert max(map(abs, terms)) <= 20


@pytest.mark.parametrize("task", [ALGEBRA, EXPRESSION], ids=["algebra", "expression"])
def test_a_neutral_item_gives_away_nothing(task):
    """What the blind shortcut would take, the first bracket or a, is right by chance only."""
    items = items_of(task, "neutral", 5000)
    kept = [item.features["a"] if task is ALGEBRA else sum(item.features["kept"]) for item in items]
    assert abs(np.mean(kept == np.arange(5000) % 10) - 0.1) < 0.02
    assert {item.shortcut for item in items} == {None}


def test_every_system_has_exactly_one_solution():
    for variant in VARIANTS:
        for item in items_of(ALGEBRA, variant, 500):
            assert cramer(equations(item.text)) == [item.features[name] for name in "abc"]


def test_the_third_equation_follows_in_the_pattern_only():
    for variant, redundant in [("pattern", True), ("conflict", False)]:
        for item in items_of(ALGEBRA, variant, 500):
            assert (item.features["c"] == 0) is redundant
            augmented = np.column_stack([item.features["coefficients"], item.features["right_side"]])
            without_c = np.delete(augmented, 2, axis=1)
            assert bool(np.linalg.matrix_rank(without_c) == 2) is redundant
            assert shortcut_algebra(item.text) == str(item.shortcut)


def test_the_text_holds_all_that_is_needed():
    item = items_of(ALGEBRA, "conflict", 1)[0]
    assert solve_algebra(item.text) == "0"
    assert shortcut_expression(items_of(EXPRESSION, "neutral", 1)[0].text) == ""
