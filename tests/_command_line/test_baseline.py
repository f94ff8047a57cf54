"""The tuned logistic regression that the command line compares with, and its folds."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from skicl._command_line._baseline import dealt_folds, stratified_splits, tuned_logistic_regression


def data(n_samples=90, n_classes=3):
    X, y = make_classification(n_samples, 12, n_informative=6, n_classes=n_classes, flip_y=0.2, random_state=0)
    return X, np.array(["red", "green", "blue", "grey"])[y]


def test_every_row_is_tested_once_and_classes_are_spread():
    _, y = data()
    splits = stratified_splits(y, 5, seed=0)
    assert sorted(np.concatenate([test for _, test in splits])) == list(range(len(y)))
    for train, test in splits:
        assert sorted(np.concatenate([train, test])) == list(range(len(y)))
        for name in np.unique(y):
            assert abs((y[test] == name).sum() - (y == name).sum() / 5) < 1
    assert any(list(a[1]) != list(b[1]) for a, b in zip(splits, stratified_splits(y, 5, seed=1))), (
        "the seed cuts the folds"
    )


def test_single_rows_are_always_learnt_from():
    y = np.array(["a", "b", "once", "a", "b", "a", "b", "other"])
    splits = stratified_splits(y, 3, seed=0)
    assert sorted(np.concatenate([test for _, test in splits])) == [0, 1, 3, 4, 5, 6]
    for train, test in splits:
        assert {2, 7} <= set(train)
        assert not set(train) & set(test)


@pytest.mark.parametrize("counts", [(7, 1), (2, 1, 1), (3, 2), (20, 9, 4)])
@pytest.mark.parametrize("hold_out_single", [False, True])
def test_dealt_folds_hold_out_every_class_in_proportion(counts, hold_out_single):
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    folds = dealt_folds(y, hold_out_single=hold_out_single)
    held_out = np.concatenate([test for _, test in folds])
    assert sorted(held_out) == [row for row in range(len(y)) if hold_out_single or counts[y[row]] > 1]
    for train, test in folds:
        assert sorted([*train, *test]) == list(range(len(y)))
        assert hold_out_single or set(y[train]) == set(y)
    for label in range(len(counts)):
        sizes = [np.sum(y[test] == label) for _, test in folds]
        assert max(sizes) - min(sizes) <= 1


def test_nothing_can_be_held_out_of_single_rows():
    assert dealt_folds(["a", "b", "c"]) == []


@pytest.mark.parametrize("criterion", ["log_loss", "accuracy"])
def test_the_penalty_has_the_best_score_of_the_inner_folds(criterion):
    X, y = data()

    def total(C):
        found = 0.0
        for train, test in dealt_folds(y):
            model = LogisticRegression(C=C, max_iter=1000).fit(X[train], y[train])
            if criterion == "accuracy":
                found -= (model.predict(X[test]) == y[test]).sum()
            else:
                found += len(test) * log_loss(y[test], model.predict_proba(X[test]), labels=model.classes_)
        return found

    candidates = np.logspace(-2, 4, 7)
    best = candidates[np.argmin([total(C) for C in candidates])]
    tuned = tuned_logistic_regression(criterion).fit(X, y)
    assert tuned.best_params_["C"] == best
    reference = LogisticRegression(C=best, max_iter=1000).fit(X, y)
    np.testing.assert_array_equal(tuned.predict_proba(X), reference.predict_proba(X))
    assert (tuned.predict(X) == reference.predict(X)).all()


def test_an_unknown_criterion_is_refused():
    with pytest.raises(ValueError, match="`criterion` must be one of 'accuracy', 'log_loss', got 'auc'"):
        tuned_logistic_regression("auc").fit(*data())


@pytest.mark.parametrize("counts", [(1, 1, 1), (1, 1, 2), (2, 1, 30), (4, 3, 2)])
def test_few_rows_a_class(counts):
    y = np.repeat(["a", "b", "c"], counts)
    X = np.random.default_rng(0).normal(size=(len(y), 4)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = tuned_logistic_regression().fit(X, y)
    assert list(model.classes_) == ["a", "b", "c"]
    if counts == (1, 1, 1):
        assert model.best_estimator_.C == 1
