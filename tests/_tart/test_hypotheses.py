"""Weights of hypotheses: what may be meant, what is said of each before and after the rows are seen."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skicl._tart._hypotheses import (
    CLEARLY_BETTER,
    ODDS,
    Hypothesis,
    frequencies,
    frequencies_of_others,
    hypotheses_of,
    log_prior,
    one_scale,
    posterior,
    scales_of,
)
from skicl._tart._reading import ContextRows


def rows_of(y, *, names=False, prior=False, X=None):
    y = np.array(y)
    X = np.arange(2.0 * len(y)).reshape(-1, 2) if X is None else X
    scores = np.zeros((len(y), 2)) if prior else None
    return ContextRows(X, y, np.ones(len(y)), np.arange(2), None, np.eye(2) if names else None, scores)


def test_every_piece_of_evidence_is_believed_or_not():
    rows = rows_of([0, 1, -1], names=True, prior=True)
    found = hypotheses_of(rows, (True, False))
    assert found[0] == Hypothesis(True, True, True, True)
    assert len(set(found)) == len(found) == 16
    assert hypotheses_of(rows_of([0, 1]), (False,)) == [Hypothesis(False, False, False, False)]


def test_columns_of_unlike_ranges_may_be_read_both_ways():
    X = np.random.default_rng(0).normal(size=(20, 5))
    y = np.arange(20) % 2
    assert scales_of(rows_of(y, X=X), "auto") == (False,)
    assert scales_of(rows_of(y, X=X * [1, 1, 1, 1, 100]), "auto") == (True, False)
    assert scales_of(rows_of(y, X=X), True) == (True,)


def test_odds_before_any_row_multiply():
    rows = rows_of([0, 1, -1], names=True, prior=True)
    everything = hypotheses_of(rows, (False,))[0]
    nothing = everything._replace(names=False, prior=False, unlabelled=False)
    assert log_prior(nothing, rows, everything, (False,)) == 0
    expected = np.log(ODDS["names"] * ODDS["prior"] * ODDS["unlabelled"])
    assert_allclose(log_prior(everything, rows, everything, (False,)), expected)
    assert log_prior(everything, rows, everything, (True,)) == -np.inf


def test_names_of_classes_without_rows_are_not_put_to_the_vote():
    rows = rows_of([0, 0, 0], names=True)
    everything = hypotheses_of(rows, (False,))[0]
    assert log_prior(everything, rows, everything, (False,)) > -np.inf
    assert log_prior(everything._replace(names=False), rows, everything, (False,)) == -np.inf


def test_without_any_label_everything_is_believed():
    rows = rows_of([-1, -1], names=True)
    everything, *others = hypotheses_of(rows, (False,))
    assert log_prior(everything, rows, everything, (False,)) == 0
    assert all(log_prior(one, rows, everything, (False,)) == -np.inf for one in others)


def test_frequencies_are_those_of_the_others():
    codes, weight = np.array([0, 0, 1]), np.array([1.0, 1.0, 2.0])
    mass = np.bincount(codes, weight)
    assert_allclose(np.exp(frequencies(mass)), [0.5, 0.5])
    by_hand = [1.5 / 4, 1.5 / 4, 1.5 / 4]
    assert_allclose(np.exp(frequencies_of_others(mass, codes, weight)), by_hand)


@pytest.mark.parametrize(("better", "chosen"), [(0.9, True), (1.1, False)])
def test_columns_stay_standardised_unless_rows_say_clearly_otherwise(better, chosen):
    hypotheses = [Hypothesis(False, False, False, scale) for scale in (True, False)]
    n_labelled = 25
    weights = one_scale(hypotheses, np.array([0.0, better * CLEARLY_BETTER * n_labelled**0.5]), n_labelled)
    assert (weights > -np.inf).tolist() == [chosen, not chosen]


def test_weights_sum_to_one_and_drop_what_is_negligible():
    weights = posterior(np.array([[0.0, 0.0], [-20.0, 0.0], [-1.0, -np.inf]]))
    assert_allclose(weights.sum(0), 1)
    assert weights[1, 0] == 0
    assert_allclose(weights[:, 1], [0.5, 0.5, 0])
