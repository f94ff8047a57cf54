"""What ``y`` and `classes` of an ICLClassifier say: the classes, and which of them each labelled row has."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.utils.multiclass import type_of_target

from skicl._validation._labels import check_known, check_one_label_a_row, label_space, read_all_labels

NO_USE = "Drop the row: unlike TartClassifier, a prompt has no use for rows without a label."


class Targets(NamedTuple):
    """The classes, and what each labelled row has of them."""

    classes: np.ndarray  # (C,), sorted; for several labels a row their names
    codes: np.ndarray  # (n,): Numbers of the classes; for several labels a row (n, C): whether it has each
    multilabel: bool


def read_targets(classifier, y, records):
    """Targets of a classifier's `classes` and ``y``, which may be None; `records` are the rows, or None."""
    declared = None if classifier.classes is None else label_space(classifier.classes)
    if y is None and (records is not None or declared is None):
        raise ValueError(
            f"{type(classifier).__name__} requires y to be passed, but the target y is None. Without any row, "
            "fit(None, y) or `classes` say what the classes are."
        )
    none = np.zeros(0, dtype=np.int64)
    if y is None:
        return Targets(_enough(declared), none, False)
    if _is_indicator(y):
        return _read_indicators(y, classifier.classes, records)
    labels = read_all_labels(y, advice=NO_USE)
    if records is not None:
        check_one_label_a_row(len(records.rows), len(labels))
    classes = np.unique(labels) if declared is None else declared
    if classes.dtype.kind in "UO" and labels.dtype.kind in "iu":
        raise ValueError(
            f"`classes` are {classes.tolist()[:5]}, and `y` holds the numbers {np.unique(labels).tolist()[:5]}: "
            "something before this classifier, as cross_val_predict does, has numbered the classes. List the "
            "numbers in `classes`, and the words for them, in the same order, in `verbalizer`."
        )
    check_known(labels, classes, "classes")
    return Targets(_enough(classes), none if records is None else np.searchsorted(classes, labels), False)


def _read_indicators(y, classes, records):
    matrix = np.asarray(y.toarray() if hasattr(y, "toarray") else y).astype(np.int64)
    if records is None:
        raise ValueError("`X` is None, and `y` is an indicator matrix. Give the rows that it belongs to.")
    check_one_label_a_row(len(records.rows), len(matrix))
    names = np.arange(matrix.shape[1]) if classes is None else np.asarray(classes)
    if names.shape != (matrix.shape[1],):
        raise ValueError(
            f"`classes` has shape {names.shape}, and `y` has {matrix.shape[1]} columns. Give one name for each column."
        )
    return Targets(names, matrix, True)


def _is_indicator(y):
    """Whether ``y`` is a matrix that says of every label whether a row has it."""
    if hasattr(y, "toarray") or (getattr(y, "ndim", 1) == 2 and y.shape[1] > 1):
        return type_of_target(y, input_name="y") == "multilabel-indicator"
    nested = isinstance(y, Sequence) and not isinstance(y, str) and len(y) and isinstance(y[0], list | np.ndarray)
    return bool(nested) and np.size(y[0]) > 1 and type_of_target(y, input_name="y") == "multilabel-indicator"


def _enough(classes):
    if len(classes) < 2:
        raise ValueError(
            f"The number of classes has to be greater than one; got {len(classes)} class ({classes.tolist()}). Add "
            "labelled rows of another class, or list the classes in `classes`."
        )
    return classes
