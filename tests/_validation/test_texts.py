import sys
import warnings
from collections import UserList
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.utils.class_weight import compute_sample_weight

from skicl._validation._texts import (
    check_finite,
    check_texts,
    did_you_mean,
    import_optional,
    is_text,
    list_items,
    refuse_misspelt_auto,
    resolve_device,
    warn_of_small_total,
)

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


def test_device_is_resolved():
    best = resolve_device(None)
    assert best.type == ("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")
    assert resolve_device("cpu") == resolve_device(torch.device("cpu")) == torch.device("cpu")


def test_device_none_prefers_cuda_then_mps(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert resolve_device(None) == torch.device("cuda:1")
    assert resolve_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(ValueError, match=r"'cuda:2' was asked for, but PyTorch finds only 2"):
        resolve_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device(None) == torch.device("mps")
    with pytest.raises(ValueError, match="PyTorch finds no CUDA device"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match="`device`='mps' needs Apple's Metal backend"):
        resolve_device("mps")


@pytest.mark.parametrize("device", ["gpu", "cpu:x", ""])
def test_unknown_device_is_refused(device):
    with pytest.raises(ValueError, match=rf"`device`='{device}' is not a device PyTorch knows"):
        resolve_device(device)


@pytest.mark.parametrize("device", ["meta", "xpu"])
def test_device_that_cannot_compute_is_refused(device):
    if device == "xpu" and torch.xpu.is_available():
        pytest.skip("this machine has the device")
    with pytest.raises(ValueError, match=f"`device`='{device}' cannot be used on this machine"):
        resolve_device(device)


@pytest.mark.parametrize("device", [0, 1.0, ["cpu"]])
def test_device_of_a_wrong_type_is_refused(device):
    with pytest.raises(TypeError, match=r"`device` must be None, a string or a torch\.device"):
        resolve_device(device)


def test_optional_module_is_imported():
    assert import_optional("xml.dom", extra="offline") is sys.modules["xml.dom"]


def test_missing_optional_module_gives_the_install_line():
    with pytest.raises(ImportError, match=r"'surely_not_there' is needed.*pip install \"skicl\[audio\]\""):
        import_optional("surely_not_there.part", extra="audio")


def test_error_inside_an_optional_module_is_passed_on(tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("import another_absent_module", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="another_absent_module"):
        import_optional("broken_module", extra="audio")


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


def test_the_word_that_was_meant():
    assert did_you_mean("Auto ", ["auto"]) == did_you_mean("atuo", ("auto", None)) == " Did you mean 'auto'?"
    assert did_you_mean("contextal", ["batch", "contextual"]) == " Did you mean 'contextual'?"
    assert did_you_mean("something else", ["auto"]) == did_you_mean(3, ["auto"]) == did_you_mean("auto", []) == ""


@pytest.mark.parametrize("word", ["atuo", "Auto", "AUTO", "automatic", "aut"])
def test_almost_auto_is_no_model(word, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=f"^`encoder`='{word}' would be looked up .*model. Did you mean 'auto'"):
        refuse_misspelt_auto(word)
    monkeypatch.chdir(tmp_path)
    (tmp_path / word).mkdir()
    refuse_misspelt_auto(word)  # somebody's folder


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "BAAI/bge-m3", "gpt2", "intfloat/e5-small-v2", "skicl-tiny"])
def test_names_of_models_are_not_almost_auto(name):
    refuse_misspelt_auto(name)


@pytest.mark.parametrize(("device", "meant"), [("gpu", "cuda"), ("GPU", "cuda"), ("cuad", "cuda"), ("CPUs", "cpu")])
def test_a_misspelt_device(device, meant):
    with pytest.raises(ValueError, match=f"`device`='{device}' is not a device .* Did you mean '{meant}'"):
        resolve_device(device)


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


def test_weights_that_sum_to_one_are_pointed_out():
    for weight in (np.full(50, 1 / 50), np.full(4, 0.25), np.full(50, 1e-9), np.eye(50)[0]):
        with pytest.warns(UserWarning, match=r"`sample_weight` sums to .* over \d+ rows, and weights count rows"):
            warn_of_small_total(weight, len(weight))


def test_other_weights_are_not():
    rng = np.random.default_rng(0)
    bootstrap = np.bincount(rng.integers(0, 30, 30), minlength=30).astype(float)
    balanced = compute_sample_weight("balanced", [0] * 28 + [1] * 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for weight in (np.ones(30), bootstrap, balanced, rng.random(30), np.full(30, 0.1), np.full(3, 1 / 3)):
            warn_of_small_total(np.asarray(weight), len(weight))


def test_a_warning_points_to_the_code_of_the_user():
    with pytest.warns(UserWarning, match="sums to") as caught:
        warn_of_small_total(np.full(9, 0.01), 9)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_result_that_is_not_finite_names_the_row_and_the_cause(wrong):
    values = np.zeros((4, 3), dtype=np.float32)
    values[2, 1] = wrong
    with pytest.raises(ValueError, match=r"The vectors of 1 of 4 rows, first at position 2, are NaN .* Look there\."):
        check_finite(values, "vectors", "Look there.")


@pytest.mark.parametrize("values", [np.zeros((0, 2)), np.zeros((3, 2)), [1, 2], 0.5, np.full((2, 2), 3e38, np.float32)])
def test_finite_results_pass(values):
    check_finite(values, "vectors", "Look there.")
