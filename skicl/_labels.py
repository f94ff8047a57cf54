"""What ``y``, ``classes`` and the weights say: labels, rows without one, the label space, weights."""

import warnings
from numbers import Real

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

# Weights count rows; sums beyond this and its inverse are mistakes, and would overflow.
SMALLEST_TOTAL = 1e-50
# How scikit-learn's semi-supervised estimators mark a row without a label.
UNLABELLED = -1


def split_labels(y, known):
    """Find the rows without a label: None (or NaN) among labels of any type, -1 among integers.

    -1 is a label like any other where ``known`` holds it or, without ``known``, where fewer than two
    classes would remain.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels and marks.
    known : ndarray of shape (n_classes,) or None
        The label space so far; None where there is none yet.

    Returns
    -------
    labels : ndarray of shape (n_labelled,)
        Labels of the other rows; None if every row has one.
    labelled : ndarray of shape (n_samples,), dtype bool
        Whether a row has a label; None if every row has one.

    Warns
    -----
    UserWarning
        If -1 is read as a mark and might have been meant as a label: beside 0 and 1 alone, or beside
        other negative numbers.

    Examples
    --------
    >>> from skicl._labels import split_labels
    >>> split_labels(["a", None, "b"], None)[1]
    array([ True, False,  True])
    >>> split_labels([1, -1, 1, -1], None)
    (None, None)
    """
    y = _as_vector(y)
    if y is None:
        return None, None
    if y.dtype.kind in "Of":
        labelled = np.array([not _is_missing(label) for label in y], dtype=bool)
        if not labelled.all():
            return _of_one_type(y[labelled]), labelled
        y = _of_one_type(y)
    if y.dtype.kind != "i":
        return None, None
    labelled = y != UNLABELLED
    if labelled.all() or (known is not None and UNLABELLED in known.tolist()):
        return None, None
    if known is None:
        others = np.unique(y[labelled])
        if len(others) < 2:
            return None, None
        if others.tolist() == [0, 1] or others[0] < 0:
            warnings.warn(f"`y` holds -1 beside {others.tolist()[:5]}: rows with -1 were read as rows without a "
                          "label, as in sklearn.semi_supervised. If -1 is a class, list all classes in `classes`; if "
                          "not, list the others there, and this warning goes away.", stacklevel=5)
    return y[labelled], labelled


def _as_vector(y):
    """``y`` as an array of one dimension, or None where that is for scikit-learn's checks to refuse."""
    try:
        y = np.asarray(y)
    except Exception:       # ragged lists, tensors on other devices
        return None
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    return y if y.ndim == 1 and len(y) else None


def _is_missing(label):
    return label is None or type(label).__name__ in {"NAType", "NaTType"} or (isinstance(label, float | np.floating)
                                                                              and label != label)


def _of_one_type(labels):
    """Object labels that are all integers, or all numbers, as an array of numbers; others as they are."""
    if labels.dtype.kind == "O" and len(labels) and all(isinstance(label, Real | np.bool_) for label in labels):
        return np.array(labels.tolist())
    return labels


def check_targets(labels):
    """Refuse targets that are no classes.

    Parameters
    ----------
    labels : ndarray of shape (n_samples,)
        Labels, marks left out.
    """
    try:
        check_classification_targets(labels)
    except TypeError as error:      # strings among numbers
        kinds = sorted({type(label).__name__ for label in labels})
        raise ValueError(f"`y` mixes labels of types that cannot be sorted: {kinds}. Use labels of one type; None "
                         "marks a row without a label.") from error


def label_space(classes, parameter="classes"):
    """Labels that a user lists, sorted, each once.

    Parameters
    ----------
    classes : array-like of shape (n_classes,), or dict whose keys are the labels
        What the user gave.
    parameter : str, default="classes"
        Its name, for messages.

    Returns
    -------
    ndarray of shape (n_classes,)
        The label space.

    Examples
    --------
    >>> from skicl._labels import label_space
    >>> label_space(["spam", "ham"])
    array(['ham', 'spam'], dtype='<U4')
    """
    if isinstance(classes, str | bytes):
        raise ValueError(f"`{parameter}` is a bare string ({classes!r}): expected a list of all labels.")
    listed = list(classes)
    if any(_is_missing(label) for label in listed):
        raise ValueError(f"`{parameter}` lists a missing label. None marks rows without a label in `y`; leave it out "
                         "here.")
    if len({isinstance(label, str) for label in listed}) > 1:
        raise ValueError(f"`{parameter}` mixes strings and other labels: {listed[:5]}. Use labels of one type.")
    array = np.asarray(classes if hasattr(classes, "dtype") else listed)
    if array.ndim != 1:
        raise ValueError(f"`{parameter}` has shape {array.shape}, expected one label for each class.")
    return np.unique(array)


def check_known(labels, declared, parameter):
    """Refuse labels outside the label space.

    Parameters
    ----------
    labels : ndarray of shape (n_labelled,)
        Labels of rows.
    declared : ndarray of shape (n_classes,)
        The label space.
    parameter : str
        The parameter that listed it, for the message.
    """
    extra = sorted(set(np.unique(labels).tolist()) - set(declared.tolist()), key=str)
    if extra:
        raise ValueError(f"`y` holds labels that `{parameter}` does not list: {extra[:5]}. List every label when you "
                         "first list any, or leave the list out.")


