"""What ``y``, ``classes`` and the weights say: labels, rows without one, the label space, weights.

Every classifier reads ``y`` here, so that labels mean the same to all of them.
"""

from collections.abc import Sequence
from enum import Enum
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import DataConversionWarning
from sklearn.metrics import accuracy_score

from skicl._validation._environment import warn_user
from skicl._validation._texts import is_missing

# Weights count rows; sums beyond this and its inverse are mistakes, and would overflow.
SMALLEST_TOTAL = 1e-50
# Weights of so many rows that sum to less than this are those of somebody who made them sum to one.
_ROWS_THAT_WEIGH_MORE, _TOTAL_OF_ABOUT_ONE = 4, 1.5
# How scikit-learn's semi-supervised estimators mark a row without a label; also the code of such a row.
UNLABELLED = -1


class Labels(NamedTuple):
    """The labels of the labelled rows, shape (n_labelled,), and which rows these are, shape (n_samples,)."""

    values: np.ndarray
    labelled: np.ndarray


def read_labels(y, *, marks=(), parameter="y"):
    """Labels of the rows that have one: strings, integers, floats with integral values or booleans, of one type.

    Missing values (None, NaN, NA) say that a row has none, and so do the values in ``marks``. Labels of nullable
    columns, object arrays and the like get the type that they have one by one; members of a ``str`` or ``int`` Enum
    become their values.

    >>> from skicl._validation._labels import read_labels
    >>> read_labels(["a", None, "b"])
    Labels(values=array(['a', 'b'], dtype='<U1'), labelled=array([ True, False,  True]))
    """
    items = _one_dimensional(y, parameter)
    if isinstance(items, np.ndarray):  # of numbers
        labelled = items == items  # NaN is not
        for mark in marks:
            labelled &= ~_equal_numbers(items, mark)
        values = items[labelled]
    else:
        labelled = np.array([not (is_missing(label) or _is_mark(label, marks)) for label in items], dtype=bool)
        kept = [label for label, known in zip(items, labelled) if known]
        values = _of_one_type(kept, _holds_objects(y), parameter)
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise ValueError(
            f"Input {parameter} contains infinity or a value too large for {values.dtype!r}: "
            f"`{parameter}` must hold labels, such as strings or integers."
        )
    if values.dtype.kind == "f" and (values != np.trunc(values)).any():
        first = values[values != np.trunc(values)][0]
        raise ValueError(
            f"Unknown label type: continuous. `{parameter}` holds {first}: expected classes, such as "
            "strings or integers, not the numbers of a regression."
        )
    return Labels(values, labelled)


def read_all_labels(y, *, parameter="y", advice="Drop the row."):
    """Labels of rows that must all have one, shape (n_samples,)."""
    values, labelled = read_labels(y, parameter=parameter)
    if not labelled.all():
        position = int(np.argmin(labelled))
        raise ValueError(f"`{parameter}` has a missing label at position {position}. {advice}")
    return values


def marks_of(missing_label, declared):
    """Values that mark rows without a label: the one that the user names, and -1 where the label space lacks it."""
    if missing_label is None:
        return () if declared is None or UNLABELLED in declared.tolist() else (UNLABELLED,)
    if declared is not None and _is_mark(missing_label, declared.tolist()):
        raise ValueError(
            f"`missing_label` is {missing_label!r}, and the label space lists it too: "
            f"{declared.tolist()[:10]}. A value is a label or marks rows without one, not both."
        )
    return (missing_label,)


def check_missing_label(missing_label):
    """Refuse a mark that is no label."""
    usable = isinstance(missing_label, str | Real | np.bool_) and not is_missing(missing_label)
    if not (missing_label is None or usable):
        raise TypeError(
            "`missing_label` must be None, a number or a string, such as -1 for the convention of "
            f"sklearn.semi_supervised, got {missing_label!r}. None and NaN always mark rows without a "
            "label."
        )


def accuracy(classifier, X, y, sample_weight):
    """Share of rows whose label is predicted, for labels in any form that ``fit`` takes."""
    labels = read_all_labels(y, advice="Score labelled rows only.")
    return float(accuracy_score(labels, classifier.predict(X), sample_weight=sample_weight))


def check_one_label_a_row(n_rows, n_labels):
    """Refuse rows and labels of different number."""
    if n_rows != n_labels:
        raise ValueError(
            f"`X` and `y` need one entry for every row, got {n_rows} and {n_labels}: inconsistent numbers of rows."
        )


