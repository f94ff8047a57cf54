"""Estimators side by side over many data sets: means, mean ranks and mean differences, with bootstrap intervals."""

from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata
from sklearn.utils import check_random_state

from skicl._resampling import check_bootstrap, nested_counts
from skicl._validation._environment import import_optional
from skicl._validation._wording import did_you_mean
from skicl.evaluation._scores import is_loss

_FIELDS = ("estimator", "dataset", "k", "repeat")  # where the score of a record stands


def mean_scores(
    records: Any,
    score: str = "accuracy",
    *,
    n_bootstrap: int = 1000,
    confidence_level: float = 0.95,
    random_state: int | np.random.RandomState | None = 0,
) -> list[dict]:
    """Mean of a score over data sets and repeats, for each estimator and size of the context.

    Only like is compared with like: at each size the mean is over all data sets and repeats that any
    estimator has there, and an estimator that lacks some of them gets no mean at this size. The
    intervals are percentiles of a bootstrap that draws data sets with replacement, and repeats with
    replacement within each drawn set [1]_. The draws are the same for all estimators and sizes.

    Parameters
    ----------
    records : FewShotCurve, list of dict, or frame
        What :func:`few_shot_curve` returned, of one or more data sets: `dataset`, `estimator`, `k`, `repeat` and
        scores.
    score : str, default="accuracy"
        Field of the records to average.
    n_bootstrap : int, default=1000
        Number of draws of the bootstrap.
    confidence_level : float, default=0.95
        Share of the draws between the ends of an interval.
    random_state : int, RandomState instance or None, default=0
        Seed of the draws.

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
    check_bootstrap(n_bootstrap, confidence_level)
    cells = arrange(records, score)
    return _summary(cells, cells.values, _counts(cells, n_bootstrap, random_state), confidence_level)


def mean_ranks(
    records: Any,
    score: str = "accuracy",
    *,
    n_bootstrap: int = 1000,
    confidence_level: float = 0.95,
    random_state: int | np.random.RandomState | None = 0,
) -> list[dict]:
    """Mean rank of each estimator among the others on the same context, with a bootstrap interval.

    For every data set, size and repeat the estimators are ranked by their score: 1 is the best, ties share
    the mean of their ranks [1]_. Estimators that lack a data set or repeat at a size are left out there, see
    :func:`mean_scores`.

    Parameters
    ----------
    records : FewShotCurve, list of dict, or frame
        What :func:`few_shot_curve` returned.
    score : str, default="accuracy"
        Field to rank by. Of "log_loss", "brier", "ece" and of seconds the smallest is the best, of every other field
        the largest.
    n_bootstrap : int, default=1000
        Number of draws of the bootstrap.
    confidence_level : float, default=0.95
        Share of the draws between the ends of an interval.
    random_state : int, RandomState instance or None, default=0
        Seed of the draws.

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
    check_bootstrap(n_bootstrap, confidence_level)
    cells = arrange(records, score)
    ranks = np.full(cells.values.shape, np.nan)
    signed = cells.values if is_loss(score) else -cells.values
    for size in range(len(cells.sizes)):
        there = ~np.isnan(signed[:, :, size]).all(axis=(1, 2))
        ranks[there, :, size] = rankdata(signed[there, :, size], axis=0, nan_policy="omit")
    return _summary(cells, ranks, _counts(cells, n_bootstrap, random_state), confidence_level)


