"""Estimators side by side over many data sets: means, mean ranks and mean differences, with bootstrap intervals."""

from collections.abc import Iterable
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.stats import rankdata
from sklearn.utils import check_random_state

from skicl._resampling import check_bootstrap, interval, nested_counts
from skicl._validation._environment import import_optional
from skicl._validation._wording import did_you_mean
from skicl.evaluation._scores import is_loss

if TYPE_CHECKING:
    import pandas

_FIELDS = ("estimator", "dataset", "k", "repeat")  # the axes along which the scores are arranged


def mean_scores(
    records: Iterable[Any],
    score: str = "accuracy",
    *,
    n_bootstrap: int = 1000,
    confidence_level: float = 0.95,
    random_state: int | np.random.RandomState | None = 0,
) -> list[dict[str, Any]]:
    """Mean of a score over data sets and repeats, for each estimator and size of the context.

    Only like is compared with like. At each size the mean is over all data sets and repeats that any estimator has
    there; an estimator that lacks some of them gets no mean at this size. The intervals are percentiles of a bootstrap
    that draws data sets with replacement, and repeats with replacement within each drawn set [1]_. The samples are the
    same for all estimators and sizes.

    Parameters
    ----------
    records : FewShotCurve, list of dict, or frame
        What :func:`few_shot_curve` returned, of one or more data sets: `dataset`, `estimator`, `k`, `repeat` and
        scores.
    score : str, default="accuracy"
        Field of the records to average.
    n_bootstrap : int, default=1000
        Number of bootstrap samples.
    confidence_level : float, default=0.95
        Confidence level of the intervals, between 0 and 1.
    random_state : int, RandomState instance or None, default=0
        Seed of the bootstrap.

    Returns
    -------
    list of dict
        For each estimator, in the order of the records, one dict per size: `estimator`, `k`, `n_datasets`,
        `mean`, and the ends `low` and `high` of the interval. The last one has a `k` of None: the mean of the
        means at all sizes, if the estimator has them all.

    Raises
    ------
    ValueError
        If a parameter is not valid, or the records lack the score or name the same result twice.

    See Also
    --------
    mean_ranks : Ranks of the estimators among each other.
    mean_differences : Differences to one of the estimators, or ratios.

    References
    ----------
    .. [1] Davison and Hinkley (1997), "Bootstrap methods and their application", section 3.8.

    Examples
    --------
    >>> from skicl.evaluation import mean_scores
    >>> records = [
    ...     {"dataset": name, "estimator": "lr", "k": 8, "repeat": 0, "accuracy": value}
    ...     for name, value in {"a": 0.5, "b": 0.7, "c": 0.9}.items()
    ... ]
    >>> for row in mean_scores(records):
    ...     print(row["estimator"], row["k"], row["n_datasets"], f"{row['mean']:.2f}")
    lr 8 3 0.70
    lr None 3 0.70
    """
    cells = arrange(records, score)
    counts = _sample_counts(cells, n_bootstrap, confidence_level, random_state)
    return _summary(cells, cells.values, counts, confidence_level)


def mean_ranks(
    records: Iterable[Any],
    score: str = "accuracy",
    *,
    n_bootstrap: int = 1000,
    confidence_level: float = 0.95,
    random_state: int | np.random.RandomState | None = 0,
) -> list[dict[str, Any]]:
    """Mean rank of each estimator among the others on the same context, with a bootstrap interval.

    For every data set, size and repeat the estimators are ranked by their score: 1 is the best, and ties share the mean
    of their ranks [1]_. Estimators that lack a data set or repeat at a size are left out there, see
    :func:`mean_scores`.

    Parameters
    ----------
    records : FewShotCurve, list of dict, or frame
        What :func:`few_shot_curve` returned.
    score : str, default="accuracy"
        Field to rank by. The smallest value is the best of "log_loss", "brier", "ece" and seconds, and the largest of
        every other field.
    n_bootstrap : int, default=1000
        Number of bootstrap samples.
    confidence_level : float, default=0.95
        Confidence level of the intervals, between 0 and 1.
    random_state : int, RandomState instance or None, default=0
        Seed of the bootstrap.

    Returns
    -------
    list of dict
        As from :func:`mean_scores`; `mean` is the mean rank.

    Raises
    ------
    ValueError
        If a parameter is not valid, or the records lack the score or name the same result twice.

    See Also
    --------
    mean_scores : Means of the score itself, and what is averaged.

    References
    ----------
    .. [1] Demsar (2006), "Statistical comparisons of classifiers over multiple data sets", JMLR 7.

    Examples
    --------
    >>> from skicl.evaluation import mean_ranks
    >>> records = [
    ...     {"dataset": "a", "estimator": name, "k": 8, "repeat": 0, "log_loss": value}
    ...     for name, value in {"lr": 0.5, "knn": 0.7, "lda": 0.5}.items()
    ... ]
    >>> [(row["estimator"], row["mean"]) for row in mean_ranks(records, "log_loss") if row["k"] == 8]
    [('lr', 1.5), ('knn', 3.0), ('lda', 1.5)]
    """
    cells = arrange(records, score)
    ranks = np.full(cells.values.shape, np.nan)
    signed = cells.values if is_loss(score) else -cells.values
    for size in range(len(cells.sizes)):
        present = ~np.isnan(signed[:, :, size]).all(axis=(1, 2))
        ranks[present, :, size] = rankdata(signed[present, :, size], axis=0, nan_policy="omit")
    counts = _sample_counts(cells, n_bootstrap, confidence_level, random_state)
    return _summary(cells, ranks, counts, confidence_level)


