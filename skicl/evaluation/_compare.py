"""Estimators against each other: mean ranks, wins, paired tests, and one sentence of advice."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skicl._validation._scalars import check_share
from skicl.evaluation._advice import advise
from skicl.evaluation._comparison import arrange, as_frame, mean_ranks, records_of
from skicl.evaluation._paired import holm, paired, rank_test, unit_of

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Comparison:
    """Ranks, pairwise tests and advice, as :func:`compare` returns them.

    Parameters
    ----------
    score : str
        The score.
    k : int or None
        The size of the contexts; None means all sizes.
    unit : {"data sets", "contexts"}
        The units that were paired.
    ranks : list of dict
        `estimator`, its mean rank `mean`, and the ends `low` and `high` of its interval, as from :func:`mean_ranks`;
        the best first. Without `k` they are over the sizes at which every estimator ran; if there is no such size, only
        estimators that ran at all sizes are ranked.
    pairs : list of dict
        For every pair `first` and `second`: the number `n` of units in which both ran, `wins`, `ties` and `losses` of
        the first, its mean `difference` to the second (positive is better, for losses too), `p_value` of Wilcoxon's
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
    ranks: list[dict[str, Any]]
    pairs: list[dict[str, Any]]
    advice: str

    def frame(self) -> "pandas.DataFrame":
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

    def __repr__(self) -> str:
        size = "" if self.k is None else f" at k={self.k}"
        ranks = [f"  {row['mean']:.2f}  {row['estimator']}" for row in self.ranks]
        return "\n".join([f"Comparison by {self.score}{size} over {self.unit}", *ranks, self.advice])


def compare(
    results: Iterable[Any], *, score: str = "accuracy", k: int | None = None, alpha: float = 0.05
) -> Comparison:
    """Compare estimators on the same contexts: ranks, wins, paired tests, advice.

    Several data sets are the units of the tests: each counts once, with its mean over repeats and sizes, and the tests
    ask whether the order of two estimators would be the same on other sets [1]_. With a single data set the units are
    its repeats, and the answer holds for this set and these queries only.

    Parameters
    ----------
    results : FewShotCurve, list of dict, or frame
        What :func:`few_shot_curve` returned, of one or more data sets.
    score : str, default="accuracy"
        Field to compare by. Less is better of "log_loss", "brier", "ece" and seconds, more of every other field.
    k : int, default=None
        Compare at this size of the contexts alone. None: by the mean over all sizes at which both of a pair ran; the
        advice then also looks at each size.
    alpha : float, default=0.05
        Significance level of the tests behind the advice: the largest chance that it holds a single false claim. It is
        called `alpha`, as in SciPy and scikit-learn, because it belongs to tests; intervals have a `confidence_level`.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If a parameter is not valid, or the records lack the score or name the same result twice.

    Notes
    -----
    Wilcoxon's signed-rank test cannot reach a p value of 0.05 with fewer than six units, so the advice rests on paired
    t tests. Half of `alpha` goes to the tests of the mean over the sizes, half to those at every size, and each half is
    corrected by Holm [2]_ for the number of its tests. From fewer than five units the advice draws no conclusion.
    "Ahead" means a difference beyond noise in this sense; estimators that cannot be told apart may still differ. The
    advice names as few estimators as it takes for no other to be ahead at any size.

    Repeats of a single data set overlap in their rows, more so the larger the contexts. Their spread is smaller than
    that of new rows would be, and p values are too small where contexts are a large part of the data.

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
    """Mean ranks, the best first, over the sizes that all have, so that who lacks a size is not left out."""
    all_ran = (~np.isnan(cells.values)).any(axis=(1, 3)).all(axis=0)  # (K,)
    common = {size for size, shared in zip(cells.sizes, all_ran) if shared} or set(cells.sizes)
    ranks = mean_ranks([record for record in records if record["k"] in common], score)
    return sorted((row for row in ranks if row["k"] == k), key=lambda row: row["mean"])


def _row(estimators, pair):
    """A pair as a record, without the corrected p value."""
    differences = pair.differences
    return {
        "first": estimators[pair.first],
        "second": estimators[pair.second],
        "n": len(differences),
        "wins": int((differences > 0).sum()),
        "ties": int((differences == 0).sum()),
        "losses": int((differences < 0).sum()),
        "difference": float(differences.mean()) if len(differences) else float("nan"),
        "p_value": rank_test(differences),
    }
