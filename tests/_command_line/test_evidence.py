"""What is learnt from: labelled rows, names of classes and rows without a label, as vectors."""

import numpy as np
import pytest

from skicl import TartClassifier
from skicl._command_line._evidence import Evidence, names_to_embed

RNG = np.random.default_rng(0)
LABELS = ["delivery", "refund", "delivery", "refund", "delivery", "refund"]
VECTORS = RNG.normal(size=(6 + 4 + 2, 5))
X, NEW, NAMES = VECTORS[:6], VECTORS[6:10], VECTORS[10:]


def made(*, names=True, use_unlabelled=False):
    texts = names_to_embed(["delivery", "refund"]) if names else {}
    vectors = VECTORS if names else VECTORS[:10]
    return Evidence.of_vectors(vectors, LABELS, texts, device="cpu", use_unlabelled=use_unlabelled)


def test_names_to_embed():
    assert names_to_embed(["GetWeather", "top_up"]) == {"GetWeather": "Get Weather", "top_up": "top up"}
    assert names_to_embed(["LABEL_0", "LABEL_1"]) == {}


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("use_unlabelled", [True, False])
def test_the_classifier_learns_from_what_there_is(names, use_unlabelled):
    train = np.array([0, 1, 2, 3])
    classifier = made(names=names, use_unlabelled=use_unlabelled).fit(train)
    rows, y = X[train], [LABELS[i] for i in train]
    if use_unlabelled:
        rows, y = np.concatenate([rows, NEW]), y + [None] * 4
    class_texts = {"delivery": NAMES[0], "refund": NAMES[1]} if names else None
    expected = TartClassifier(class_texts=class_texts, device="cpu").fit(rows, y)
    np.testing.assert_array_equal(classifier.predict_proba(NEW), expected.predict_proba(NEW))
    assert (classifier.n_labelled_, classifier.n_context_) == (4, 8 if use_unlabelled else 4)


def test_rows_of_a_test_fold_are_to_be_classified_and_nobody_sees_their_labels():
    evidence = made(use_unlabelled=True).for_test([4, 5])
    np.testing.assert_array_equal(evidence.new, np.concatenate([X[[4, 5]], NEW]))
    assert evidence.fit(np.arange(4)).n_labelled_ == 4
    without_table = made(names=False)
    without_table = Evidence(X, without_table.y, NEW[:0], {}, "cpu", True)
    assert without_table.fit(np.arange(6)).n_context_ == 6
    assert without_table.for_test([5]).fit(np.arange(5)).n_context_ == 6


def test_names_as_rows():
    rows, y = made().with_names_as_rows([2, 1])
    np.testing.assert_array_equal(rows, np.concatenate([X[[2, 1]], NAMES]))
    assert y.tolist() == ["delivery", "refund", "delivery", "refund"]
    rows, y = made(names=False).with_names_as_rows([2, 1])
    assert (len(rows), y.tolist()) == (2, ["delivery", "refund"])


def test_what_was_learnt_from_is_said():
    assert made(names=False).in_words("new.csv") == "6 labelled texts"
    assert made().in_words("new.csv") == "6 labelled texts and the names of 2 classes"
    assert made(use_unlabelled=True).in_words("new.csv") == (
        "6 labelled texts, the names of 2 classes and the 4 texts of new.csv without labels"
    )
