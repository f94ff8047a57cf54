"""Frames as the output of transformers: what an estimator says does not depend on the option, wherever it stands."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from batteries.estimators import (
    CLOSE,
    LABELS,
    NUMBERS,
    QUERIES,
    TEXTS,
    all_alike,
    answers_of,
    each_subject,
    of_prompts,
    prompted,
    sentences,
    tart,
    tuned,
)
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from text_battery import SKLEARN

from skicl.evaluation import few_shot_curve

FRAMES = {"pandas": pd.DataFrame, "polars": pl.DataFrame}
each_library = pytest.mark.parametrize("library", FRAMES)


def is_encoder(subject):
    return subject.is_encoder


@each_library
@each_subject("outputs")
def test_answers_do_not_depend_on_the_option(subject, library):
    """Fitted, asked, or both under the option; also where an encoder inside of it gives frames."""
    expected = answers_of(subject, subject.fitted())
    with config_context(transform_output=library):
        trained = subject.fitted()
        assert all_alike(answers_of(subject, trained), expected)
    assert all_alike(answers_of(subject, trained), expected)
    without = subject.fitted()
    with config_context(transform_output=library):
        assert all_alike(answers_of(subject, without), expected)


@each_library
@each_subject("outputs", lambda subject: "encoder" in subject.make().get_params(deep=False))
def test_an_encoder_that_gives_frames_may_stand_inside(subject, library):
    estimator = subject.make()
    if not hasattr(estimator.encoder, "set_output"):
        estimator.set_params(encoder=sentences() if subject.reads == "texts" else StandardScaler())
    expected = answers_of(subject, clone(estimator).fit(subject.rows.X, subject.rows.y))
    estimator.encoder.set_output(transform=library)
    assert all_alike(answers_of(subject, estimator.fit(subject.rows.X, subject.rows.y)), expected)


@each_library
@each_subject("outputs", is_encoder)
def test_frames_hold_the_vectors_under_their_names(subject, library):
    X, y, new = subject.rows
    plain = subject.fitted()
    expected, names = plain.transform(new), list(plain.get_feature_names_out())
    assert isinstance(expected, np.ndarray)
    assert expected.dtype == np.float32
    assert len(names) == plain.n_features_out_ == expected.shape[1]
    chosen = subject.make().set_output(transform=library).fit(X, y)
    with config_context(transform_output=library):
        found = [chosen.transform(new), subject.fitted().transform(new)]
    for frame in found:
        assert isinstance(frame, FRAMES[library])
        assert list(frame.columns) == names
        assert {str(kind).lower() for kind in frame.dtypes} == {"float32"}
        np.testing.assert_allclose(frame.to_numpy(), expected, **CLOSE)
    again = subject.make().set_output(transform=library).fit_transform(X, y)
    np.testing.assert_allclose(again.to_numpy(), subject.make().fit_transform(X, y), **CLOSE)
    assert chosen.n_features_out_ == plain.n_features_out_
    assert isinstance(chosen.set_output(transform="default").transform(new), np.ndarray)


@each_subject("outputs", lambda subject: is_encoder(subject) and subject.reads == "texts")
def test_the_index_of_a_frame_stays(subject):
    X, y = pd.DataFrame({"text": TEXTS}, index=[f"row {i}" for i in range(len(TEXTS))]), np.array(LABELS)
    encoder = subject.make().set_output(transform="pandas")
    assert encoder.fit_transform(X, y).index.equals(X.index)
    assert encoder.transform(X[3:7]).index.equals(X.index[3:7])
    if SKLEARN >= (1, 9):
        assert encoder.transform(X["text"][3:7]).index.equals(X.index[3:7])


@each_library
@each_subject("outputs", is_encoder)
def test_pipelines_and_unions(subject, library):
    X, y, new = subject.rows
    labels = np.arange(len(X)) % 2 if y is None else y

    def outcome():
        parts = [("one", subject.make()), ("two", make_pipeline(subject.make(), StandardScaler()))]
        if library == "polars" and SKLEARN < (1, 9):  # which stacks columns of one name before it renames them
            parts = parts[1:]
        pipeline = make_pipeline(FeatureUnion(parts), LogisticRegression()).fit(X, labels)
        return pipeline.predict_proba(new)

    expected = outcome()
    with config_context(transform_output=library):
        # Scaled columns of float32, in which rounding shows.
        np.testing.assert_allclose(outcome(), expected, rtol=0.02, atol=0.002)
        found = make_pipeline(subject.make(), tart()).fit(X, labels).predict_proba(new)
    plain = make_pipeline(subject.make(), tart()).fit(X, labels)
    np.testing.assert_allclose(found, plain.predict_proba(new), **CLOSE)


@each_library
@each_subject("outputs", lambda subject: is_encoder(subject) and subject.reads == "texts")
def test_column_transformers(subject, library):
    if library == "polars" and not (SKLEARN >= (1, 9) or hasattr(pl.DataFrame, "__dataframe__")):
        pytest.skip("scikit-learn 1.6 reads polars through a protocol that polars 2 has given up")
    frame = FRAMES[library]({"text": TEXTS, "number": np.arange(len(TEXTS), dtype=np.float32)})
    both = ColumnTransformer([("text", subject.make(), "text"), ("rest", "passthrough", ["number"])])
    expected = clone(both).fit_transform(frame, LABELS)
    found = clone(both).set_output(transform=library).fit_transform(frame, LABELS)
    assert isinstance(found, FRAMES[library])
    np.testing.assert_allclose(found.to_numpy(), expected, **CLOSE)
    with config_context(transform_output=library):
        classifier = tart(encoder=clone(both)).fit(frame, LABELS)
        found = classifier.predict_proba(frame)
    np.testing.assert_allclose(found, tart(encoder=clone(both)).fit(frame, LABELS).predict_proba(frame), **CLOSE)


# Long enough for rows to be held out.
MANY_TEXTS, MANY_LABELS = [f"{text} {i}" for i in range(6) for text in TEXTS], LABELS * 6


@each_library
@pytest.mark.parametrize("method", ["last_layer", "full", "contrastive", "lora"])
def test_early_stopping_on_frames(library, method):
    """Vectors of held-out rows come through ``transform`` as well."""
    classifier = tuned(method).set_params(validation_fraction=0.3, epochs=3)
    expected = clone(classifier).fit(MANY_TEXTS, MANY_LABELS)
    assert len(expected.validation_losses_), "rows are held out"
    with config_context(transform_output=library):
        found = clone(classifier).fit(MANY_TEXTS, MANY_LABELS)
        np.testing.assert_allclose(found.validation_losses_, expected.validation_losses_, **CLOSE)
        np.testing.assert_allclose(found.predict_proba(QUERIES), expected.predict_proba(QUERIES), **CLOSE)


@each_library
def test_few_shot_curves_on_frames(library):
    estimators = {
        "tart": tart(),
        "logistic": make_pipeline(StandardScaler(), LogisticRegression()),
        "last layer": tuned("last_layer"),
        "prompt": prompted(),
    }
    options = {"k": (6,), "n_repeats": 1, "encoder": sentences(), "raw": ("last layer", "prompt"), "random_state": 0}

    def scores():
        curve = few_shot_curve(estimators, MANY_TEXTS, MANY_LABELS, **options)
        return [(record["estimator"], record["accuracy"]) for record in curve]

    expected = scores()
    with config_context(transform_output=library):
        assert scores() == expected


@each_library
@pytest.mark.parametrize("encoder", ["sentences", "pipeline"])
@pytest.mark.parametrize("name", ["NearestDemonstrations", "DiverseDemonstrations", "VoteKDemonstrations"])
def test_selectors_with_an_encoder(name, encoder, library):
    made = sentences() if encoder == "sentences" else make_pipeline(sentences(), StandardScaler())
    selector = of_prompts(name, 3, encoder=made)
    expected = clone(selector).fit(TEXTS, LABELS).select(QUERIES)
    with config_context(transform_output=library):
        np.testing.assert_array_equal(clone(selector).fit(TEXTS, LABELS).select(QUERIES), expected)


@each_library
def test_names_rows_without_labels_and_priors_on_frames(library):
    """What TartClassifier encodes beside the labelled rows: names of classes, and rows in two parts."""
    some = [None if i % 3 == 1 else label for i, label in enumerate(LABELS)]
    cases = {
        "names": (tart(encoder=sentences(), class_texts="labels"), LABELS),
        "supervised": (tart(encoder=make_pipeline(sentences(), StandardScaler(), of_classes())), some),
        "prior": (tart(encoder=sentences(), prior=make_pipeline(TfidfVectorizer(), LogisticRegression())), some),
    }
    for name, (classifier, y) in cases.items():
        expected = clone(classifier).fit(TEXTS, y).partial_fit(QUERIES, [None] * len(QUERIES)).predict_proba(QUERIES)
        if name == "prior":  # scikit-learn puts no sparse matrix into a frame
            classifier.encoder.set_output(transform=library)
            found = clone(classifier).fit(TEXTS, y).partial_fit(QUERIES, [None] * len(QUERIES)).predict_proba(QUERIES)
        else:
            with config_context(transform_output=library):
                found = clone(classifier).fit(TEXTS, y).partial_fit(QUERIES, [None] * len(QUERIES))
                found = found.predict_proba(QUERIES)
        np.testing.assert_allclose(found, expected, **CLOSE, err_msg=name)


def of_classes():
    from sklearn.neighbors import NeighborhoodComponentsAnalysis

    return NeighborhoodComponentsAnalysis(3, random_state=0, max_iter=5)


@each_library
def test_numbers_that_come_as_frames_from_a_scaler(library):
    expected = make_pipeline(StandardScaler(), tart()).fit(NUMBERS.X, NUMBERS.y).predict_proba(NUMBERS.new)
    with config_context(transform_output=library):
        pipeline = make_pipeline(StandardScaler(), tart()).fit(NUMBERS.X, NUMBERS.y)
        np.testing.assert_allclose(pipeline.predict_proba(NUMBERS.new), expected, **CLOSE)
