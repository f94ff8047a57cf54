import numpy as np
import pandas as pd
import polars as pl
import pytest

from skicl.prompting._records import Records, is_records, read_records, write_value

TEXTS = ["late", "lost"]


@pytest.mark.parametrize(
    "form", [list, tuple, np.array, pd.Series, pl.Series, lambda t: np.array(t, dtype=object)[:, None]]
)
def test_texts_in_any_form(form):
    assert is_records(form(TEXTS))
    assert read_records(form(TEXTS)) == Records(("text",), [("late",), ("lost",)], None)


@pytest.mark.parametrize("library", [pd, pl])
def test_frames(library):
    one = read_records(library.DataFrame({"message": TEXTS}))
    assert one == Records(("text",), [("late",), ("lost",)], "message")
    frame = library.DataFrame({"title": TEXTS, "pages": [3, 4], "price": [0.123456, 2.0]})
    assert is_records(frame)
    assert read_records(frame).rows == [("late", "3", "0.1235"), ("lost", "4", "2")]
    assert not is_records(frame[["pages", "price"]])


def test_arrays():
    X = np.array([[1.0, 2e-7], [3.0, 123456.0]])
    assert not is_records(X)
    assert read_records(X) == Records(("x0", "x1"), [("1", "2e-07"), ("3", "1.235e+05")], None)
    assert read_records(X, columns=["a", "b"]).columns == ("a", "b")


def test_select():
    records = Records(("a", "b"), [("1", "2"), ("3", "4")])
    assert records.select(["b", "a"]) == [("2", "1"), ("4", "3")]
    assert read_records(pd.DataFrame({"message": TEXTS})).select(["message"]) == [("late",), ("lost",)]
    assert Records(("x0",), [("1",)], "x0").select(["text"]) == [("1",)]
    with pytest.raises(ValueError, match=r"no column 'c'.*2 columns"):
        records.select(["c"])


def test_missing_values_are_named():
    frame = pd.DataFrame({"title": ["a", None], "n": [1.0, 2.0]}, index=["p", "q"])
    with pytest.raises(ValueError, match=r"missing value .* column 'title' at position 1 \(index label 'q'\)"):
        read_records(frame)
    with pytest.raises(ValueError, match=r"missing value \(nan\)"):
        write_value(float("nan"))


def test_bad_collections():
    with pytest.raises(ValueError, match="bare string"):
        read_records("text")
    with pytest.raises(ValueError, match="empty"):
        read_records(pd.DataFrame({"a": [], "b": []}, dtype=object))
    with pytest.raises(ValueError, match="several columns named 'a'"):
        read_records(pd.DataFrame([["u", "v"]], columns=["a", "a"]))


@pytest.mark.parametrize("form", [list, tuple, np.array, lambda texts: pd.Series(texts, dtype=object)])
def test_nothing(form):
    assert is_records(form([]))
    with pytest.raises(ValueError, match="`X` is empty"):
        read_records(form([]))


def test_halves_of_characters_are_refused():
    for X in (["a", "b\ud83d"], pd.DataFrame({"u": ["a", "\ud83d"], "v": ["b", "c"]}, dtype=object)):
        with pytest.raises(ValueError, match=r"text at position 1 with a lone surrogate \('\\ud83d'\)"):
            read_records(X)


def test_values():
    assert [write_value(value) for value in (True, np.int64(7), np.float32(0.5), "", 10**12)] == [
        "True",
        "7",
        "0.5",
        "",
        "1000000000000",
    ]


@pytest.mark.parametrize("unit", ["D", "ns"])
def test_dates_are_written_as_dates(unit):
    dates = np.array([["2020-01-31"], ["2021-12-01"]], f"M8[{unit}]")
    assert [row[0][:10] for row in read_records(dates).rows] == ["2020-01-31", "2021-12-01"]


def test_names_of_files_in_a_column_are_pointed_out(tmp_path):
    (tmp_path / "a.wav").touch()
    frame = pd.DataFrame({"number": [1], "file": [str(tmp_path / "a.wav")]})
    with pytest.warns(UserWarning, match=r"'a\.wav' at position 0.*AudioEncoder"):
        read_records(frame)
