"""Silent misuse: what is no collection of rows gets one sentence, and what is one works, in every estimator alike."""

import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from batteries.estimators import all_alike, answers_of, each_subject
from scipy import sparse


def of(reads):
    return lambda subject: subject.reads == reads


NO_ROWS = {
    "generator": (lambda: (text for text in ["a", "b"]), "generator.*list first"),
    "map": (lambda: map(str, ["a", "b"]), "map.*list first"),
    "set": (lambda: {"a", "b"}, "set.*no order"),
    "frozenset": (lambda: frozenset("ab"), "frozenset.*no order"),
    "values of a dict": (lambda: {0: "a", 1: "b"}.values(), "dict_values.*list first"),
    "keys of a dict": (lambda: {"a": 0, "b": 1}.keys(), "dict_keys.*list first"),
    "dict": (lambda: {"a": "x", "b": "y"}, r"dict.*list\(X.values\(\)\)|single recording"),
    "empty list": (lambda: [], "empty: found 0"),
    "empty array": (lambda: np.array([]), "empty: found 0|shape"),
    "empty array of Arrow": (lambda: pa.array([], pa.string()), "empty: found 0"),
    "query of polars": (lambda: pl.LazyFrame({"a": ["x", "y"]}), r"LazyFrame.*collect\(\)"),
    "number": (lambda: 3, "int.*in(to)? a list"),
    "bare string": (lambda: "a text", r"(bare string|single).*\[X\]"),
}


@each_subject("misuse")
def test_what_has_no_rows_is_refused_in_one_sentence(subject):
    fitted = subject.fitted()
    for name, (make, message) in NO_ROWS.items():
        fresh = subject.make()
        calls = [lambda X, fresh=fresh: fresh.fit(X, subject.rows.y)]
        calls += [getattr(fitted, method) for method in subject.answers]
        for call in calls:
            with pytest.raises((TypeError, ValueError), match=rf"(?s)^`X` .*({message})") as caught:
                call(make())
            assert "\n" not in str(caught.value), name
        assert not [attribute for attribute in vars(fresh) if attribute.endswith("_")], name
    assert all_alike(answers_of(subject, fitted), answers_of(subject, subject.fitted()))


@each_subject("misuse", wanted=of("texts"))
@pytest.mark.parametrize(
    "container",
    [
        pa.array,
        lambda texts: pa.chunked_array([texts[:1], texts[1:]]),
        lambda texts: pa.array(texts).dictionary_encode(),
        lambda texts: pa.table({"text": texts}),
        lambda texts: pa.RecordBatch.from_arrays([pa.array(texts)], ["text"]),
        lambda texts: list(pa.array(texts)),
    ],
    ids=["array", "chunks", "dictionary", "table", "batch", "scalars"],
)
def test_texts_of_arrow_are_read_as_a_list_is(subject, container):
    X, y, new = subject.rows
    fitted = subject.make().fit(container(X), y)
    expected = answers_of(subject, subject.fitted())
    assert all_alike(answers_of(subject, fitted), expected)
    assert all_alike(answers_of(subject, fitted, container(new)), expected)


