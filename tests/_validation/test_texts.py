import warnings
from collections import UserList
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from skicl._validation._texts import check_texts, is_text, list_items, read_unicode

TEXTS = ["where is my card", "", "top up failed"]

FORMS = {
    "list": list,
    "tuple": tuple,
    "sequence": UserList,
    "unicode array": np.array,
    "object array": lambda texts: np.array(texts, dtype=object),
    "column": lambda texts: np.array(texts, dtype=object)[:, None],
    "unicode column": lambda texts: np.array(texts)[:, None],
    "numpy scalars": lambda texts: [np.str_(text) for text in texts],
    "pandas series": lambda texts: pd.Series(texts, index=[7, 7, 3][: len(texts)]),
    "pandas object series": lambda texts: pd.Series(texts, dtype=object),
    "pandas string series": lambda texts: pd.Series(texts, dtype="string"),
    "pandas categorical": lambda texts: pd.Series(texts, dtype="category"),
    "pandas index": pd.Index,
    "pandas array": lambda texts: pd.array(texts, dtype="string"),
    "pandas frame": lambda texts: pd.DataFrame({"message": texts}, index=["b", "a", "c"][: len(texts)]),
    "polars series": pl.Series,
    "polars frame": lambda texts: pl.DataFrame({"message": texts}),
}
if hasattr(np.dtypes, "StringDType"):  # numpy 2
    FORMS["string array"] = lambda texts: np.array(texts, dtype=np.dtypes.StringDType())

NOT_TEXT = {
    "floats": [[0.1, 0.2], [0.3, 0.4]],
    "numbers": [1, 2],
    "array": np.zeros((3, 2)),
    "numeric column": np.zeros((3, 1)),
    "object array of numbers": np.zeros((3, 2), dtype=object),
    "object column of numbers": np.ones((3, 1), dtype=object),
    "two columns of strings": np.array([["a", "b"]], dtype=object),
    "numeric frame": pd.DataFrame({"a": [1.0], "b": [2.0]}),
    "numeric column frame": pd.DataFrame({"a": [1.0]}),
    "polars numeric frame": pl.DataFrame({"a": [1.0]}),
    "tensor": torch.zeros(3, 1),
    "empty list": [],
    "bytes": b"text",
    "list of bytes": [b"text"],
    "none": None,
    "number": 3,
    "dict": {"a": "text"},
    "generator": (text for text in TEXTS),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_texts(form):
    texts = check_texts(FORMS[form](TEXTS))
    assert texts == TEXTS
    assert type(texts) is list
    assert {type(text) for text in texts} == {str}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_text(form):
    assert is_text(FORMS[form](TEXTS)) is True


@pytest.mark.parametrize("what", NOT_TEXT)
def test_other_things_are_not_text(what):
    assert is_text(NOT_TEXT[what]) is False


def test_a_collection_with_a_fault_is_text_so_that_the_fault_is_named():
    assert is_text([None, "a"])
    assert is_text(["a", 3])
    assert is_text("a bare string")
    assert is_text(pd.Series([np.nan, "a"]))
    assert not is_text([None, None])


def test_the_list_that_comes_back_is_a_copy():
    texts = ["a"]
    check_texts(texts).append("b")
    assert texts == ["a"]


@pytest.mark.parametrize("text", ["where is my card", np.str_("where is my card")])
def test_bare_string_is_refused(text):
    with pytest.raises(ValueError, match=r"`messages` is a bare string.*Wrap a single text in a list"):
        check_texts(text, parameter="messages")


@pytest.mark.parametrize("missing", [None, np.nan, float("nan"), np.float32("nan"), pd.NA, pd.NaT])
@pytest.mark.parametrize("container", [list, lambda items: np.array(items, dtype=object)])
def test_missing_value_is_named_with_its_position(missing, container):
    with pytest.raises(ValueError, match=r"`X` has a missing value .* at position 2:"):
        check_texts(container(["a", "b", missing, None]))


@pytest.mark.parametrize("dtype", ["object", "string", "str"])
def test_missing_value_of_a_series_is_named_with_its_label(dtype):
    with pytest.raises(ValueError, match=r"at position 1 \(index label 'q'\)"):
        check_texts(pd.Series(["a", None], index=["p", "q"], dtype=dtype))


@pytest.mark.parametrize("make", [pl.Series, lambda texts: pl.DataFrame({"message": texts})])
def test_missing_value_of_polars(make):
    with pytest.raises(ValueError, match=r"missing value \(None\) at position 1:"):
        check_texts(make(["a", None]))


@pytest.mark.parametrize(
    ("item", "name"), [(3, "int"), (2.5, "float"), (b"bytes", "bytes"), (["nested"], "list"), (np.int64(1), "int64")]
)
def test_item_that_is_no_string_is_named_with_its_position(item, name):
    with pytest.raises(TypeError, match=rf"`X` has an item of type {name} .* at position 1: expected a string"):
        check_texts(["a", item])


def test_numeric_array_is_refused():
    with pytest.raises(TypeError, match=r"item of type float .* at position 0"):
        check_texts(np.zeros(3))


@pytest.mark.parametrize("empty", [[], np.array([], dtype=object), pd.Series([], dtype=object), pl.Series([])])
def test_empty_is_refused(empty):
    with pytest.raises(ValueError, match="`X` is empty: found 0 texts"):
        check_texts(empty)


@pytest.mark.parametrize("library", [pd, pl])
def test_frame_of_two_columns_is_refused(library):
    with pytest.raises(ValueError, match=r"frame with 2 columns \(\['message', 'id'\]\).*ColumnTransformer"):
        check_texts(library.DataFrame({"message": ["a"], "id": ["b"]}))


@pytest.mark.parametrize("shape", [(), (1, 2), (1, 1, 1)])
def test_array_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="expected texts in shape"):
        check_texts(np.full(shape, "a"))


