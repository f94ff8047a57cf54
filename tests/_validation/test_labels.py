"""Labels, marks of rows without one, label spaces and weights."""

import warnings
from datetime import date
from enum import Enum, IntEnum

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.utils.class_weight import compute_sample_weight

from skicl._validation._labels import (
    append_labels,
    check_known,
    class_weights,
    encode_labels,
    label_space,
    marks_of,
    read_all_labels,
    read_labels,
    row_weights,
    sample_weights,
    warn_of_small_total,
)

NAN = float("nan")


class Topic(str, Enum):  # noqa: UP042 - what users wrote before StrEnum, with another str()
    PARCEL = "parcel"
    BILL = "the bill"


class Grade(IntEnum):
    LOW = 1
    HIGH = 2


class Colour(Enum):
    RED = 1


@pytest.mark.parametrize(
    "y",
    [
        ["a", None, "b"],
        ["a", NAN, "b"],
        ("a", NAN, "b"),
        ["a", np.float64("nan"), "b"],
        ["a", pd.NA, "b"],
        ["a", pd.NaT, "b"],
        np.array(["a", None, "b"], dtype=object),
        np.array(["a", np.nan, "b"], dtype=object),
        pd.Series(["a", None, "b"], index=[3, 3, 3]),
        pd.Series(["a", None, "b"]).tolist(),
        pd.Series(["a", pd.NA, "b"], dtype="string"),
        pd.Series(["a", None, "b"], dtype="string[pyarrow]"),
        pd.Series(["a", None, "b"], dtype="category"),
        pd.Categorical(["a", None, "b"]),
        np.array([["a"], [None], ["b"]], dtype=object),
        pl.Series(["a", None, "b"]),
        pa.array(["a", None, "b"]),
        pa.chunked_array([["a", None], ["b"]]),
    ],
)
@pytest.mark.filterwarnings("ignore:A column-vector")
def test_missing_labels_are_marks(y):
    labels, labelled = read_labels(y)
    assert labelled.tolist() == [True, False, True]
    assert labels.tolist() == ["a", "b"]


def test_fixed_and_variable_width_strings_of_numpy():
    if not hasattr(np.dtypes, "StringDType"):
        pytest.skip("this numpy has no strings of variable width")
    y = np.array(["a", None, "b"], dtype=np.dtypes.StringDType(na_object=None))
    assert read_labels(y).labelled.tolist() == [True, False, True]
    assert read_labels(y[[0, 2]]).values.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        ([3, None, 5], "i"),
        ([3, NAN, 5], "i"),
        ([True, None, False], "b"),
        ([3.0, None, 5.0], "f"),
        (np.array([3, None, 5], dtype=object), "i"),
        (np.array([True, None, False], dtype=object), "b"),
        (pd.Series([3, None, 5], dtype="Int64"), "i"),
        (pd.Series([True, None, False], dtype="boolean"), "b"),
        (pd.Series([3, None, 5], dtype="int64[pyarrow]"), "i"),
        (pd.array([3, None, 5], dtype="Int64"), "i"),
        (pl.Series([3, None, 5]), "i"),
        (pl.Series([True, None, False]), "b"),
        (pa.array([3, None, 5]), "i"),
        (np.ma.array([3, 0, 5], mask=[0, 1, 0]), "i"),
        (np.array([3.0, NAN, 5.0]), "f"),
    ],
)
def test_numbers_keep_their_type_beside_a_missing_label(y, kind):
    labels, labelled = read_labels(y)
    assert labelled.tolist() == [True, False, True]
    assert labels.dtype.kind == kind
    assert labels.tolist() == ([True, False] if kind == "b" else [3, 5])


@pytest.mark.parametrize(
    "y",
    [
        np.array([0, 1, 0], dtype=object),
        [np.int8(0), 1, np.uint64(0)],
        np.array([0, 1, 0], dtype=np.int8),
        pd.Series([0, 1, 0], dtype="Int64"),
        pd.Series([0, 1, 0], dtype="category"),
        torch.tensor([0, 1, 0]),
        range(3),
        pd.Index([0, 1, 0]),
        pl.DataFrame({"y": [0, 1, 0]}),
        pa.table({"y": [0, 1, 0]}),
        pd.DataFrame({"y": [0, 1, 0]}),
        np.array([[0], [1], [0]]),
        [[0], [1], [0]],
    ],
)
@pytest.mark.filterwarnings("ignore:A column-vector")
def test_numbers_in_any_container(y):
    labels, labelled = read_labels(y)
    assert labelled.all()
    assert labels.dtype.kind in "biu"
    assert labels.tolist() == ([0, 1, 2] if isinstance(y, range) else [0, 1, 0])


def test_a_labelling_loop_may_fill_an_array_of_objects_to_its_end():
    y = np.full(4, None, dtype=object)
    for i in range(4):
        y[i] = i % 2
        labels, labelled = read_labels(y)
        assert labels.dtype.kind == "i"
        assert labels.tolist() == [0, 1, 0, 1][: i + 1]
        assert labelled.sum() == i + 1


