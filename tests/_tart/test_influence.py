"""Influence of the rows of a context: equal to refitting, and the laws that follow from those of the reasoner."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from torch import nn

from skicl import TartClassifier
from skicl._tart._influence import chosen_rows, contexts_at_a_time, indispensable_row, stack
from skicl.reasoning import Reasoner

NAMES = np.array(["red", "green", "blue"])


def make_problem(n_rows=12, n_features=6, seed=0):
    """Rows, labels and queries of three classes."""
    rng = np.random.default_rng(seed)
    y = np.arange(n_rows) % 3
    centres = rng.normal(size=(3, n_features))
    X, Q = rng.normal(size=(n_rows, n_features)) + centres[y], rng.normal(size=(3, n_features))
    return X, NAMES[y], Q


def refitted(classifier, X, y, Q, sample_weight=None):
    """Influence by definition: one classifier for each row, fitted on all others."""
    fresh = type(classifier)(**classifier.get_params(deep=False))
    whole, moved = classifier.predict_log_proba(Q), []
    for row in range(len(y)):
        rest = np.arange(len(y)) != row
        weight = None if sample_weight is None else sample_weight[rest]
        fresh.fit(X[rest], y[rest], weight, classes=classifier.classes_)
        moved.append(whole - fresh.predict_log_proba(Q))
    return np.stack(moved, axis=1)


def assert_same(a, b, atol=1e-9):
    np.testing.assert_allclose(a, b, atol=atol, rtol=0)


# -- exact means equal to refitting -------------------------------------------------------------


@pytest.mark.parametrize("n_features", [2, 6, 60])
def test_exact_equals_refitting(n_features):
    X, y, Q = make_problem(n_features=n_features)
    classifier = TartClassifier().fit(X, y)
    influence = classifier.context_influence(Q)
    assert influence.shape == (3, 12, 3)
    assert influence.dtype == np.float64
    assert np.abs(influence).max() > 0.05
    assert_same(influence, refitted(classifier, X, y, Q))


def test_exact_equals_refitting_where_columns_are_standardised():
    X, y = load_wine(return_X_y=True)
    X, y, Q = X[::9], y[::9], X[4::40]
    classifier = TartClassifier().fit(X, y)
    assert classifier.standardized_
    assert_same(classifier.context_influence(Q), refitted(classifier, X, y, Q), atol=1e-7)


def test_exact_equals_refitting_where_a_row_decides_about_standardising():
    """One row gives a column its large range: without it, columns are left alone."""
    X, y, Q = make_problem()
    X[0, 0] = 500.0
    classifier = TartClassifier().fit(X, y)
    assert classifier.standardized_
    assert not TartClassifier().fit(X[1:], y[1:]).standardized_
    assert_same(classifier.context_influence(Q), refitted(classifier, X, y, Q), atol=1e-7)


@pytest.mark.parametrize("class_weight", ["balanced", {"red": 3.0}])
def test_exact_equals_refitting_with_weights(class_weight):
    X, y, Q = make_problem()
    weight = np.random.default_rng(1).choice([0.0, 0.5, 1.0, 2.0], size=len(y))
    classifier = TartClassifier(class_weight=class_weight).fit(X, y, sample_weight=weight)
    influence = classifier.context_influence(Q)
    assert_same(influence, refitted(classifier, X, y, Q, weight))
    assert (influence[:, weight == 0] == 0).all()
    assert (influence[:, weight > 0] != 0).any(axis=(0, 2)).all()


def test_rows_without_a_label_have_influence_too():
    X, y, Q = make_problem()
    y = y.astype(object)
    y[6:] = None
    classifier = TartClassifier().fit(X, y)
    influence = classifier.context_influence(Q)
    assert np.abs(influence[:, 6:]).max() > 1e-3
    assert_same(influence, refitted(classifier, X, y, Q))


def test_names_of_classes_are_looked_at_anew():
    X, y, Q = make_problem()
    vectors = np.random.default_rng(3).normal(size=(3, 6))
    classifier = TartClassifier(class_texts=vectors).fit(X, y)
    assert_same(classifier.context_influence(Q), refitted(classifier, X, y, Q))
    plain = TartClassifier().fit(X, y)
    assert np.abs(classifier.context_influence(Q) - plain.context_influence(Q)).max() > 1e-3


def test_a_fitted_prior_is_asked_as_in_refitting():
    X, y, Q = make_problem()
    prior = LogisticRegression().fit(*make_problem(seed=5)[:2])
    classifier = TartClassifier(prior=prior).fit(X, y)
    assert_same(classifier.context_influence(Q), refitted(classifier, X, y, Q))


def test_texts(tiny_folder):
    from skicl import SentenceEncoder

    texts = np.array(["where is it", "not here yet", "charged twice", "wrong bill", "too slow", "lost parcel"])
    y = np.array(["delivery", "delivery", "billing", "billing", "delivery", "delivery"])
    classifier = TartClassifier(SentenceEncoder(tiny_folder)).fit(texts, y)
    queries = np.array(["my parcel", "my bill"])
    # Vectors of encoders are float32, and so is the network that reads them.
    assert_same(classifier.context_influence(queries), refitted(classifier, texts, y, queries), atol=1e-5)


# -- what happens at the edge -------------------------------------------------------------------


def test_a_class_that_loses_its_only_row_stays_declared():
    X, y, Q = make_problem()
    y = np.where(np.arange(len(y)) < 11, np.where(y == "blue", "red", y), "blue")
    classifier = TartClassifier().fit(X, y)
    without = TartClassifier().partial_fit(X[:11], y[:11], classes=["red", "green", "blue"])
    expected = classifier.predict_log_proba(Q) - without.predict_log_proba(Q)
    assert_same(classifier.context_influence(Q, rows=[11])[:, 0], expected)
    own = classifier.context_influence(X[11:], rows=[11])[0, 0, classifier.classes_.tolist().index("blue")]
    assert own > 0.5, "the only example of a class speaks for it"


def test_without_its_only_labelled_row_a_context_says_nothing():
    X, _, Q = make_problem()
    y = np.array(["red", *[None] * 11], dtype=object)
    for rows in (1, 12):
        classifier = TartClassifier().fit(X[:rows], y[:rows], classes=NAMES)
        influence = classifier.context_influence(Q)
        assert_same(influence[:, 0], classifier.predict_log_proba(Q) + np.log(3))
        assert np.isfinite(influence).all()


def test_without_its_only_row_the_names_are_left():
    X, y, Q = make_problem()
    vectors = np.random.default_rng(3).normal(size=(3, 6))
    classifier = TartClassifier(class_texts=vectors).fit(X[:1], y[:1], classes=NAMES)
    names_only = TartClassifier(class_texts=vectors).fit(None, classes=NAMES)
    expected = classifier.predict_log_proba(Q) - names_only.predict_log_proba(Q)
    assert_same(classifier.context_influence(Q)[:, 0], expected)
    assert names_only.context_influence(Q).shape == (3, 0, 3)


# -- laws ---------------------------------------------------------------------------------------


def test_permuting_the_context_permutes_the_influence():
    X, y, Q = make_problem()
    order = np.random.default_rng(1).permutation(len(y))
    shuffled = TartClassifier().fit(X[order], y[order]).context_influence(Q)
    assert_same(shuffled, TartClassifier().fit(X, y).context_influence(Q)[:, order], atol=1e-7)


def test_renaming_the_classes_permutes_the_influence():
    X, y, Q = make_problem()
    other_name = {"red": "a", "green": "c", "blue": "b"}
    plain, renamed = TartClassifier().fit(X, y), TartClassifier().fit(X, [other_name[label] for label in y])
    columns = [renamed.classes_.tolist().index(other_name[label]) for label in plain.classes_]
    a, b = plain.context_influence(Q), renamed.context_influence(Q)
    assert_same(a, b[..., columns], atol=1e-7)


def test_parts_equal_the_whole(monkeypatch):
    """Queries one by one, some rows, one context at a time, small batches: the same numbers."""
    X, y, Q = make_problem()
    classifier = TartClassifier().fit(X, y)
    whole = classifier.context_influence(Q)
    single = [classifier.context_influence(query[None]) for query in Q]
    assert_same(np.concatenate(single), whole)
    rows = [11, 3, 3]
    assert_same(classifier.context_influence(Q, rows=rows), whole[:, rows])
    monkeypatch.setattr("skicl._tart._influence.NUMBERS_AT_A_TIME", {"cpu": 1, "cuda": 1})
    monkeypatch.setattr("skicl._tart._belief.PAIRS_AT_A_TIME", 7)
    assert_same(classifier.set_params(batch_size=2).context_influence(Q), whole)


def test_equal_rows_have_equal_influence():
    X, y, Q = make_problem()
    X[9], y[9] = X[4], y[4]
    influence = TartClassifier().fit(X, y).context_influence(Q)
    assert_same(influence[:, 9], influence[:, 4])


def test_nothing_of_the_classifier_changes():
    X, y, Q = make_problem()
    classifier = TartClassifier(class_texts=np.eye(3, 6)).fit(X, y)
    before, proba = pickle.dumps(classifier), classifier.predict_proba(Q)
    influence = classifier.context_influence(Q)
    np.testing.assert_array_equal(classifier.predict_proba(Q), proba)
    assert pickle.dumps(classifier) == before
    assert_same(pickle.loads(before).context_influence(Q), influence)


def test_equal_rows_share_what_they_say():
    """Twins stand in for each other: the influence of each is smaller than that of the row alone."""
    X, y, _ = make_problem()
    column = TartClassifier().fit(X, y).classes_.tolist().index(y[0])
    alone = TartClassifier().fit(X, y).context_influence(X[:1], rows=[0])[0, 0, column]
    twins = TartClassifier().fit(np.r_[X, X[:1]], np.r_[y, y[:1]]).context_influence(X[:1], rows=[0])[0, 0, column]
    assert alone > twins > 0


def test_a_row_speaks_for_its_label():
    X, y, _ = make_problem(60)
    classifier = TartClassifier().fit(X, y)
    columns = np.searchsorted(classifier.classes_, y)
    own = classifier.context_influence(X)[np.arange(60), np.arange(60), columns]
    assert (own > 0).mean() > 0.9


class Counting(Reasoner):
    """Log of the number of rows of each class."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()), requires_grad=False)

    def encode(self, evidence, *, chunk_rows=None):
        one_hot = nn.functional.one_hot(evidence.y, evidence.n_classes).to(evidence.weight)
        return ((one_hot * evidence.weight[..., None]).sum(1),)

    def score(self, context, X, side=None):
        return (context[0] + 1.0).log()[:, None].expand(-1, X.shape[1], -1)