@pytest.mark.parametrize("X", [{"a"}, (text for text in "ab"), {"a": "b"}, b"bytes", 3, None, pl.LazyFrame({"a": "b"})])
def test_other_types_are_refused(X):
    with pytest.raises(TypeError, match=r"`X` is of type \w+: expected a collection of strings"):
        check_texts(X)


def test_long_values_are_cut_in_messages():
    with pytest.raises(ValueError, match="bare string") as caught:
        check_texts("x" * 10_000)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("form", [tuple, pd.Series, lambda items: pd.DataFrame({"item": items})])
def test_items_of_any_kind_are_listed(form):
    items = [b"bytes", 3, None]
    assert list_items(form(items))[0] == items


def test_messages_about_items_name_their_kind():
    for wrong, error, message in [
        ("a.png", ValueError, r"bare string \('a.png'\): expected a collection of images, .* single image in a list"),
        ([], ValueError, "`X` is empty: found 0 images"),
        (pd.DataFrame({"a": [1], "b": [2]}), ValueError, r"expected one column of images. Select it, .* X\['a'\]"),
        (np.zeros((2, 2)), ValueError, "expected images in shape"),
        (None, TypeError, "type NoneType: expected a collection of images"),
    ]:
        with pytest.raises(error, match=message):
            list_items(wrong, one="image", many="images")


# Words, names of files, weights


def test_only_files_that_are_there_are_pointed_out(tmp_path):
    names = [str(tmp_path / name) for name in ("a.png", "b.wav", "c.txt")]
    for name in names:
        Path(name).touch()
    with pytest.warns(UserWarning, match=r"`X` holds .*'a\.png' at position 1\), .*ImageEncoder\(\)\)"):
        check_texts(["a text", names[0]])
    with pytest.warns(UserWarning, match=r"`rows` holds .* at position 0\), .*AudioEncoder"):
        check_texts([names[1]], parameter="rows")
    folder = tmp_path / "folder.png"
    folder.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_texts([names[2], "a.png", "look at a.png", "nul\0.png", "x" * 100_000 + ".png", str(folder), ".png", ""])
        check_texts(["a text"] * 100 + names)  # a collection of texts


def test_other_kinds_of_images_name_the_encoder():
    with pytest.raises(TypeError, match=r"PosixPath|WindowsPath"):
        check_texts([Path("a.png")])
    with pytest.raises(TypeError, match=r"encoder=ImageEncoder\(\)"):
        check_texts([Path("a.png")])


def test_half_a_surrogate_pair_is_refused():
    texts = ["a", "\N{GRINNING FACE}", "", "no\ud83d"]
    assert read_unicode(texts[:3]) == texts[:3]
    with pytest.raises(ValueError, match=r"text with '\\ud83d', half of a surrogate pair, at position 3: expected"):
        read_unicode(texts)
    with pytest.raises(ValueError, match=r"at position 3 \(index label 9\)"):
        read_unicode(pd.Series(texts, index=range(6, 10), dtype=object))