def test_members_of_an_enum_are_their_values():
    members = [Topic.PARCEL, Topic.BILL, None]
    for y in (members, np.array(members, dtype=object), pd.Series(members, dtype=object)):
        assert read_labels(y).values.tolist() == ["parcel", "the bill"]
        assert all(type(label) is str for label in read_labels(y).values.tolist())
    assert read_labels([Grade.LOW, Grade.HIGH]).values.tolist() == [1, 2]
    assert label_space(Topic).tolist() == ["parcel", "the bill"]
    assert label_space({Topic.PARCEL: "x", Topic.BILL: "y"}).tolist() == ["parcel", "the bill"]
    with pytest.raises(TypeError, match=r"members of the Enum Colour.*\[member.value"):
        read_labels([Colour.RED])


def test_strings_are_not_cut_or_merged():
    for y in (["a", "a\0", "a" * 500], np.array(["a", "a\0", "a" * 500], dtype=object)):
        assert read_labels(y).values.tolist() == list(y)
        assert len(label_space(list(y))) == 3


@pytest.mark.parametrize(
    ("y", "marks", "labels", "labelled"),
    [
        ([2, -1, 5, -1], (-1,), [2, 5], [1, 0, 1, 0]),
        (np.array([2, -1, 5], dtype=np.int8), (-1,), [2, 5], [1, 0, 1]),
        (np.array([2, -1, 5], dtype=object), (-1,), [2, 5], [1, 0, 1]),
        (np.array([2.0, -1.0, NAN]), (-1,), [2], [1, 0, 0]),
        (["a", -1, "b", None], (-1,), ["a", "b"], [1, 0, 1, 0]),
        (["a", "?", "b"], ("?",), ["a", "b"], [1, 0, 1]),
        ([True, False], (1,), [True, False], [1, 1]),
        (np.array([True, False]), (1,), [True, False], [1, 1]),
        (["1", "-1"], (-1,), ["1", "-1"], [1, 1]),
        ([-1, 0, 1], (), [-1, 0, 1], [1, 1, 1]),
    ],
)
def test_marks_that_the_user_names(y, marks, labels, labelled):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read_labels(y, marks=marks)
    assert found.labelled.tolist() == [bool(known) for known in labelled]
    assert found.values.tolist() == labels


def test_a_label_space_without_minus_one_makes_it_a_mark():
    assert marks_of(None, None) == ()
    assert marks_of(None, np.array([0, 1])) == (-1,)
    assert marks_of(None, np.array(["a", "b"])) == (-1,)
    assert marks_of(None, np.array([-1, 0, 1])) == ()
    assert marks_of(-1, None) == (-1,)
    assert marks_of("?", np.array([0, 1])) == ("?",)
    with pytest.raises(ValueError, match="`missing_label` is -1, and the label space lists it too"):
        marks_of(-1, np.array([-1, 0]))


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (["a", 1], ValueError, "`y` mixes labels of types that cannot be sorted: .*'int', 'str'"),
        (["a", b"a"], TypeError, r"`y` holds bytes \(b'a'\).*label.decode\(\)"),
        (np.array([b"a", b"b"]), TypeError, r"`y` holds bytes \(b'a'\).*label.decode\(\)"),
        ([0.5, 1.5], ValueError, "Unknown label type"),
        (np.array([0.5, 1.5]), ValueError, "Unknown label type"),
        (np.array([1.0, np.inf]), ValueError, "Input y contains infinity"),
        ([1j, 2j], ValueError, "Unknown label type: `y` holds labels of type complex"),
        (np.array([1j]), ValueError, "Complex data not supported"),
        ([date(2020, 1, 1)], ValueError, "Unknown label type: `y` holds labels of type date"),
        (np.array(["2020-01-01"], dtype="M8[ns]"), ValueError, "Unknown label type: `y` is of type datetime64"),
        (
            pd.to_datetime(pd.Series(["2020-01-01"])),
            ValueError,
            "Unknown label type: `y` holds labels of type Timestamp",
        ),
        ([2**70, 1], ValueError, "do not fit into 64 bits"),
        ([[0, 1], [1, 0]], ValueError, "`y` is a list of lists. Expected one label for each row"),
        ([(0, 1), (1, 0)], ValueError, "`y` is a list of lists. Expected one label for each row"),
        ([[0], [0, 1]], ValueError, "`y` is a list of lists. Expected one label for each row"),
        (np.eye(2), ValueError, r"`y` has shape \(2, 2\).*Expected one label for each row"),
        (pd.DataFrame(np.eye(2)), ValueError, r"`y` is a table of shape \(2, 2\).*Expected one label"),
        (pa.table({"a": [1], "b": [2]}), ValueError, r"`y` is a table of shape \(1, 2\).*Expected one label"),
        (csr_matrix(np.eye(2)), ValueError, "`y` is a sparse matrix"),
        (np.array(3), ValueError, r"`y` has shape \(\)"),
        ({1, 2}, TypeError, "`y` is of type set: expected one label for each row, in order"),
        ((label for label in "ab"), TypeError, "`y` is of type generator: expected one label for each row"),
        ({"a": 1}.values(), TypeError, "`y` is of type dict_values: expected one label for each row"),
        ({"a": 1}, TypeError, "`y` is of type dict: expected one label for each row"),
        ("ab", TypeError, "`y` is of type str: expected one label for each row"),
        (3, TypeError, "`y` is of type int: expected one label for each row"),
    ],
)
def test_what_holds_no_labels_is_refused_in_one_sentence(y, error, message):
    with pytest.raises(error, match=message):
        read_labels(y)


