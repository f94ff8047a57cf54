"""The advice says what the numbers say, and nothing beyond their noise."""

import numpy as np
import pytest

from skicl.evaluation import compare
from skicl.evaluation._advice import beyond_noise
from skicl.evaluation._comparison import arrange


def made(levels, n_sets=1, n_repeats=8, noise=0.01, seed=0, sizes=(8, 16, 32, 64)):
    """Records around a level for each estimator, or one for each of its sizes."""
    rng = np.random.default_rng(seed)
    return [
        {"dataset": f"set {s}", "estimator": name, "k": k, "repeat": r}
        | {"accuracy": 0.5 + np.broadcast_to(level, len(sizes))[at] + noise * rng.normal() + 0.1 * common}
        for s in range(n_sets)
        for at, k in enumerate(sizes)
        for r in range(n_repeats)
        for common in [rng.normal()]
        for name, level in levels.items()
    ]


def advice(*args, score="accuracy", **options):
    return compare(made(*args, **options), score=score).advice


def test_the_one_that_is_ahead_everywhere():
    expected = "By accuracy on 8 contexts, take lr: over all sizes it is ahead of every other."
    assert advice({"knn": 0, "lr": 0.2, "nb": 0.1}) == expected
    expected = expected.replace("8 contexts", "9 data sets")
    assert advice({"knn": 0, "lr": 0.2, "nb": 0.1}, n_sets=9, n_repeats=2) == expected
    assert advice({"knn": 0, "lr": 0.2}, sizes=(8,)) == (
        "By accuracy on 8 contexts, take lr: with 8 labels it is ahead of every other."
    )


def test_one_that_is_never_behind_is_enough():
    found = advice({"lr": 0.2, "knn": [0.2, 0.1, 0.1, 0], "nb": 0}, noise=0.002)
    assert found == "By accuracy on 8 contexts, take lr: over all sizes it is ahead of every other."
    close = advice({"lr": 0.205, "twin": [0.21, 0.2, 0.19, 0.21], "nb": 0}, noise=0.01)
    assert "take lr: over all sizes it is ahead of nb" in close
    assert "cannot be told from twin" in close


def test_sizes_are_told_apart_where_that_is_needed():
    found = advice({"few": [0.2, 0.2, 0, 0], "many": [0, 0, 0.2, 0.2]})
    assert found == (
        "By accuracy on 8 contexts, take few from 8 to 16 labels (ahead of every other), and many from 32 to 64 labels "
        "(ahead of every other)."
    )
    found = advice({"few": [0.2, 0.2, 0.2, 0], "twin": [0.2, 0.2, 0.2, 0], "many": [0, 0, 0, 0.2]}, noise=0.005)
    assert "from 8 to 32 labels (not to be told from " in found
    assert found.endswith("many at 64 labels (ahead of every other).")


def test_noise_is_called_noise():
    found = advice({"a": 0, "b": 0.001})
    assert found.startswith("By accuracy on 8 contexts, no difference is beyond noise: ")
    assert found.endswith(" has the best mean, and more contexts may tell more.")


@pytest.mark.parametrize("n_repeats", [1, 4])
def test_few_units_say_nothing_however_large_the_difference(n_repeats):
    found = advice({"a": 0, "b": 0.5}, n_repeats=n_repeats)
    assert found == (
        f"By accuracy on {n_repeats} context{'s' * (n_repeats > 1)}, b has the best mean, but these are too few to "
        "tell estimators from noise: at least 5 are needed."
    )


def test_nothing_to_choose():
    assert advice({"a": 0}) == "There is nothing to choose from: a is the only estimator."


def test_less_of_a_loss_is_better():
    for score, sign in (("log_loss", 1), ("neg_log_loss", -1)):
        records = [r | {score: -sign * r["accuracy"]} for r in made({"a": 0, "b": 0.2})]
        found = compare(records, score=score).advice
        assert found == "By log-loss on 8 contexts, take b: over all sizes it is ahead of every other."