def mean_differences(
    records: Any,
    reference: str,
    score: str = "accuracy",
    *,
    relative: bool = False,
    n_bootstrap: int = 1000,
    confidence_level: float = 0.95,
    random_state: int | np.random.RandomState | None = 0,
) -> list[dict]:
    """Mean difference of each estimator to a reference on the same contexts, with a bootstrap interval.

    How hard a data set is moves all estimators alike and cancels out: these intervals are much narrower than
    those of :func:`mean_scores`, and say whether an estimator is better than the reference.

    Parameters
    ----------
    records : FewShotCurve, list of dict, or frame
        What :func:`few_shot_curve` returned.
    reference : str
        The estimator to compare with.
    score : str, default="accuracy"
        Field to compare.
    relative : bool, default=False
        Divide the mean by that of the reference, instead of subtracting it. The mean over the sizes is then the
        ratio of the means over the sizes.
    n_bootstrap : int, default=1000
        Number of draws of the bootstrap.
    confidence_level : float, default=0.95
        Share of the draws between the ends of an interval.
    random_state : int, RandomState instance or None, default=0
        Seed of the draws.

    Returns
    -------
    list of dict
        As from :func:`mean_scores`; `mean` is the difference or ratio. Sizes at which the reference has no mean,
        or for ratios one of zero, are left out.

    Raises
    ------
    ValueError
        If a parameter is not valid, the records lack the score or name the same result twice, or none is of the
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
    check_bootstrap(n_bootstrap, confidence_level)
    cells = arrange(records, score)
    if reference not in cells.estimators:
        raise ValueError(
            f"`reference` must be one of the estimators {', '.join(cells.estimators)}, got {reference!r}."
            + did_you_mean(reference, cells.estimators)
        )
    at = cells.estimators.index(reference)
    draws = _counts(cells, n_bootstrap, random_state)
    if relative:
        return _summary(cells, cells.values, draws, confidence_level, divide_by=at)
    return _summary(cells, cells.values - cells.values[at], draws, confidence_level)


class Cells(NamedTuple):
    """One score, densely: E estimators, S data sets, K sizes, R repeats; nan where there is nothing to compare."""

    estimators: list
    datasets: list
    sizes: list
    values: np.ndarray  # (E, S, K, R)


def records_of(results):
    """The records of a curve, a list or a frame.

    Parameters
    ----------
    results : FewShotCurve, list of dict, or frame
        What :func:`few_shot_curve` returned.

    Returns
    -------
    list of dict
    """
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


def as_frame(rows):
    """Rows as a frame of pandas.

    Parameters
    ----------
    rows : list of dict
        The rows.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    ImportError
        If pandas is not installed.
    """
    pandas = import_optional(
        "pandas", needed="for a frame", instead="The rows themselves, a list of dicts, need nothing."
    )
    return pandas.DataFrame(rows)


def arrange(records, score):
    """One score of all records as an array.

    Parameters
    ----------
    records : FewShotCurve, list of dict, or frame
        What :func:`few_shot_curve` returned.
    score : str
        Field of the records.

    Returns
    -------
    Cells
        Estimators that lack some data set or repeat at a size have nothing at this size.
    """
    records = records_of(records)
    lacking = next((record for record in records if not isinstance(record.get(score), Real)), None)
    if lacking is not None:
        numbers = ", ".join(name for name, value in lacking.items() if isinstance(value, Real))
        raise ValueError(f"`score` must be a number in every record, got {score!r}; a record has {numbers}.")
    found = {name: list(dict.fromkeys(record[name] for record in records)) for name in _FIELDS}
    estimators, datasets, sizes, repeats = found["estimator"], found["dataset"], sorted(found["k"]), found["repeat"]
    values = np.full((len(estimators), len(datasets), len(sizes), len(repeats)), np.nan)
    axes = [{name: at for at, name in enumerate(names)} for names in (estimators, datasets, sizes, repeats)]
    for record in records:
        place = tuple(axis[record[name]] for axis, name in zip(axes, _FIELDS))
        if not np.isnan(values[place]):
            raise ValueError(
                f"`records` has two results of {record['estimator']!r} on {record['dataset']!r} at k={record['k']}, "
                f"repeat {record['repeat']}."
            )
        values[place] = record[score]
    wanted = ~np.isnan(values).all(axis=0)
    incomplete = (np.isnan(values) & wanted).any(axis=(1, 3), keepdims=True)
    return Cells(estimators, datasets, sizes, np.where(incomplete, np.nan, values))


def _counts(cells, n_bootstrap, random_state):
    """How often each data set and repeat is drawn, (1 + n_bootstrap, S, R); the first row is the data as they are."""
    n_sets, n_repeats = cells.values.shape[1], cells.values.shape[3]
    drawn = nested_counts(n_sets, n_repeats, n_bootstrap, check_random_state(random_state))
    return np.concatenate([np.ones((1, n_sets, n_repeats)), drawn])


def _summary(cells, values, counts, confidence_level, divide_by=None):
    """Records of the means of values (E, S, K, R) and of their intervals."""
    there = ~np.isnan(values)
    total = np.einsum("dsr,eskr->dek", counts, np.where(there, values, 0.0))
    weight = np.einsum("dsr,eskr->dek", counts, there.astype(float))
    means = np.where(weight > 0, total / np.maximum(weight, 1), np.nan)
    means = np.concatenate([means, means.mean(axis=2, keepdims=True)], axis=2)
    if divide_by is not None:
        divisor = means[:, [divide_by]]
        means = np.divide(means, divisor, out=np.full(means.shape, np.nan), where=divisor != 0)
    n_datasets = there.any(axis=3).sum(axis=1)
    n_datasets = np.column_stack([n_datasets, there.any(axis=(2, 3)).sum(axis=1)])
    summary = []
    for e, estimator in enumerate(cells.estimators):
        for size, k in enumerate([*cells.sizes, None]):
            if not np.isnan(means[0, e, size]):
                low, high = np.nanquantile(means[1:, e, size], [(1 - confidence_level) / 2, (1 + confidence_level) / 2])
                interval = {"mean": float(means[0, e, size]), "low": float(low), "high": float(high)}
                summary.append({"estimator": estimator, "k": k, "n_datasets": int(n_datasets[e, size]), **interval})
    return summary
