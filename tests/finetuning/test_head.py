"""The head: scale and place of vectors do not matter, both forms agree, and it is what scikit-learn fits."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from skicl.finetuning._head import INVERSE_PENALTY, TorchHead, empty_head, logistic_head


def make_rows(n_classes, seed=0):
    generator = np.random.default_rng(seed)
    codes = np.arange(60) % n_classes
    vectors = generator.normal(size=(60, 5)) + generator.normal(size=(n_classes, 5))[codes]
    return vectors.astype(np.float32), codes, generator.uniform(0.5, 1.5, size=60)


def test_an_empty_head_knows_nothing_and_makes_a_mean_squared_norm_of_one():
    vectors, _, _ = make_rows(3)
    head = empty_head(vectors, 3)
    np.testing.assert_allclose(head.log_proba(vectors), -np.log(3))
    scaled = (vectors - head.centre) / head.scale
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-6)
    assert (scaled**2).sum(axis=1).mean() == pytest.approx(1.0)


def test_vectors_are_centred_and_scaled_feature_by_feature():
    head = empty_head(np.array([[1.0, 5.0], [3.0, 1.0]]), 2)
    np.testing.assert_allclose(head.centre, [2, 3])
    np.testing.assert_allclose(head.scale, np.sqrt([2, 8]))


def test_constant_features_and_constant_rows_give_finite_numbers():
    vectors, codes, weights = make_rows(2)
    vectors[:, 1] = 3.0
    assert np.isfinite(logistic_head(vectors, codes, weights, 2).log_proba(vectors + 1)).all()
    same = np.ones((60, 5))
    np.testing.assert_allclose(logistic_head(same, codes, np.ones(60), 2).log_proba(same), -np.log(2), atol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_it_is_logistic_regression_of_scikit_learn(n_classes):
    vectors, codes, weights = make_rows(n_classes)
    head = logistic_head(vectors, codes, weights, n_classes)
    scaled = (vectors.astype(np.float64) - head.centre) / head.scale
    expected = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000).fit(scaled, codes, sample_weight=weights)
    np.testing.assert_allclose(head.log_proba(vectors), expected.predict_log_proba(scaled), atol=1e-8)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_scale_and_place_of_vectors_do_not_matter(n_classes):
    vectors, codes, weights = make_rows(n_classes)
    moved = 1000 * vectors.astype(np.float64) - 17
    one, other = (logistic_head(some, codes, weights, n_classes) for some in (vectors, moved))
    np.testing.assert_allclose(other.log_proba(moved), one.log_proba(vectors), atol=1e-4)


def test_the_trainable_form_starts_there_and_comes_back():
    vectors, codes, weights = make_rows(3)
    head = logistic_head(vectors, codes, weights, 3)
    trainable = TorchHead(head, torch.device("cpu"))
    log_proba = trainable.logits(torch.tensor(vectors)).log_softmax(dim=1)
    np.testing.assert_allclose(log_proba.detach().numpy(), head.log_proba(vectors), atol=1e-4)
    np.testing.assert_allclose(trainable.head().log_proba(vectors), head.log_proba(vectors), atol=1e-4)
    log_proba[:, 0].sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in trainable.parameters)
