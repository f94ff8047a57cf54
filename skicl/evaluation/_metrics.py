"""Metrics of multi-class probabilities: expected calibration error and Brier score."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_array

from skicl._validation._labels import read_all_labels
from skicl._validation._scalars import check_choice, check_integer

_SUM_TOLERANCE = 1e-3  # float16 and float32 softmaxes over hundreds of classes stay well within it


class ConfidenceBins(NamedTuple):
    """Bins of rows by confidence, without the empty ones: ends, counts, means and spread of hits and confidence."""

    low: np.ndarray
    high: np.ndarray
    n_rows: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    variance: np.ndarray  # of hit minus confidence in a bin, divided by n - 1; nan in bins of one row


def expected_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    n_bins: int = 15,
    strategy: str = "uniform",
    norm: str = "l1",
    debias: bool = False,
    labels: ArrayLike | None = None,
) -> float:
    """Expected calibration error of the predicted class (top-label ECE).

    The confidence of a row is its largest probability, and the row is correct if the class of that
    probability is the true one. Rows are binned by confidence; the error is the mean over the rows of
    the distance between the accuracy and the mean confidence of their bin:
    ``sum_b n_b / n * |accuracy_b - confidence_b|`` (equation 3 of [1]_). 0 is perfect, 1 the worst.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True classes, numbers or strings.
    y_prob : array-like of shape (n_samples, n_classes) or (n_samples,)
        Probabilities; each row sums to 1. One column per class, in the order of `labels`. With two
        classes the probabilities of the second one alone may be given, as in scikit-learn.
    n_bins : int, default=15
        Number of bins.
    strategy : {"uniform", "quantile"}, default="uniform"
        "uniform": bins of equal width over [0, 1], closed on the right, as in [1]_. "quantile": bins
        that hold equally many rows, up to one; rows of equal confidence share a bin, so that the result
        does not depend on the order of the rows, and there may be fewer bins.
    norm : {"l1", "l2"}, default="l1"
        "l1": the mean distance. "l2": the root of the mean squared distance, which is never smaller.
    debias : bool, default=False
        With ``norm="l2"`` only: subtract from the squared distance of each bin what chance alone adds to it, the
        estimated variance of that distance [2]_. The error is 0 if the mean is then negative. Bins of a single row have
        no variance and are left out; the error is nan if no bin holds two rows.
    labels : array-like of shape (n_classes,), default=None
        Class of each column of `y_prob`, such as the `classes_` of a classifier. None: the sorted
        classes of `y_true`, which must then be as many as the columns.

    Returns
    -------
    float
        The calibration error, between 0 and 1.

    Raises
    ------
    ValueError
        If the shapes do not agree, `y_prob` holds NaN, values outside [0, 1] or rows that do not sum
        to 1, `y_true` holds classes that are not in `labels`, `n_bins`, `strategy` or `norm` is not valid, or
        `debias` is asked for with ``norm="l1"``.

    See Also
    --------
    ReliabilityDisplay : The bins as a picture, with what chance alone would give.

    Notes
    -----
    The estimate is biased, in both directions. With few rows it is too large: even for perfectly
    calibrated probabilities the accuracy of a bin differs from its mean confidence by chance, which
    adds about ``sqrt(2 * n_bins * v / (pi * n_samples))``, where ``v`` is the mean of
    ``confidence * (1 - confidence)``; for 300 rows of confidence around 0.75 spread over 15 bins that
    is 0.08. With few bins it is too small, because errors of opposite sign in one bin cancel [2]_.
    Compare errors only between classifiers scored on equally many rows. Bins of equal mass have the
    smaller bias of the two strategies in most cases [3]_.

    The first bias can be removed from the squared error but not from the mean distance. The mean of a square is the
    square of the mean plus the variance, which can be estimated without bias from the rows of the bin; the bias of an
    absolute value depends on the unknown error itself. With bins of equal width the debiased squared error is right on
    average over samples, up to bins of a single row, before negative values are set to 0 and the root is taken. The
    second bias remains.

    References
    ----------
    .. [1] Guo, Pleiss, Sun and Weinberger. "On calibration of modern neural networks." ICML 2017.
    .. [2] Kumar, Liang and Ma. "Verified uncertainty calibration." NeurIPS 2019, sections 3 and 4.
    .. [3] Roelofs, Cain, Shlens and Mozer. "Mitigating bias in calibration error estimation."
           AISTATS 2022.

    Examples
    --------
    >>> from skicl.evaluation import expected_calibration_error
    >>> y_true = ["ham", "spam", "ham", "ham"]
    >>> y_prob = [[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.1, 0.9]]
    >>> round(expected_calibration_error(y_true, y_prob), 3)
    0.15
    """
    check_choice(norm, "norm", ("l1", "l2"))
    if debias and norm != "l2":
        raise ValueError("`debias` needs norm='l2': the bias of the mean distance cannot be estimated, see the Notes.")
    bins = confidence_bins(y_true, y_prob, n_bins=n_bins, strategy=strategy, labels=labels)
    gaps = bins.accuracy - bins.confidence
    if norm == "l1":
        return float(bins.n_rows @ np.abs(gaps) / bins.n_rows.sum())
    squares = gaps**2
    if debias:
        has_variance = bins.n_rows > 1
        if not has_variance.any():
            return float("nan")
        unbiased = (squares - bins.variance / bins.n_rows)[has_variance]
        return float(np.sqrt(max(np.average(unbiased, weights=bins.n_rows[has_variance]), 0.0)))
    return float(np.sqrt(bins.n_rows @ squares / bins.n_rows.sum()))


def confidence_bins(y_true, y_prob, *, n_bins, strategy, labels):
    """ConfidenceBins of rows; the parameters are those of expected_calibration_error."""
    check_integer(n_bins, "n_bins")
    check_choice(strategy, "strategy", ("uniform", "quantile"))
    true, prob = _check_probabilities(y_true, y_prob, labels)
    confidence = np.minimum(prob.max(axis=1), 1.0)
    correct = prob.argmax(axis=1) == true
    if strategy == "uniform":
        edges = np.linspace(0, 1, n_bins + 1)
    else:
        # Bin b ends at the confidence of row ceil(b * n / n_bins) in ascending order. Edges are confidences that occur:
        # interpolated ones would be rounded, which would move rows into the next bin.
        last = -(-np.arange(n_bins + 1) * len(confidence) // n_bins) - 1
        edges = np.sort(confidence)[np.maximum(last, 0)]
    bins = np.searchsorted(edges[1:-1], confidence, side="left")  # bin b is (edges[b], edges[b + 1]]
    count = np.bincount(bins, minlength=n_bins)
    filled = np.flatnonzero(count)
    n = count[filled]
    mean_confidence, accuracy, squares = (
        np.bincount(bins, weights=values, minlength=n_bins)[filled] / n
        for values in (confidence, correct, (correct - confidence) ** 2)
    )
    spread = np.maximum(squares - (accuracy - mean_confidence) ** 2, 0)
    variance = np.divide(spread * n, n - 1, out=np.full(len(n), np.nan), where=n > 1)
    return ConfidenceBins(edges[filled], edges[filled + 1], n, mean_confidence, accuracy, variance)


def brier_score(y_true: ArrayLike, y_prob: ArrayLike, *, labels: ArrayLike | None = None) -> float:
    """Brier score of multi-class probabilities.

    The mean over the rows of the squared distance between the row of probabilities and the one-hot
    vector of the true class, summed over the classes [1]_: 0 is perfect, 2 the worst. For two classes
    this is twice the binary score of :func:`sklearn.metrics.brier_score_loss`, which looks at one
    class alone. It is a proper scoring rule: the expected score is smallest for the true
    probabilities.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True classes, numbers or strings.
    y_prob : array-like of shape (n_samples, n_classes) or (n_samples,)
        Probabilities; each row sums to 1. One column per class, in the order of `labels`. With two
        classes the probabilities of the second one alone may be given, as in scikit-learn.
    labels : array-like of shape (n_classes,), default=None
        Class of each column of `y_prob`, such as the `classes_` of a classifier. None: the sorted
        classes of `y_true`, which must then be as many as the columns.

    Returns
    -------
    float
        The score, between 0 and 2.

    Raises
    ------
    ValueError
        If the shapes do not agree, `y_prob` holds NaN, values outside [0, 1] or rows that do not sum
        to 1, or `y_true` holds classes that are not in `labels`.

    References
    ----------
    .. [1] Brier. "Verification of forecasts expressed in terms of probability." Monthly Weather
           Review 78, 1950.

    Examples
    --------
    >>> from skicl.evaluation import brier_score
    >>> round(brier_score(["a", "c"], [[0.8, 0.2, 0.0], [0.1, 0.3, 0.6]], labels=["a", "b", "c"]), 3)
    0.17
    """
    true, prob = _check_probabilities(y_true, y_prob, labels)
    distance = prob.copy()
    distance[np.arange(len(true)), true] -= 1
    return float((distance**2).sum(axis=1).mean())


def _check_probabilities(y_true, y_prob, labels):
    """Column of each true class (n_samples,), and probabilities (n_samples, n_classes), both checked."""
    prob = check_array(y_prob, dtype=np.float64, ensure_2d=False, input_name="y_prob")
    if prob.ndim == 1:
        prob = np.column_stack([1 - prob, prob])
    if prob.shape[1] < 2:
        raise ValueError(
            "`y_prob` has one column; expected one column per class, or a 1-D array of the "
            "probabilities of the second of two classes."
        )
    if prob.min() < -1e-9 or prob.max() > 1 + 1e-6:
        raise ValueError(
            f"`y_prob` must hold probabilities between 0 and 1, got values from {prob.min():g} to "
            f"{prob.max():g}; pass the output of `predict_proba`, not scores."
        )
    sums = prob.sum(axis=1)
    worst = np.abs(sums - 1).argmax()
    if abs(sums[worst] - 1) > _SUM_TOLERANCE:
        raise ValueError(f"Each row of `y_prob` must sum to 1; row {worst} sums to {sums[worst]:g}.")
    true = read_all_labels(y_true, parameter="y_true")
    if len(true) != len(prob):
        raise ValueError(f"`y_true` has {len(true)} rows and `y_prob` has {len(prob)}; they must be equal.")
    try:
        return _columns_of_classes(true, prob.shape[1], labels), prob
    except TypeError as error:  # None and names, or names and numbers, cannot be sorted
        raise ValueError("`y_true` and `labels` must hold classes of one type, none of them missing.") from error


def _columns_of_classes(true, n_columns, labels):
    """Column of `y_prob` of each true class (n_samples,), for columns in the order of `labels`."""
    if labels is None:
        classes = np.unique(true)
        if len(classes) != n_columns:
            raise ValueError(
                f"`y_prob` has {n_columns} columns but `y_true` holds {len(classes)} classes; pass the "
                "class of each column as `labels`, for example the `classes_` of the classifier."
            )
    else:
        classes = read_all_labels(labels, parameter="labels")
        if len(np.unique(classes)) != len(classes):
            raise ValueError("`labels` names a class twice; expected one distinct class per column.")
        if len(classes) != n_columns:
            raise ValueError(f"`labels` has {len(classes)} classes but `y_prob` has {n_columns} columns.")
    order = np.argsort(classes)
    # A class beyond the last is compared with the last, and so found to be unknown.
    at = np.minimum(np.searchsorted(classes, true, sorter=order), len(classes) - 1)
    columns = order[at]
    unknown = np.flatnonzero(classes[columns] != true)
    if len(unknown):
        raise ValueError(f"`y_true` holds the class {true.tolist()[unknown[0]]!r}, which is not in `labels`.")
    return columns