def label_space(classes, parameter="classes"):
    """Labels that a user lists (or the keys of a dict), sorted, each once: shape (n_classes,).

    >>> from skicl._validation._labels import label_space
    >>> label_space(["spam", "ham"])
    array(['ham', 'spam'], dtype='<U4')
    """
    if isinstance(classes, str | bytes):
        raise ValueError(f"`{parameter}` is a bare string ({classes!r}): expected a list of all labels.")
    listed = classes if hasattr(classes, "dtype") else list(classes)
    if getattr(listed, "ndim", 1) != 1 or any(isinstance(label, list | tuple | np.ndarray) for label in listed):
        raise ValueError(f"`{parameter}` is {listed!r:.60}: expected one label for each class.")
    if not len(listed):
        raise ValueError(f"`{parameter}` is empty: expected a list of all labels.")
    values, labelled = read_labels(listed, parameter=parameter)
    if not labelled.all():
        raise ValueError(
            f"`{parameter}` lists a missing label. None marks rows without a label in `y`; leave it out here."
        )
    return np.unique(values)


def check_known(labels, declared, parameter):
    """Refuse labels outside the label space.

    Shapes: labels (n_labelled,), declared (n_classes,).
    """
    extra = sorted(set(np.unique(labels).tolist()) - set(declared.tolist()), key=str)
    if extra:
        raise ValueError(
            f"`y` holds labels that `{parameter}` does not list: {extra[:5]}. List every label when you "
            "first list any, or leave the list out."
        )


def append_labels(labels, more):
    """Labels with further ones after them.

    Shapes: labels, more (n_labelled,).
    """
    if not len(labels) or not len(more):
        return more if len(more) else labels
    kinds = {labels.dtype.kind, more.dtype.kind}
    if len(kinds) == 2 and kinds not in ({"O", "U"}, {"i", "u"}):
        raise ValueError(
            f"`y` holds labels of another kind than before: {more.tolist()[:3]}, the classes are "
            f"{np.unique(labels).tolist()[:3]}. Use labels of one type."
        )
    return np.concatenate([labels, more])


def sample_weights(sample_weight, n_samples):
    """Weights of rows, checked.

    Shapes: sample_weight (n_samples,); returns (n_samples,).
    """
    if sample_weight is None:
        return np.ones(n_samples)
    weight = np.array(sample_weight, dtype=np.float64)
    weight = np.full(n_samples, float(weight)) if weight.ndim == 0 else weight
    if weight.shape != (n_samples,):
        raise ValueError(
            f"`sample_weight` has shape {weight.shape}, expected one weight for each of the {n_samples} rows."
        )
    if not np.isfinite(weight).all() or (weight < 0).any():
        raise ValueError(
            "`sample_weight` holds negative, infinite or NaN weights. Weights must be finite and at least 0."
        )
    return weight


def encode_labels(labels, labelled, weight, classes, class_weight, *, has_side_information):
    """Codes of the rows, shape (n_samples,): position of the label in ``classes``, -1 without one.

    Refused are fewer than two classes, and rows without any weight to learn from, unless names of the classes or
    another model (``has_side_information``) tell them apart without a labelled row.
    """
    weight_of_class = class_weights(class_weight, classes, labels, weight[labelled])
    if len(classes) < 2:
        raise ValueError(
            f"The number of classes has to be greater than one; got {len(classes)} class "
            f"({classes.tolist()}). Add labelled rows of another class, or list the classes in `classes`."
        )
    codes = np.full(len(labelled), UNLABELLED)
    codes[labelled] = np.searchsorted(classes, labels)
    if not labelled.any() and not has_side_information:
        raise ValueError(
            "`y` holds no label, and nothing else tells the classes apart. Label some rows, or give "
            "`class_texts` or a fitted `prior`."
        )
    weight = row_weights(weight, codes, weight_of_class)
    total = weight.sum()
    if total == 0 or (weight[labelled].sum() == 0 and not has_side_information):
        raise ValueError(
            "All weights are zero: `sample_weight` and `class_weight` leave no row with a positive "
            "weight. Give at least one row a positive weight."
        )
    if not SMALLEST_TOTAL < total < 1 / SMALLEST_TOTAL:
        raise ValueError(
            f"`sample_weight` times `class_weight` sums to {total}. Weights count rows: rescale them "
            "so that their mean is about 1."
        )
    return codes


