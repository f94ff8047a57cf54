"""What every text transformer and every text classifier must satisfy.

scikit-learn's ``check_estimator`` checks next to nothing where the input is text (scikit-learn issue 12491). Each
check here takes an unfitted estimator and fits clones of it::

    @pytest.mark.parametrize("check", TRANSFORMER_CHECKS)
    def test_battery(check):
        check(MyTextTransformer())

The estimator must be deterministic, and cheap enough to be fitted some hundred times on ``TEXTS``.
"""

import inspect
import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from joblib import parallel_config
from sklearn import config_context
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score, learning_curve
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

SUBJECTS = {
    "card": ["my card is lost", "card was stolen", "please freeze the card", "my card does not work", "new card"],
    "refund": ["refund 12.50 please!", "no refund came yet", "money back now", "return and refund", "a refund?"],
    "login": ["cannot log in", "password reset fails", "log me out everywhere", "login code missing", "account locked"],
}
TEXTS = [text for texts in zip(*SUBJECTS.values()) for text in texts] + ["card", "refund", "login"]
LABELS = [label for _ in range(6) for label in SUBJECTS]

SKLEARN = tuple(int(part) for part in sklearn.__version__.split(".")[:2])

# Rounding differs with the shape of a batch.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
# The smallest network of the tests has five times as many bytes.
LARGEST_PICKLE = 20_000

FORMS = {
    "tuple": tuple,
    "object array": lambda texts: np.array(texts, dtype=object),
    "unicode array": np.array,
    "column": lambda texts: np.array(texts, dtype=object)[:, None],
    "series": pd.Series,
    "series with another index": lambda texts: pd.Series(texts, index=range(100, 100 + 7 * len(texts), 7)),
    "series with a duplicate index": lambda texts: pd.Series(texts, index=[0] * len(texts)),
    "frame": lambda texts: pd.DataFrame({"message": texts}, index=[f"row {i}" for i in range(len(texts))]),
    "polars series": pl.Series,
    "polars frame": lambda texts: pl.DataFrame({"message": texts}),
}


def output(estimator, X):
    """Numbers that an estimator gives: features of a transformer, probabilities of a classifier."""
    return np.asarray(estimator.predict_proba(X) if is_classifier(estimator) else estimator.transform(X))


def fitted(estimator, X=None, y=None):
    return clone(estimator).fit(TEXTS if X is None else X, LABELS if y is None else y)


# -- checks of both kinds ------------------------------------------------------------------------


def check_input_forms(estimator):
    expected = output(fitted(estimator), TEXTS)
    for name, form in FORMS.items():
        actual = output(fitted(estimator, form(TEXTS)), form(TEXTS))
        np.testing.assert_allclose(actual, expected, **CLOSE, err_msg=name)


def check_input_is_not_changed(estimator):
    for form in (list, FORMS["object array"], FORMS["series with another index"], FORMS["frame"]):
        X = form(TEXTS)
        before = pickle.dumps(X)
        output(fitted(estimator, X), X)
        assert pickle.dumps(X) == before


def check_bad_texts_are_refused(estimator):
    trained = fitted(estimator)
    use = trained.predict if is_classifier(estimator) else trained.transform
    for call in (lambda X: clone(estimator).fit(X, LABELS[: len(X)]), use):
        with pytest.raises(ValueError, match="bare string"):
            call("a bare string")
        for missing in (None, np.nan):
            for form in (list, lambda texts: np.array(texts, dtype=object), pd.Series):
                with pytest.raises(ValueError, match=r"missing value .* position 4"):
                    call(form([*TEXTS[:4], missing, *TEXTS[4:]][:18]))
        with pytest.raises(TypeError, match=r"type int .* position 2"):
            call([*TEXTS[:2], 3, *TEXTS[2:6]])
        with pytest.raises(ValueError, match="2 columns"):
            call(pd.DataFrame({"message": TEXTS, "other": TEXTS}))
    with pytest.raises(ValueError, match="empty"):
        trained.predict([]) if is_classifier(estimator) else trained.transform([])


def check_empty_string_is_a_text(estimator):
    trained = fitted(estimator, [*TEXTS[:-1], ""])
    assert np.isfinite(output(trained, ["", "card"])).all()


