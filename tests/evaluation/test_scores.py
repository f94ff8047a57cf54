"""Scores have the names, the sign and the values of scikit-learn's scorers."""

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score, get_scorer, log_loss, make_scorer
from text_battery import SKLEARN

from skicl.evaluation import brier_score, expected_calibration_error
from skicl.evaluation._scores import check_scoring, in_words, is_loss, score_of


@pytest.fixture(params=[2, 3], ids=["two classes", "three classes"])
def fitted(request):
    X, y = make_classification(120, 6, n_informative=4, n_classes=request.param, random_state=0)
    y = np.array(["x", "y", "z"])[y] if request.param == 3 else y
    return LogisticRegression().fit(X[:60], y[:60]), X[60:], y[60:]


@pytest.mark.parametrize(
    "name",
    [
        "accuracy",
        "neg_log_loss",
        "neg_brier_score",
        "balanced_accuracy",
        "f1_macro",
        "roc_auc_ovr",
        "d2_log_loss_score",
    ],
)
def test_names_of_scikit_learn_give_its_values(fitted, name):
    model, X, y = fitted
    if SKLEARN < (1, 7) and (name == "d2_log_loss_score" or (name == "neg_brier_score" and len(model.classes_) > 2)):
        pytest.skip("this scikit-learn has no such score")
    expected = get_scorer(name)(model, X, y)
    assert score_of(name, y, model.predict_proba(X), model.classes_) == pytest.approx(expected)
    assert not is_loss(name)


def test_losses_are_positive_and_less_is_better(fitted):
    model, X, y = fitted
    prob = model.predict_proba(X)
    expected = {
        "log_loss": log_loss(y, prob),
        "brier": brier_score(y, prob),
        "ece": expected_calibration_error(y, prob),
        "ece_quantile": expected_calibration_error(y, prob, strategy="quantile"),
    }
    for name, value in expected.items():
        assert score_of(name, y, prob, model.classes_) == pytest.approx(value)
        assert is_loss(name)


def test_queries_may_lack_a_class():
    classes, prob = np.array(["x", "y", "z"]), np.tile([0.5, 0.3, 0.2], (4, 1))
    assert score_of("neg_log_loss", np.array(["x"] * 4), prob, classes) == pytest.approx(np.log(0.5))


def test_names_in_words():
    names = ["accuracy", "neg_log_loss", "log_loss", "ece", "neg_brier_score", "balanced_accuracy"]
    assert [in_words(name) for name in names] == [
        *("accuracy", "log-loss", "log-loss", "ECE", "Brier score", "balanced accuracy"),
    ]


def test_unknown_names_are_refused():
    classes = np.array(["x", "y", "z"])
    assert list(check_scoring(["accuracy", "f1_macro", "accuracy"], classes)) == ["accuracy", "f1_macro"]
    with pytest.raises(ValueError, match=r"`scoring` must hold names out of .*neg_log_loss.* got 'auc'"):
        check_scoring(["auc"], classes)
    for wrong in ("accuracy", []):
        with pytest.raises(ValueError, match="`scoring` must be a sequence of at least one name"):
            check_scoring(wrong, classes)


def test_scores_that_cannot_tell_the_classes_are_refused():
    """Scores of one class of two need numbers, those of errors of regression too."""
    two, three, numbers = np.array(["ham", "spam"]), np.array(["x", "y", "z"]), np.array([0, 1])
    for name, classes in (("f1", two), ("f1", three), ("roc_auc", three), ("r2", two)):
        with pytest.raises(ValueError, match=rf"`scoring`: '{name}' cannot score the {len(classes)} classes '"):
            check_scoring(["accuracy", name], classes)
    assert list(check_scoring(["f1", "roc_auc"], numbers)) == ["f1", "roc_auc"]
    for classes in (two, three, numbers, np.array([False, True])):
        names = ("macro_f1", "log_loss", "neg_log_loss", "brier", "neg_brier_score", "ece", "ece_quantile")
        assert tuple(check_scoring(names, classes)) == names


def test_scorers_of_ones_own_see_what_the_classifier_says(fitted):
    model, X, y = fitted
    own = {"kappa": make_scorer(cohen_kappa_score), "auc": "roc_auc_ovr", "rows": lambda model, X, y: len(X)}
    scores = check_scoring(own, model.classes_)
    assert scores == own
    found = {name: score_of(score, y, model.predict_proba(X), model.classes_) for name, score in scores.items()}
    assert found["kappa"] == pytest.approx(cohen_kappa_score(y, model.predict(X)))
    assert found["auc"] == pytest.approx(get_scorer("roc_auc_ovr")(model, X, y))
    assert found["rows"] == len(X)
    taken = [{"k": "accuracy"}, {"ece": make_scorer(cohen_kappa_score)}, {"ece": "accuracy"}]
    for wrong in (*taken, {1: "accuracy"}, [len]):
        with pytest.raises(ValueError, match="`scoring`: a score cannot be called"):
            check_scoring(wrong, model.classes_)
    with pytest.raises(ValueError, match=r"`scoring` must hold names out of .* got 'auc'"):
        check_scoring({"mine": "auc"}, model.classes_)
