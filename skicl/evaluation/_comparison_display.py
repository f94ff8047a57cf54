"""Picture of a comparison: mean ranks with their intervals, and pairwise wins."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from skicl._validation._environment import import_optional
from skicl.evaluation._compare import Comparison, compare
from skicl.evaluation._scores import in_words


class ComparisonDisplay:
    """Mean ranks of estimators, and a table of pairwise wins.

    On the left is the mean rank of each estimator among the others on the same contexts, with a bootstrap interval; 1
    is the best. On the right is how often the estimator of the row is better than that of the column. Bold with a star
    means that Wilcoxon's signed-rank test, corrected by Holm for all pairs, is significant. Made by
    :meth:`from_results`; the numbers are in `comparison`, the picture is drawn by :meth:`plot`.

    Parameters
    ----------
    comparison : Comparison
        What :func:`compare` returned.

    Attributes
    ----------
    order_ : list of str
        The estimators from the best mean rank to the worst.
    axes_ : ndarray of two matplotlib Axes
        Where ranks and wins were drawn.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    compare : The numbers.

    Examples
    --------
    >>> from skicl.evaluation import ComparisonDisplay
    >>> records = [
    ...     {"dataset": f"set {s}", "estimator": name, "k": 8, "repeat": 0, "accuracy": 0.5 + gain + s % 2 / 99}
    ...     for s in range(8)
    ...     for name, gain in {"knn": s % 3 / 100, "lr": 0.1}.items()
    ... ]
    >>> ComparisonDisplay.from_results(records).order_
    ['lr', 'knn']
    """

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    @classmethod
    def from_results(
        cls,
        results: Iterable[Any],
        *,
        score: str = "accuracy",
        k: int | None = None,
        alpha: float = 0.05,
        names: Mapping[str, str] | None = None,
        ax: Sequence[Any] | None = None,
    ) -> Self:
        """Compare estimators and draw the comparison.

        Parameters
        ----------
        results : FewShotCurve, list of dict, or frame
            What :func:`few_shot_curve` returned, of one or more data sets.
        score : str, default="accuracy"
            Field to compare by.
        k : int, default=None
            Size of the contexts. None: the mean over all.
        alpha : float, default=0.05
            Significance level of the tests, not the confidence level of the intervals, which is 95 %.
        names : dict of {str: str}, default=None
            Names of the estimators in the picture.
        ax : sequence of two matplotlib Axes, default=None
            Where to draw ranks and wins. None means a new figure.

        Returns
        -------
        ComparisonDisplay

        Raises
        ------
        ValueError
            If a parameter is not valid, or the records lack the score or name the same result twice.
        """
        return cls(compare(results, score=score, k=k, alpha=alpha)).plot(ax=ax, names=names, alpha=alpha)

    def plot(
        self, ax: Sequence[Any] | None = None, *, names: Mapping[str, str] | None = None, alpha: float = 0.05
    ) -> Self:
        """Draw ranks and wins.

        Parameters
        ----------
        ax : sequence of two matplotlib Axes, default=None
            Where to draw ranks and wins. None means a new figure.
        names : dict of {str: str}, default=None
            Names of the estimators in the picture.
        alpha : float, default=0.05
            Significance level: a smaller corrected p value gets a star.

        Returns
        -------
        ComparisonDisplay
            This object, with `order_`, `axes_` and `figure_` set.

        Raises
        ------
        ValueError
            If `ax` is not two axes, or no estimator has a rank.
        """
        plt = import_optional("matplotlib.pyplot", extra="plot")

        self.order_ = [row["estimator"] for row in self.comparison.ranks]
        if not self.order_:
            raise ValueError(
                "`comparison` ranks no estimator: at no size did all of them run, and none ran at all sizes. Compare "
                "those that share a size, or one size with `k`."
            )
        if ax is None:
            side = 1.4 + 0.52 * len(self.order_)  # inches: the names, and a cell for every estimator
            _, ax = plt.subplots(1, 2, figsize=(2.6 * side, side), layout="constrained", width_ratios=[1, 1.15])
        self.axes_ = np.asarray(ax, dtype=object).ravel()
        if len(self.axes_) != 2:
            raise ValueError(f"`ax` must be two axes, for ranks and for wins, got {len(self.axes_)}.")
        self.figure_ = self.axes_[0].figure
        shown = [(names or {}).get(key, key) for key in self.order_]
        self._draw_ranks(self.axes_[0], shown)
        self._draw_wins(self.axes_[1], shown, alpha)
        return self

    def _draw_ranks(self, ax, shown):
        """Draw mean ranks with their intervals, the best at the top."""
        places = np.arange(len(shown))
        mean, low, high = (np.array([row[name] for row in self.comparison.ranks]) for name in ("mean", "low", "high"))
        ax.errorbar(mean, places, xerr=np.stack([mean - low, high - mean]).clip(min=0), fmt="o", capsize=3, color="C0")
        ax.set_yticks(places, shown, parse_math=False)
        ax.invert_yaxis()
        ax.set_xlim(0.8, len(shown) + 0.2)
        size = "all sizes" if self.comparison.k is None else f"k = {self.comparison.k}"
        ax.set_title(f"Mean rank by {in_words(self.comparison.score)}, {size}", loc="left", fontsize=10)
        ax.set_xlabel("rank, 1 is the best")
        ax.grid(axis="x", color="0.9", linewidth=0.8)
        ax.spines[["top", "right"]].set_visible(False)

    def _draw_wins(self, ax, shown, alpha):
        """Draw the table of wins, coloured by their share."""
        share, text, significant = self._cells(alpha)
        ax.imshow(share, cmap="RdBu", vmin=-0.1, vmax=1.1)
        for row in range(len(shown)):
            for column in range(len(shown)):
                if row != column:
                    weight = "bold" if significant[row, column] else "normal"
                    color = "white" if abs(share[row, column] - 0.5) > 0.35 else "black"
                    ax.text(
                        column, row, text[row, column], ha="center", va="center", fontsize=8, weight=weight, color=color
                    )
        ax.set_xticks(range(len(shown)), shown, rotation=35, ha="right", rotation_mode="anchor", parse_math=False)
        ax.set_yticks(range(len(shown)), shown, parse_math=False)
        ax.set_title(f"Row better than column, in how many {self.comparison.unit}", loc="left", fontsize=10)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)

    def _cells(self, alpha):
        """Shares of wins (n, n), a tie being half a win, their texts, and which of them are significant."""
        n = len(self.order_)
        share, text = np.full((n, n), np.nan), np.full((n, n), "", dtype=object)
        significant = np.zeros((n, n), dtype=bool)
        position = {key: at for at, key in enumerate(self.order_)}
        for pair in self.comparison.pairs:
            if pair["n"] and pair["first"] in position and pair["second"] in position:
                a, b = position[pair["first"]], position[pair["second"]]
                for row, column, wins in ((a, b, pair["wins"]), (b, a, pair["losses"])):
                    significant[row, column] = pair["p_holm"] < alpha and wins == max(pair["wins"], pair["losses"])
                    share[row, column] = (wins + pair["ties"] / 2) / pair["n"]
                    text[row, column] = f"{wins}/{pair['n']}{'*' if significant[row, column] else ''}"
        return share, text, significant