def test_rows_that_need_a_label():
    assert read_all_labels([1, 0]).tolist() == [1, 0]
    with pytest.raises(ValueError, match=r"`y` has a missing label at position 1\. Drop the row"):
        read_all_labels([1, None, None])


def test_label_spaces():
    assert label_space(["b", "a", "b"]).tolist() == ["a", "b"]
    assert label_space({"b": 0, "a": 1}).tolist() == ["a", "b"]
    assert label_space(pd.Series([3, 1])).tolist() == [1, 3]
    assert label_space(np.array(["b", "a"], dtype=object)).dtype == object
    for wrong, message in [
        ("spam", "bare string"),
        (["a", None], "missing label"),
        (["a", 1], "mixes labels"),
        ([[1, 2], [3, 4]], "one label for each class"),
    ]:
        with pytest.raises(ValueError, match=message):
            label_space(wrong)


def test_labels_outside_the_label_space_are_named():
    check_known(np.array([1, 2]), np.array([1, 2, 3]), "classes")
    with pytest.raises(ValueError, match=r"`class_texts` does not list: \[7\]"):
        check_known(np.array([1, 7]), np.array([1, 2, 3]), "class_texts")


def test_labels_are_appended():
    some, none = np.array(["a", "bcd"]), np.array([], dtype=np.int64)
    assert append_labels(some, np.array(["efgh"])).tolist() == ["a", "bcd", "efgh"]
    assert append_labels(some, none) is some
    assert append_labels(none, some) is some
    with pytest.raises(ValueError, match="another kind"):
        append_labels(some, np.array([1]))
    assert append_labels(np.array([1], dtype=np.uint8), np.array([-2])).tolist() == [1, -2]


def test_sample_weights_are_checked_and_copied():
    given = np.array([1.0, 2.0])
    weight = sample_weights(given, 2)
    given[:] = 0
    assert weight.tolist() == [1, 2]
    assert sample_weights(None, 2).tolist() == [1, 1]
    assert sample_weights(3, 2).tolist() == [3, 3]
    for wrong in ([1.0], [1.0, -1.0], [1.0, np.nan], [1.0, np.inf]):
        with pytest.raises(ValueError, match="`sample_weight`"):
            sample_weights(wrong, 2)


def test_balanced_classes_have_equal_totals():
    labels, weight = np.array([0, 0, 0, 1]), np.array([1.0, 1.0, 2.0, 2.0])
    factors = class_weights("balanced", np.array([0, 1, 2]), labels, weight)
    totals = [(weight * factors[labels])[labels == label].sum() for label in (0, 1)]
    assert totals == pytest.approx([3.0, 3.0])
    assert factors[2] == 1  # no row of it
    assert class_weights("balanced", np.array([0, 1]), labels[:0], weight[:0]).tolist() == [1, 1]


def test_codes_and_weights_of_rows():
    labelled = np.array([True, False, True])
    labels, classes, class_weight = np.array(["b", "a"]), np.array(["a", "b"]), {"a": 2.0, "b": 3.0}
    codes = encode_labels(labels, labelled, np.ones(3), classes, class_weight, has_side_information=False)
    assert codes.tolist() == [1, -1, 0]
    factors = class_weights(class_weight, classes, labels, np.ones(2))
    assert row_weights(np.array([1.0, 5.0, 1.0]), codes, factors).tolist() == [3, 5, 2]


@pytest.mark.parametrize(
    ("labels", "labelled", "weight", "classes", "has_side_information", "message"),
    [
        (["a"], [True], [1.0], ["a"], False, "1 class"),
        ([], [False], [1.0], ["a", "b"], False, "nothing else tells the classes apart"),
        (["a"], [True], [0.0], ["a", "b"], True, "All weights are zero"),
        (["a"], [True, False], [0.0, 1.0], ["a", "b"], False, "All weights are zero"),
        (["a"], [True], [1e60], ["a", "b"], False, "rescale"),
    ],
)
def test_labels_that_allow_no_classification_are_refused(
    labels, labelled, weight, classes, has_side_information, message
):
    with pytest.raises(ValueError, match=message):
        encode_labels(
            np.array(labels, dtype="<U1"),
            np.array(labelled),
            np.array(weight),
            np.array(classes),
            None,
            has_side_information=has_side_information,
        )


def test_names_of_the_classes_stand_in_for_labels():
    codes = encode_labels(
        np.array([], dtype="<U1"), np.array([False]), np.ones(1), np.array(["a", "b"]), None, has_side_information=True
    )
    assert codes.tolist() == [-1]


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