def check_parameters(estimator):
    """Stored as given, never written, restored by clone and set_params."""
    signature = inspect.signature(type(estimator).__init__).parameters
    parameters = estimator.get_params(deep=False)
    assert set(parameters) <= set(signature)
    trained = fitted(estimator)
    for name, value in clone(trained).get_params(deep=False).items():
        assert type(value) is type(parameters[name])
        assert repr(value) == repr(parameters[name])
    assert repr(trained) == repr(clone(trained)) == repr(estimator)
    assert not [name for name in vars(clone(trained)) if name.endswith("_") and not name.startswith("_")]
    other = clone(estimator)
    assert other.set_params(**estimator.get_params(deep=False)) is other
    np.testing.assert_array_equal(output(fitted(other), TEXTS), output(trained, TEXTS))


def check_unknown_parameter_is_refused(estimator):
    with pytest.raises(ValueError, match="Invalid parameter"):
        clone(estimator).set_params(surely_no_parameter=1)


def check_fit_returns_self(estimator):
    one = clone(estimator)
    assert one.fit(TEXTS, LABELS) is one


def check_not_fitted(estimator):
    with pytest.raises(NotFittedError):
        output(clone(estimator), TEXTS)


def check_repr(estimator):
    for one in (estimator, fitted(estimator)):
        assert len(repr(one)) < 700
        assert "tensor(" not in repr(one)
        assert type(one).__name__ in one._repr_html_()
        assert len(one._repr_html_()) < 200_000


def check_pickle(estimator):
    trained = fitted(estimator)
    for protocol in (2, pickle.HIGHEST_PROTOCOL):
        data = pickle.dumps(trained, protocol=protocol)
        assert len(data) < LARGEST_PICKLE + 200 * len(TEXTS), f"{len(data)} bytes"
        np.testing.assert_allclose(output(pickle.loads(data), TEXTS), output(trained, TEXTS), **CLOSE)
    assert len(pickle.dumps(estimator)) < LARGEST_PICKLE


def check_refit(estimator):
    """A second fit forgets the first."""
    twice = clone(estimator).fit(TEXTS[:9], LABELS[:9]).fit(TEXTS, LABELS)
    np.testing.assert_allclose(output(twice, TEXTS), output(fitted(estimator), TEXTS), **CLOSE)
    np.testing.assert_array_equal(output(twice, TEXTS), output(twice, TEXTS))


def check_order_and_subsets(estimator):
    """A row depends on the rows beside it neither in their order nor in their presence."""
    trained = fitted(estimator)
    expected = output(trained, TEXTS)
    order = np.random.default_rng(0).permutation(len(TEXTS))
    np.testing.assert_allclose(output(trained, [TEXTS[i] for i in order]), expected[order], **CLOSE)
    one_by_one = np.concatenate([output(trained, [text]) for text in TEXTS])
    np.testing.assert_allclose(one_by_one, expected, **CLOSE)
    np.testing.assert_allclose(output(trained, TEXTS + TEXTS), np.concatenate([expected, expected]), **CLOSE)


def check_single_text(estimator):
    assert output(fitted(estimator), ["card"]).shape[0] == 1


def check_tags(estimator):
    tags = get_tags(estimator)
    assert tags.input_tags.string
    assert not tags.input_tags.sparse
    assert not tags.non_deterministic
    assert tags.classifier_tags is not None if is_classifier(estimator) else tags.transformer_tags is not None


# -- transformers --------------------------------------------------------------------------------


def check_output_is_float32(estimator):
    vectors = fitted(estimator).transform(TEXTS)
    assert isinstance(vectors, np.ndarray)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), len(fitted(estimator).get_feature_names_out()))


def check_fit_transform(estimator):
    np.testing.assert_array_equal(clone(estimator).fit_transform(TEXTS), fitted(estimator).transform(TEXTS))


def check_feature_names(estimator):
    names = fitted(estimator).get_feature_names_out()
    assert names.dtype == object
    assert len(set(names)) == len(names)
    assert all(isinstance(name, str) for name in names)
    assert not hasattr(fitted(estimator, FORMS["frame"](TEXTS)), "n_features_in_")
    with pytest.raises(NotFittedError):
        clone(estimator).get_feature_names_out()


def check_set_output(estimator):
    trained = fitted(estimator)
    expected, names = trained.transform(TEXTS), list(trained.get_feature_names_out())
    for form in (list, FORMS["series with another index"], FORMS["frame"]):
        X = form(TEXTS)
        frame = clone(estimator).set_output(transform="pandas").fit(X).transform(X)
        assert isinstance(frame, pd.DataFrame)
        assert list(frame.columns) == names
        np.testing.assert_array_equal(frame.to_numpy(), expected)
        if isinstance(X, pd.DataFrame) or (isinstance(X, pd.Series) and SKLEARN >= (1, 9)):
            assert frame.index.equals(X.index)
    frame = clone(trained.set_output(transform="polars")).fit_transform(TEXTS)
    assert isinstance(frame, pl.DataFrame)
    assert frame.columns == names
    np.testing.assert_array_equal(frame.to_numpy(), expected)
    with config_context(transform_output="pandas"):
        assert isinstance(fitted(estimator).transform(TEXTS), pd.DataFrame)


