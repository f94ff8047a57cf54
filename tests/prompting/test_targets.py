import numpy as np
import pytest
from scipy.sparse import csr_array

from skicl import ICLClassifier
from skicl.prompting._records import Records
from skicl.prompting._targets import read_targets

FOUR = Records(("text",), [("a",), ("b",), ("c",), ("d",)])


def read(y, records=FOUR, classes=None):
    return read_targets(ICLClassifier("skicl-tiny", classes=classes), y, records)


def test_one_label_a_row():
    found = read(["x", "z", "x", "z"])
    assert (found.classes.tolist(), found.codes.tolist(), found.multilabel) == (["x", "z"], [0, 1, 0, 1], False)
    found = read(["x", "z", "x", "z"], classes=["z", "y", "x"])
    assert (found.classes.tolist(), found.codes.tolist()) == (["x", "y", "z"], [0, 2, 0, 2])


def test_without_rows_labels_are_the_classes():
    assert read(["z", "x"], None).classes.tolist() == ["x", "z"]
    assert read(None, None, classes=["z", "x"]).classes.tolist() == ["x", "z"]
    assert read(["z", "x"], None).codes.tolist() == []


@pytest.mark.parametrize("form", [list, np.array, csr_array])
def test_indicators(form):
    matrix = [[1, 0], [0, 1], [1, 1], [0, 0]]
    found = read(form(matrix))
    assert found.multilabel
    assert (found.classes.tolist(), found.codes.tolist()) == ([0, 1], matrix)
    assert read(form(matrix), classes=["card", "bill"]).classes.tolist() == ["card", "bill"]


@pytest.mark.parametrize(
    ("y", "records", "classes", "message"),
    [
        (None, FOUR, None, "requires y to be passed"),
        (None, None, None, "requires y to be passed"),
        (["x"] * 4, FOUR, None, "greater than one"),
        (["x", "z", "x"], FOUR, None, "3"),
        (["x", "z", "x", "w"], FOUR, ["x", "z"], "w"),
        ([0, 1, 0, 1], FOUR, ["x", "z"], "has numbered the classes"),
        ([[1, 0], [0, 1]], None, None, "indicator matrix"),
        ([[1, 0], [0, 1], [1, 1], [0, 0]], FOUR, ["x"], "2 columns"),
        (["x", None, "x", "z"], FOUR, None, "a prompt has no use for rows without a label"),
    ],
)
def test_what_does_not_fit_is_refused(y, records, classes, message):
    with pytest.raises(ValueError, match=message):
        read(y, records, classes)