def mean_differences(
    records: Iterable[Any],
    reference: str,
    score: str = "accuracy",
    *,
    relative: bool = False,
    n_bootstrap: int = 1000,
    confidence_level: float = 0.95,
    random_state: int | np.random.RandomState | None = 0,
) -> list[dict[str, Any]]:
    """Mean difference of each estimator to a reference on the same contexts, with a bootstrap interval.

    The difficulty of a data set moves all estimators alike and cancels out. These intervals are therefore much narrower
    than those of :func:`mean_scores`, and they say whether an estimator is better than the reference.

    Parameters
    ----------
    records : FewShotCurve, list of dict, or frame
        What :func:`few_shot_curve` returned.
    reference : str
        The estimator to compare with.
    score : str, default="accuracy"
        Field to compare.
    relative : bool, default=False
        Divide the mean by that of the reference instead of subtracting that of the reference from it. The mean over
        the sizes is then the ratio of the means over the sizes.
    n_bootstrap : int, default=1000
        Number of bootstrap samples.
    confidence_level : float, default=0.95
        Confidence level of the intervals, between 0 and 1.
    random_state : int, RandomState instance or None, default=0
        Seed of the bootstrap.

    Returns
    -------
    list of dict
        As from :func:`mean_scores`; `mean` is the difference or ratio. Sizes at which the reference has no mean are
        left out, and for ratios also those at which its mean is zero.

    Raises
    ------
    ValueError
        If a parameter is not valid, the records lack the score or name the same result twice, or no record is of the
        reference.

    See Also
    --------
    mean_scores : Means of the score itself, and what is averaged.

    Examples
    --------
    >>> from skicl.evaluation import mean_differences
    >>> records = [
    ...     {"dataset": "a", "estimator": name, "k": 8, "repeat": repeat, "log_loss": value + repeat}
    ...     for repeat in (0, 1)
    ...     for name, value in {"lr": 0.5, "knn": 0.7}.items()
    ... ]
    >>> row = mean_differences(records, "lr", "log_loss")[-1]
    >>> print(row["estimator"], f"{row['mean']:.2f}, from {row['low']:.2f} to {row['high']:.2f}")
    knn 0.20, from 0.20 to 0.20
    """
    cells = arrange(records, score)
    if reference not in cells.estimators:
        raise ValueError(
            f"`reference` must be one of the estimators {', '.join(cells.estimators)}, got {reference!r}."
            + did_you_mean(reference, cells.estimators)
        )
    at = cells.estimators.index(reference)
    counts = _sample_counts(cells, n_bootstrap, confidence_level, random_state)
    if relative:
        return _summary(cells, cells.values, counts, confidence_level, divide_by=at)
    return _summary(cells, cells.values - cells.values[at], counts, confidence_level)


class Cells(NamedTuple):
    """One score as an array of E estimators, S data sets, K sizes and R repeats; nan where nothing can be compared."""

    estimators: list
    datasets: list
    sizes: list
    values: np.ndarray  # (E, S, K, R)


