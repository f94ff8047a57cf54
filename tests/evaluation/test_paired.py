"""Units, tests and corrections against direct computations."""

import numpy as np
import pytest
from scipy.stats import ttest_rel, wilcoxon

from skicl.evaluation._comparison import arrange
from skicl.evaluation._paired import holm, paired, rank_test, t_test, unit_of


def made(n_sets, n_repeats, sizes=(8, 16), seed=0):
    rng = np.random.default_rng(seed)
    return [
        {"dataset": f"set {s}", "estimator": name, "k": k, "repeat": r}
        | {"accuracy": rng.random(), "log_loss": rng.random()}
        for s in range(n_sets)
        for k in sizes
        for r in range(n_repeats)
        for name in ("a", "b", "c")
    ]


def mean_of(records, name, score="accuracy", **wanted):
    chosen = [r for r in records if r["estimator"] == name and all(r[key] == value for key, value in wanted.items())]
    return np.mean([r[score] for r in chosen])


def test_units_are_data_sets_with_the_mean_over_repeats_and_sizes():
    records = made(4, 3)
    cells = arrange(records, "accuracy")
    assert unit_of(cells) == "data sets"
    pair = paired(cells, "accuracy", [0, 1])[0]
    expected = [mean_of(records, "a", dataset=f"set {s}") - mean_of(records, "b", dataset=f"set {s}") for s in range(4)]
    np.testing.assert_allclose(pair.differences, expected)
    at_16 = paired(cells, "accuracy", [1])[0].differences[2]
    assert at_16 == pytest.approx(
        mean_of(records, "a", dataset="set 2", k=16) - mean_of(records, "b", dataset="set 2", k=16)
    )


def test_units_of_a_single_set_are_its_repeats():
    records = made(1, 6)
    cells = arrange(records, "accuracy")
    assert unit_of(cells) == "contexts"
    pair = paired(cells, "accuracy", [0, 1])[2]
    assert (cells.estimators[pair.first], cells.estimators[pair.second]) == ("b", "c")
    expected = [mean_of(records, "b", repeat=r) - mean_of(records, "c", repeat=r) for r in range(6)]
    np.testing.assert_allclose(pair.differences, expected)


def test_larger_is_better_for_losses_too():
    records = made(3, 2)
    direct = paired(arrange(records, "log_loss"), "log_loss", [0])[0].differences
    means = {
        name: np.array([mean_of(records, name, "log_loss", dataset=f"set {s}", k=8) for s in range(3)]) for name in "ab"
    }
    expected = means["b"] - means["a"]
    np.testing.assert_allclose(direct, expected)


def test_what_one_of_a_pair_lacks_is_left_out():
    records = [r for r in made(4, 2) if r["estimator"] != "b" or r["k"] == 8]
    pairs = paired(arrange(records, "accuracy"), "accuracy", [0, 1])
    means = {name: np.array([mean_of(records, name, dataset=f"set {s}", k=8) for s in range(4)]) for name in "ab"}
    np.testing.assert_allclose(pairs[0].differences, means["a"] - means["b"])
    assert len(paired(arrange(records, "accuracy"), "accuracy", [1])[0].differences) == 0


def test_tests_are_those_of_scipy():
    rng = np.random.default_rng(0)
    first, second = rng.random(9) + 0.2, rng.random(9)
    assert rank_test(first - second) == wilcoxon(first, second).pvalue
    assert t_test(first - second) == pytest.approx(ttest_rel(first, second).pvalue)


def test_tests_of_nothing_find_nothing():
    assert rank_test(np.zeros(7)) == t_test(np.zeros(7)) == t_test(np.array([0.3])) == 1
    assert np.isnan(rank_test(np.empty(0)))
    assert rank_test(np.array([0.0, 0, 0, 0, 0.1])) > 0.05
    assert t_test(np.full(6, 0.1)) == 0


def test_holm_is_the_step_down_method():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, np.nan, 0.7]), [1, np.nan, 1])
    assert len(holm([])) == 0


def test_holm_keeps_the_chance_of_a_single_false_rejection():
    rng = np.random.default_rng(0)
    false = [(holm(rng.random(20)) < 0.1).any() for _ in range(2000)]
    assert np.mean(false) == pytest.approx(0.1, abs=0.02)