def row_weights(weight, codes, weight_of_class):
    """Weights of rows times those of their classes; rows without a label belong to none.

    Shapes: weight (n_samples,), codes (n_samples,), weight_of_class (n_classes,); returns (n_samples,).
    """
    return weight * np.append(weight_of_class, 1.0)[codes]  # rows without a label, code -1, take the last entry


def class_weights(class_weight, classes, labels, weight):
    """Weights of classes.

    Shapes: classes (n_classes,), labels (n_labelled,), weight (n_labelled,); returns (n_classes,).
    """
    if class_weight is None:
        return np.ones(len(classes))
    if isinstance(class_weight, dict):
        unknown = [label for label in class_weight if label not in classes.tolist()]
        if unknown:
            raise ValueError(
                f"`class_weight` names classes that `y` does not hold: {unknown[:5]}. "
                f"The classes are {classes.tolist()[:10]}."
            )
        values = [class_weight.get(label, 1.0) for label in classes.tolist()]
        wrong = [value for value in values if not (isinstance(value, Real) and 0 <= value < np.inf)]
        if wrong:
            raise ValueError(f"`class_weight` holds {wrong[0]!r}. Weights must be finite numbers of at least 0.")
        return np.array(values, dtype=np.float64)
    totals = np.array([weight[labels == label].sum() for label in classes])
    present = totals > 0
    if not present.any():
        return np.ones(len(classes))
    return np.where(present, totals.sum() / (present.sum() * np.where(present, totals, 1.0)), 1.0)


# -- from a container to labels -------------------------------------------------------------------


def _one_dimensional(y, parameter):
    """An array of numbers, or a list of labels of any type; containers without an order are refused."""
    if hasattr(y, "toarray"):
        raise ValueError(f"`{parameter}` is a sparse matrix of shape {y.shape}. {_ONE_LABEL}")
    if isinstance(y, str | bytes) or not (isinstance(y, Sequence) or any(hasattr(y, name) for name in _ORDERED)):
        raise TypeError(
            f"`{parameter}` is of type {type(y).__name__}: expected one label for each row, in order, as a "
            f"list or a column. Use list(...) if its order is that of the rows."
        )
    if hasattr(y, "columns") and not hasattr(y, "to_list") and hasattr(y, "shape"):  # a frame or table
        if len(y.columns) != 1:
            raise ValueError(f"`{parameter}` is a table of shape {tuple(y.shape)}. {_ONE_LABEL}")
        _warn_of_a_column(parameter)
        y = y.iloc[:, 0] if hasattr(y, "iloc") else y.to_series() if hasattr(y, "to_series") else y.columns[0]
    if hasattr(y, "to_pylist"):  # of pyarrow
        return y.to_pylist()
    dtype = getattr(y, "dtype", None)
    is_numeric = isinstance(dtype, np.dtype) and dtype.kind in "biuf"
    if not is_numeric and not isinstance(y, np.ndarray):  # labels one by one, each of the type that it has
        y = y.tolist() if hasattr(y, "tolist") else y.to_list() if hasattr(y, "to_list") else y
    if isinstance(y, Sequence) and not hasattr(y, "dtype"):
        return _of_a_sequence(list(y), parameter)
    array = np.asanyarray(y)
    if array.ndim == 2 and array.shape[1] == 1:
        _warn_of_a_column(parameter)
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"`{parameter}` has shape {array.shape}: y should be a 1d array. {_ONE_LABEL}")
    if array.dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported: `{parameter}` holds complex numbers. Use strings, integers or booleans."
        )
    if array.dtype.kind in "mMV":
        raise ValueError(
            f"Unknown label type: `{parameter}` is of type {array.dtype}. Use strings, integers or booleans."
        )
    is_numeric = array.dtype.kind in "biuf" and not isinstance(array, np.ma.MaskedArray)
    return array if is_numeric else array.tolist()


def _of_a_sequence(labels, parameter):
    """Labels of a list; lists of one label each are a column."""
    lengths = {np.size(label) for label in labels if isinstance(label, list | tuple | np.ndarray) and np.ndim(label)}
    if not lengths:
        return labels
    nested = all(isinstance(label, list | np.ndarray) for label in labels)
    if lengths != {1} or not nested:
        raise ValueError(f"`{parameter}` is a {type(labels).__name__} of lists. {_ONE_LABEL}")
    _warn_of_a_column(parameter)
    return [label[0] for label in labels]


