"""Thinning rows without a label: what is read, and what must not matter for it."""

import numpy as np
import pytest

from skicl import TartClassifier
from skicl._tart import _thinning
from skicl._tart._thinning import shares_read


@pytest.fixture(autouse=True)
def few_rows_suffice(monkeypatch):
    monkeypatch.setattr(_thinning, "ALWAYS_READ", 20.0)
    monkeypatch.setattr(_thinning, "READ_PER_LABEL", 4.0)


def rows(n_labelled, n_others, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.r_[np.arange(n_labelled) % 2, np.full(n_others, -1)]
    X = rng.normal(size=(len(codes), 6))
    X[:, 0] += 2.0 * np.where(codes < 0, rng.integers(0, 2, len(codes)), codes)
    return X, codes, np.ones(len(codes))


@pytest.mark.parametrize(
    ("n_labelled", "n_others", "n_read"), [(4, 15, 15), (4, 100, 20), (10, 100, 40), (50, 100, 100)]
)
def test_how_many_are_read_depends_on_the_labels(n_labelled, n_others, n_read):
    share = shares_read(*rows(n_labelled, n_others))
    assert share[:n_labelled].tolist() == [1.0] * n_labelled
    assert share[n_labelled:].sum() == n_read


def test_the_ones_read_lie_as_far_from_the_centre_as_all():
    X, codes, weight = rows(4, 400)
    share = shares_read(X, codes, weight)
    distance = np.linalg.norm(X[codes < 0] - X[codes < 0].mean(axis=0), axis=1)
    read = np.sort(distance[share[codes < 0] > 0])
    np.testing.assert_allclose(
        np.quantile(read, [0.25, 0.5, 0.75]), np.quantile(distance, [0.25, 0.5, 0.75]), rtol=0.05
    )


def test_neither_order_nor_rotation_nor_repetition_matters():
    X, codes, weight = rows(4, 60)
    share = shares_read(X, codes, weight)
    rng = np.random.default_rng(1)
    order, rotation = rng.permutation(len(X)), np.linalg.qr(rng.normal(size=(6, 6)))[0]
    np.testing.assert_array_equal(shares_read(X[order], codes[order], weight[order]), share[order])
    np.testing.assert_array_equal(shares_read(X @ rotation, codes, weight), share)
    times = rng.integers(0, 4, len(X))
    weighed = times * shares_read(X, codes, times.astype(float))
    repeated = np.repeat(np.arange(len(X)), times)
    np.testing.assert_allclose(
        np.bincount(repeated, shares_read(X[repeated], codes[repeated], np.ones(len(repeated))), minlength=len(X)),
        weighed,
    )


@pytest.mark.parametrize("scale", [1e-200, 1e-170, 1e160, 1e300])
def test_the_scale_of_the_columns_means_nothing(scale):
    X, codes, weight = rows(4, 60)
    np.testing.assert_array_equal(shares_read(scale * X, codes, weight), shares_read(X, codes, weight))


def test_the_classifier_reads_those_and_takes_class_frequencies_from_all():
    X, codes, weight = rows(12, 300)
    labels = [None if code < 0 else int(code) for code in codes]
    share = shares_read(X, codes, weight)
    kept = np.flatnonzero(share > 0)
    queries = np.random.default_rng(2).normal(size=(30, 6))
    options = {"missing_label": None, "population": "labelled"}
    thinned = TartClassifier(**options).fit(X, labels).predict_proba(queries)
    read = TartClassifier(**options).fit(X[kept], [labels[i] for i in kept]).predict_proba(queries)
    assert len(kept) == 12 + 48
    np.testing.assert_allclose(thinned, read, atol=1e-6)
    # Most rows that are not read lie in class 0 here: balanced labels follow them all the same.
    skewed = np.r_[np.flatnonzero(codes >= 0), np.flatnonzero((codes < 0) & (X[:, 0] < 0.5))]
    classifier = TartClassifier(missing_label=None).fit(X[skewed], [labels[i] for i in skewed])
    assert classifier.evidence_["population"] == 1.0
    assert classifier.predict_proba(queries)[:, 0].mean() > thinned[:, 0].mean() + 0.05


def test_influence_is_what_a_fit_without_the_row_changes():
    X, codes, _ = rows(8, 80)
    labels = np.array([None if code < 0 else int(code) for code in codes], dtype=object)
    queries = np.random.default_rng(3).normal(size=(5, 6))
    classifier = TartClassifier(missing_label=None).fit(X, labels)
    read = int(np.flatnonzero(shares_read(X, codes, np.ones(len(X)))[8:] > 0)[0]) + 8
    unread = int(np.flatnonzero(shares_read(X, codes, np.ones(len(X)))[8:] == 0)[0]) + 8
    influence = classifier.context_influence(queries, rows=[2, read, unread])
    assert np.abs(influence[:, 0]).max() > np.abs(influence[:, 1]).max() > np.abs(influence[:, 2]).max()
