"""Encoders: which one, what it is fitted on, and whose fault an error is."""

import numpy as np
import pytest
from sklearn.base import TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectFromModel
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.pipeline import FeatureUnion, make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skicl import TartClassifier
from skicl._tart._encoding import (
    check_encoded,
    choose_encoder,
    fit_encode,
    fit_on_texts,
    learns_from_labels,
    reads_texts,
)
from skicl._validation._rows import Rows
from skicl.encoders import AudioEncoder, ContextualEncoder, ImageEncoder, LanguageModelEncoder, SentenceEncoder

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 5))
LABELLED = np.arange(20) % 4 > 0
LABELS = np.arange(20)[LABELLED] % 2


def test_which_encoder():
    assert choose_encoder("auto", None, of_texts=False) is None
    assert choose_encoder(None, None, of_texts=True) is None
    made = choose_encoder("auto", "cpu", of_texts=True)
    assert isinstance(made, SentenceEncoder)
    assert made.device == "cpu"
    assert made.layers == "auto"
    named = choose_encoder("some/model", None, of_texts=False)
    assert (named.model, named.layers) == ("some/model", "auto")
    scaler = StandardScaler().fit(X)
    chosen = choose_encoder(scaler, None, of_texts=False)
    assert chosen is not scaler
    assert not hasattr(chosen, "mean_")
    frozen = FrozenEstimator(scaler)
    assert choose_encoder(frozen, None, of_texts=False) is frozen


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [
        (PCA(), False),
        (make_pipeline(StandardScaler(), PCA()), False),
        (FunctionTransformer(), False),
        (SentenceEncoder(), False),
        (NeighborhoodComponentsAnalysis(), True),
        (make_pipeline(NeighborhoodComponentsAnalysis(), PCA()), True),
        (LinearDiscriminantAnalysis(), True),
        (make_pipeline(PCA(), SelectFromModel(LogisticRegression())), True),
    ],
)
def test_who_learns_from_labels(encoder, expected):
    assert learns_from_labels(encoder) is expected


class OfGraphs(SentenceEncoder):
    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = False
        return tags


class NotQuite(TransformerMixin):
    """A transformer without a base whose tags it could have."""


WORDS = make_pipeline(TfidfVectorizer(), TruncatedSVD(2))
SENTENCES = SentenceEncoder()


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [
        ("auto", True),
        ("some/model", True),
        (SENTENCES, True),
        (LanguageModelEncoder("gpt2"), True),
        (ContextualEncoder("gpt2"), True),
        (FrozenEstimator(SENTENCES), True),
        (WORDS, True),
        (FrozenEstimator(WORDS), True),
        (make_pipeline("passthrough", SENTENCES), True),
        (make_pipeline(make_pipeline(SENTENCES, PCA()), StandardScaler()), True),
        (make_union(SENTENCES, WORDS), True),
        (make_pipeline(make_union(SENTENCES, WORDS), StandardScaler()), True),
        (FeatureUnion([("one", SENTENCES), ("two", "drop")]), True),
        (FeatureUnion([("one", SENTENCES), ("two", "passthrough")]), False),
        (make_union(SENTENCES, ImageEncoder("vit")), False),
        (None, False),
        (ImageEncoder("vit"), False),
        (AudioEncoder("whisper"), False),
        (OfGraphs(), False),
        (PCA(), False),
        (FunctionTransformer(), False),
        (make_pipeline(FunctionTransformer(), SENTENCES), False),
        (ColumnTransformer([("text", SENTENCES, "text")]), False),
        (NotQuite(), False),
        (object(), False),
    ],
)
def test_who_reads_texts(encoder, expected):
    assert reads_texts(encoder) is expected


def test_an_encoder_without_labels_is_fitted_on_all_rows():
    encoder = PCA(2)
    encoded = fit_encode(encoder, Rows(X), LABELS, LABELLED)
    np.testing.assert_allclose(encoder.mean_, X.mean(axis=0))
    np.testing.assert_allclose(encoded, PCA(2).fit_transform(X))


def test_an_encoder_that_needs_labels_is_fitted_on_the_labelled_rows():
    encoder = LinearDiscriminantAnalysis()
    encoded = fit_encode(encoder, Rows(X), LABELS, LABELLED)
    np.testing.assert_allclose(encoded, LinearDiscriminantAnalysis().fit(X[LABELLED], LABELS).transform(X))
    every = np.ones(20, bool)
    np.testing.assert_allclose(
        fit_encode(LinearDiscriminantAnalysis(), Rows(X), np.arange(20) % 2, every),
        LinearDiscriminantAnalysis().fit(X, np.arange(20) % 2).transform(X),
    )
    with pytest.raises(ValueError, match="`encoder` LinearDiscriminantAnalysis learns from labels"):
        fit_encode(LinearDiscriminantAnalysis(), Rows(X), LABELS[:0], np.zeros(20, bool))


def test_a_frozen_encoder_is_left_alone():
    frozen = FrozenEstimator(StandardScaler().fit(X[:5]))
    np.testing.assert_array_equal(fit_encode(frozen, Rows(X), LABELS, LABELLED), frozen.transform(X))
    fit_on_texts(frozen, [])
    np.testing.assert_array_equal(frozen.transform(X), StandardScaler().fit(X[:5]).transform(X))


def test_without_rows_an_encoder_is_fitted_on_the_texts_of_the_classes():
    encoder = make_pipeline(TfidfVectorizer(), TruncatedSVD(1))
    fit_on_texts(encoder, ["some text", "another text"])
    assert encoder.transform(["text"]).shape == (1, 1)
    with pytest.raises(ValueError, match="no rows to fit it on"):
        fit_on_texts(PCA(), [])
    with pytest.raises(ValueError, match="no rows to fit it on"):
        fit_on_texts(LinearDiscriminantAnalysis(), ["some text"])


def test_errors_blame_the_encoder():
    with pytest.raises(TypeError, match="`encoder` TfidfVectorizer gave a sparse matrix"):
        check_encoded(TfidfVectorizer(), TfidfVectorizer().fit_transform(["some text"]))
    with pytest.raises(ValueError, match="output of PCA"):
        check_encoded(PCA(), np.array([[np.nan]]))
    assert check_encoded(PCA(), np.ones((1, 1), dtype=np.float32)).dtype == np.float32


def test_almost_auto_is_not_looked_up():
    with pytest.raises(ValueError, match=r"`encoder`='atuo' would be looked up .* Did you mean 'auto'"):
        choose_encoder("atuo", None, of_texts=True)


def test_a_model_by_name_gives_layers_of_rows_and_of_names(tiny_folder):
    """As by an encoder with ``layers="auto"``, and not as by one without."""
    texts, y = (
        ["my card is lost", "card stolen", "refund please", "no refund yet"],
        ["card", "card", "refund", "refund"],
    )
    named = TartClassifier(tiny_folder, class_texts="labels", device="cpu").fit(texts, y)
    encoder = SentenceEncoder(tiny_folder, layers="auto", device="cpu").fit(texts)
    names = dict(zip(["card", "refund"], encoder.transform(["card", "refund"])))
    by_hand = TartClassifier(class_texts=names, device="cpu").fit(encoder.transform(texts), y)
    new = ["where is my card", "money back"]
    np.testing.assert_allclose(named.predict_proba(new), by_hand.predict_proba(encoder.transform(new)), atol=1e-5)
    alone = TartClassifier(SentenceEncoder(tiny_folder, device="cpu"), class_texts="labels", device="cpu").fit(texts, y)
    assert not np.allclose(named.predict_proba(new), alone.predict_proba(new), atol=1e-3)