def append_labels(labels, more):
    """Labels with further ones after them.

    Parameters
    ----------
    labels, more : ndarray of shape (n_labelled,)
        Labels of one kind; either may be empty.

    Returns
    -------
    ndarray
        All of them.
    """
    if not len(labels) or not len(more):
        return more if len(more) else labels
    kinds = {labels.dtype.kind, more.dtype.kind}
    if len(kinds) == 2 and "O" not in kinds:
        raise ValueError(f"`y` holds labels of another kind than before: {more.tolist()[:3]}, the classes are "
                         f"{np.unique(labels).tolist()[:3]}. Use labels of one type.")
    return np.concatenate([labels, more])


def sample_weights(sample_weight, n_samples):
    """Weights of rows, checked.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,), float or None
        What the user gave.
    n_samples : int
        Number of rows.

    Returns
    -------
    ndarray of shape (n_samples,), dtype float64
        A copy; ones for None.
    """
    if sample_weight is None:
        return np.ones(n_samples)
    weight = np.array(sample_weight, dtype=np.float64)
    weight = np.full(n_samples, float(weight)) if weight.ndim == 0 else weight
    if weight.shape != (n_samples,):
        raise ValueError(f"`sample_weight` has shape {weight.shape}, expected one weight for each of the {n_samples} "
                         "rows.")
    if not np.isfinite(weight).all() or (weight < 0).any():
        raise ValueError("`sample_weight` holds negative, infinite or NaN weights. Weights must be finite and at "
                         "least 0.")
    return weight


def encode_labels(labels, labelled, weight, classes, class_weight, *, told_apart):
    """Codes of the rows and weights of the classes, if they allow to classify.

    Parameters
    ----------
    labels : ndarray of shape (n_labelled,)
        Labels of the labelled rows, all of them in ``classes``.
    labelled : ndarray of shape (n_samples,), dtype bool
        Which rows these are.
    weight : ndarray of shape (n_samples,)
        Weights of all rows.
    classes : ndarray of shape (n_classes,)
        The label space.
    class_weight : dict, "balanced" or None
        What the user gave.
    told_apart : bool
        Whether names of the classes or another model tell them apart without a labelled row.

    Returns
    -------
    codes : ndarray of shape (n_samples,), dtype int64
        Position of the label in ``classes``; -1 without a label.
    weight_of_class : ndarray of shape (n_classes,), dtype float64
        In the order of ``classes``.

    Raises
    ------
    ValueError
        If there are fewer than two classes, or no weight to learn from.
    """
    weight_of_class = class_weights(class_weight, classes, labels, weight[labelled])
    if len(classes) < 2:
        raise ValueError(f"The number of classes has to be greater than one; got {len(classes)} class "
                         f"({classes.tolist()}). Add labelled rows of another class, or list the classes in `classes`.")
    codes = np.full(len(labelled), UNLABELLED)
    codes[labelled] = np.searchsorted(classes, labels)
    if not labelled.any() and not told_apart:
        raise ValueError("`y` holds no label, and nothing else tells the classes apart. Label some rows, or give "
                         "`class_texts` or a fitted `prior`.")
    weight = row_weights(weight, codes, weight_of_class)
    total = weight.sum()
    if total == 0 or (weight[labelled].sum() == 0 and not told_apart):
        raise ValueError("All weights are zero: `sample_weight` and `class_weight` leave no row with a positive "
                         "weight. Give at least one row a positive weight.")
    if not SMALLEST_TOTAL < total < 1 / SMALLEST_TOTAL:
        raise ValueError(f"`sample_weight` times `class_weight` sums to {total}. Weights count rows: rescale them "
                         "so that their mean is about 1.")
    return codes, weight_of_class


def row_weights(weight, codes, weight_of_class):
    """Weights of rows times those of their classes; rows without a label belong to none.

    Parameters
    ----------
    weight : ndarray of shape (n_samples,)
        Weights of all rows.
    codes : ndarray of shape (n_samples,)
        As :func:`encode_labels` returns them.
    weight_of_class : ndarray of shape (n_classes,)
        As :func:`encode_labels` returns it.

    Returns
    -------
    ndarray of shape (n_samples,)
    """
    return weight * np.append(weight_of_class, 1.0)[codes]      # code -1 takes the last


def class_weights(class_weight, classes, labels, weight):
    """Weights of classes.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
        What the user gave.
    classes : ndarray of shape (n_classes,)
        The label space.
    labels : ndarray of shape (n_labelled,)
        Labels of the labelled rows.
    weight : ndarray of shape (n_labelled,)
        Their weights.

    Returns
    -------
    ndarray of shape (n_classes,), dtype float64
        In the order of ``classes``.
    """
    if class_weight is None:
        return np.ones(len(classes))
    if isinstance(class_weight, dict):
        unknown = [label for label in class_weight if label not in classes.tolist()]
        if unknown:
            raise ValueError(f"`class_weight` names classes that `y` does not hold: {unknown[:5]}. "
                             f"The classes are {classes.tolist()[:10]}.")
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