def test_any_reasoner_has_an_exact_influence():
    X, y, Q = make_problem()
    classifier = TartClassifier(reasoner=Counting()).fit(X, y)
    influence = classifier.context_influence(Q)
    column = classifier.classes_.tolist().index(y[0])
    np.testing.assert_allclose(influence[:, 0, column], np.log(5 / 15) - np.log(4 / 14), rtol=1e-6)


# -- errors and sizes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": [0, 12]}, r"`rows` holds \[12\]; the context has the rows 0 to 11"),
        ({"rows": [-1]}, r"`rows` holds \[-1\]"),
        ({"rows": np.ones(12, bool)}, r"`rows` must be a list of row numbers, got bool .* numpy.flatnonzero"),
        ({"rows": 3}, "`rows` must be a list of row numbers"),
    ],
)
def test_errors(arguments, message):
    X, y, Q = make_problem()
    with pytest.raises(ValueError, match=message):
        TartClassifier().fit(X, y).context_influence(Q, **arguments)


def test_chosen_rows():
    np.testing.assert_array_equal(chosen_rows(None, 3), [0, 1, 2])
    np.testing.assert_array_equal(chosen_rows([], 3), [])


def test_indispensable_row():
    codes, weight = np.array([-1, 2, 0, -1]), np.array([1.0, 1.0, 0.0, 0.0])
    assert indispensable_row(codes, weight, has_side_information=False) == 1
    assert indispensable_row(codes, weight, has_side_information=True) == -1
    assert indispensable_row(codes, np.array([1.0, 0.0, 0.0, 0.0]), has_side_information=True) == 0
    assert indispensable_row(codes, np.ones(4), has_side_information=False) == -1


def test_stack():
    assert stack([None, None]) is None
    assert stack([torch.zeros(1, 2), torch.ones(1, 2)]).tolist() == [[0, 0], [1, 1]]


def test_few_contexts_at_a_time_where_they_are_large():
    cpu = torch.device("cpu")
    sizes = [contexts_at_a_time(n_rows, 384, 4, cpu) for n_rows in (16, 64, 256, 1000, 100_000)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 100
    assert sizes[-1] == 1
    assert contexts_at_a_time(64, 384, 77, cpu) < contexts_at_a_time(64, 384, 4, cpu)
    assert contexts_at_a_time(256, 384, 4, torch.device("cuda")) > contexts_at_a_time(256, 384, 4, cpu)
