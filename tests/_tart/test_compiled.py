"""The compiled context: one value, compiled once, equal to what its parts say."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris, load_wine

import skicl._tart._compiled
from skicl import TartClassifier
from skicl._tart._compiled import CompiledContext, ContextRows, normalise, read_rows
from skicl._tart._prior import Opinions
from skicl.reasoning import reasoner_path
from skicl.reasoning._in_memory import shared_reasoner

CPU = torch.device("cpu")


def rows_of(X, y, *, weight=None, class_weight=None, names=None, opinions=None):
    weight = np.ones(len(y)) if weight is None else weight
    return ContextRows(X, y, weight, np.unique(y[y >= 0]), class_weight, names, opinions)


@pytest.fixture
def network():
    return shared_reasoner(reasoner_path(None), CPU, torch.float64)[0]


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
        compiled.rule = False
    with pytest.raises(AttributeError):
        rows.X = X[:3]
    assert rows.without(3).weight[3] == 0
    assert rows.weight[3] == 1


@pytest.mark.parametrize("parts", ["labels", "names", "names and opinions"])
def test_rows_are_brought_to_the_scale_of_the_reasoner_once_a_reading(parts, network, monkeypatch):
    X, y = load_iris(return_X_y=True)
    X, y, calls = X[::5] * [1.0, 1.0, 1.0, 1.001], y[::5], []
    monkeypatch.setattr(skicl._tart._compiled, "pull_in", lambda X, reach: calls.append(len(X)) or X)
    names = None if parts == "labels" else X[[0, 10, 20]]
    opinions = Opinions(np.full((30, 3), 1 / 3), np.arange(3)) if "opinions" in parts else None
    CompiledContext.compile(rows_of(X, y, names=names, opinions=opinions), network, False)
    assert calls == [30]


def test_columns_of_unlike_ranges_are_read_both_ways(network):
    X, y = load_wine(return_X_y=True)
    scaled = CompiledContext.compile(rows_of(X, y), network, "auto")
    assert scaled.standardized
    assert scaled.rule == "auto"
    rng = np.random.default_rng(0)
    noisy = np.column_stack([y + 0.01 * rng.normal(size=len(y)), 1e-3 * rng.normal(size=(len(y), 30))])
    plain = CompiledContext.compile(rows_of(noisy, y), network, "auto")
    assert not plain.standardized
    assert plain.rule is False
    assert CompiledContext.compile(rows_of(noisy, y), network, True).standardized


def test_weights_of_rows_are_those_of_samples_and_classes():
    y = np.array([0, 1, 1, -1])
    rows = rows_of(np.eye(4), y, weight=np.array([1.0, 2.0, 1.0, 5.0]), class_weight={0: 3.0, 1: 0.5})
    assert rows.total_weight.tolist() == [3, 1, 0.5, 5]


def test_queries_and_rows_are_read_alike(network):
    X, y = load_iris(return_X_y=True)
    read = read_rows(rows_of(X, y, names=X[[0, 60, 120]]), "auto", CPU)
    rows, side = read.queries(X, None)
    torch.testing.assert_close(rows, read.evidence.X)
    torch.testing.assert_close(side, read.evidence.side)


def test_no_probability_is_zero_or_one():
    log_proba = normalise(torch.tensor([[0.0, 1e6], [0.0, 0.0]]))
    assert log_proba.exp().min() > 1e-8
    torch.testing.assert_close(log_proba.exp().sum(1), torch.ones(2, dtype=torch.float64))
