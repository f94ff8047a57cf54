"""What is believed of a context: what helps, not what harms, and never by chance."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skicl._tart._belief import believe, normalise
from skicl._tart._reading import ContextRows
from skicl.reasoning import load_reasoner

NETWORK = load_reasoner().double().requires_grad_(False)


def clusters(n, n_classes=3, n_features=20, separation=1.0, frequency=None, seed=0):
    rng = np.random.default_rng(seed)
    means = separation * rng.normal(size=(n_classes, n_features))
    y = np.arange(n) % n_classes if frequency is None else rng.choice(n_classes, size=n, p=frequency)
    return means[y] + rng.normal(size=(n, n_features)), y, means


def rows_of(X, y, **more):
    return ContextRows(X, y, np.ones(len(y)), np.arange(3), None, more.get("names"), more.get("prior_scores"))


def believed(*parts, standardize="auto", population="auto"):
    return believe(list(parts), NETWORK, standardize, population)


def test_honest_names_are_believed_and_misleading_ones_are_not():
    X, y, means = clusters(60, separation=0.6)
    assert believed(rows_of(X, y, names=means)).share("names") > 0.9
    assert believed(rows_of(X, y, names=means[[1, 2, 0]])).share("names") < 0.1


def test_opinions_that_know_are_believed_and_noise_is_not():
    X, y, _ = clusters(60, separation=0.2)
    knows = np.eye(3)[y] - 1 / 3
    noise = np.random.default_rng(1).normal(size=(60, 3))
    assert believed(rows_of(X, y, prior_scores=3 * knows)).share("prior") > 0.9
    assert believed(rows_of(X, y, prior_scores=noise)).share("prior") < 0.9


def test_random_labels_leave_the_frequencies_of_the_classes():
    X, _, _ = clusters(200)
    rng = np.random.default_rng(2)
    y = rng.choice(3, size=200, p=[0.7, 0.2, 0.1])
    belief = believed(rows_of(X, y))
    assert belief.weight_of_frequencies[0] > 0.5
    queries = rng.normal(size=(50, 20))
    expected = belief.frequencies[0]
    assert np.abs(belief.log_proba(queries, None, 50)[:, 0] - expected).max() < 0.5


def test_contexts_read_together_are_believed_as_each_alone():
    X, y, means = clusters(24)
    y[5] = y[9] = -1
    whole = rows_of(X, y, names=means)
    parts = [whole.without(0), whole.without(5), whole.without(7)]
    queries = X[:6] + 0.1
    together = believed(*parts).log_proba(queries, None, 4)
    for number, part in enumerate(parts):
        assert_allclose(together[:, [number]], believed(part).log_proba(queries, None, 6), atol=1e-8)


def test_a_row_of_weight_two_is_believed_like_two_rows():
    X, y, means = clusters(24)
    y[3] = -1
    rows = rows_of(X, y, names=means)
    doubled = replace(rows, weight=np.where(np.isin(np.arange(24), [3, 4]), 2.0, 1.0))
    order = [*range(24), 3, 4]
    repeated = rows_of(X[order], y[order], names=means)
    queries = X[:6] + 0.1
    assert_allclose(
        believed(doubled).log_proba(queries, None, 6), believed(repeated).log_proba(queries, None, 6), atol=1e-7
    )


@pytest.mark.parametrize("population", ["auto", "unlabelled"])
def test_balanced_labels_and_a_skewed_population(population):
    """The frequencies of the population come from its unlabelled rows where labels cannot tell, or where asked for."""
    X, y, _ = clusters(330, separation=0.5, frequency=[0.8, 0.15, 0.05])
    labelled = np.concatenate([np.flatnonzero(y == label)[:8] for label in range(3)])
    rest = np.setdiff1d(np.arange(330), labelled)
    context, queries = rest[:150], rest[150:]
    order = np.concatenate([labelled, context])
    codes = np.concatenate([y[labelled], np.full(len(context), -1)])
    rows, losses = rows_of(X[order], codes), {}
    for asked in (population, "labelled"):
        belief = believed(rows, population=asked)
        log_proba = belief.log_proba(X[queries], None, 1000)[:, 0]
        losses[asked] = -log_proba[np.arange(len(queries)), y[queries]].mean()
        assert belief.shift.any() == (asked == population)
    assert losses[population] < losses["labelled"] - 0.05


def test_unequal_labels_tell_the_population_themselves():
    X, y, _ = clusters(60)
    codes = np.where(np.arange(60) < 20, y, -1)
    codes[[0, 3]] = -1
    assert not believed(rows_of(X, codes)).shift.any()
    assert believed(rows_of(X, codes), population="unlabelled").shift.any()


def test_no_probability_is_zero_or_one():
    log_proba = normalise(torch.tensor([[0.0, 1e6], [0.0, 0.0]]))
    assert log_proba.exp().min() > 1e-8
    torch.testing.assert_close(log_proba.exp().sum(1), torch.ones(2, dtype=torch.float64))
