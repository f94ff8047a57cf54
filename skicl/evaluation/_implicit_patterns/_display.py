"""Pictures of an implicit-pattern study: clean against misleading problems, and what learning longer changes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from skicl._validation._environment import import_optional
from skicl._validation._scalars import check_choice
from skicl.evaluation._implicit_patterns._results import LOSSES, MEASURES, ImplicitPatternStudy
from skicl.evaluation._implicit_patterns._study import implicit_pattern_study

_KINDS = ("scatter", "curves")
_NAMES = {
    "accuracy_pattern": "right shortcut",
    "accuracy_conflict": "wrong shortcut",
    "accuracy_neutral": "no shortcut",
    "shortcut_rate": "wrong shortcut followed",
    "train_log_loss": "seen in training",
    "validation_log_loss": "held out",
}
_STYLES = {
    "accuracy_pattern": {"color": "C0"},
    "accuracy_conflict": {"color": "C3"},
    "accuracy_neutral": {"color": "0.45"},
    "shortcut_rate": {"color": "C3", "linestyle": ":"},
    "train_log_loss": {"color": "C0", "linestyle": "--"},
    "validation_log_loss": {"color": "C0"},
}
_STYLE_OF_POINTS = {
    "markeredgecolor": "white",
    "markeredgewidth": 0.6,
    "elinewidth": 1.2,
    "linestyle": "none",
    "clip_on": False,
}


class ImplicitPatternDisplay:
    """Which estimators take the shortcut: clean against misleading problems, or learning curves.

    The kind "scatter" has axes for every task: accuracy on problems whose shortcut is right, against accuracy on
    problems where it is wrong. Estimators at the top right solve the problems, those at the bottom right follow the
    shortcut; dotted lines are chance. Later estimators have smaller marks, so that none hides another in the same
    corner. With two answers, an estimator that never follows a wrong shortcut is always right and stands at the top,
    whether it has solved anything or not. The kind "curves" has a column for every curve: log-losses above, accuracies
    below, against the parameter. Bars and bands are bootstrap intervals. Made by :meth:`from_estimators` or
    :meth:`from_results`.

    Parameters
    ----------
    rows : list of dict
        For "scatter" what :meth:`ImplicitPatternStudy.summary` returns, for "curves"
        :meth:`ImplicitPatternStudy.curve_summary`.
    kind : {"scatter", "curves"}, default="scatter"
        The picture.
    chance : dict of {str: float} or None, default=None
        Accuracy of guessing, by task. None: it is not drawn.

    Attributes
    ----------
    points_ : dict of {tuple: matplotlib artist}
        For "scatter" the points by (task, n_train, estimator), for "curves" the lines by these and the measure.
    axes_ : ndarray of matplotlib Axes
        For "scatter" of shape (n_tasks,), for "curves" of shape (2, n_curves).
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    implicit_pattern_study : The numbers.

    Examples
    --------
    >>> from sklearn.feature_extraction.text import TfidfVectorizer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from skicl.evaluation import ImplicitPatternDisplay
    >>> letters = make_pipeline(TfidfVectorizer(analyzer="char", ngram_range=(1, 4)), LogisticRegression())
    >>> display = ImplicitPatternDisplay.from_estimators({"letters": letters}, "parity", n_train=50, n_repeats=1)
    >>> list(display.points_)
    [('parity', 50, 'letters')]
    """

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        *,
        kind: str = "scatter",
        chance: Mapping[str, float] | None = None,
    ) -> None:
        self.rows = rows
        self.kind = kind
        self.chance = chance

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any],
        task: str,
        *,
        kind: str = "scatter",
        n_train: int = 200,
        n_validation: int = 100,
        n_test: int = 200,
        n_repeats: int = 3,
        train_variant: str = "pattern",
        difficulty: int = 2,
        n_answers: int | None = None,
        template: str | None = None,
        curves: Mapping[str, tuple[str, Sequence[float]]] | None = None,
        random_state: int = 0,
        ax: Any = None,
    ) -> Self:
        """Run :func:`implicit_pattern_study` and draw what it returns.

        Parameters
        ----------
        estimators : dict of {str: estimator or (estimator, grid)}
            Classifiers of texts by name, alone or with a grid of parameters.
        task : str
            Subject of the problems.
        kind : {"scatter", "curves"}, default="scatter"
            The picture.
        n_train : int, default=200
            Number of labelled problems to learn from.
        n_validation : int, default=100
            Number of labelled problems on which settings are chosen.
        n_test : int, default=200
            Number of test problems of each variant.
        n_repeats : int, default=3
            Number of repeats.
        train_variant : {"pattern", "conflict", "neutral"}, default="pattern"
            Variant of the problems to learn from.
        difficulty : {1, 2, 3}, default=2
            Length of the problems.
        n_answers : int or None, default=None
            Number of answers of tasks with numbers.
        template : str or None, default=None
            Form in which all estimators read a problem. None means the template of the task.
        curves : dict of {str: (str, list of float)}, default=None
            For estimators by name, a parameter and its values. The kind "curves" needs one.
        random_state : int, default=0
            Seed of the problems.
        ax : matplotlib Axes or array of them, default=None
            Where to draw. None means a new figure.

        Returns
        -------
        ImplicitPatternDisplay

        Raises
        ------
        ValueError
            If a parameter is not valid.
        TypeError
            If an estimator is no classifier with `predict_proba`.
        """
        check_choice(kind, "kind", _KINDS)
        if kind == "curves" and not curves:
            raise ValueError("`kind`='curves' needs `curves`, such as {'LoRA': ('epochs', [1, 2, 4])}.")
        study = implicit_pattern_study(
            estimators,
            task,
            n_train=n_train,
            n_validation=n_validation,
            n_test=n_test,
            n_repeats=n_repeats,
            train_variant=train_variant,
            difficulty=difficulty,
            n_answers=n_answers,
            template=template,
            curves=curves,
            random_state=random_state,
        )
        return cls.from_results(study, kind=kind, ax=ax)

    @classmethod
    def from_results(
        cls,
        results: Iterable[Any],
        *,
        kind: str = "scatter",
        confidence_level: float = 0.95,
        n_bootstrap: int = 1000,
        names: Mapping[str, str] | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw what :func:`implicit_pattern_study` returned.

        Parameters
        ----------
        results : ImplicitPatternStudy or list of dict
            A study of one or more tasks, or its records together with those of its curves.
        kind : {"scatter", "curves"}, default="scatter"
            The picture.
        confidence_level : float, default=0.95
            Confidence level of the intervals, between 0 and 1.
        n_bootstrap : int, default=1000
            Number of bootstrap samples.
        names : dict of {str: str}, default=None
            Names of the estimators in the legend. Only estimators that are in it are drawn, in its order. None: all, as
            they are recorded.
        ax : matplotlib Axes or array of them, default=None
            Where to draw. None means a new figure.

        Returns
        -------
        ImplicitPatternDisplay

        Raises
        ------
        ValueError
            If a parameter is not valid, or there is nothing of this kind to draw.
        """
        check_choice(kind, "kind", _KINDS)
        study = results if isinstance(results, ImplicitPatternStudy) else ImplicitPatternStudy(results)
        if kind == "curves":
            rows = study.curve_summary(confidence_level=confidence_level, n_bootstrap=n_bootstrap)
        else:
            rows = study.summary(confidence_level=confidence_level, n_bootstrap=n_bootstrap)
        if not rows:
            raise ValueError(f"`results` holds nothing to draw with `kind`={kind!r}; it has {study!r}.")
        known = {row["estimator"] for row in rows}
        unknown = [name for name in names or () if name not in known]
        if unknown:
            raise ValueError(f"`names`: nothing is drawn of {unknown[0]!r}; there are {', '.join(sorted(known))}.")
        chance = {record["dataset"]: 1 / record["n_classes"] for record in [*study.records, *study.curves]}
        return cls(rows, kind=kind, chance=chance).plot(ax=ax, names=names)

    def plot(self, ax: Any = None, *, names: Mapping[str, str] | None = None) -> Self:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes or array of them, default=None
            Where to draw: as many axes as `axes_` has. None means a new figure.
        names : dict of {str: str}, default=None
            Names of the estimators in the legend; only those in it are drawn. None: all, as they are recorded.

        Returns
        -------
        ImplicitPatternDisplay
            This object, with `points_`, `axes_` and `figure_` set.

        Raises
        ------
        ValueError
            If `ax` does not hold as many axes as are needed.
        """
        names = {row["estimator"]: row["estimator"] for row in self.rows} if names is None else names
        rows = [row for row in self.rows if row["estimator"] in names]
        scatter = self.kind == "scatter"
        fields = ("dataset", "k") if scatter else ("dataset", "k", "estimator", "curve")
        panels: dict[tuple, list] = {}
        for row in rows:
            panels.setdefault(tuple(row[name] for name in fields), []).append(row)
        self._make_axes(ax, len(panels))
        self.points_: dict[tuple, Any] = {}
        several_sizes = len({row["k"] for row in rows}) > 1
        for number, (panel, of_panel) in enumerate(panels.items()):
            title = panel[0] + (f", {panel[1]} labelled" if several_sizes else "")
            if scatter:
                self._draw_scatter(self.axes_[number], panel, of_panel, names, title)
            else:
                self._draw_curves(self.axes_[:, number], panel, of_panel, f"{names[panel[2]]}: {title}")
        if scatter:
            self._legend_of_estimators(names)
        else:
            self._legends_of_measures()
        return self

    def _make_axes(self, ax, n_panels):
        """Set the axes and their figure: those that were passed, or new ones."""
        scatter = self.kind == "scatter"
        shape = (1 if scatter else 2, n_panels)
        if ax is None:
            plt = import_optional("matplotlib.pyplot", extra="plot")
            size = (max(4.2, 3.7 * n_panels), 4.5 if scatter else 5.6)
            _, ax = plt.subplots(*shape, figsize=size, layout="constrained", squeeze=False)
        axes = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
        if len(axes) != shape[0] * shape[1]:
            raise ValueError(f"`ax` must be {shape[0] * shape[1]} axes for what there is to draw, got {len(axes)}.")
        self.axes_ = axes if scatter else axes.reshape(shape)
        self.figure_ = axes[0].figure

    def _draw_scatter(self, ax, panel, rows, names, title):
        """Draw one task: a point with its intervals for every estimator."""
        from matplotlib.ticker import PercentFormatter

        ax.plot([0, 1], [0, 1], color="0.85", linewidth=0.8, zorder=0)
        if self.chance is not None:
            for draw in (ax.axhline, ax.axvline):
                draw(self.chance[panel[0]], color="0.6", linewidth=0.9, linestyle=":", zorder=0)
        by_measure = {(row["estimator"], row["measure"]): row for row in rows}
        # The later, the smaller: all estimators that follow the shortcut all the way lie in the same corner.
        sizes = np.linspace(15, 7, len(names)) if len(names) > 1 else [9]
        for number, name in enumerate(names):
            if (name, "accuracy_pattern") in by_measure:
                clean, misled = by_measure[name, "accuracy_pattern"], by_measure[name, "accuracy_conflict"]
                style = _STYLE_OF_POINTS | {
                    "color": f"C{number}",
                    "marker": "osD^vP*X"[number % 8],
                    "markersize": sizes[number],
                }
                bars = {"xerr": _lengths_of_bars(clean), "yerr": _lengths_of_bars(misled)}
                points = ax.errorbar(clean["mean"], misled["mean"], **bars, label=names[name], zorder=3, **style)
                self.points_[(*panel, name)] = points
        for x, y, side, text in ((0.99, 0.13, "bottom", "follows the shortcut"), (0.99, 0.9, "top", "solves them")):
            ax.text(x, y, text, ha="right", va=side, color="0.45", fontsize=8, transform=ax.transAxes, zorder=1)
        ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal", xlabel="accuracy, shortcut right (%)")
        if ax is self.axes_[0]:
            ax.set_ylabel("accuracy, shortcut wrong (%)")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=None))
        ax.set_title(title, loc="left", fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)

    def _draw_curves(self, axes, panel, rows, title):
        """Draw one estimator on one task: losses above, shares below."""
        from matplotlib.ticker import PercentFormatter

        losses, shares = axes
        self._draw_measures(losses, panel, rows, LOSSES)
        self._draw_measures(shares, panel, rows, MEASURES)
        losses.set_title(title, loc="left", fontsize=10)
        # Losses of a millionth shall lie at the foot and not fill the axes.
        losses.set_ylim(0, max(0.1, losses.get_ylim()[1]))
        shares.set_ylim(-0.03, 1.03)
        shares.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=None))
        shares.set_xlabel(panel[3].replace("__", ", ").replace("_", " "))
        if self.chance is not None:
            shares.axhline(self.chance[panel[0]], color="0.6", linewidth=0.9, linestyle=":", zorder=0)
        if losses is self.axes_[0, 0]:
            losses.set_ylabel("log-loss (nats)")
            shares.set_ylabel("problems (%)")

    def _draw_measures(self, ax, panel, rows, measures):
        """Draw lines and bands of some measures against the parameter."""
        from matplotlib.ticker import NullLocator

        for measure in measures:
            points = sorted((row for row in rows if row["measure"] == measure), key=lambda row: row["value"])
            value, mean, low, high = (
                np.array([row[name] for row in points]) for name in ("value", "mean", "low", "high")
            )
            style = {"marker": "o", "markersize": 4} | _STYLES[measure]
            (line,) = ax.plot(value, mean, label=_NAMES[measure], **style)
            ax.fill_between(value, low, high, color=line.get_color(), alpha=0.12, linewidth=0)
            self.points_[(*panel[:3], measure)] = line
        if min(value) > 0:
            ax.set_xscale("log", base=2)
        ax.set_xticks(value, [f"{tick:g}" for tick in value])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.grid(axis="y", color="0.92", linewidth=0.8)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)

    def _legend_of_estimators(self, names):
        """Name the estimators below all axes, in the order of `names`."""
        by_name = {name: points for (_, _, name), points in self.points_.items()}
        self._legend_below([by_name[name] for name in names if name in by_name])

    def _legends_of_measures(self):
        """Name the losses in the first axes and the other measures below all axes."""
        self.axes_[0, 0].legend(frameon=False, fontsize=8)
        self._legend_below(self.axes_[1, 0].get_legend_handles_labels()[0])

    def _legend_below(self, handles):
        """Draw a legend below all axes, in as many columns as fit."""
        columns = max(1, min(len(handles), int(self.figure_.get_figwidth() // 1.7)))
        self.figure_.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)


def _lengths_of_bars(row):
    """Lengths of the error bar below and above a mean, (2, 1)."""
    return np.array([[row["mean"] - row["low"]], [row["high"] - row["mean"]]]).clip(min=0)
