"""Rows as a reasoner reads them: scaled, with side scores, and with a light row for the name of each class."""

import numpy as np
import torch
from sklearn.datasets import load_iris

from skicl._tart._coordinates import Coordinates
from skicl._tart._hypotheses import Hypothesis
from skicl._tart._reading import WEIGHT_OF_A_NAME, ContextRows, ReadRows

PLACE = {"device": torch.device("cpu"), "dtype": torch.float64}


def rows_of(X, y, *, weight=None, class_weight=None, names=None, prior_scores=None):
    weight = np.ones(len(y)) if weight is None else weight
    return ContextRows(X, y, weight, np.unique(y[y >= 0]), class_weight, names, prior_scores)


def read_of(rows):
    return ReadRows.read(rows, Coordinates.fit(rows.X, rows.total_weight, False), PLACE)


def test_weights_of_rows_are_those_of_samples_and_classes():
    y = np.array([0, 1, 1, -1])
    rows = rows_of(np.eye(4), y, weight=np.array([1.0, 2.0, 1.0, 5.0]), class_weight={0: 3.0, 1: 0.5})
    assert rows.total_weight.tolist() == [3, 1, 0.5, 5]
    assert rows.mass.tolist() == [3, 1.5]
    assert rows.unlabelled.tolist() == [3]


def test_a_hypothesis_takes_away_what_it_does_not_believe():
    y = np.array([0, -1, 1])
    rows = rows_of(np.eye(3), y, names=np.eye(3)[:2], prior_scores=np.arange(6.0).reshape(3, 2))
    labels = rows.believing(Hypothesis(False, False, False, False))
    assert labels.names is None
    assert labels.prior_scores is None
    assert labels.X.tolist() == [[1, 0, 0], [0, 0, 1]]
    everything = rows.believing(Hypothesis(True, True, True, False))
    assert everything.prior_scores is rows.prior_scores
    assert rows.believing(Hypothesis(False, True, False, False)).prior_scores.tolist() == [[0, 1], [4, 5]]


def test_queries_and_rows_are_read_alike():
    X, y = load_iris(return_X_y=True)
    read = read_of(rows_of(X, y, names=X[[0, 60, 120]]))
    rows, side = read.queries(X, None)
    assert read.n_rows == 150
    torch.testing.assert_close(rows, read.evidence.X[:, :150])
    torch.testing.assert_close(side, read.evidence.side[:, :150])


def test_a_name_is_a_light_row_of_its_class():
    X, y = load_iris(return_X_y=True)
    names = X[[0, 60, 120]] + 1.0
    read = read_of(rows_of(X, y, names=names, prior_scores=np.zeros((150, 3))))
    assert read.evidence.y[0, 150:].tolist() == [0, 1, 2]
    assert read.evidence.weight[0, 150:].tolist() == [WEIGHT_OF_A_NAME] * 3
    assert read.evidence.X[0, 150:].mean(0).abs().max() < 1e-12  # where the centre of the rows is
    shifted = read_of(rows_of(X, y, names=names - 7.0, prior_scores=np.zeros((150, 3))))
    torch.testing.assert_close(shifted.evidence.X, read.evidence.X)
    no_names = read_of(rows_of(X, y, prior_scores=np.zeros((150, 3))))
    assert no_names.evidence.X.shape == (1, 150, 4)
