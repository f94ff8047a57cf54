"""The pieces of a study: grids, exact matches, seeds."""

import numpy as np
import pytest
from evaluation.implicit_learners import Fixed

from skicl.evaluation._implicit_patterns._learners import (
    accuracy,
    answers,
    choose,
    fitted,
    read_learners,
    scores_of_tests,
    setting_name,
)
from skicl.evaluation._implicit_patterns._splits import Design, Problems, draw_splits


class Said(Fixed):
    """Gives the probabilities that it was made with."""

    def __init__(self, prob, classes):
        self.prob = prob
        self.classes_ = np.array(classes)

    def predict_proba(self, X):
        return np.array(self.prob)


def test_a_match_is_exact_after_stripping():
    problems = Problems(["a", "b", "c"], np.array(["5", "15", "1"]), np.array(["", "", ""]))
    words, losses = answers(Said([[0.9, 0.1], [0.6, 0.4], [np.nan, 0.4]], [" 5", "15"]), problems)
    assert words.tolist() == ["5", "5", ""]
    assert accuracy(words, problems.target) == pytest.approx(1 / 3)
    assert losses == pytest.approx([-np.log(0.9), -np.log(0.4), -np.log(1e-15)])


def test_every_combination_of_a_grid_is_a_candidate():
    learner, alone = read_learners(
        {"a": (Fixed(), {"sure": [0.5, 0.9], "rule": ["zero"]}), "b": Fixed()}, {"a": ("sure", [1, 2])}
    )
    assert learner.candidates == {
        "rule='zero', sure=0.5": {"rule": "zero", "sure": 0.5}, "rule='zero', sure=0.9": {"rule": "zero", "sure": 0.9},
    }  # fmt: skip
    assert (learner.parameter, learner.values, learner.n_fits) == ("sure", (1, 2), 4)
    assert (alone.candidates, alone.parameter, alone.n_fits) == ({"": {}}, None, 1)


def test_the_name_of_a_setting_does_not_depend_on_its_order():
    assert setting_name({"b": "x", "a": 1}) == setting_name({"a": 1, "b": "x"}) == "a=1, b='x'"


def test_fitting_changes_a_clone_only():
    (learner,) = read_learners({"a": Fixed()}, None)
    problems = Problems(["x", "y"], np.array(["0", "1"]), np.array(["", ""]))
    estimator, seconds = fitted(learner, {"sure": 0.6}, problems, seed=4)
    assert (estimator.sure, estimator.random_state, estimator.classes_.tolist()) == (0.6, 4, ["0", "1"])
    assert (learner.estimator.sure, learner.estimator.random_state) == (0.9, None)
    assert not hasattr(learner.estimator, "classes_")
    assert seconds >= 0


def test_the_best_on_validation_is_kept_and_every_fit_counted():
    splits = draw_splits(Design("expression", 20, 20, 20, "pattern", 1, None, None), seed=0)
    (learner,) = read_learners({"a": (Fixed(), {"rule": ["zero", "shortcut", "solve"]})}, None)
    fits = []
    chosen = choose(learner, splits, 0, lambda: fits.append(1))
    assert len(fits) == 3
    assert chosen.setting == "rule='shortcut'", "of equally good ones the first"
    assert (chosen.accuracy, chosen.estimator.rule) == (1, "shortcut")
    scores = scores_of_tests(chosen.estimator, splits.tests)
    assert (scores["accuracy_pattern"], scores["accuracy_conflict"], scores["shortcut_rate"]) == (1, 0, 1)


@pytest.mark.parametrize("curves", [{"a": ("sure", [])}, {"a": ("sure", [True])}, {"a": ("deep", [1])}, ["a"]])
def test_bad_curves_are_refused(curves):
    with pytest.raises(ValueError, match=r"curves|no parameter 'deep'"):
        read_learners({"a": Fixed()}, curves)
