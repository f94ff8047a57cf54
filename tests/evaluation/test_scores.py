"""Scores have the names, the sign and the values of scikit-learn's scorers."""

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer, log_loss

from skicl.evaluation import brier_score, expected_calibration_error
from skicl.evaluation._scores import check_scoring, in_words, is_loss, score_of


@pytest.fixture(params=[2, 3], ids=["two classes", "three classes"])
def fitted(request):
    X, y = make_classification(120, 6, n_informative=4, n_classes=request.param, random_state=0)
    y = np.array(["x", "y", "z"])[y] if request.param == 3 else y
    return LogisticRegression().fit(X[:60], y[:60]), X[60:], y[60:]


@pytest.mark.parametrize("name", ["accuracy", "neg_log_loss", "neg_brier_score", "balanced_accuracy", "f1_macro",
                                  "roc_auc_ovr", "d2_log_loss_score"])
def test_names_of_scikit_learn_give_its_values(fitted, name):
    model, X, y = fitted
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
    assert check_scoring(["accuracy", "f1_macro", "accuracy"]) == ("accuracy", "f1_macro")
    with pytest.raises(ValueError, match=r"`scoring` must hold names out of .*neg_log_loss.* got 'auc'"):
        check_scoring(["auc"])
    for wrong in ("accuracy", []):
        with pytest.raises(ValueError, match="`scoring` must be a sequence of at least one name"):
            check_scoring(wrong)
