"""Neighbours: asked where labelled rows are many and the rows say so; all laws of the classifier hold with them."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.neighbors import KNeighborsClassifier

from skicl import TartClassifier
from skicl._tart import _neighbours, _search
from skicl._tart._neighbours import Mixture, Neighbours, Question, even_axes, fit_exponents, spread_out

N_ROWS = 300


def drawn(n=N_ROWS, n_queries=400, seed=0):
    """A hundred clusters in eight dimensions, each of one of four classes: rows, labels, queries and their labels."""
    rng = np.random.default_rng(seed)
    centres, classes = 2 * rng.normal(size=(100, 8)), np.arange(100) % 4
    cluster = rng.integers(100, size=n + n_queries)
    X, y = centres[cluster] + rng.normal(size=(n + n_queries, 8)), classes[cluster]
    return X[:n], y[:n], X[n:], y[n:]


@pytest.fixture
def few_are_many(monkeypatch):
    monkeypatch.setattr(_neighbours, "MANY_ROWS", 200)


def compiled(classifier):
    return classifier._learnt.made(classifier._compile)


def without_neighbours(classifier, X):
    """Log-probabilities of the reasoner alone."""
    return replace(compiled(classifier), neighbours=None).log_proba(X, None, 1024)


def test_few_rows_are_read_as_before(monkeypatch):
    X, y, queries, _ = drawn()
    monkeypatch.setattr(Neighbours, "choose", None)
    classifier = TartClassifier().fit(X, y)
    assert list(classifier.evidence_) == ["labels", "gaussians", "sharpness"]
    np.testing.assert_array_equal(classifier.predict_log_proba(queries), without_neighbours(classifier, queries))


def test_neighbours_draw_borders_that_a_reasoner_cannot(few_are_many):
    X, y, queries, labels = drawn(900)
    classifier = TartClassifier().fit(X, y)
    assert list(classifier.evidence_) == ["labels", "gaussians", "neighbours", "sharpness"]
    assert 0.3 < classifier.evidence_["neighbours"] < 1
    proba, alone = classifier.predict_proba(queries), np.exp(without_neighbours(classifier, queries))
    assert log_loss(labels, proba) < log_loss(labels, alone) - 0.05
    accuracy = classifier.score(queries, labels)
    assert accuracy > (alone.argmax(axis=1) == labels).mean() + 0.02
    assert accuracy >= KNeighborsClassifier(15, weights="distance").fit(X, y).score(queries, labels)


@pytest.mark.parametrize("seed", range(3))
def test_neighbours_of_random_labels_are_not_asked(seed, few_are_many):
    X, _, queries, _ = drawn(seed=seed)
    y = (np.random.default_rng(seed).uniform(size=N_ROWS) < 0.25).astype(int)
    classifier = TartClassifier().fit(X, y)
    assert classifier.evidence_["neighbours"] == 0
    np.testing.assert_array_equal(classifier.predict_log_proba(queries), without_neighbours(classifier, queries))


def test_neighbours_do_no_harm_where_the_reasoner_is_right():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 30))
    y = (X[:, 0] + X[:, 1] + 0.3 * rng.normal(size=2000) > 0).astype(int)
    classifier = TartClassifier().fit(X[:1000], y[:1000])
    assert "neighbours" in classifier.evidence_
    alone = np.exp(without_neighbours(classifier, X[1000:]))
    assert log_loss(y[1000:], classifier.predict_proba(X[1000:])) < log_loss(y[1000:], alone) + 0.005


def test_the_order_of_the_rows_means_nothing(few_are_many):
    X, y, queries, _ = drawn()
    order = np.random.default_rng(0).permutation(N_ROWS)
    expected = TartClassifier().fit(X, y).predict_proba(queries)
    np.testing.assert_allclose(TartClassifier().fit(X[order], y[order]).predict_proba(queries), expected, atol=1e-6)


def test_rotations_mean_nothing(few_are_many):
    X, y, queries, _ = drawn()
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0]
    expected = TartClassifier(standardize=False).fit(X, y).predict_proba(queries)
    rotated = TartClassifier(standardize=False).fit(X @ rotation, y).predict_proba(queries @ rotation)
    np.testing.assert_allclose(rotated, expected, atol=1e-4)


def test_names_of_classes_mean_nothing(few_are_many):
    X, y, queries, _ = drawn()
    new = np.array([2, 0, 3, 1])
    expected = TartClassifier().fit(X, y).predict_proba(queries)
    renamed = TartClassifier().fit(X, new[y]).predict_proba(queries)
    np.testing.assert_allclose(renamed[:, new], expected, atol=1e-6)


def test_a_weight_of_two_is_two_rows(few_are_many):
    X, y, queries, _ = drawn()
    weight = np.random.default_rng(0).integers(1, 4, size=N_ROWS)
    weighted = TartClassifier().fit(X, y, sample_weight=weight)
    repeated = TartClassifier().fit(X.repeat(weight, axis=0), y.repeat(weight))
    assert weighted.evidence_["neighbours"] == pytest.approx(repeated.evidence_["neighbours"], abs=1e-4)
    np.testing.assert_allclose(weighted.predict_proba(queries), repeated.predict_proba(queries), atol=1e-4)


def test_rows_without_a_label_or_a_weight_are_no_neighbours(few_are_many):
    X, y, queries, _ = drawn()
    weight = np.r_[np.ones(N_ROWS), np.zeros(20), np.ones(50)]
    labels = np.r_[y, np.zeros(20, int), np.full(50, -1)]
    classifier = TartClassifier(missing_label=-1).fit(np.r_[X, queries[:70]], labels, sample_weight=weight)
    groups = compiled(classifier).neighbours.labelled.groups
    assert (groups[:N_ROWS] >= 0).all()
    assert (groups[N_ROWS:] == -1).all()


@pytest.mark.parametrize("leaves", ["all", "some"])
def test_queries_are_independent(leaves, few_are_many, monkeypatch):
    if leaves == "some":
        monkeypatch.setattr(_search, "LEAF_ROWS", 32)
        monkeypatch.setattr(_search, "BEAM", 4)
    X, y, queries, _ = drawn()
    classifier = TartClassifier().fit(X, y)
    together = classifier.predict_proba(queries[:20])
    one_by_one = np.concatenate([classifier.predict_proba(query[None]) for query in queries[:20]])
    np.testing.assert_allclose(one_by_one, together, atol=1e-6)


def test_a_pickle_asks_the_same_neighbours(few_are_many):
    X, y, queries, _ = drawn()
    classifier = TartClassifier().fit(X, y)
    loaded = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(loaded.predict_proba(queries), classifier.predict_proba(queries))


def test_the_shift_of_class_frequencies_comes_after_the_votes(few_are_many):
    X, y, queries, _ = drawn(600)
    rare = np.flatnonzero((y != 0) | (np.arange(600) % 10 == 0))
    labels = np.r_[y[:N_ROWS], np.full(len(rare), -1)]
    classifier = TartClassifier(population="unlabelled", missing_label=-1).fit(np.r_[X[:N_ROWS], X[rare]], labels)
    whole = compiled(classifier)
    shift = whole.belief.shift[0]
    assert shift[0] < -0.1
    assert whole.neighbours is not None
    even = replace(whole, belief=replace(whole.belief, shift=np.zeros((1, 4)))).log_proba(queries, None, 1024)
    moved = classifier.predict_log_proba(queries) - even - shift
    within_bounds = even.min(axis=1) > -10
    assert within_bounds.sum() > 100
    assert np.abs(moved - moved[:, :1])[within_bounds].max() < 1e-9


def test_influence_is_that_of_a_context_without_the_row(few_are_many, monkeypatch):
    X, y, queries, _ = drawn()
    monkeypatch.setattr(Question, "answer", lambda self, labelled, before: (0.0, Mixture(15, 0.3, 1.5, 0.6), 0.4))
    classifier = TartClassifier(class_weight="balanced").fit(X, y)
    neighbours = compiled(classifier).neighbours
    chosen = [
        int(np.flatnonzero(neighbours.labelled.groups == nearest)[0])
        for nearest in neighbours.find(queries[:3]).groups[:, 0]
    ]
    influence = classifier.context_influence(queries[:3], rows=[*chosen, 5])
    for place, row in enumerate([*chosen, 5]):
        kept = np.arange(N_ROWS) != row
        without = TartClassifier(class_weight="balanced").fit(X[kept], y[kept]).predict_log_proba(queries[:3])
        expected = classifier.predict_log_proba(queries[:3]) - without
        np.testing.assert_allclose(influence[:, place], expected, atol=1e-5)
    assert (influence[np.arange(3), np.arange(3), y[chosen]] > 0).all()


def test_votes_fade_with_the_distance_and_count_as_often_as_the_row():
    X = np.arange(10.0, dtype=np.float32)[:, None]
    labelled = _neighbours.LabelledRows(
        _search.Tree.grow(X), None, np.arange(10), np.arange(10) % 2, np.ones(10), np.full(2, 5.0)
    )
    odds = labelled.log_odds(labelled.near(X[:1]), 2, 0.5)  # the radius is that of the third row
    np.testing.assert_allclose(odds, np.log1p(np.array([[1.0, 0.75**2]]) / (0.5 * 0.5)), atol=1e-6)
    for copies in (2.0, 3.0, 100.0):  # beyond two, its own distance is the radius
        weighted = replace(labelled, weight=np.where(np.arange(10) == 0, copies, 1.0))
        assert weighted.log_odds(labelled.near(X[:1]), 2, 0.5)[0, 0] == pytest.approx(np.log1p(2.0 / 0.25))
    others = labelled.log_odds(labelled.near(X[:1]), 2, 0.5, all_vote=False)  # of rows 1 and 2; 3 is the radius
    np.testing.assert_allclose(others, np.log1p(np.array([[(5 / 9) ** 2, (8 / 9) ** 2]]) / (0.5 * 0.5)), atol=1e-6)


def test_exponents_are_those_of_what_labels_were_drawn_by():
    rng = np.random.default_rng(0)
    odds, log_proba = rng.normal(size=(20_000, 3)), rng.normal(size=(20_000, 3))
    codes = (1.5 * odds + 0.5 * log_proba + rng.gumbel(size=odds.shape)).argmax(axis=1)
    loss, exponents = fit_exponents(odds, log_proba, codes, 20_000.0)
    np.testing.assert_allclose(exponents, [1.5, 0.5], atol=0.06)
    assert loss < 20_000 * np.log(3)
    few = fit_exponents(odds[:50], log_proba[:50], codes[:50], 50.0)[1]
    assert few[1] > 0.85  # a reasoner is trusted until many rows say otherwise


def test_rows_left_out_are_spread_evenly_and_as_often_as_they_count():
    X = np.random.default_rng(0).normal(size=(5000, 4)).astype(np.float32)
    chosen = spread_out(X, np.ones(5000))
    assert len(np.unique(chosen)) == _neighbours.LEFT_OUT
    length = np.linalg.norm(X, axis=1)
    np.testing.assert_allclose(np.quantile(length[chosen], [0.1, 0.5, 0.9]), np.quantile(length, [0.1, 0.5, 0.9]), 0.02)
    order = np.random.default_rng(1).permutation(5000)
    assert set(order[spread_out(X[order], np.ones(5000))]) == set(chosen)
    weight = np.arange(1.0, 11.0)
    np.testing.assert_array_equal(np.bincount(spread_out(X[:10], weight)), weight)


def test_even_axes_make_rows_round():
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(500, 3)) * [10.0, 1.0, 0.1] @ rng.normal(size=(3, 8))).astype(np.float32)
    weight = rng.integers(1, 4, size=500).astype(float)
    on_axes = X @ even_axes(X, weight)
    assert on_axes.shape == (500, 3)
    np.testing.assert_allclose(np.cov(on_axes.T, fweights=weight.astype(int), ddof=0), np.eye(3), atol=1e-2)


def test_many_copies_of_few_rows_are_few_rows_of_large_weight(few_are_many):
    X, y, queries, _ = drawn(40)
    weighted = TartClassifier().fit(X, y, sample_weight=np.full(40, 100))
    repeated = TartClassifier().fit(X.repeat(100, axis=0), y.repeat(100))
    assert weighted.evidence_["neighbours"] == pytest.approx(repeated.evidence_["neighbours"], abs=1e-4)
    np.testing.assert_allclose(weighted.predict_proba(queries), repeated.predict_proba(queries), atol=1e-3)


def test_neither_copies_nor_weights_are_mistaken_for_neighbours():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 8))
    y = (X[:, 0] + rng.normal(size=1500) > 1.8).astype(int)
    queries = rng.normal(size=(500, 8))
    labels = (queries[:, 0] + rng.normal(size=500) > 1.8).astype(int)
    rows = np.r_[np.arange(1500), np.repeat(np.flatnonzero(y), 5)]
    for classifier in (
        TartClassifier().fit(X.repeat(2, axis=0), y.repeat(2)),
        TartClassifier().fit(X[rows], y[rows]),
        TartClassifier(class_weight="balanced").fit(X, y),
    ):
        alone = np.exp(without_neighbours(classifier, queries))
        assert log_loss(labels, classifier.predict_proba(queries)) < log_loss(labels, alone) + 0.01


def test_many_equal_rows_of_mixed_labels_have_no_order():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(40, 3))
    X = points.repeat(60, axis=0)
    y = (rng.uniform(size=len(X)) < rng.uniform(size=40).repeat(60)).astype(int)
    order = np.argsort(y, kind="stable")
    expected = TartClassifier().fit(X, y).predict_proba(points)
    np.testing.assert_allclose(TartClassifier().fit(X[order], y[order]).predict_proba(points), expected, atol=1e-5)


def test_a_class_that_is_only_described_does_without_votes(few_are_many):
    X, y, _, _ = drawn()
    names = np.random.default_rng(0).normal(size=(5, 8))
    classifier = TartClassifier(class_texts=names).fit(X, y, classes=range(5))
    assert "neighbours" not in classifier.evidence_
    assert "neighbours" in TartClassifier(class_texts=names[:4]).fit(X, y).evidence_