def records_of(results):
    """The records of a curve, a list or a frame (pandas or polars), as a list of dict."""
    if hasattr(results, "to_dicts"):  # polars
        records = results.to_dicts()
    else:
        records = results.to_dict("records") if hasattr(results, "to_dict") else list(results)
    if not records:
        raise ValueError("`records` is empty; pass what few_shot_curve returned.")
    for record in records:
        lacking = [name for name in _FIELDS if name not in record]
        if lacking:
            raise ValueError(f"`records` must have {', '.join(_FIELDS)} and scores; a record lacks {lacking[0]!r}.")
    return records


def as_frame(rows) -> "pandas.DataFrame":
    """A list of dict as a frame of pandas."""
    instead = "The rows themselves, a list of dicts, need nothing."
    return import_optional("pandas", needed="for a frame", instead=instead).DataFrame(rows)


def arrange(records, score):
    """One score of all records as Cells; an estimator that lacks a data set or repeat at a size has nothing there."""
    records = records_of(records)
    lacking = next((record for record in records if not isinstance(record.get(score), Real)), None)
    if lacking is not None:
        numbers = ", ".join(name for name, value in lacking.items() if isinstance(value, Real))
        raise ValueError(f"`score` must be a number in every record, got {score!r}; a record has {numbers}.")
    keys = {name: list(dict.fromkeys(record[name] for record in records)) for name in _FIELDS}
    keys["k"].sort()
    values = np.full([len(keys[name]) for name in _FIELDS], np.nan)
    positions = {name: {key: at for at, key in enumerate(keys[name])} for name in _FIELDS}
    for record in records:
        cell = tuple(positions[name][record[name]] for name in _FIELDS)
        if not np.isnan(values[cell]):
            raise ValueError(
                f"`records` has two results of {record['estimator']!r} on {record['dataset']!r} at k={record['k']}, "
                f"repeat {record['repeat']}."
            )
        values[cell] = record[score]
    # What any estimator has at a size, all must have there, or they are left out at this size.
    wanted = ~np.isnan(values).all(axis=0)
    incomplete = (np.isnan(values) & wanted).any(axis=(1, 3), keepdims=True)
    values = np.where(incomplete, np.nan, values)
    return Cells(keys["estimator"], keys["dataset"], keys["k"], values)


def _sample_counts(cells, n_bootstrap, confidence_level, random_state):
    """How often each data set and repeat is drawn, (1 + n_bootstrap, S, R); first come the data as they are."""
    check_bootstrap(n_bootstrap, confidence_level)
    _, n_sets, _, n_repeats = cells.values.shape
    counts = nested_counts(n_sets, n_repeats, n_bootstrap, check_random_state(random_state))
    return np.concatenate([np.ones((1, n_sets, n_repeats)), counts])


def _summary(cells, values, counts, confidence_level, divide_by=None):
    """Rows of the means of values (E, S, K, R) and of their intervals, from counts (B, S, R) of the samples."""
    present = ~np.isnan(values)
    total = np.einsum("bsr,eskr->bek", counts, np.where(present, values, 0.0))
    weight = np.einsum("bsr,eskr->bek", counts, present.astype(float))
    # A sample may hold no data set of a size: it has no mean there.
    means = np.where(weight > 0, total / np.maximum(weight, 1), np.nan)
    means = np.concatenate([means, means.mean(axis=2, keepdims=True)], axis=2)  # (B, E, K + 1), last over the sizes
    if divide_by is not None:
        divisor = means[:, [divide_by]]
        means = np.divide(means, divisor, out=np.full(means.shape, np.nan), where=divisor != 0)
    n_datasets = present.any(axis=3).sum(axis=1)
    n_datasets = np.column_stack([n_datasets, present.any(axis=(2, 3)).sum(axis=1)])
    rows = []
    for e, estimator in enumerate(cells.estimators):
        for size, k in enumerate([*cells.sizes, None]):
            mean, *samples = means[:, e, size]
            if not np.isnan(mean):
                low, high = _interval(np.array(samples), confidence_level)
                row = {"estimator": estimator, "k": k, "n_datasets": int(n_datasets[e, size])}
                rows.append(row | {"mean": float(mean), "low": low, "high": high})
    return rows


def _interval(samples, confidence_level):
    """Ends of the interval of those samples (B,) that are numbers; nan if none is."""
    samples = samples[~np.isnan(samples)]
    return tuple(map(float, interval(samples, confidence_level))) if len(samples) else (np.nan, np.nan)
