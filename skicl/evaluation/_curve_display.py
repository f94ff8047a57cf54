"""Picture of few-shot learning curves: scores against the number of labelled rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from skicl._validation._environment import import_optional
from skicl.evaluation._comparison import mean_differences, mean_scores, records_of
from skicl.evaluation._few_shot import few_shot_curve
from skicl.evaluation._scores import is_loss

_DEFAULT_SCORES = ("accuracy", "neg_log_loss", "log_loss")
_TITLES = {
    "accuracy": "Accuracy (%)",
    "balanced_accuracy": "Balanced accuracy (%)",
    "log_loss": "Log-loss (nats)",
    "brier": "Brier score",
    "ece": "Expected calibration error",
    "ece_quantile": "Expected calibration error, bins of equal mass",
    "macro_f1": "Macro F1",
    "f1_macro": "Macro F1",
}


class FewShotCurveDisplay:
    """Scores of estimators against the number of labelled rows, with bootstrap intervals.

    Lines are means over data sets and repeats; bands are percentile intervals of a bootstrap that draws data sets, and
    repeats within each. With a `reference` the bands around the lines are those of the distance to it on the same
    contexts: the difficulty of a data set moves all lines alike and says nothing about their distance. Losses are drawn
    without a sign, also those recorded as negative losses. Made by :meth:`from_estimators` or :meth:`from_results`; the
    numbers are in the attributes, the picture is drawn by :meth:`plot`.

    Parameters
    ----------
    scores : dict of {str: dict}
        For every score, the estimators by name, and for each a dict with the sizes ``k``, their ``mean``, the ends
        ``low`` and ``high`` of the interval and ``n_datasets``, arrays of equal length. NaN ends are not drawn.
    reference : str or None, default=None
        The estimator whose distance the intervals show. None: they are intervals of the means.
    confidence_level : float, default=0.95
        Confidence level of the intervals, which the picture names.

    Attributes
    ----------
    lines_ : dict of {str: dict of {str: matplotlib Line2D}}
        The lines, by score and estimator.
    axes_ : ndarray of matplotlib Axes
        One for each score.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    few_shot_curve : Makes the records.
    mean_scores : Makes the numbers.
    ComparisonDisplay : Which estimator is better than which, in one picture.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from skicl.evaluation import FewShotCurveDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> estimators = {"lr": LogisticRegression(max_iter=1000), "nb": GaussianNB(var_smoothing=0.01)}
    >>> display = FewShotCurveDisplay.from_estimators(estimators, X, y, k=[6, 12, 24], n_repeats=3)
    >>> list(display.scores), list(display.scores["accuracy"])
    (['accuracy', 'neg_log_loss'], ['lr', 'nb'])
    """

    def __init__(
        self,
        scores: Mapping[str, Mapping[str, Mapping[str, np.ndarray]]],
        *,
        reference: str | None = None,
        confidence_level: float = 0.95,
    ) -> None:
        self.scores = scores
        self.reference = reference
        self.confidence_level = confidence_level

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any],
        X: ArrayLike,
        y: ArrayLike,
        *,
        k: int | Sequence[int] = (4, 8, 16, 32, 64, 128, 256),
        n_repeats: int = 5,
        X_test: ArrayLike | None = None,
        y_test: ArrayLike | None = None,
        scoring: Sequence[str] | Mapping[str, str | Callable] = ("accuracy", "neg_log_loss"),
        encoder: Any = None,
        random_state: int = 0,
        reference: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Run :func:`few_shot_curve` and draw what it returns.

        Parameters
        ----------
        estimators : dict of {str: estimator}
            Classifiers by name.
        X : array-like, list or frame of shape (n_samples, ...)
            Rows to choose contexts from.
        y : array-like of shape (n_samples,)
            Their classes.
        k : int or sequence of int, default=(4, 8, 16, 32, 64, 128, 256)
            Sizes of the contexts.
        n_repeats : int, default=5
            Number of repeats.
        X_test : array-like, list or frame of shape (n_test, ...), default=None
            Queries. None: other rows of `X`.
        y_test : array-like of shape (n_test,), default=None
            Their classes.
        scoring : sequence of str or dict of {str: str or callable}, default=("accuracy", "neg_log_loss")
            The scores to compute and draw, as for :func:`few_shot_curve`.
        encoder : transformer, default=None
            Turns rows into vectors, once for all estimators, sizes and repeats.
        random_state : int, default=0
            Seed of the contexts and queries.
        reference : str, default=None
            The estimator whose distance the intervals show. None: they are intervals of the means.
        ax : matplotlib Axes or sequence of them, default=None
            Where to draw, one for each score. None means a new figure.

        Returns
        -------
        FewShotCurveDisplay

        Raises
        ------
        ValueError
            If a parameter is not valid.
        TypeError
            If an estimator has no `predict_proba`.
        """
        curve = few_shot_curve(
            estimators,
            X,
            y,
            k=k,
            n_repeats=n_repeats,
            X_test=X_test,
            y_test=y_test,
            scoring=scoring,
            encoder=encoder,
            random_state=random_state,
        )
        return cls.from_results(curve, score=tuple(scoring), reference=reference, ax=ax)

    @classmethod
    def from_results(
        cls,
        results: Iterable[Any],
        *,
        score: str | Sequence[str] | None = None,
        reference: str | None = None,
        confidence_level: float = 0.95,
        n_bootstrap: int = 1000,
        names: Mapping[str, str] | None = None,
        styles: Mapping[str, Mapping[str, Any]] | None = None,
        bands: Sequence[str] | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw what :func:`few_shot_curve` returned.

        Parameters
        ----------
        results : FewShotCurve, list of dict, or frame
            Records, of one or more data sets.
        score : str or sequence of str, default=None
            Fields to draw, each in axes of its own. None: accuracy and log-loss, as far as they were recorded.
        reference : str, default=None
            The estimator whose distance the intervals show. None: they are intervals of the means.
        confidence_level : float, default=0.95
            Confidence level of the intervals, between 0 and 1.
        n_bootstrap : int, default=1000
            Number of bootstrap samples.
        names : dict of {str: str}, default=None
            Names of the estimators in the legend. Only estimators that are in it are drawn, in its order. None: all, as
            they are recorded.
        styles : dict of {str: dict}, default=None
            Keywords for the line of an estimator, such as ``{"lr": {"color": "black"}}``.
        bands : sequence of str, default=None
            Estimators whose intervals are drawn. None: all.
        ax : matplotlib Axes or sequence of them, default=None
            Where to draw, one for each score. None means a new figure.

        Returns
        -------
        FewShotCurveDisplay

        Raises
        ------
        ValueError
            If a parameter is not valid, or the records lack the score or name the same result twice.
        """
        records = records_of(results)
        if score is None:
            score = tuple(name for name in _DEFAULT_SCORES if name in records[0])[:2]
        score = (score,) if isinstance(score, str) else tuple(score)
        if not score:
            raise ValueError(
                f"`score` must name a field to draw: the records have none of {', '.join(_DEFAULT_SCORES)}."
            )
        known = list(dict.fromkeys(record["estimator"] for record in records))
        asked = {"names": names or (), "styles": styles or (), "reference": () if reference is None else (reference,)}
        for parameter, keys in asked.items():
            unknown = [key for key in keys if key not in known]
            if unknown:
                raise ValueError(f"`{parameter}`: no record is of {unknown[0]!r}; there are {', '.join(known)}.")
        shown = list(known if names is None else names)
        bootstrap = {"confidence_level": confidence_level, "n_bootstrap": n_bootstrap}
        scores = {name: _lines(records, name, shown, reference, bootstrap) for name in score}
        without = [name for name, lines in scores.items() if not lines]
        if without:
            raise ValueError(
                f"`score`: no estimator has {without[0]!r} on all contexts of a size, so there is no line to draw."
            )
        display = cls(scores, reference=reference, confidence_level=confidence_level)
        return display.plot(ax=ax, names=names, styles=styles, bands=bands)

    def plot(
        self,
        ax: Any = None,
        *,
        names: Mapping[str, str] | None = None,
        styles: Mapping[str, Mapping[str, Any]] | None = None,
        bands: Sequence[str] | None = None,
    ) -> Self:
        """Draw the curves over a logarithmic axis of the number of labelled rows.

        The axis of a loss ends above the better half of the lines and the `reference`, so that a few very large losses
        do not flatten the others. Lines that leave it are named in the picture.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of them, default=None
            Where to draw, one for each score. None means a new figure.
        names : dict of {str: str}, default=None
            Names of the estimators in the legend; only those in it are drawn. None: all, as they are recorded.
        styles : dict of {str: dict}, default=None
            Keywords for the line of an estimator.
        bands : sequence of str, default=None
            Estimators whose intervals are drawn. None: all.

        Returns
        -------
        FewShotCurveDisplay
            This object, with `lines_`, `axes_` and `figure_` set.
        """
        plt = import_optional("matplotlib.pyplot", extra="plot")

        n_scores = len(self.scores)
        if ax is None:
            _, ax = plt.subplots(1, n_scores, figsize=(5 * n_scores, 4.6), layout="constrained")
        self.axes_ = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
        if len(self.axes_) != n_scores:
            raise ValueError(f"`ax` must be one axes for each of the {n_scores} scores, got {len(self.axes_)}.")
        self.figure_ = self.axes_[0].figure
        self.lines_ = {
            score: self._draw(axes, score, lines, names, styles or {}, bands)
            for axes, (score, lines) in zip(self.axes_, self.scores.items())
        }
        if self.reference is not None:
            called = (names or {}).get(self.reference, self.reference)
            level = f"{self.confidence_level:.0%}"
            _note(self.axes_[0], 0.03, "bottom", f"bands: {level} interval of the\ndistance to {called}")
        handles = list(self.lines_[next(iter(self.scores))].values())
        if n_scores == 1:
            self.axes_[0].legend(handles=handles, frameon=False)
        else:
            columns = len(handles) if len(handles) <= 6 else min(5, -(-len(handles) // 2))
            self.figure_.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False)
        return self

    def _draw(self, ax, score, lines, names, styles, bands):
        """Draw one score into axes: lines with their bands; returns the lines by estimator."""
        keys = list(lines if names is None else (key for key in names if key in lines))
        drawn = {}
        for depth, key in enumerate(reversed(keys)):  # the first is drawn last, on top
            style = {"marker": "o", "markersize": 4, "color": f"C{keys.index(key)}"} | styles.get(key, {})
            line = lines[key]
            label = key if names is None else names[key]
            (drawn[key],) = ax.plot(line["k"], line["mean"], label=label, zorder=2 + depth, **style)
            if (bands is None or key in bands) and np.isfinite(line["low"]).any():
                color = drawn[key].get_color()
                ax.fill_between(line["k"], line["low"], line["high"], color=color, alpha=0.12, linewidth=0)
        self._label_axes(ax, score, {key: lines[key] for key in keys})
        return {key: drawn[key] for key in keys}

    def _label_axes(self, ax, score, lines):
        """Scale, ticks, title and limits of the axes of one score."""
        from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter

        n_sets = {k: n for line in lines.values() for k, n in zip(line["k"].tolist(), line["n_datasets"].tolist())}
        sizes = _spread_out(sorted(n_sets))
        ax.set_xscale("log", base=2)
        several_sets = max(n_sets.values()) > 1
        ticks = [f"{k}\n{n_sets[k]} set{'s' * (n_sets[k] > 1)}" if several_sets else str(k) for k in sizes]
        ax.set_xticks(sizes, ticks, fontsize=8)
        ax.xaxis.set_minor_locator(NullLocator())
        plain = score.removeprefix("neg_").removesuffix("_score")
        loss = score.startswith("neg_") or is_loss(score)
        better = "lower is better" if loss else "higher is better"
        ax.set_title(f"{_TITLES.get(plain, plain.replace('_', ' '))}, {better}", loc="left", fontsize=10)
        ax.set_xlabel("labelled examples")
        if plain in ("accuracy", "balanced_accuracy"):
            ax.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))  # 82.5 would be written as 82
            ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=None))
        ax.grid(axis="y", color="0.9", linewidth=0.8)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
        if loss:
            _limit_loss_axis(ax, lines, self.reference)


def _spread_out(sizes):
    """The sizes whose ticks do not run into each other: each at least a quarter larger than the one before."""
    shown = sizes[:1]
    for size in sizes[1:]:
        if size >= 1.25 * shown[-1]:
            shown.append(size)
    return shown


def _lines(records, score, estimators, reference, bootstrap):
    """Sizes, means and intervals of each estimator; losses without a sign."""
    sign = -1 if score.startswith("neg_") else 1
    means = _by_estimator(mean_scores(records, score, **bootstrap))
    distances = None
    if reference is not None:
        distances = _by_estimator(mean_differences(records, reference, score, **bootstrap))
    lines = {}
    for key in (key for key in estimators if key in means):
        rows = means[key]
        line = {"k": np.array(list(rows)), "n_datasets": np.array([row["n_datasets"] for row in rows.values()])}
        line["mean"] = sign * np.array([row["mean"] for row in rows.values()])
        if reference is None:
            ends = [[row[end] for row in rows.values()] for end in ("low", "high")]
        else:
            distance, of_reference = distances.get(key, {}), means[reference]
            ends = [[_around(of_reference, distance, k, end) for k in rows] for end in ("low", "high")]
        line["low"], line["high"] = np.sort(sign * np.array(ends), axis=0)
        lines[key] = line
    return lines


def _around(reference, distances, k, end):
    """End of an interval of the distance, from the line of the reference; nan where that has no mean."""
    return reference[k]["mean"] + distances[k][end] if k in distances else np.nan


def _by_estimator(summary):
    """Rows by estimator and size, without the mean over the sizes."""
    rows = {}
    for row in summary:
        if row["k"] is not None:
            rows.setdefault(row["estimator"], {})[row["k"]] = row
    return rows


def _limit_loss_axis(ax, lines, reference):
    """End the axis of a loss above the better half of the lines and the reference, and name those that leave it."""
    highest = {key: line["mean"].max() for key, line in lines.items()}
    top = max(1.15 * float(np.median(list(highest.values()))), 1.05 * highest.get(reference, 0.0))
    leaving = [key for key, value in highest.items() if value > top]
    if not leaving or not top:  # an axis that ends at zero would show nothing
        return
    low = min(line["mean"].min() for line in lines.values())
    ax.set_ylim(max(0, 0.8 * low), min(top, ax.get_ylim()[1]))
    names = {line.get_label() for line in ax.lines if line.get_ydata().max() > top}
    _note(ax, 0.98, "top", "partly or wholly above the axis:\n" + ", ".join(sorted(names)))


def _note(ax, height, side, text):
    """Write a remark at the right of the axes."""
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2}
    ax.text(0.99, height, text, transform=ax.transAxes, ha="right", va=side, size=8, color="0.3", bbox=box, zorder=9)
