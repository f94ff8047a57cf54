"""Probabilities of another model: alignment, limits, and cross-fitting that never leaks."""

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from skicl import TartClassifier
from skicl._tart._prior import (
    FLOOR,
    N_FOLDS,
    PriorProba,
    centred_log_proba,
    check_prior,
    cross_fit,
    fit_prior,
    folds_of_rows,
    is_ready,
    predict_prior,
)
from skicl._validation._rows import Rows

RNG = np.random.default_rng(0)
CLASSES = np.array(["a", "b", "c"])
CODES = np.arange(30) % 3
X = RNG.normal(size=(30, 4)) + CODES[:, None] * [1.0, 0.0, -1.0, 0.5]
ONES = np.ones(30)


def fitted(labels=CLASSES[CODES]):
    return LogisticRegression().fit(X, labels)


def test_what_can_be_asked():
    for prior in (
        None,
        LogisticRegression(),
        fitted(),
        FrozenEstimator(fitted()),
        lambda rows: rows,
        make_pipeline(CountVectorizer(), MultinomialNB()),
    ):
        check_prior(prior)
    for prior, message in (
        (LogisticRegression, r"Pass an instance: LogisticRegression\(\)"),
        (3, "type int"),
        (RidgeClassifier(), "RidgeClassifier.*CalibratedClassifierCV"),
        (SVC(), "SVC.*CalibratedClassifierCV"),
    ):
        with pytest.raises(TypeError, match=f"`prior`.*{message}"):
            check_prior(prior)


def test_who_is_asked_as_it_is():
    class Foreign:
        def fit(self, X, y):
            return self

        def predict_proba(self, X):
            return np.ones((len(X), 1))

    for prior in (fitted(), FrozenEstimator(fitted()), lambda rows: rows, Foreign()):
        assert is_ready(prior)
    for prior in (None, LogisticRegression(), make_pipeline(CountVectorizer(), MultinomialNB())):
        assert not is_ready(prior)


def test_columns_follow_the_names_of_the_classes():
    labels = np.array(["c", "other", "a"])[CODES]
    opinions = predict_prior(fitted(labels), X, 30, CLASSES)
    assert opinions.classes.tolist() == ["a", "c", "other"]
    proba = np.column_stack([opinions.proba[:, 0], np.full(30, FLOOR), opinions.proba[:, 1]]).clip(FLOOR)
    expected = np.log(proba) - np.log(proba).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(centred_log_proba(opinions, CLASSES), expected)


def test_a_function_gives_the_classes_in_sorted_order():
    proba = np.tile([0.2, 0.3, 0.5], (30, 1))
    for answer in (lambda rows: proba, lambda rows: proba.tolist(), lambda rows: proba.astype(np.float32)):
        opinions = predict_prior(answer, X, 30, CLASSES)
        assert opinions.classes.tolist() == ["a", "b", "c"]
        np.testing.assert_allclose(opinions.proba, proba, rtol=1e-6)


