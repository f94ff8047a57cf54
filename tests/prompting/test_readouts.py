import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.neighbors import NearestCentroid

from skicl._validation._scalars import check_choice
from skicl.prompting._readouts import NEIGHBORS, READOUTS, centroid_scores, neighbor_scores


def sample(seed=0, n_features=6):
    random = np.random.RandomState(seed)
    codes = np.arange(30) % 3
    return random.randn(30, n_features) + 2 * np.eye(3, n_features)[codes], codes, random.randn(20, n_features) * 2


def test_the_nearest_centroid_wins():
    anchors, codes, queries = sample()
    scores = centroid_scores(anchors, codes, queries, 3)
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1)
    expected = NearestCentroid().fit(anchors, codes).predict(queries)
    np.testing.assert_array_equal(scores.argmax(axis=1), expected)


def test_centroids_do_not_depend_on_place_and_unit():
    anchors, codes, queries = sample()
    scores = centroid_scores(anchors, codes, queries, 3)
    np.testing.assert_allclose(centroid_scores(7 * anchors + 3, codes, 7 * queries + 3, 3), scores, atol=1e-9)


def test_one_anchor_each():
    scores = centroid_scores(np.eye(3), np.arange(3), np.eye(3) * 0.9, 3)
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores.argmax(axis=1), [0, 1, 2])
    same = centroid_scores(np.zeros((2, 3)), np.arange(2), np.zeros((1, 3)), 2)
    np.testing.assert_allclose(np.exp(same), [[0.5, 0.5]])


def test_neighbours_are_those_of_least_divergence():
    logits, codes, queries = sample()
    anchors, asked = log_softmax(logits, axis=1), log_softmax(queries, axis=1)
    divergence = (np.exp(anchors)[None] * (anchors[None] - asked[:, None])).sum(axis=2)
    nearest = codes[np.argsort(divergence, axis=1)[:, :NEIGHBORS]]
    expected = np.stack([(nearest == label).sum(axis=1) for label in range(3)], axis=1)
    scores = neighbor_scores(anchors, codes, asked, 3)
    np.testing.assert_allclose(np.exp(scores), (expected + 1 / 3) / (NEIGHBORS + 1))
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1)


def test_impossible_tokens_do_no_harm():
    with np.errstate(divide="ignore"):
        anchors = np.log([[1.0, 0.0], [0.0, 1.0]]).astype(np.float32)
    scores = neighbor_scores(anchors, np.array([0, 1]), anchors, 2)
    assert np.isfinite(scores).all()


def test_names():
    for readout in READOUTS:
        check_choice(readout, "readout", READOUTS)
    for bad in ("logits", None, 3):
        with pytest.raises(ValueError, match="`readout` must be one of 'auto'"):
            check_choice(bad, "readout", READOUTS)
