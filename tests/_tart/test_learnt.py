"""What was learnt is a value: read from the rows once, built aside, and all that queries need."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from skicl import TartClassifier
from skicl._tart._learnt import declared_classes, learn, learn_without_rows
from skicl._validation import _rows

X, Y = load_iris(return_X_y=True)
X, Y, QUERIES = X[::5], Y[::5], X[1::9]


@pytest.mark.parametrize("container", [np.asarray, pd.DataFrame, np.ndarray.tolist])
@pytest.mark.parametrize("parts", ["labels", "everything"])
def test_what_the_user_passed_is_read_once_at_the_door(container, parts, monkeypatch):
    read, read_container = [], _rows.read_container
    passed = container(X)
    monkeypatch.setattr(_rows, "read_container", lambda rows: read.append(rows is passed) or read_container(rows))
    names = {} if parts == "labels" else {"class_texts": X[[0, 10, 20]], "prior": LogisticRegression()}
    labels = [None if i % 4 == 0 else label for i, label in enumerate(Y.tolist())]
    TartClassifier(**names).fit(passed, labels)
    assert read.count(True) == 1


def test_learning_leaves_the_classifier_as_it_was():
    classifier = TartClassifier(prior=LogisticRegression())
    before = dict(vars(classifier))
    learnt = learn(classifier, X, Y, None, None)
    assert vars(classifier) == before
    assert learnt.n_rows == len(X)
    with pytest.raises(AttributeError):
        learnt.classes = np.arange(2)


def test_rows_behind_earlier_ones_equal_all_rows_at_once():
    classifier = TartClassifier(class_texts=X[[0, 10, 20]], prior=LogisticRegression())
    weight = np.arange(len(X)) % 3 + 1.0
    whole = learn(classifier, X, Y, weight, np.arange(3))
    first = learn(classifier, X[:17], Y[:17], weight[:17], np.arange(3))
    both = learn(classifier, X[17:], Y[17:], weight[17:], np.arange(3), first)
    assert first.n_rows == 17
    for name in ("X", "codes", "weight", "names", "prior_scores"):
        np.testing.assert_array_equal(getattr(both.rows, name), getattr(whole.rows, name))


def test_rows_are_copied():
    mine = X.copy()
    learnt = learn(TartClassifier(), mine, Y, None, None)
    mine[:] = 0
    np.testing.assert_array_equal(learnt.rows.X, X)


def test_queries_are_numbers_and_scores_of_the_prior_where_there_is_one():
    plain = learn(TartClassifier(), X, Y, None, None)
    numbers, scores = plain.read_queries(QUERIES)
    np.testing.assert_array_equal(numbers, QUERIES)
    assert scores is None
    numbers, scores = learn(TartClassifier(prior=LogisticRegression()), X, Y, None, None).read_queries(QUERIES)
    proba = LogisticRegression().fit(X, Y).predict_proba(QUERIES)
    expected = np.log(np.clip(proba, 1e-3, 1))
    np.testing.assert_allclose(scores, expected - expected.mean(axis=1, keepdims=True))


def test_a_prior_alone_gets_what_no_column_check_could_read():
    classifier = TartClassifier(prior=lambda words: np.array([[0.9, 0.1]] * len(words)))
    learnt = learn_without_rows(classifier, None, None, np.array(["a", "b"]))
    numbers, scores = learnt.read_queries([object(), object()])
    assert numbers is None
    assert scores.shape == (2, 2)
    assert learnt.n_rows == 0


def test_classes_are_those_listed_or_those_with_names():
    assert declared_classes(TartClassifier(), None) is None
    assert declared_classes(TartClassifier(), ["b", "a"]).tolist() == ["a", "b"]
    assert declared_classes(TartClassifier(class_texts={"y": "yes", "x": "no"}), None).tolist() == ["x", "y"]
    assert declared_classes(TartClassifier(class_texts="labels"), None) is None
