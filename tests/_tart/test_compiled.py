"""The compiled context: one value, compiled once, equal to what its parts say."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris, load_wine

from skicl import TartClassifier
from skicl._tart._compiled import CompiledContext, ZeroShot
from skicl._tart._coordinates import Coordinates
from skicl._tart._reading import ContextRows
from skicl._validation._finite import NotFiniteError
from skicl.reasoning import load_reasoner, reasoner_path
from skicl.reasoning._in_memory import shared_reasoner

CPU = torch.device("cpu")


def rows_of(X, y, *, weight=None, class_weight=None, names=None, prior_scores=None):
    weight = np.ones(len(y)) if weight is None else weight
    return ContextRows(X, y, weight, np.unique(y[y >= 0]), class_weight, names, prior_scores)


@pytest.fixture
def network():
    return shared_reasoner(reasoner_path(None), CPU, torch.float64)[0]


def test_weights_that_are_no_numbers_are_named_as_the_cause():
    damaged = load_reasoner().requires_grad_(False)
    next(damaged.parameters()).fill_(float("nan"))
    X, y = load_iris(return_X_y=True)
    with pytest.raises(NotFiniteError, match="weights of the reasoner may be damaged"):
        TartClassifier(reasoner=damaged).fit(X[::3], y[::3]).predict_proba(X[:2])


def test_compiled_equals_the_classifier(network):
    X, y = load_iris(return_X_y=True)
    compiled = CompiledContext.compile(rows_of(X[::3], y[::3]), network, "auto")
    expected = TartClassifier().fit(X[::3], y[::3]).predict_log_proba(X)
    for batch_size in (1, 7, 1024):
        np.testing.assert_allclose(compiled.log_proba(X, None, batch_size), expected, atol=1e-9)


def test_a_compiled_context_and_its_rows_do_not_change(network):
    X, y = load_wine(return_X_y=True)
    rows = rows_of(X, y)
    compiled = CompiledContext.compile(rows, network, "auto")
    with pytest.raises(AttributeError):
        compiled.standardize = False
    with pytest.raises(AttributeError):
        rows.X = X[:3]
    assert rows.without(3).weight[3] == 0
    assert rows.weight[3] == 1


@pytest.mark.parametrize("parts", ["labels", "names", "names and a prior"])
def test_rows_are_brought_to_the_scale_of_the_reasoner_once_a_reading(parts, network, monkeypatch):
    X, y = load_iris(return_X_y=True)
    X, y, calls = X[::5] * [1.0, 1.0, 1.0, 1.001], y[::5], []
    fit, scaled = Coordinates.fit, Coordinates.scaled
    monkeypatch.setattr(Coordinates, "fit", lambda X, *rest: calls.append(len(X)) or fit(X, *rest))
    monkeypatch.setattr(Coordinates, "scaled", lambda self, X: calls.append(len(X)) or scaled(self, X))
    names = None if parts == "labels" else X[[0, 10, 20]]
    scores = np.zeros((30, 3)) if "prior" in parts else None
    CompiledContext.compile(rows_of(X, y, names=names, prior_scores=scores), network, False)
    assert calls.count(30) == 1
    assert (3 in calls) == (names is not None)


def test_columns_of_unlike_ranges_are_read_both_ways(network):
    X, y = load_wine(return_X_y=True)
    scaled = CompiledContext.compile(rows_of(X, y), network, "auto")
    assert scaled.standardized
    assert scaled.evidence["standardized"] > 0.5
    rng = np.random.default_rng(0)
    noisy = np.column_stack([y + 0.01 * rng.normal(size=len(y)), 1e-3 * rng.normal(size=(len(y), 30))])
    plain = CompiledContext.compile(rows_of(noisy, y), network, "auto")
    assert not plain.standardized
    assert plain.evidence["standardized"] < 0.01
    forced = CompiledContext.compile(rows_of(noisy, y), network, True)
    assert forced.standardized
    assert "standardized" not in forced.evidence


@pytest.mark.parametrize("parts", ["plain", "class_texts", "prior", "units", "everything"])
def test_a_fit_scales_the_rows_of_its_context_once_for_each_way_of_scaling_columns(parts, monkeypatch):
    X, y = load_iris(return_X_y=True)
    X = X[::3] * ([1.0, 100.0, 1.0, 1.0] if parts in ("units", "everything") else 1.0)
    scaled = []
    fit = Coordinates.fit
    monkeypatch.setattr(Coordinates, "fit", lambda rows, *rest: scaled.append(len(rows)) or fit(rows, *rest))
    parameters = {}
    if parts in ("class_texts", "everything"):
        parameters["class_texts"] = X[[0, 20, 40]]
    if parts in ("prior", "everything"):
        parameters["prior"] = lambda rows: np.full((len(rows), 3), 1 / 3)
    classifier = TartClassifier(**parameters).fit(X, y[::3])
    ways = 2 if parts in ("units", "everything") else 1
    assert scaled == [50] * ways
    classifier.predict(X[:9])
    assert scaled == [50] * ways


def test_contexts_without_a_row_are_those_that_never_had_it(network):
    X, y = load_iris(return_X_y=True)
    X, y, queries = X[::9], y[::9], X[1::30]
    without = CompiledContext.compile(rows_of(X, y), network, False).without(np.array([0, 9]))
    for i, row in enumerate((0, 9)):
        kept = np.arange(len(y)) != row
        never = CompiledContext.compile(rows_of(X[kept], y[kept]), network, False).log_proba(queries, None, 1024)
        np.testing.assert_allclose(without.log_proba(queries, None, 3)[:, i], never, atol=1e-9)


def test_without_rows_names_and_a_prior_multiply():
    queries, scores = np.random.default_rng(0).uniform(1, 2, size=(5, 3)), np.arange(15.0).reshape(5, 3) % 4 / 10
    names = np.eye(3)
    classes = np.arange(3)
    by_names = ZeroShot(names, classes).log_proba(queries, None, 1024)
    by_prior = ZeroShot(None, classes).log_proba(None, scores, 1024)
    both = np.exp(by_names + by_prior)
    together = np.exp(ZeroShot(names, classes).log_proba(queries, scores, 1024))
    np.testing.assert_allclose(together, both / both.sum(axis=1, keepdims=True), atol=1e-7)
    assert ZeroShot(names, classes).influence(np.arange(0), queries, None, 1024).shape == (5, 0, 3)
