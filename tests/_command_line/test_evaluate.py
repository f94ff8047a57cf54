"""Cross-validated scores of the command line, from vectors."""

import re

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from skicl import TartClassifier
from skicl._command_line._baseline import stratified_splits, tuned_logistic_regression
from skicl._command_line._evaluate import evaluate, explain, show_scores
from skicl._command_line._evidence import Evidence

RNG = np.random.default_rng(0)
Y = np.array(["delivery", "refund"])[np.arange(20) % 2]
CENTRES = {"delivery": np.full(4, 0.6), "refund": np.full(4, -0.6)}
X = RNG.normal(size=(20, 4)) + np.array([CENTRES[label] for label in Y])
NEW = RNG.normal(size=(7, 4))
SPLITS = stratified_splits(Y, 4, 0)


def evidence(names=CENTRES, new=NEW, use_unlabelled=False):
    return Evidence(X, Y, new, names, "cpu", use_unlabelled)


@pytest.mark.parametrize("names", [CENTRES, {}])
def test_scores_are_those_of_classifiers_fitted_by_hand(names):
    seen = []
    scores = evaluate(evidence(names), SPLITS, lambda: seen.append(1))
    assert len(seen) == len(SPLITS)
    makers = {"TartClassifier": lambda: TartClassifier(class_texts=names or None, device="cpu")}
    makers["tuned LogisticRegression"] = tuned_logistic_regression
    assert list(scores) == [*makers, *(["the same + class names"] if names else [])]
    for name, make in makers.items():
        for (train, test), found in zip(SPLITS, scores[name]):
            proba = make().fit(X[train], Y[train]).predict_proba(X[test])
            predicted = np.array(sorted(CENTRES))[proba.argmax(axis=1)]
            expected = accuracy_score(Y[test], predicted), log_loss(Y[test], proba, labels=sorted(CENTRES))
            np.testing.assert_allclose(found[:2], expected)


def test_unlabelled_rows_matter_to_one_of_them():
    plain, more = (evaluate(evidence(use_unlabelled=use), SPLITS, int) for use in (False, True))
    alone = evaluate(evidence(new=NEW[:0], use_unlabelled=True), SPLITS, int)
    assert not np.array_equal(plain["TartClassifier"][:, 1], more["TartClassifier"][:, 1])
    assert not np.array_equal(alone["TartClassifier"][:, 1], more["TartClassifier"][:, 1])
    for name in ("tuned LogisticRegression", "the same + class names"):
        np.testing.assert_array_equal(plain[name][:, :3], more[name][:, :3])


def test_the_difference_is_to_labels_alone():
    values = {"TartClassifier": 0.5, "tuned LogisticRegression": 0.25, "the same + class names": 0.0}
    scores = {name: np.full((3, 4), value) for name, value in values.items()}
    lines = show_scores(scores).splitlines()
    assert lines[4].split()[:4] == ["difference", "+0.250", "+-", "0.000"]
    assert len(lines[4].split()) == 10


def test_what_was_used_is_said():
    def said(path=None, **options):
        title, *lines = explain(evidence(**options), path).splitlines()
        assert title == "Learnt from:"
        return [re.split("  +", line.strip()) for line in lines]

    logistic = ["tuned LogisticRegression", "labelled texts"]
    assert said(names={}) == [["TartClassifier", "labelled texts"], logistic]
    assert said() == [
        ["TartClassifier", "labelled texts, class names"],
        logistic,
        ["the same + class names", "labelled texts, class names as texts of their classes"],
    ]
    for new, tables in ((NEW, "each test fold and new.csv"), (NEW[:0], "each test fold")):
        assert said("new.csv", names={}, use_unlabelled=True, new=new) == [
            ["TartClassifier", f"labelled texts, texts of {tables} without labels"],
            logistic,
        ]