def check_pipeline_of_transformers(estimator):
    pipeline = make_pipeline(clone(estimator), StandardScaler()).fit(TEXTS)
    assert pipeline.transform(TEXTS).shape[0] == len(TEXTS)
    assert len(pipeline.get_feature_names_out()) == pipeline.transform(TEXTS).shape[1]
    union = FeatureUnion([("one", clone(estimator)), ("two", clone(estimator))]).fit(TEXTS)
    expected = fitted(estimator).transform(TEXTS)
    np.testing.assert_array_equal(union.transform(TEXTS), np.hstack([expected, expected]))


def check_column_transformer(estimator):
    expected = fitted(estimator).transform(TEXTS)
    numbers = np.arange(len(TEXTS), dtype=np.float32)
    # scikit-learn 1.6 reads polars through a protocol that polars 2 has given up.
    for library in (pd, pl) if SKLEARN >= (1, 9) or hasattr(pl.DataFrame, "__dataframe__") else (pd,):
        frame = library.DataFrame({"message": TEXTS, "number": numbers})
        for column in ("message", ["message"]):
            both = ColumnTransformer([("text", clone(estimator), column), ("rest", "passthrough", ["number"])])
            actual = both.fit_transform(frame)
            np.testing.assert_allclose(actual, np.column_stack([expected, numbers]), **CLOSE)
            np.testing.assert_allclose(both.transform(frame), actual, **CLOSE)
            assert len(both.get_feature_names_out()) == actual.shape[1]


TRANSFORMER_CHECKS = [
    check_input_forms,
    check_input_is_not_changed,
    check_bad_texts_are_refused,
    check_empty_string_is_a_text,
    check_parameters,
    check_unknown_parameter_is_refused,
    check_fit_returns_self,
    check_not_fitted,
    check_repr,
    check_pickle,
    check_refit,
    check_order_and_subsets,
    check_single_text,
    check_tags,
    check_output_is_float32,
    check_fit_transform,
    check_feature_names,
    check_set_output,
    check_pipeline_of_transformers,
    check_column_transformer,
]


# -- classifiers ---------------------------------------------------------------------------------


def check_outputs_of_a_classifier(estimator):
    trained = fitted(estimator)
    probabilities = trained.predict_proba(TEXTS)
    assert probabilities.shape == (len(TEXTS), 3)
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-6)
    assert trained.classes_.tolist() == sorted(SUBJECTS)
    np.testing.assert_array_equal(trained.predict(TEXTS), trained.classes_[probabilities.argmax(axis=1)])
    assert trained.score(TEXTS, LABELS) == np.mean(trained.predict(TEXTS) == np.array(LABELS))


def check_labels_of_any_type(estimator):
    expected = fitted(estimator).predict_proba(TEXTS)
    names = sorted(SUBJECTS)
    codes = np.array([names.index(label) for label in LABELS])
    for y in (np.array(LABELS), np.array(LABELS, dtype=object), codes, codes * 10 - 3, pd.Series(LABELS, index=LABELS)):
        trained = fitted(estimator, y=y)
        np.testing.assert_allclose(trained.predict_proba(TEXTS), expected, **CLOSE)
        assert set(np.asarray(trained.predict(TEXTS)).tolist()) <= set(np.asarray(y).tolist())
    two = fitted(estimator, y=codes == 0)
    assert two.classes_.tolist() == [False, True]
    assert two.predict(TEXTS).dtype == bool


def check_lengths_must_agree(estimator):
    with pytest.raises(ValueError, match=r"(?i)inconsistent|one entry for every row|same"):
        clone(estimator).fit(TEXTS, LABELS[:-1])


def check_pipeline_of_a_classifier(estimator):
    pipeline = make_pipeline("passthrough", clone(estimator)).fit(TEXTS, LABELS)
    np.testing.assert_allclose(pipeline.predict_proba(TEXTS), output(fitted(estimator), TEXTS), **CLOSE)


