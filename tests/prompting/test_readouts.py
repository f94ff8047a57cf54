import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.neighbors import NearestCentroid

from skicl._validation._scalars import check_choice
from skicl.prompting._readouts import (
    NEIGHBORS,
    READOUTS,
    Heard,
    ReadByReasoner,
    centroid_scores,
    neighbor_scores,
)


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


# -- the reasoner ---------------------------------------------------------------------------------


def heard_of(codes, n_classes, *, of_states, of_words, seed=0, n_features=12):
    """What a model could have said after rows of some classes, more or less clearly."""
    random = np.random.RandomState(seed)
    one_hot = np.eye(n_classes)[codes]
    states = random.randn(len(codes), n_features) + of_states * np.eye(n_classes, n_features)[codes]
    words = log_softmax(random.randn(len(codes), n_classes) + of_words * one_hot, axis=1)
    return Heard(words, np.ones(len(codes)), states.astype(np.float32))


def read(*, of_states, of_words, n_rows=48, n_classes=3):
    """A reasoner that has read rows, and what it, the words alone and the truth say of others."""
    codes, asked = np.arange(n_rows) % n_classes, np.arange(150) % n_classes
    readout = ReadByReasoner("cpu").fit(
        heard_of(codes, n_classes, of_states=of_states, of_words=of_words), codes, n_classes
    )
    queries = heard_of(asked, n_classes, of_states=of_states, of_words=of_words, seed=1)
    return readout, readout.log_proba(queries), queries.words, asked


def test_states_help_words_and_words_help_states():
    for of_states, of_words in ((3.0, 0.5), (0.5, 3.0), (2.0, 2.0)):
        _, log_proba, words, truth = read(of_states=of_states, of_words=of_words)
        np.testing.assert_allclose(np.exp(log_proba).sum(axis=1), 1)
        rows = np.arange(len(truth))
        assert log_proba[rows, truth].mean() > words[rows, truth].mean() - 0.03
        if of_states > of_words:
            assert (log_proba.argmax(axis=1) == truth).mean() > (words.argmax(axis=1) == truth).mean() + 0.1


def test_words_without_meaning_have_little_part_in_the_answer():
    blind, _, _, _ = read(of_states=4.0, of_words=0.0)
    assert blind.share_of_words < 0.1
    assert 0 <= read(of_states=0.0, of_words=3.0)[0].share_of_words <= 1


def test_the_order_of_labelled_rows_means_nothing_for_what_is_read():
    codes = np.arange(30) % 3
    heard = heard_of(codes, 3, of_states=2.0, of_words=1.0)
    order = np.random.RandomState(3).permutation(30)
    turned = Heard.of_rows([heard.by_row()[i] for i in order])
    one = ReadByReasoner("cpu").fit(heard, codes, 3)
    other = ReadByReasoner("cpu").fit(turned, codes[order], 3)
    X = np.hstack([heard.states, heard.words], dtype=np.float64)
    expected = one.classifier.predict_proba(X)
    np.testing.assert_allclose(other.classifier.predict_proba(X), expected, atol=1e-7)


def test_a_class_without_a_row_is_left_to_its_word():
    codes = np.arange(24) % 2
    heard = heard_of(codes, 3, of_states=1.0, of_words=3.0)
    readout = ReadByReasoner("cpu").fit(heard, codes, 3)
    asked = np.full(20, 2)
    found = readout.log_proba(heard_of(asked, 3, of_states=1.0, of_words=6.0, seed=2))
    assert (found.argmax(axis=1) == 2).mean() > 0.5
    assert np.isfinite(found).all()


def test_one_row_is_enough():
    heard = heard_of(np.array([1]), 2, of_states=1.0, of_words=1.0)
    readout = ReadByReasoner("cpu").fit(heard, np.array([1]), 2)
    assert np.isfinite(readout.log_proba(heard)).all()


def test_rows_come_apart_and_together():
    heard = heard_of(np.arange(6) % 2, 2, of_states=1.0, of_words=1.0)
    again = Heard.of_rows(heard.by_row())
    np.testing.assert_array_equal(again.states, heard.states)
    np.testing.assert_array_equal(again.words, heard.words)
    assert again.vocabulary is None