@each_subject("misuse", wanted=of("texts"))
def test_rows_that_are_no_texts_are_refused(subject):
    for rows, message in {
        "datetimes": (np.array(["2020-01-01", "2020-01-02"], "M8[D]"), "date"),
        "Timestamps": (pd.Series(pd.date_range("2020", periods=2)), "Timestamp|dates"),
        "sparse": (sparse.csr_array(np.eye(2)), "sparse.*TruncatedSVD"),
        "bytes": ([b"a", b"b"], "[Dd]ecode"),
        "missing": (["a", None], "missing value .* position 1"),
        "array of three dimensions": (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
        "rows of uneven lengths": ([[1.0], [1.0, 2.0]], "type list|different lengths"),
    }.values():
        with pytest.raises((TypeError, ValueError), match=f"^`X` .*({message})"):
            subject.make().fit(rows, ["a", "b"])


@each_subject("misuse", wanted=of("texts"))
@pytest.mark.parametrize(("ending", "encoder"), [(".png", "ImageEncoder"), (".JPG", "ImageEncoder"), (".wav", "Audio")])
def test_names_of_files_are_pointed_out_and_name_the_encoder(subject, ending, encoder, tmp_path):
    (tmp_path / f"one{ending}").write_bytes(b"")
    X, y, _ = subject.rows
    with pytest.warns(UserWarning, match=f"`X` holds the names of files .*position 1.*{encoder}") as caught:
        subject.make().fit([X[0], str(tmp_path / f"one{ending}"), *X[2:]], y)
    assert {warning.filename for warning in caught if "names of files" in str(warning.message)} == {__file__}
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*names of files")
        subject.make().fit([X[0], f"see one{ending}", f"missing{ending}", *X[3:]], y)


@each_subject("misuse", wanted=of("numbers"))
def test_tables_of_arrow_and_tensors_are_read_as_an_array_is(subject):
    X, y, new = subject.rows
    expected = answers_of(subject, subject.fitted())
    for container in (_arrow_table, torch.tensor):
        fitted = subject.make().fit(container(X), y)
        found = {method: np.asarray(getattr(fitted, method)(container(new))) for method in subject.answers}
        assert all_alike(found, expected)


def _arrow_table(rows):
    return pa.table({f"column {i}": column for i, column in enumerate(rows.T)})


@each_subject("misuse", wanted=of("numbers"))
def test_tables_that_cannot_be_read_say_where_and_what_to_do(subject):
    X, y, new = subject.rows
    n = len(X)
    fitted = subject.fitted()
    holed, infinite = X.copy(), X.copy()
    holed[3, 1] = holed[5, 0] = np.nan
    infinite[2, 4] = np.inf
    frame = pd.DataFrame(X).add_prefix("c")
    wrong = {
        "missing": (holed, "NaN.* position 3, column 1, and 1 more.*SimpleImputer"),
        "missing in a frame": (pd.DataFrame(holed, range(10, 10 + n)), r"position 3 \(index label 13\), column 1"),
        "infinite": (infinite, "infinity.* position 2, column 4"),
        "masked": (np.ma.array(X, mask=X > 100), "masked"),
        "sparse": (sparse.csr_matrix(X), "sparse.*TruncatedSVD"),
        "sparse frame": (pd.DataFrame.sparse.from_spmatrix(sparse.csr_matrix(X)), "sparse.*TruncatedSVD"),
        "dates": (frame.assign(when=pd.Timestamp("2020")), "dates .*'when'.*numbers"),
        "durations": (frame.assign(when=pd.Timedelta(1, "D")), "durations .*'when'"),
        "dates of polars": (pl.DataFrame({"a": X[:, 0]}).with_columns(when=pl.date(2020, 1, 1)), "dates .*'when'"),
        "array of dates": (np.full((n, 2), "2020-01-01", "M8[ns]"), "dates"),
        "dates as objects": (frame.astype(object).assign(when=[pd.Timestamp("2020").date()] * n), "date .*'when'"),
        "rows of uneven lengths": ([*X.tolist()[:-1], [1.0]], f"13 values at position 0 and 1 values .* {n - 1}"),
        "three dimensions": (np.zeros((n, 2, 2)), r"shape \(\d+, 2, 2\).*ImageEncoder"),
        "one dimension": (X[:, 0], "1D array.*Reshape"),
        "a single value": (np.array(3.0), "single value"),
        "bytes": ([b"a"] * n, "bytes.*[Dd]ecode"),
        "dicts": ([{"a": 1.0}] * n, "type dict .*position 0"),
        "paths": ([Path(f"{i}.png") for i in range(n)], "ImageEncoder"),
        "an integer beyond floats": ([[10**400, 1]] * n, "too large"),
    }
    for rows, message in wrong.values():
        with pytest.raises((TypeError, ValueError), match=f"^`X` .*{message}") as caught:
            subject.make().fit(rows, y)
        assert len(str(caught.value)) < 400
    with pytest.raises(ValueError, match=r"NaN.* position 0, column 2"):
        fitted.predict(np.where(np.arange(X.shape[1]) == 2, np.nan, new))


@each_subject("misuse")
def test_a_memory_map_is_read_without_a_warning(subject, tmp_path):
    fitted = subject.fitted()
    joblib.dump(fitted, tmp_path / "fitted")
    mapped = joblib.load(tmp_path / "fitted", mmap_mode="r")
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)  # torch says it once for each process otherwise
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*not writable")
            found = answers_of(subject, mapped)
    finally:
        torch.set_warn_always(always)
    assert all_alike(found, answers_of(subject, fitted))


@each_subject("misuse", wanted=lambda subject: "labels" not in subject.exempt)
def test_labels_that_are_no_list_are_refused_in_one_sentence(subject):
    X, y, _ = subject.rows
    y = list(y)
    indicator = np.equal.outer(np.array(y), np.unique(y)).astype(int)
    wrong = {
        "generator": ((label for label in y), "generator.*list"),
        "set": (set(y), "set.*in order"),
        "values of a dict": (dict(enumerate(y)).values(), "dict_values.*list"),
        "dict": (dict(enumerate(y)), "dict: expected one label for each row"),
        "empty": ([], "entry for every row|inconsistent"),
        "bare string": ("text", "str: expected one label for each row"),
        "several labels a row": ([[label, label] for label in y], "one label"),
        "rows of uneven lengths": ([[label] * (1 + i % 2) for i, label in enumerate(y)], "one label"),
    }
    if subject.cls.__name__ != "ICLClassifier":
        wrong["indicator matrix"] = (indicator, "one label .*indicator matrix")
        wrong["sparse indicator matrix"] = (sparse.csr_array(indicator), "one label .*indicator matrix")
    for labels, message in wrong.values():
        with pytest.raises((TypeError, ValueError), match=f"({message})"):
            subject.make().fit(X, labels)


@each_subject("misuse", wanted=lambda subject: "labels" not in subject.exempt)
def test_labels_of_arrow_are_read_as_a_list_is(subject):
    X, y, _ = subject.rows
    expected = answers_of(subject, subject.fitted())
    for labels in (pa.array(list(y)), pa.chunked_array([list(y)])):
        assert all_alike(answers_of(subject, subject.make().fit(X, labels)), expected)


def _weighted(subject, weight):
    X, y, _ = subject.rows
    return subject.make().fit(X, y, sample_weight=np.full(len(y), weight))


@each_subject("misuse", wanted=lambda subject: subject.cls.__name__ == "TartClassifier")
def test_weights_that_sum_to_one_are_pointed_out(subject):
    with pytest.warns(UserWarning, match="`sample_weight` sums to 1 over"):
        _weighted(subject, 1 / len(subject.rows.y))


@each_subject("misuse", wanted=lambda subject: "FineTune" in subject.name)
def test_where_weights_compare_rows_their_sum_says_nothing(subject):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*sample_weight")
        small = _weighted(subject, 1 / len(subject.rows.y))
    assert all_alike(answers_of(subject, small), answers_of(subject, subject.fitted()))