def test_who_did_not_run_at_a_size_is_not_taken_there():
    records = [r for r in made({"small": 0.2, "a": 0.1, "b": 0}) if r["estimator"] != "small" or r["k"] < 32]
    assert compare(records).advice == (
        "By accuracy on 8 contexts, take small from 8 to 16 labels (ahead of every other), and a from 32 to 64 labels "
        "(ahead of every other)."
    )


@pytest.mark.parametrize("missing", [np.nan, None])
def test_a_size_without_a_full_row_of_anybody_is_left_out(missing):
    """An interrupted run, or a score that does not exist there: nobody can be taken at such a size."""
    records = [
        record | {"accuracy": np.nan} if record["k"] == 8 and missing is not None else record
        for record in made({"a": 0, "b": 0.2})
        if missing is not None or record["k"] > 8 or record["repeat"] == (record["estimator"] == "b")
    ]
    assert compare(records).advice == "By accuracy on 8 contexts, take b: over all sizes it is ahead of every other."


def test_who_ran_alone_is_ahead_of_nobody():
    records = made({"a": 0, "b": 0.2})
    assert compare([r for r in records if r["estimator"] == "a" or r["k"] < 64]).advice == (
        "By accuracy on 8 contexts, take b from 8 to 32 labels (ahead of every other), and a at 64 labels (no other "
        "ran there)."
    )
    assert compare([r for r in records if r["estimator"] == "b" or r["k"] < 64]).advice == (
        "By accuracy on 8 contexts, take b: over the sizes in common it is ahead of every other."
    )
    disjoint = [r for r in records if (r["estimator"] == "a") == (r["k"] == 8)]
    assert compare(disjoint).advice == (
        "Nothing can be compared: no two estimators have their accuracy on the same contexts."
    )


def test_behind_over_all_sizes_is_not_called_even():
    """Behind at no single size beyond noise, and still behind in the mean: that is not "cannot be told from"."""
    rng, records = np.random.default_rng(1), []
    sizes = [8, 16, 32, 64, 128, 256, 512, 1024, 2048]
    for k in sizes:
        for r in range(6):
            better = {"a": 0.0, "b": 0.01, "c": 0.5 if k == 8 else -0.5}
            for name, gain in better.items():
                if name != "b" or k < 2048:
                    value = gain + 0.01 * rng.normal()
                    records.append({"dataset": "", "estimator": name, "k": k, "repeat": r, "accuracy": value})
    two = [record for record in records if record["estimator"] != "c"]
    at_size, overall = beyond_noise(arrange(two, "accuracy"), "accuracy", 0.05)
    assert (at_size.any(), overall[1, 0]) == (False, True), "the case is the one that is meant"
    assert compare(two).advice == (
        "By accuracy on 6 contexts, take a: over the sizes in common it is behind b, though at no single size."
    )


def test_equal_means_are_shared():
    level = [record | {"accuracy": 0.5} for record in made({"a": 0, "b": 0, "c": 0})]
    level += [record | {"estimator": "d", "accuracy": 0.4 + record["repeat"] / 50} for record in level[::3]]
    assert compare(level).advice == (
        "By accuracy on 8 contexts, no difference is beyond noise: a, b and c share the best mean, and more contexts "
        "may tell more."
    )


def test_means_of_other_sizes_are_not_compared():
    """More labels give better scores; who ran at the larger sizes is not better by that."""
    records = made({"a": [0.1, 0.2, 0.3, 0.4], "b": [0.05, 0.15, 0.25, 0.35]}, n_repeats=4, noise=1e-4)
    records = [r for r in records if r["k"] != {"a": 64, "b": 8}[r["estimator"]]]
    assert "contexts, a has the best mean" in compare(records).advice


def test_equal_estimators_are_seldom_told_apart():
    """The chance of a single false claim in a sentence is the level, over all pairs and sizes together."""
    false = []
    for seed in range(150):
        cells = arrange(made(dict.fromkeys("abcd", 0), n_repeats=5, seed=seed, noise=0.05), "accuracy")
        at_size, overall = beyond_noise(cells, "accuracy", alpha=0.1)
        false.append(at_size.any() or overall.any())
    assert 0.01 < np.mean(false) < 0.15
