"""Equal values give equal answers, whatever holds them, and nobody changes what was given."""

import warnings

import numpy as np
import pytest
from batteries.containers import (
    ITEMS_IN,
    LABELS_IN,
    OF_NUMBERS,
    OF_STRINGS,
    OF_TRUTHS,
    TABLES,
    TEXTS_IN,
    TRUTHS,
    frozen,
)
from batteries.estimators import WINE, Rows, all_alike, answers_of, each_subject

# Small integers in unlike units; every number format holds them exactly.
SMALL = np.floor(WINE[:, [0, 3, 4, 6]] * [1, 1, 0.5, 9])
TRUE = SMALL > np.median(SMALL, axis=0)
FLOATS = (
    "list of",
    "tuple of",
    "array in",
    "float64",
    "object",
    "transposed",
    "every other",
    "backwards",
    "read-only",
    "memory map",
    "frame, ",
    "polars",
)


def fitted_and_asked(subject, X, y, new):
    """Answers to containers, which stay as they are; and no warning about them."""
    before = [frozen(part) for part in (X, y, new)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.filterwarnings("error", message=".*writ.*able")
        found = answers_of(subject, subject.make().fit(X, y), new, quick=True)
    assert [frozen(part) for part in (X, y, new)] == before, "fit or an answer changed what was given"
    return found


def check_forms(subject, forms, X, y, new, *, reference=np.asarray):
    expected = fitted_and_asked(subject, reference(X), y, reference(new))
    wrong = {}
    for name, form in forms.items():
        try:
            found = fitted_and_asked(subject, form(X), y, form(new))
            if not all_alike(found, expected):
                wrong[name] = "other answers"
        except Exception as error:
            wrong[name] = repr(error)[:300]
    assert not wrong


@each_subject("containers")
def test_rows_in_every_container(subject):
    X, y, new = subject.rows
    if subject.reads == "numbers":
        forms, X, new = TABLES, SMALL[::8].astype(int), SMALL[3::17].astype(int)
        if "prior" in subject.name:  # naive Bayes of scikit-learn takes squares in float16, which has no 500 ** 2
            forms = {name: form for name, form in forms.items() if name != "array of float16"}
        subject = with_vectors_of(subject, X)
        check_forms(subject, forms, X, y, new, reference=lambda values: np.array(values, dtype=float))
    elif subject.reads == "scores":
        forms = {name: form for name, form in TABLES.items() if name.startswith(FLOATS) or name.endswith(FLOATS)}
        forms = {name: form for name, form in forms.items() if not any(few in name for few in ("32", "Int"))}
        check_forms(subject, forms, X, y, new)
    elif subject.reads == "texts":
        forms = TEXTS_IN if "select" not in subject.answers else {"list": list, "tuple": tuple}
        check_forms(subject, forms, X, y, new, reference=list)
    else:
        check_forms(subject, ITEMS_IN, X, y, new, reference=list)


@each_subject("containers", lambda subject: subject.reads == "numbers")
def test_truth_values_are_numbers(subject):
    X, y, new = TRUE[::8], subject.rows.y, TRUE[3::17]
    check_forms(with_vectors_of(subject, X), TRUTHS, X, y, new, reference=lambda values: np.array(values, dtype=float))


@each_subject("containers", lambda subject: subject.reads == "numbers")
def test_fitted_on_one_container_asked_with_another(subject):
    X, y, new = SMALL[::8].astype(int), subject.rows.y, SMALL[3::17].astype(int)
    subject = with_vectors_of(subject, X)
    trained = subject.make().fit(TABLES["array of float64"](X), y)
    expected = answers_of(subject, trained, TABLES["array of float64"](new), quick=True)
    # A context in float64 reads queries of less as what they are.
    for name in ("array of int8", "memory map", "every other", "list of lists", "array of float32"):
        assert all_alike(answers_of(subject, trained, TABLES[name](new), quick=True), expected), name


@each_subject("containers", lambda subject: subject.is_classifier or subject.name == "ContextualEncoder")
@pytest.mark.parametrize("kind", ["strings", "numbers", "truths"])
def test_labels_in_every_container(subject, kind):
    X, y, new = subject.rows
    names = np.unique(y)
    if kind == "numbers":
        values, forms = (3 * np.searchsorted(names, y) + 1).tolist(), {**LABELS_IN, **OF_NUMBERS}
    elif kind == "truths":
        values, forms = (np.asarray(y) == names[0]).tolist(), {**LABELS_IN, **OF_TRUTHS}
    else:
        values, forms = np.asarray(y).tolist(), {**LABELS_IN, **OF_STRINGS}
    if "class_texts" in subject.name and kind != "strings":
        pytest.skip("its keys are strings")
    expected = fitted_and_asked(subject, X, values, new)
    wrong = {}
    for name, form in forms.items():
        try:
            found = fitted_and_asked(subject, X, form(values), new)
            if not all_alike(found, expected):
                wrong[name] = "other answers"
            elif "predict" in found and type(found["predict"].tolist()[0]) is not type(values[0]):
                wrong[name] = f"labels became {found['predict'].dtype}"
        except Exception as error:
            wrong[name] = repr(error)[:300]
    assert not wrong


@each_subject("containers", lambda subject: hasattr(subject.cls, "partial_fit"))
def test_a_context_grows_out_of_any_containers(subject):
    if subject.reads != "numbers":
        pytest.skip("texts are turned into lists first, by the function that the other tests drive")
    X, y, new = SMALL[::8].astype(int), subject.rows.y, SMALL[3::17].astype(float)
    subject = with_vectors_of(subject, X)
    half = 2 * len(X) // 3
    whole = subject.make().fit(X[:half].astype(float), y[:half]).partial_fit(X[half:].astype(float), y[half:])
    expected = answers_of(subject, whole, new, quick=True)
    for name in ("list of lists", "array of uint8", "memory map", "read-only", "every other", "polars of Int8"):
        form = TABLES[name]
        grown = subject.make().fit(form(X[:half]), list(y[:half])).partial_fit(form(X[half:]), list(y[half:]))
        asked = form(new.astype(int)) if name.startswith("polars") else new
        assert all_alike(answers_of(subject, grown, asked, quick=True), expected), name


@each_subject("containers", lambda subject: subject.reads == "numbers")
def test_what_is_given_may_change_afterwards(subject):
    """A view of the user's rows would be compiled again later, with other numbers."""
    import pickle

    X, y = np.array(subject.rows.X), np.array(subject.rows.y)
    trained = subject.make().fit(X, y)
    expected = answers_of(subject, trained, quick=True)
    X[...], y[...] = 0.0, y[0]
    assert all_alike(answers_of(subject, pickle.loads(pickle.dumps(trained)), quick=True), expected)


def with_vectors_of(subject, X):
    """The subject with vectors of its classes in the coordinates of other rows, where it has any."""
    from dataclasses import replace

    estimator = subject.make()
    if not isinstance(getattr(estimator, "class_texts", None), dict):
        return subject
    vectors = {name: np.asarray(X, dtype=float)[3 * i] for i, name in enumerate(estimator.class_texts)}
    return replace(subject, make=lambda: subject.make().set_params(class_texts=vectors), rows=Rows(*subject.rows))
