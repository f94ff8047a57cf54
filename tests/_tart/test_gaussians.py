"""Gaussians beside the reasoner: exact without each row, used where they help, absent where they do not."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.metrics import log_loss

from skicl import TartClassifier
from skicl._tart import _belief, _gaussians
from skicl._tart._gaussians import discriminant


def rows(n, n_features, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    codes = torch.arange(n) % n_classes
    X = torch.from_numpy(rng.normal(size=(n, n_features)))
    X[:, 0] += codes
    return X, codes, torch.ones(n, dtype=torch.float64)


def scores_by_hand(X, codes, weight, without=None):
    """Scores (n, C) by the inverse of the covariance, shrunk as with all rows, one copy of a row left out."""
    total = weight.sum()
    X = X - weight @ X / total
    classes = range(int(codes.max()) + 1)

    def within(w):
        means = torch.stack([w[codes == k] @ X[codes == k] / w[codes == k].sum() for k in classes])
        return means, X - means[codes]

    deviations = within(weight)[1]
    shrinkage = weight @ deviations.square().sum(1) / (total - 1)
    left = weight.clone()
    if without is not None:
        left[without] -= 1
    means, deviations = within(left)
    covariance = (deviations * left[:, None]).T @ deviations + shrinkage * torch.eye(X.shape[1])
    inverse = torch.linalg.inv(covariance) * total
    return X @ inverse @ means.T - 0.5 * torch.einsum("ki,ij,kj->k", means, inverse, means)


@pytest.mark.parametrize(("n", "n_features"), [(40, 6), (25, 60)])
def test_scores_and_each_row_left_out_are_those_of_the_inverse(n, n_features):
    X, codes, weight = rows(n, n_features)
    weight[::4] = 2.0
    weights, offsets, left_out = discriminant(X, codes, weight, 3, n)
    assert_allclose(X @ weights + offsets, scores_by_hand(X, codes, weight), rtol=1e-6, atol=1e-6)
    for row in range(0, n, 3):
        assert_allclose(left_out[row], scores_by_hand(X, codes, weight, row)[row], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n_features", [6, 60])
def test_rows_in_batches_and_turned_and_repeated_say_the_same(n_features, monkeypatch):
    X, codes, weight = rows(25, n_features)
    weights, offsets, left_out = discriminant(X, codes, weight, 3, 25)
    rotation = torch.linalg.qr(torch.from_numpy(np.random.default_rng(1).normal(size=(n_features, n_features))))[0]
    turned = discriminant(X @ rotation + 3.0, codes, weight, 3, 25)
    assert_allclose((X @ rotation + 3.0) @ turned[0] + turned[1], X @ weights + offsets, atol=1e-8)
    weight[3] = 2.0
    order = [*range(25), 3]
    repeated = discriminant(X[order], codes[order], torch.ones(26, dtype=torch.float64), 3, 26)
    doubled = discriminant(X, codes, weight, 3, 25)
    assert_allclose(repeated[0], doubled[0], atol=1e-8)
    assert_allclose(repeated[2][:25], doubled[2], atol=1e-8)
    monkeypatch.setattr(_gaussians, "NUMBERS_AT_A_TIME", 4 * n_features)
    assert_allclose(discriminant(X, codes, torch.ones(25, dtype=torch.float64), 3, 25)[2], left_out, atol=1e-10)


def test_the_only_row_of_a_class_looks_like_no_other_of_it():
    X, codes, weight = rows(21, 6)
    codes[codes == 2] = 0
    codes[5] = 2
    left_out = discriminant(X, codes, weight, 3, 21)[2]
    assert left_out[5, 2] == left_out[5, :2].min()
    assert torch.isfinite(left_out).all()


@pytest.mark.parametrize("n_features", [2, 40])
def test_classes_without_any_spread_have_finite_scores(n_features):
    X = torch.zeros(20, n_features)
    codes = torch.arange(20) % 2
    for level in (0.0, 1.0):  # all rows equal, then one point for each class
        X[codes == 1] = level
        assert all(torch.isfinite(part).all() for part in discriminant(X, codes, torch.ones(20), 2, 20))
        assert np.isfinite(TartClassifier().fit(X.numpy(), codes.numpy()).predict_log_proba(X.numpy())).all()


@pytest.mark.parametrize("n_features", [8, 64])
def test_very_large_weights_leave_a_covariance_to_decompose(n_features):
    X, codes, _ = rows(20, n_features)
    parts = discriminant(X.float(), codes, torch.full((20,), 1e8), 3, 20)
    assert all(torch.isfinite(part).all() for part in parts)


def many_classes(n_classes, n_a_class, seed, n_features=48):
    """Classes in all directions, rows along some of them."""
    means = 0.35 * np.random.default_rng(7).normal(size=(n_classes, n_features))
    y = np.arange(n_classes * n_a_class) % n_classes
    deviations = 0.3 + 4.0 / (1.0 + np.arange(n_features))
    return means[y] + np.random.default_rng(seed).normal(size=(len(y), n_features)) * deviations, y


def test_they_help_where_there_are_many_classes(monkeypatch):
    (X, y), (X_test, y_test) = many_classes(30, 10, 0), many_classes(30, 10, 1)
    classifier = TartClassifier().fit(X, y)
    assert 0 < classifier.evidence_["gaussians"] <= 1
    loss = log_loss(y_test, classifier.predict_proba(X_test))
    monkeypatch.setattr(_belief, "_gaussians", lambda belief, rows, b, population: None)
    assert loss < 0.8 * log_loss(y_test, TartClassifier().fit(X, y).predict_proba(X_test))


def test_they_are_left_out_where_they_would_only_do_harm():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    y = (np.linalg.norm(X, axis=1) > 1.2).astype(int)  # rings have the same mean
    classifier = TartClassifier().fit(X, y)
    assert classifier.evidence_["gaussians"] == 0
    assert TartClassifier().fit(X, rng.permutation(y)).evidence_["gaussians"] == 0


def test_the_share_follows_the_labelled_rows_whatever_else_is_read():
    X, y = many_classes(10, 30, 0)
    labels = [int(c) if i < 200 else None for i, c in enumerate(y)]
    classifier = TartClassifier(missing_label=None, class_weight="balanced").fit(X, labels)
    assert classifier.evidence_["gaussians"] > 0
    without = classifier.context_influence(X[:3], rows=[0, 250])
    assert np.isfinite(without).all()
