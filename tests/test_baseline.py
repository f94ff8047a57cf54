"""The tuned logistic regression that the command line compares with, and its folds."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from skicl._baseline import stratified_splits, tuned_logistic_regression


def data(n_samples=90, n_classes=3):
    X, y = make_classification(
        n_samples, 12, n_informative=6, n_classes=n_classes, flip_y=0.2, random_state=0
    )
    return X, np.array(["red", "green", "blue", "grey"])[y]


def test_every_row_is_tested_once_and_classes_are_spread():
    _, y = data()
    splits = stratified_splits(y, 5, seed=0)
    assert sorted(np.concatenate([test for _, test in splits])) == list(range(len(y)))
    for train, test in splits:
        assert sorted(np.concatenate([train, test])) == list(range(len(y)))
        for name in np.unique(y):
            assert abs((y[test] == name).sum() - (y == name).sum() / 5) < 1
    assert any(
        list(a[1]) != list(b[1]) for a, b in zip(splits, stratified_splits(y, 5, seed=1))
    ), "the seed cuts the folds"


def test_single_rows_are_always_learnt_from():
    y = np.array(["a", "b", "once", "a", "b", "a", "b", "other"])
    splits = stratified_splits(y, 3, seed=0)
    assert sorted(np.concatenate([test for _, test in splits])) == [0, 1, 3, 4, 5, 6]
    for train, test in splits:
        assert {2, 7} <= set(train)
        assert not set(train) & set(test)


def test_the_penalty_has_the_best_log_loss_of_the_inner_folds():
    X, y = data()
    splits = stratified_splits(y, 5, seed=3)

    def loss(C):
        models = [LogisticRegression(C=C, max_iter=1000).fit(X[train], y[train]) for train, _ in splits]
        parts = [
            len(test) * log_loss(y[test], model.predict_proba(X[test]), labels=model.classes_)
            for model, (_, test) in zip(models, splits)
        ]
        return sum(parts)

    candidates = np.logspace(-2, 4, 7)
    best = candidates[np.argmin([loss(C) for C in candidates])]
    model = tuned_logistic_regression(X, y, seed=3)
    assert pytest.approx(best) == model.C
    reference = LogisticRegression(C=model.C, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), reference.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("counts", [(1, 1, 1), (1, 1, 2), (2, 1, 30), (4, 3, 2)])
def test_few_rows_a_class(counts):
    y = np.repeat(["a", "b", "c"], counts)
    X = np.random.default_rng(0).normal(size=(len(y), 4)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = tuned_logistic_regression(X, y, seed=0)
    assert list(model.classes_) == ["a", "b", "c"]
    if counts == (1, 1, 1):
        assert model.C == 1
