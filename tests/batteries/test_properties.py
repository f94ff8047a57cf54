"""Whatever comes in: an error that says what is wrong, or probabilities that are some and labels that are of y."""

import pickle
import re
import warnings
from enum import Enum

import numpy as np
import pytest
from batteries.containers import TABLES, TEXTS_IN, TRUTHS
from batteries.estimators import CLOSE, each_subject
from batteries.label_strategies import labels
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

# The normal run is short and the same every time; the long one draws 10,000 examples in all.
QUIET = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}
NUMBERS = [pytest.param(120, id="some"), pytest.param(1600, id="thousands", marks=pytest.mark.slow)]
TEXTS = [pytest.param(80, id="some"), pytest.param(1200, id="thousands", marks=pytest.mark.slow)]
# What scikit-learn says of X and y in its own words, which its checks of estimators ask for.
OF_SCIKIT_LEARN = [
    r"Input X contains (NaN|infinity)",
    r"Input y contains NaN",
    r"Found array with 0 (sample|feature)",
    r"X has \d+ features",
    r"number of classes has to be greater than one",
    r"inconsistent numbers of samples",
    r"Unknown label type",
    r"feature names should match",
    r"y should be a 1d array",
    r"requires y to be passed",
    r"Expected 2D array, got 1D array",
]
NAMES_A_PARAMETER = re.compile("|".join([r"`\w+(=.*)?`", *OF_SCIKIT_LEARN]))
STRANGE = [0.0, -0.0, 1e-310, 1e-30, 1e30, -1e30, 1e300, -1e300, np.nan, np.inf, -np.inf, 2.0**53]
FORMS = {name: form for name, form in TABLES.items() if "16" not in name and "nt8" not in name and ">i4" not in name}
OF_REALS = (
    "list of lists",
    "list of tuples",
    "list of arrays",
    "list of Python floats",
    "array of float32",
    "array of float64",
    "array of >f8",
    "array of object",
    "array in Fortran order",
    "every other",
    "backwards",
    "read-only",
    "memory map",
    "frame, words",
    "frame, twice the same",
    "frame of Float64",
    "frame of double[pyarrow]",
    "polars",
)


@st.composite
def tables(draw):
    """Rows to fit and rows to ask about, of one kind of numbers, in one container or two."""
    kind = draw(st.sampled_from(["whole", "real", "truths", "strange", "constant"]))
    shape = draw(st.integers(1, 14)), draw(st.integers(1, 4))
    n_new = draw(st.integers(0, 4))
    everything = (shape[0] + n_new, shape[1])
    elements, dtype, forms = {
        "whole": (st.integers(-5, 20), np.int64, list(FORMS)),
        "real": (st.floats(-1e4, 1e4), np.float64, OF_REALS),
        "truths": (st.booleans(), bool, list(TRUTHS)),
        "strange": (st.sampled_from(STRANGE) | st.floats(-3, 3), np.float64, OF_REALS),
        "constant": (st.just(3), np.int64, list(FORMS)),
    }[kind]
    if kind == "whole":  # unsigned types are among the containers
        elements = st.integers(0, 20)
    values = draw(st_numpy.arrays(dtype, everything, elements=elements))
    name = draw(st.sampled_from(sorted(forms)))
    form = (TRUTHS if kind == "truths" else TABLES)[name]
    return values[: shape[0]], values[shape[0] :], form


def check_refusal(error):
    """An error of ours or of scikit-learn's checks, which says what of the input is meant."""
    assert NAMES_A_PARAMETER.search(str(error)), f"{type(error).__name__}: {error}"


def is_of_type(label, classes):
    """Whether a label has the type of the classes; members of an enum may come back as their values."""
    return any(type(label) is type(one) or (isinstance(one, Enum) and isinstance(one, type(label))) for one in classes)


