"""Picture of the diagnostics: every measure as a point with its interval, over its noise floor."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from skicl.inspection._diagnostics._icl_diagnostics import icl_diagnostics
from skicl.inspection._diagnostics._report import ICLDiagnostics

CLEAR, WITHIN, FLOOR = "C0", "0.45", "0.85"


class ICLDiagnosticsDisplay:
    """Points, intervals and noise floors of the diagnostics of an in-context estimator.

    A point is coloured if its whole interval lies above its noise floor, the grey bar. Grey points may be chance.

    Parameters
    ----------
    report : ICLDiagnostics
        What :func:`icl_diagnostics` returned.

    Attributes
    ----------
    points_ : list of matplotlib ErrorbarContainer
        The points with their intervals, from the top.
    floors_ : matplotlib BarContainer
        The noise floors.
    ax_ : matplotlib Axes
        Where they were drawn.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    icl_diagnostics : Makes the report, and explains the measures.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skicl import TartClassifier
    >>> from skicl.inspection import ICLDiagnosticsDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> display = ICLDiagnosticsDisplay.from_estimator(TartClassifier(), X, y, n_context=30, n_repeats=3)
    >>> len(display.points_) == len(display.report.measures)
    True
    """

    def __init__(self, report: ICLDiagnostics) -> None:
        self.report = report

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        X_query: ArrayLike | None = None,
        y_query: ArrayLike | None = None,
        n_context: int | None = None,
        n_queries: int = 100,
        n_repeats: int = 10,
        templates: Sequence[Any] | None = None,
        template_parameter: str | None = None,
        confidence_level: float = 0.95,
        n_bootstrap: int = 1000,
        random_state: int | np.random.RandomState | None = 0,
        ax: Any = None,
    ) -> Self:
        """Run the diagnostics and draw them.

        Parameters
        ----------
        estimator : classifier
            Any classifier with ``predict_proba``.
        X : array-like, sparse matrix, frame or list of length n_samples
            Rows to draw contexts from; and queries, unless these are given.
        y : array-like of shape (n_samples,)
            Their labels.
        X_query : array-like, sparse matrix, frame or list of length n_queries, default=None
            Queries. None means that a part of `X` is set aside.
        y_query : array-like of shape (n_queries,), default=None
            Their labels.
        n_context : int or None, default=None
            Number of rows of a context. None means half of the rows that are not queries, at most 64.
        n_queries : int, default=100
            Number of rows to set aside as queries.
        n_repeats : int, default=10
            Number of changed contexts of each kind.
        templates : list or None, default=None
            Values of the estimator's parameter for the template, to compare.
        template_parameter : str or None, default=None
            Name of that parameter. None means the only one called ``template``, which may belong to a step of a
            pipeline.
        confidence_level : float, default=0.95
            Confidence of intervals and noise floors.
        n_bootstrap : int, default=1000
            Number of bootstrap samples.
        random_state : int, RandomState instance or None, default=0
            Draws contexts, wrong labels and bootstrap samples.
        ax : matplotlib Axes, default=None
            Where to draw. None means a new figure.

        Returns
        -------
        ICLDiagnosticsDisplay

        Raises
        ------
        TypeError, ValueError
            As :func:`icl_diagnostics` does.
        """
        report = icl_diagnostics(
            estimator,
            X,
            y,
            X_query=X_query,
            y_query=y_query,
            n_context=n_context,
            n_queries=n_queries,
            n_repeats=n_repeats,
            templates=templates,
            template_parameter=template_parameter,
            confidence_level=confidence_level,
            n_bootstrap=n_bootstrap,
            random_state=random_state,
        )
        return cls(report).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the report.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None means a new figure.

        Returns
        -------
        ICLDiagnosticsDisplay
            This object, with `ax_`, `figure_`, `points_` and `floors_` set.

        Raises
        ------
        TypeError
            If `report` is something else.
        """
        import matplotlib.pyplot as plt

        if not isinstance(self.report, ICLDiagnostics):
            raise TypeError(
                f"`report` must be what icl_diagnostics returns, got {type(self.report).__name__}. To "
                "start from a classifier, use ICLDiagnosticsDisplay.from_estimator."
            )
        measures = self.report.measures
        if ax is None:
            _, ax = plt.subplots(figsize=(8, 1.2 + 0.3 * len(measures)), layout="constrained")
        places = range(len(measures))
        self.floors_ = ax.barh(
            places, [measure.noise_floor for measure in measures], height=0.6, color=FLOOR, label="noise floor"
        )
        self.points_ = []
        for place, measure in zip(places, measures):
            # A percentile interval need not hold the estimate.
            errors = [[max(0, measure.value - measure.low)], [max(0, measure.high - measure.value)]]
            colour = CLEAR if measure.clear else WITHIN
            self.points_.append(
                ax.errorbar(measure.value, place, xerr=errors, fmt="o", color=colour, capsize=3, markersize=5)
            )
        ax.set_yticks(places, [measure.name for measure in measures])
        ax.invert_yaxis()
        ax.axvline(0, color="0.3", linewidth=0.8)
        ax.set_xlim(min(-0.03, *(measure.low - 0.03 for measure in measures)), None)
        ax.set_xlabel(f"value, {self.report.confidence_level:.0%} interval; grey bar: noise floor", loc="right")
        ax.set_title(f"{self.report.estimator_name}, {self.report.n_context} labelled rows", loc="right")
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.tick_params(axis="y", length=0)
        self.ax_, self.figure_ = ax, ax.figure
        return self