def test_certainty_is_bounded_and_rows_are_centred():
    scores = centred_log_proba(PriorProba(np.array([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]]), CLASSES), CLASSES)
    assert scores[0, 0] - scores[0, 1] == pytest.approx(-np.log(FLOOR))
    np.testing.assert_allclose(scores.sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(scores[1], 0, atol=1e-12)


@pytest.mark.parametrize(
    ("proba", "message"),
    [
        (np.full((30, 3), 0.5), "sum to 1"),
        (np.full((30, 3), np.nan), "no probabilities"),
        (np.tile([1.5, -0.5, 0.0], (30, 1)), "at least 0"),
        (np.full((29, 3), 1 / 3), "for 30 rows"),
        (np.full(30, 0.5), "shape"),
        (np.full((30, 2), 0.5), "2 columns, expected 3"),
        (np.full((30, 3), "a"), "type"),
    ],
)
def test_what_is_no_probability_is_refused(proba, message):
    with pytest.raises(ValueError, match=f"`prior` rule gave.*{message}"):
        predict_prior(rule_that_gives(proba), X, 30, CLASSES)


def rule_that_gives(proba):
    def rule(rows):
        return proba

    return rule


def test_a_prior_of_another_problem_is_refused():
    with pytest.raises(ValueError, match=r"knows the classes \[0, 1, 2\], and none of \['a', 'b', 'c'\]"):
        predict_prior(fitted(CODES), X, 30, CLASSES)


# -- cross-fitting -------------------------------------------------------------------------------


def test_a_memorising_prior_does_not_tell_what_it_memorised():
    noise = RNG.permutation(CODES)
    model, opinions = cross_fit(KNeighborsClassifier(1), Rows(X), X, noise, CLASSES, ONES)
    assert (model.predict(X) == CLASSES[noise]).all()
    by_hand = np.array(
        [
            KNeighborsClassifier(1).fit(X[train], noise[train]).predict(X[row : row + 1])[0]
            for train, test in folds_of_rows(X, noise)
            for row in test
        ]
    )
    rows = np.concatenate([test for _, test in folds_of_rows(X, noise)])
    assert (opinions.proba[rows].argmax(axis=1) == by_hand).all()
    assert (opinions.proba.argmax(axis=1) == noise).mean() < 0.7


@pytest.mark.parametrize("counts", [[4, 4], [8, 8], [7, 9, 17], [6, 2], [5, 1], [3, 3, 3, 3]], ids=str)
def test_a_prior_that_knows_only_how_frequent_classes_are_does_not_tell_labels(counts):
    """Every copy has learnt from as many rows of each class; else a class was rarer where it was tested."""
    codes = RNG.permutation(np.repeat(np.arange(len(counts)), counts))
    rows = RNG.normal(size=(len(codes), 3))
    assert len({tuple(np.bincount(codes[train])) for train, _ in folds_of_rows(rows, codes)}) == 1
    opinions = cross_fit(
        DummyClassifier(strategy="prior"), rows, rows, codes, np.arange(len(counts)), np.ones(len(codes))
    )[1]
    tested = np.array(counts)[codes] > 1
    np.testing.assert_allclose(opinions.proba[tested], opinions.proba[tested][[0]].repeat(tested.sum(), 0))


def test_equal_rows_of_several_classes_leave_every_class_somewhere_to_be_learnt():
    """Where all rows of a class fall into one fold, the others do not forget it for the sake of equal numbers."""
    for n_rows, n_values, n_classes, seed in ((14, 7, 3, 1936), (24, 14, 4, 516), (24, 14, 4, 1265), (14, 7, 3, 0)):
        rng = np.random.default_rng(seed)
        rows, codes = rng.integers(0, n_values, size=(n_rows, 1)), rng.integers(0, n_classes, size=n_rows)
        learnt = {label for train, _ in folds_of_rows(rows, codes) for label in codes[train].tolist()}
        assert learnt == set(codes.tolist())


def test_copies_of_a_row_are_held_out_together():
    twice, codes = np.concatenate([X, X]), np.concatenate([CODES, CODES])
    for train, test in folds_of_rows(twice, codes):
        assert not set(train % 30) & set(test % 30)
    once = cross_fit(LogisticRegression(), Rows(X), X, CODES, CLASSES, ONES)[1]
    repeated = cross_fit(LogisticRegression(C=0.5), Rows(twice), twice, codes, CLASSES, np.ones(60))[1]
    np.testing.assert_allclose(repeated.proba[:30], once.proba, atol=1e-4)
    weighted = cross_fit(LogisticRegression(C=0.5), Rows(X), X, CODES, CLASSES, 2 * ONES)[1]
    np.testing.assert_allclose(weighted.proba, once.proba, atol=1e-4)


@pytest.mark.parametrize("counts", [[2, 2], [5, 1], [3, 8, 2], [1, 1, 4], [40, 30, 20]])
def test_folds_share_out_every_class(counts):
    codes = np.repeat(np.arange(len(counts)), counts)
    rows = RNG.normal(size=(len(codes), 3))
    folds = folds_of_rows(rows, codes)
    tested = np.concatenate([test for _, test in folds])
    assert sorted(tested) == [row for row in range(len(codes)) if counts[codes[row]] > 1]
    for train, test in folds:
        assert not set(train) & set(test)
        assert set(codes[train]) == set(codes)
        for label, count in enumerate(counts):
            share = (codes[test] == label).sum()
            assert abs(share - count / min(N_FOLDS, len(tested))) <= 1 or count == 1


def test_folds_depend_neither_on_the_order_of_rows_nor_on_the_names_of_classes():
    order, rename = RNG.permutation(30), np.array([2, 0, 1])
    plain = {frozenset(map(tuple, X[test])) for _, test in folds_of_rows(X, CODES)}
    moved = {frozenset(map(tuple, X[order][test])) for _, test in folds_of_rows(X[order], rename[CODES][order])}
    assert moved == plain
    assert len(plain) == N_FOLDS


def test_where_no_row_can_be_held_out_there_is_no_opinion():
    assert folds_of_rows(X[:3], np.arange(3)) == []
    assert folds_of_rows(np.ones((10, 2)), np.arange(10) % 2) == []
    for codes, weight in ((np.arange(30), ONES), (np.zeros(30, int), ONES), (np.full(30, -1), ONES), (CODES, 0 * ONES)):
        classes = np.arange(30) if codes[-1] == 29 else CLASSES
        assert cross_fit(LogisticRegression(), Rows(X), X, codes, classes, weight) == (None, None)


def test_the_only_row_of_a_class_gets_a_neutral_opinion():
    codes = np.concatenate([CODES[CODES < 2], [2]])
    rows = np.concatenate([X[CODES < 2], X[CODES == 2][:1]])
    model, opinions = cross_fit(LogisticRegression(), Rows(rows), rows, codes, CLASSES, np.ones(21))
    np.testing.assert_allclose(opinions.proba[-1], 1 / 3)
    assert (opinions.proba[:-1, 2] > 0).all()  # every copy has learnt of the class
    assert model.classes_.tolist() == ["a", "b", "c"]


def test_rows_without_label_or_weight_are_not_learnt_from():
    codes, weight = CODES.copy(), ONES.copy()
    codes[:5], weight[5:10] = -1, 0
    model, opinions = cross_fit(LogisticRegression(), Rows(X), X, codes, CLASSES, weight)
    alone = LogisticRegression().fit(X[10:], CLASSES[CODES[10:]])
    np.testing.assert_allclose(model.predict_proba(X), alone.predict_proba(X))
    np.testing.assert_allclose(opinions.proba[:10], alone.predict_proba(X[:10]))
    assert np.abs(opinions.proba[10:] - alone.predict_proba(X[10:])).max() > 0.01


def test_a_class_without_a_row_gets_the_floor():
    codes = CODES % 2
    _, opinions = cross_fit(LogisticRegression(), Rows(X), X, codes, CLASSES, ONES)
    assert (opinions.proba[:, 2] == 0).all()
    scores = centred_log_proba(opinions, CLASSES)
    np.testing.assert_allclose(scores[:, :2] - scores[:, 2:], np.log(opinions.proba[:, :2].clip(FLOOR) / FLOOR))


def test_weights_go_where_they_are_taken():
    weight = np.where(CODES == 0, 10.0, 1.0)
    means = [
        cross_fit(prior, Rows(X), X, CODES, CLASSES, weight)[1].proba[:, 0].mean()
        for prior in (DummyClassifier(strategy="prior"), KNeighborsClassifier(20))
    ]
    assert means[0] == pytest.approx(10 / 12, abs=0.05)
    assert means[1] < 0.5


def test_texts_and_frames_are_passed_on_as_they_are():
    texts = [f"{'red' if code == 0 else 'green' if code == 1 else 'blue'} number {i}" for i, code in enumerate(CODES)]
    prior = make_pipeline(CountVectorizer(), MultinomialNB())
    for rows in (texts, np.array(texts, dtype=object), pd.Series(texts, index=[0] * 30)):
        opinions = cross_fit(prior, Rows(rows), X, CODES, CLASSES, ONES)[1]
        assert (opinions.proba.argmax(axis=1) == CODES).all()
    frame = pd.DataFrame(X, columns=list("abcd"), index=[0] * 30)
    model, opinions = cross_fit(LogisticRegression(), Rows(frame), X, CODES, CLASSES, ONES)
    assert model.feature_names_in_.tolist() == list("abcd")
    np.testing.assert_allclose(
        opinions.proba, cross_fit(LogisticRegression(), Rows(X), X, CODES, CLASSES, ONES)[1].proba
    )


# -- in portions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("prior", [LogisticRegression(), fitted(), fitted().predict_proba])
def test_portions_equal_the_whole(prior):
    whole = fit_prior(prior, Rows(X), X, CODES, CLASSES, ONES, None)
    part = fit_prior(prior, Rows(X[:12]), X[:12], CODES[:12], CLASSES, ONES[:12], None)
    both = fit_prior(prior, Rows(X[12:]), X, CODES, CLASSES, ONES, part)
    np.testing.assert_allclose(both.context.proba, whole.context.proba)


def test_what_happens_to_the_rows_later_does_not_matter():
    mine = X.copy()
    part = fit_prior(LogisticRegression(), Rows(mine), mine, CODES, CLASSES, ONES, None)
    mine[:] = 0
    np.testing.assert_array_equal(part.rows, X)


def test_a_prior_is_not_changed_between_portions():
    for first, second in ((fitted(), fitted()), (fitted(), LogisticRegression()), (LogisticRegression(), fitted())):
        part = fit_prior(first, Rows(X[:12]), X[:12], CODES[:12], CLASSES, ONES[:12], None)
        with pytest.raises(ValueError, match="`prior` was changed"):
            fit_prior(second, Rows(X[12:]), X, CODES, CLASSES, ONES, part)


def test_a_function_needs_all_classes_from_the_start():
    def even(rows):
        return np.full((len(rows), 2), 0.5)

    part = fit_prior(even, Rows(X[:12]), X[:12], CODES[:12] % 2, CLASSES[:2], ONES[:12], None)
    with pytest.raises(ValueError, match="List classes that have no row yet in `classes`"):
        fit_prior(even, Rows(X[12:]), X, CODES, CLASSES, ONES, part)


@pytest.mark.parametrize("error", [TypeError, ValueError, NotFittedError])
def test_an_error_of_a_prior_is_told_from_ours(error):
    def unable(rows):
        raise error("no such loop")

    kind = TypeError if error is TypeError else ValueError
    with pytest.raises(kind, match=rf"`prior` unable could not use the rows \({error.__name__}: no such loop\)"):
        predict_prior(unable, np.zeros((2, 1)), 2, np.array(["a", "b"]))


def test_a_prior_that_cannot_be_fitted_is_named():
    rows, marks = np.arange(8.0)[:, None], np.arange(8) % 2
    with pytest.raises(ValueError, match=r"`prior` MultinomialNB could not use the rows \(ValueError: Negative values"):
        TartClassifier(prior=MultinomialNB()).fit(rows - 4, marks)
