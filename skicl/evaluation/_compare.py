"""Estimators against each other: mean ranks, wins, paired tests, and one sentence of advice."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skicl._validation._scalars import check_share
from skicl.evaluation._advice import advise
from skicl.evaluation._comparison import arrange, as_frame, mean_ranks, records_of
from skicl.evaluation._paired import holm, paired, rank_test, unit_of


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare` found.

    Parameters
    ----------
    score : str
        The score.
    k : int or None
        The size of the contexts; None is all sizes.
    unit : {"data sets", "contexts"}
        What was paired.
    ranks : list of dict
        `estimator`, its mean rank `mean`, and the ends `low` and `high` of its interval, as from :func:`mean_ranks`;
        the best first. For all sizes, over those at which every estimator ran; if there is none, of those that have
        all sizes.
    pairs : list of dict
        For every pair `first` and `second`: the number `n` of units in which both ran, `wins`, `ties` and `losses` of
        the first, its mean `difference` to the second (positive is better, also of losses), `p_value` of Wilcoxon's
        signed-rank test and `p_holm`, the same corrected for the number of pairs.
    advice : str
        Which estimator to take, from how many labels; with `k`, at this size.

    See Also
    --------
    ComparisonDisplay : The same as a picture.

    Examples
    --------
    >>> from skicl.evaluation import Comparison
    >>> Comparison("accuracy", 8, "contexts", [], [], "Take lr.")
    Comparison by accuracy at k=8 over contexts
    Take lr.
    """

    score: str
    k: int | None
    unit: str
    ranks: list
    pairs: list
    advice: str

    def frame(self) -> Any:
        """The pairs as a frame, one row each.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ImportError
            If pandas is not installed; ``pairs`` needs nothing.
        """
        return as_frame(self.pairs)

    def __repr__(self):
        size = "" if self.k is None else f" at k={self.k}"
        ranks = [f"  {row['mean']:.2f}  {row['estimator']}" for row in self.ranks]
        return "\n".join([f"Comparison by {self.score}{size} over {self.unit}", *ranks, self.advice])


def compare(results: Any, *, score: str = "accuracy", k: int | None = None, alpha: float = 0.05) -> Comparison:
    """Compare estimators on the same contexts: ranks, wins, paired tests, advice.

    With several data sets these are the units: a data set counts once, with its mean over repeats and sizes, and the
    tests ask whether the order of two estimators would be the same on other sets [1]_. With a single data set the units
    are its repeats, and the answer holds for this set and these queries only.

    Parameters
    ----------
    results : FewShotCurve, list of dict, or frame
        What :func:`few_shot_curve` returned, of one or more data sets.
    score : str, default="accuracy"
        Field to compare by. Of "log_loss", "brier", "ece" and of seconds less is better, of every other more.
    k : int, default=None
        Compare at this size of the contexts alone. None: by the mean over all sizes at which both of a pair ran, and
        the advice also looks at each size.
    alpha : float, default=0.05
        Level of the claims in the advice: the largest chance of a single false one among all.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If a parameter is not valid, or the records lack the score or name the same result twice.

    Notes
    -----
    Wilcoxon's signed-rank test cannot reach a p value of 0.05 with fewer than six units. The advice rests on paired t
    tests: half of the level goes to those of the mean over the sizes, half to those at every size, and each half is
    corrected by Holm [2]_ for the number of its tests. From fewer than five units it draws no conclusion. "Ahead" is a
    difference beyond noise in this sense; estimators that cannot be told apart may still differ. It recommends as few
    estimators as there must be so that at no size another is ahead.

    Repeats of a single data set overlap in their rows, more so the larger the contexts: their spread is smaller than
    that of new rows would be, and its p values are too small where contexts are a large part of the data.

    References
    ----------
    .. [1] Demsar (2006), "Statistical comparisons of classifiers over multiple data sets", JMLR 7.
    .. [2] Holm (1979), "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6.

    Examples
    --------
    >>> from skicl.evaluation import compare
    >>> records = [
    ...     {"dataset": f"set {s}", "estimator": name, "k": 8, "repeat": 0, "accuracy": 0.5 + gain + s % 2 / 99}
    ...     for s in range(8)
    ...     for name, gain in {"lr": 0.1, "knn": s % 3 / 100}.items()
    ... ]
    >>> found = compare(records)
    >>> found
    Comparison by accuracy over data sets
      1.00  lr
      2.00  knn
    By accuracy on 8 data sets, take lr: with 8 labels it is ahead of every other.
    >>> row = found.pairs[0]
    >>> row["wins"], row["losses"], round(row["p_value"], 4)
    (8, 0, 0.0078)
    """
    check_share(alpha, "alpha")
    records = records_of(results)
    cells = arrange(records, score)
    if k is not None and k not in cells.sizes:
        raise ValueError(f"`k` must be None or one of the sizes {', '.join(map(str, cells.sizes))}, got {k!r}.")
    if k is not None:
        records = [record for record in records if record["k"] == k]
        cells = arrange(records, score)
    pairs = [_row(cells.estimators, pair) for pair in paired(cells, score, list(range(len(cells.sizes))))]
    for row, corrected in zip(pairs, holm([row["p_value"] for row in pairs])):
        row["p_holm"] = float(corrected)
    return Comparison(score, k, unit_of(cells), _ranks(records, cells, score, k), pairs, advise(cells, score, alpha))


def _ranks(records, cells, score, k):
    """Mean ranks, the best first, so that an estimator that lacks a size is not left out."""
    everybody = (~np.isnan(cells.values)).any(axis=(1, 3)).all(axis=0)
    common = {size for size, ran in zip(cells.sizes, everybody) if ran} or set(cells.sizes)
    ranks = mean_ranks([record for record in records if record["k"] in common], score)
    return sorted((row for row in ranks if row["k"] == k), key=lambda row: row["mean"])


def _row(estimators, pair):
    found = pair.differences
    return {
        "first": estimators[pair.first],
        "second": estimators[pair.second],
        "n": len(found),
        "wins": int((found > 0).sum()),
        "ties": int((found == 0).sum()),
        "losses": int((found < 0).sum()),
        "difference": float(found.mean()) if len(found) else float("nan"),
        "p_value": rank_test(found),
    }
