"""Labels, marks of rows without one, label spaces and weights."""

import warnings

import numpy as np
import pandas as pd
import pytest

from skicl._labels import (
    append_labels,
    check_known,
    check_targets,
    class_weights,
    encode_labels,
    label_space,
    row_weights,
    sample_weights,
    split_labels,
)


@pytest.mark.parametrize("y", [
    ["a", None, "b"],
    np.array(["a", None, "b"], dtype=object),
    np.array(["a", np.nan, "b"], dtype=object),
    pd.Series(["a", None, "b"], index=[3, 3, 3]),
    pd.Series(["a", pd.NA, "b"], dtype="string"),
    pd.Series(["a", None, "b"], dtype="category"),
    np.array([["a"], [None], ["b"]], dtype=object),
])
def test_missing_labels_are_marks(y):
    labels, labelled = split_labels(y, None)
    assert labelled.tolist() == [True, False, True]
    assert labels.tolist() == ["a", "b"]


def test_numbers_with_missing_labels_become_numbers():
    for y in ([3, None, 5], pd.Series([3, None, 5], dtype="Int64"), pd.Series([3, None, 5])):
        labels, labelled = split_labels(y, None)
        assert labels.dtype.kind in "if"
        assert labels.tolist() == [3, 5]
        assert labelled.tolist() == [True, False, True]
    labels, _ = split_labels([True, None, False], None)
    assert labels.dtype.kind == "b"


@pytest.mark.parametrize(("y", "labelled"), [
    ([2, -1, 5, -1], [1, 0, 1, 0]),
    ([0, 1, 2, -1], [1, 1, 1, 0]),
    (np.array([2, -1, 5], dtype=np.int8), [1, 0, 1]),
    (np.array([2, -1, 5], dtype=object), [1, 0, 1]),
])
def test_minus_one_is_a_mark_where_two_classes_remain(y, labelled):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels, mask = split_labels(y, None)
    assert mask.tolist() == [bool(known) for known in labelled]
    assert labels.tolist() == [label for label in np.asarray(y).tolist() if label != -1]


@pytest.mark.parametrize("y", [[-1, 1, 1], [-1, -1], [0, -1], [2, 5], ["a", "b"], [-1.0, 0.0, 1.0], [True, False],
                               [], [[1, 2], [3, 4]], [[1], [2, 3]], np.array([1, 2], dtype=np.uint8)])
def test_every_other_row_has_a_label(y):
    assert split_labels(y, None) == (None, None)


def test_a_label_space_decides_what_minus_one_is():
    assert split_labels([-1, 0, 1, 2], np.array([-1, 0, 1, 2])) == (None, None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert split_labels([-1, 0, 1], np.array([0, 1]))[1].tolist() == [False, True, True]
        assert split_labels([-1, -1], np.array([0, 1]))[1].tolist() == [False, False]
        assert split_labels([-1, 0], np.array([0, 1]))[1].tolist() == [False, True]


@pytest.mark.parametrize("y", [[-1, 0, 1], [-1, -2, 0, 1], [-1, -5, 7, 99]])
def test_an_ambiguous_minus_one_is_a_mark_and_warns(y):
    with pytest.warns(UserWarning, match=r"`y` holds -1 .* list all classes in `classes`"):
        labels, labelled = split_labels(y, None)
    assert -1 not in labels
    assert labelled.tolist() == [label != -1 for label in y]


def test_targets_that_are_no_classes_are_refused():
    check_targets(np.array(["a", "b"]))
    with pytest.raises(ValueError, match="mixes labels of types"):
        check_targets(np.array(["a", 1], dtype=object))
    with pytest.raises(ValueError, match="Unknown label type"):
        check_targets(np.array([0.5, 1.5]))


def test_label_spaces():
    assert label_space(["b", "a", "b"]).tolist() == ["a", "b"]
    assert label_space({"b": 0, "a": 1}).tolist() == ["a", "b"]
    assert label_space(pd.Series([3, 1])).tolist() == [1, 3]
    assert label_space(np.array(["b", "a"], dtype=object)).dtype == object
    for wrong, message in [("spam", "bare string"), (["a", None], "missing label"), (["a", 1], "mixes strings"),
                           ([[1, 2], [3, 4]], "one label for each class")]:
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
    assert factors[2] == 1      # no row of it
    assert class_weights("balanced", np.array([0, 1]), labels[:0], weight[:0]).tolist() == [1, 1]


def test_codes_and_weights_of_rows():
    labelled = np.array([True, False, True])
    codes, factors = encode_labels(np.array(["b", "a"]), labelled, np.ones(3), np.array(["a", "b"]),
                                   {"a": 2.0, "b": 3.0}, told_apart=False)
    assert codes.tolist() == [1, -1, 0]
    assert row_weights(np.array([1.0, 5.0, 1.0]), codes, factors).tolist() == [3, 5, 2]


@pytest.mark.parametrize(("labels", "labelled", "weight", "classes", "told_apart", "message"), [
    (["a"], [True], [1.0], ["a"], False, "1 class"),
    ([], [False], [1.0], ["a", "b"], False, "nothing else tells the classes apart"),
    (["a"], [True], [0.0], ["a", "b"], True, "All weights are zero"),
    (["a"], [True, False], [0.0, 1.0], ["a", "b"], False, "All weights are zero"),
    (["a"], [True], [1e60], ["a", "b"], False, "rescale"),
])
def test_labels_that_allow_no_classification_are_refused(labels, labelled, weight, classes, told_apart, message):
    with pytest.raises(ValueError, match=message):
        encode_labels(np.array(labels, dtype="<U1"), np.array(labelled), np.array(weight), np.array(classes), None,
                      told_apart=told_apart)


def test_names_of_the_classes_stand_in_for_labels():
    codes, _ = encode_labels(np.array([], dtype="<U1"), np.array([False]), np.ones(1), np.array(["a", "b"]), None,
                             told_apart=True)
    assert codes.tolist() == [-1]