def check_law(make, X, drawn, new):
    """Fitted and asked it is refused clearly, or right in all that can be told without a reference."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            trained = make().fit(X, drawn.y)
            proba = trained.predict_proba(new)
        except (ValueError, TypeError) as error:
            check_refusal(error)
            return False
        predicted = trained.predict(new)
        classes = np.asarray(trained.classes_).tolist()
        assert classes == drawn.classes, f"classes {classes} of labels {drawn.classes}"
        assert proba.shape == (len(new), len(classes))
        assert np.isfinite(proba).all()
        np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-6)
        found = np.asarray(predicted).tolist()
        assert all(is_of_type(label, drawn.classes) for label in (*found, *classes))
        assert found == [classes[best] for best in proba.argmax(axis=1)]
        again = pickle.loads(pickle.dumps(trained))
        np.testing.assert_allclose(again.predict_proba(new), proba, **CLOSE)
    return True


@pytest.mark.parametrize("n_examples", NUMBERS)
@each_subject("properties", lambda subject: subject.reads == "numbers")
def test_any_numbers_and_any_labels(subject, n_examples):
    answered = []

    @settings(max_examples=n_examples, **QUIET)
    @given(tables(), st.data())
    def law(table, data):
        X, new, form = table
        drawn = data.draw(labels(len(X)))
        answered.append(check_law(subject.make, form(X), drawn, form(new) if len(new) else form(X)))

    law()
    assert np.mean(answered) > 0.2, "nearly everything was refused"


WRITTEN = st.sampled_from(["", " ", "card", "refund please", "\n", "{text}", "a" * 80, "猫", "e\u0301", "nan"])


@st.composite
def texts(draw):
    """Texts to fit and to ask about, maybe with something among them that is none."""
    n_rows, n_new = draw(st.integers(1, 8)), draw(st.integers(1, 3))
    some = draw(st.lists(WRITTEN | st.text(max_size=12), min_size=n_rows + n_new, max_size=n_rows + n_new))
    form = TEXTS_IN[draw(st.sampled_from(sorted(TEXTS_IN)))]
    if draw(st.integers(0, 9)) == 0:
        form = list
        some[draw(st.integers(0, len(some) - 1))] = draw(st.sampled_from([None, np.nan, 3, b"bytes", "\ud800", ["a"]]))
    return some[:n_rows], some[n_rows:], form


@pytest.mark.parametrize("n_examples", TEXTS)
@each_subject("properties", lambda subject: subject.reads == "texts" and subject.is_classifier)
def test_any_texts_and_any_labels(subject, n_examples):
    answered = []

    @settings(max_examples=n_examples, **QUIET)
    @given(texts(), st.data())
    def law(drawn_texts, data):
        X, new, form = drawn_texts
        try:
            X, new = form(X), form(new)
        except (ValueError, TypeError, UnicodeError):  # no container of this kind holds such texts
            X, new = list(X), list(new)
        drawn = data.draw(labels(len(X)))
        answered.append(check_law(subject.make, X, drawn, new))

    law()
    assert np.mean(answered) > 0.1, "nearly everything was refused"


@pytest.mark.parametrize("n_examples", TEXTS)
@each_subject("properties", lambda subject: subject.reads == "texts" and subject.is_encoder)
def test_any_texts_have_vectors(subject, n_examples):
    @settings(max_examples=n_examples // 2, **QUIET)
    @given(texts())
    def law(drawn_texts):
        X, new, form = drawn_texts
        try:
            X, new = form(X), form(new)
        except (ValueError, TypeError, UnicodeError):
            X, new = list(X), list(new)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            try:
                encoder = subject.make().fit(X, ["a", "b"] * (len(X) // 2) + ["a"] * (len(X) % 2))
                vectors = encoder.transform(new)
            except (ValueError, TypeError) as error:
                check_refusal(error)
                return
        assert vectors.shape == (len(new), encoder.n_features_out_)
        assert vectors.dtype == np.float32
        assert np.isfinite(vectors).all()

    law()
