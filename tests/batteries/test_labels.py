"""Labels keep their meaning: classes, answers and their types are those of ``y``."""

import numpy as np
import pytest
from batteries.estimators import alike, answers_of, each_subject
from batteries.label_strategies import CONTAINERS, KINDS, VALUES, Topic, Urgency, labels
from hypothesis import given, settings

NAMES = {
    "words": (["b", "a", "c"], ["z", "y", "x"]),
    "numbers": ([2, 0, 7], [-5, 3, 100]),
    "truths": ([True, False], [False, True]),
    "members of a str enum": (list(Topic), list(Topic)[::-1]),
    "members of an int enum": (list(Urgency), list(Urgency)[::-1]),
}


def renamed(y, names):
    """Labels with other names, as many as there are; two classes where there are two names only."""
    codes = np.unique(y, return_inverse=True)[1]
    return [names[code % len(names)] for code in codes]


@pytest.mark.parametrize("kind", NAMES)
@each_subject("labels", lambda subject: subject.is_classifier and "class_texts" not in subject.name)
def test_classes_and_answers_are_labels_of_y(subject, kind):
    X, y, new = subject.rows
    for names in NAMES[kind]:
        given_labels = renamed(y, names)
        trained = subject.make().fit(X, given_labels)
        assert trained.classes_.tolist() == sorted(set(given_labels))
        found = trained.predict(new).tolist()
        assert set(found) <= set(given_labels)
        assert trained.predict_proba(new).shape == (len(new), len(set(names)))


@each_subject("labels", lambda subject: subject.name in ("TartClassifier", "FineTuneClassifier, last_layer"))
def test_names_play_no_part(subject):
    """Where names are no evidence, other names in the same order give the same numbers."""
    X, y, new = subject.rows
    expected = answers_of(subject, subject.fitted(), quick=True)
    codes = np.unique(y, return_inverse=True)[1]
    for names in (["k", "l", "m"], [10, 20, 30]):
        found = answers_of(subject, subject.make().fit(X, [names[code] for code in codes]), new, quick=True)
        assert alike(found["predict_proba"], expected["predict_proba"])


@each_subject("labels", lambda subject: subject.name == "ContextualEncoder")
def test_an_encoder_of_labels_knows_its_classes(subject):
    X, y, _ = subject.rows
    for names in (["b", "a", "c"], [2, 0, 7]):
        assert subject.make().fit(X, renamed(y, names)).classes_.tolist() == sorted(names)


@each_subject("labels")
def test_it_can_be_fitted(subject):
    fitted = subject.make()
    assert fitted.fit(subject.rows.X, subject.rows.y) is fitted


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(labels(8))
def test_the_strategy_says_what_it_means(drawn):
    """The draws themselves: as many values as rows, each kind in containers that keep it."""
    assert len(drawn.y) == len(drawn.meant) == 8
    assert drawn.kind in KINDS
    assert drawn.kind in CONTAINERS[drawn.container][1]
    assert set(VALUES) == set(KINDS)
    if drawn.container in ("list", "tuple"):
        assert list(drawn.y) == drawn.meant
    assert None not in drawn.classes