def check_column_transformer_before_a_classifier(estimator):
    frame = pd.DataFrame({"message": TEXTS, "number": range(len(TEXTS))})
    for column in ("message", ["message"]):
        only_text = ColumnTransformer([("text", "passthrough", ["message"])])
        pipeline = make_pipeline(only_text, clone(estimator)).fit(frame, LABELS)
        np.testing.assert_allclose(pipeline.predict_proba(frame), output(fitted(estimator), TEXTS), **CLOSE)
        np.testing.assert_allclose(
            fitted(estimator, frame[column]).predict_proba(frame[column]), output(fitted(estimator), TEXTS), **CLOSE
        )


def check_grid_search(estimator):
    """Over an option of the estimator, or of whatever is inside of it."""
    names = [name for name in estimator.get_params() if name.endswith("batch_size")]
    search = GridSearchCV(clone(estimator), {names[-1]: [2, 5, 64]}, cv=2, error_score="raise").fit(TEXTS, LABELS)
    scores = search.cv_results_["mean_test_score"]
    np.testing.assert_allclose(scores, scores[0])
    np.testing.assert_allclose(search.predict_proba(TEXTS), output(fitted(estimator), TEXTS), **CLOSE)


def check_cross_validation(estimator):
    for form in (list, FORMS["series with another index"], FORMS["frame"], FORMS["polars frame"]):
        scores = cross_val_score(clone(estimator), form(TEXTS), LABELS, cv=3, error_score="raise")
        assert scores.shape == (3,)
    probabilities = cross_val_predict(clone(estimator), TEXTS, LABELS, cv=3, method="predict_proba")
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-6)


def check_learning_curve(estimator):
    _, _, scores = learning_curve(clone(estimator), TEXTS, LABELS, train_sizes=[6, 12], cv=3, error_score="raise")
    assert np.isfinite(scores).all()


def check_threads(estimator):
    scores = cross_val_score(clone(estimator), TEXTS, LABELS, cv=3, error_score="raise")
    with parallel_config("threading", n_jobs=2):
        parallel = cross_val_score(clone(estimator), TEXTS, LABELS, cv=3, n_jobs=2, error_score="raise")
    np.testing.assert_allclose(parallel, scores)


def check_processes(estimator):
    scores = cross_val_score(clone(estimator), TEXTS, LABELS, cv=2, error_score="raise")
    parallel = cross_val_score(clone(estimator), TEXTS, LABELS, cv=2, n_jobs=2, error_score="raise")
    np.testing.assert_allclose(parallel, scores)


def check_calibration(estimator):
    for method in ("sigmoid", "isotonic"):
        calibrated = CalibratedClassifierCV(clone(estimator), method=method, cv=3).fit(TEXTS, LABELS)
        np.testing.assert_allclose(calibrated.predict_proba(TEXTS).sum(axis=1), 1.0, rtol=1e-6)


def check_voting(estimator):
    two = [("one", clone(estimator)), ("two", clone(estimator))]
    voting = VotingClassifier(two, voting="soft").fit(TEXTS, LABELS)
    np.testing.assert_allclose(voting.predict_proba(TEXTS), output(fitted(estimator), TEXTS), **CLOSE)


def check_stacking(estimator):
    stacking = StackingClassifier([("one", clone(estimator))], final_estimator=LogisticRegression(), cv=3)
    assert set(stacking.fit(TEXTS, LABELS).predict(TEXTS)) <= set(LABELS)


def check_bagging(estimator):
    """scikit-learn's bagging takes two-dimensional input only."""
    column = np.array(TEXTS, dtype=object)[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        bagging = BaggingClassifier(clone(estimator), n_estimators=3, max_samples=0.9, random_state=0)
        bagging.fit(column, LABELS)
    np.testing.assert_allclose(bagging.predict_proba(column).sum(axis=1), 1.0, rtol=1e-6)


CLASSIFIER_CHECKS = [
    check_input_forms,
    check_input_is_not_changed,
    check_bad_texts_are_refused,
    check_empty_string_is_a_text,
    check_parameters,
    check_unknown_parameter_is_refused,
    check_fit_returns_self,
    check_not_fitted,
    check_repr,
    check_pickle,
    check_refit,
    check_order_and_subsets,
    check_single_text,
    check_outputs_of_a_classifier,
    check_labels_of_any_type,
    check_lengths_must_agree,
    check_pipeline_of_a_classifier,
    check_column_transformer_before_a_classifier,
    check_grid_search,
    check_cross_validation,
    check_learning_curve,
    check_threads,
    pytest.param(check_processes, marks=pytest.mark.slow),
    check_calibration,
    check_voting,
    check_stacking,
    check_bagging,
]


def name_of(check):
    """Short name of a check, for the ids of parametrized tests."""
    return getattr(check, "__name__", str(check)).removeprefix("check_")