# What arrays, columns and tables have, and generators, sets and dicts have not.
_ORDERED = ("__array__", "tolist", "to_list", "to_pylist", "columns")
_ONE_LABEL = (
    "Expected one label for each row. For several labels a row use ICLClassifier with an indicator matrix, "
    "or sklearn.multioutput.MultiOutputClassifier."
)


def _warn_of_a_column(parameter):
    warn_user(
        f"A column-vector {parameter} was passed when a 1d array was expected. Please change the shape of "
        f"`{parameter}` to (n_samples,), for example using ravel().",
        DataConversionWarning,
    )


def _of_one_type(labels, as_objects, parameter):
    """Labels one by one as an array of strings, numbers or booleans."""
    labels = [_plain(label, parameter) for label in labels]
    kinds = {str if isinstance(label, str) else Real if isinstance(label, Real) else type(label) for label in labels}
    if len(kinds) > 1:
        names = sorted({type(label).__name__ for label in labels})
        raise ValueError(
            f"`{parameter}` mixes labels of types that cannot be sorted: {names}. Use labels of one type; "
            "None marks a row without a label."
        )
    if kinds == {str}:
        # Fixed-width strings of numpy lose zeros at their end.
        return np.array(labels, dtype=object if as_objects or any(label[-1:] == "\0" for label in labels) else str)
    if kinds - {Real}:
        name = kinds.pop().__name__
        raise ValueError(
            f"Unknown label type: `{parameter}` holds labels of type {name} ({labels[0]!r:.60}). Use "
            "strings, integers or booleans, for example [str(label) for label in y]."
        )
    values = np.array(labels if labels else [], dtype=None if labels else np.int64)
    if values.dtype.kind not in "biuf" or (values.dtype.kind == "f" and all(isinstance(n, Integral) for n in labels)):
        raise ValueError(
            f"`{parameter}` holds numbers that do not fit into 64 bits, such as {max(labels, key=abs)}. Use strings."
        )
    return values


def _plain(label, parameter):
    """A label without what a subclass adds to it, or that of a scalar array."""
    if isinstance(label, np.ndarray | np.generic) and not np.ndim(label):
        label = label.item()
    if isinstance(label, bytes | bytearray):
        raise TypeError(
            f"`{parameter}` holds bytes ({bytes(label)!r:.60}): expected strings, integers or booleans. "
            "Decode them, for example [label.decode() for label in y]."
        )
    if isinstance(label, str):
        return str.__str__(label)
    if isinstance(label, Enum):
        if isinstance(label.value, Integral) and isinstance(label, int):
            return int(label)
        raise TypeError(
            f"`{parameter}` holds members of the Enum {type(label).__name__}, which have no order. Use "
            "their values, [member.value for member in y], or an Enum that is a str: class "
            f"{type(label).__name__}(str, Enum)."
        )
    return label


def _holds_objects(y):
    """Whether strings come in an array or a column of objects, as those of pandas do: then they stay objects."""
    return getattr(getattr(y, "dtype", None), "kind", "U") not in "UT"


def _is_mark(label, marks):
    return any(
        isinstance(label, bool | np.bool_) == isinstance(mark, bool | np.bool_)
        and isinstance(label, str) == isinstance(mark, str)
        and label == mark
        for mark in marks
    )


def _equal_numbers(array, mark):
    """Which numbers of an array equal a mark; booleans and numbers are apart."""
    comparable = isinstance(mark, Real | np.bool_) and isinstance(mark, bool | np.bool_) == (array.dtype.kind == "b")
    return array == mark if comparable else np.zeros(len(array), dtype=bool)


def warn_of_small_total(weight, n_rows):
    """Warn where the weights of many rows sum to about one, or to less: they count rows.

    Shapes: weight (n_rows,).

    >>> import numpy as np
    >>> from skicl._validation._labels import warn_of_small_total
    >>> warn_of_small_total(np.ones(50), 50)
    """
    total = float(np.sum(weight))
    if n_rows >= _ROWS_THAT_WEIGH_MORE and 0 < total < _TOTAL_OF_ABOUT_ONE:
        warn_user(
            f"`sample_weight` sums to {total:.3g} over {n_rows} rows, and weights count rows: the context says as much "
            "as so many rows, and probabilities stay near those of no row at all. Weights that only compare rows "
            f"should have a mean of 1: multiply them by {n_rows} / {total:.3g}."
        )
