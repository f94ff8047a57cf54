"""Means and intervals of shares, over items and repeats."""

import numpy as np
import pytest

from skicl.evaluation import ImplicitPatternStudy


def record(repeat=0, estimator="lr", share=0.5, n=100, **more):
    measures = dict.fromkeys(("accuracy_pattern", "accuracy_conflict", "accuracy_neutral", "shortcut_rate"), share)
    place = {"dataset": "parity", "k": 8, "estimator": estimator, "repeat": repeat, "curve": "", "n_queries": n}
    return place | measures | more


def point(value, repeat=0, **more):
    losses = {"train_log_loss": 1 / value, "validation_log_loss": 2 / value}
    return record(repeat) | {"curve": "epochs", "value": float(value)} | losses | more


def test_points_of_curves_are_kept_apart():
    study = ImplicitPatternStudy([record(), point(1), point(2)]) + ImplicitPatternStudy([record(dataset="boolean")])
    assert [found["dataset"] for found in study] == ["parity", "boolean"]
    assert (len(study), len(study.curves), len(study.frame())) == (2, 2, 4)
    assert repr(study) == "ImplicitPatternStudy: 2 records of lr on parity, boolean, 1 repeat, 2 points of curves"


def test_the_interval_of_one_repeat_is_that_of_its_items():
    row, *_ = ImplicitPatternStudy([record(share=0.3, n=400)]).summary(n_bootstrap=20000)
    half = 1.96 * np.sqrt(0.3 * 0.7 / 400)
    assert (row["measure"], row["mean"], row["n_repeats"]) == ("accuracy_pattern", 0.3, 1)
    assert [row["low"], row["high"]] == pytest.approx([0.3 - half, 0.3 + half], abs=0.004)


def test_the_binomial_is_the_bootstrap_over_items():
    items = np.random.RandomState(0).rand(60) < 0.4
    means = items[np.random.RandomState(1).randint(60, size=(20000, 60))].mean(axis=1)
    row, *_ = ImplicitPatternStudy([record(share=items.mean(), n=60)]).summary(confidence_level=0.8, n_bootstrap=20000)
    assert [row["low"], row["high"]] == pytest.approx(np.quantile(means, [0.1, 0.9]), abs=0.017)


def test_repeats_that_differ_widen_the_interval():
    same, apart = (
        ImplicitPatternStudy([record(r, share=share) for r, share in enumerate(shares)]).summary()[0]
        for shares in ([0.5, 0.5, 0.5, 0.5], [0.2, 0.8, 0.2, 0.8])
    )
    assert same["mean"] == apart["mean"] == 0.5
    assert apart["high"] - apart["low"] > 3 * (same["high"] - same["low"])


def test_equal_seeds_give_equal_intervals():
    study = ImplicitPatternStudy([record(share=0.3), record(share=0.6, estimator="nb")])
    assert study.summary(random_state=1) == study.summary(random_state=1)
    assert study.summary(random_state=1) != study.summary(random_state=2)


def test_curves_have_their_losses():
    study = ImplicitPatternStudy([point(value, repeat) for repeat in (0, 1) for value in (1, 2)])
    rows = {(row["value"], row["measure"]): row for row in study.curve_summary()}
    assert len(rows) == 2 * 6
    assert rows[2.0, "validation_log_loss"]["mean"] == 1
    assert rows[2.0, "train_log_loss"]["low"] == rows[2.0, "train_log_loss"]["high"] == 0.5
    assert study.summary() == []


@pytest.mark.parametrize("options", [{"confidence_level": 1}, {"confidence_level": True}, {"n_bootstrap": 0}])
def test_bad_parameters_are_named(options):
    with pytest.raises(ValueError, match=f"`{next(iter(options))}`"):
        ImplicitPatternStudy([record()]).summary(**options)
