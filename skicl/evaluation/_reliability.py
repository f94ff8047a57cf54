"""Picture of how well confidence agrees with accuracy."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri
from sklearn.utils.validation import check_is_fitted

from skicl._validation._environment import import_optional
from skicl.evaluation._metrics import confidence_bins

_CONFIDENCE_LEVEL = 0.95


class ReliabilityDisplay:
    """Reliability diagram: how often the predicted class is right, against how sure the classifier was.

    Rows are binned by confidence, the largest of their probabilities. On the diagonal the classifier is right as often
    as it says; below the diagonal it is too sure, above it not sure enough. Bars at the foot count the rows of each
    bin. A bin of few rows may be far from the diagonal by chance, as its interval (Wilson, 95 %) shows. Made by
    :meth:`from_estimator` or :meth:`from_predictions`; the numbers are in the attributes, the picture is drawn by
    :meth:`plot`.

    Parameters
    ----------
    confidence : ndarray of shape (n_bins,)
        Mean confidence of the rows of each bin; empty bins are left out.
    accuracy : ndarray of shape (n_bins,)
        Share of them whose most probable class is the true one.
    count : ndarray of shape (n_bins,)
        Number of rows in each bin.
    low, high : ndarray of shape (n_bins,)
        Ends of the bins.
    estimator_name : str or None, default=None
        Name for the legend.

    Attributes
    ----------
    error : float
        Expected calibration error of these bins, see :func:`expected_calibration_error`.
    error_by_chance : float
        About what `error` would be if the probabilities were perfect: with few rows accuracy and confidence differ by
        chance. An error of this size says nothing against the classifier.
    line_ : matplotlib Line2D
        The bins.
    ax_ : matplotlib Axes
        Where they were drawn.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    sklearn.calibration.CalibrationDisplay : For two classes, the probability of one of them instead of confidence.

    References
    ----------
    .. [1] Guo, Pleiss, Sun and Weinberger. "On calibration of modern neural networks." ICML 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from skicl.evaluation import ReliabilityDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = GaussianNB().fit(X[:200], y[:200])
    >>> display = ReliabilityDisplay.from_estimator(classifier, X[200:], y[200:], n_bins=10)
    >>> print(f"{display.error:.2f}, and {display.error_by_chance:.2f} by chance")
    0.32, and 0.00 by chance
    """

    def __init__(
        self,
        *,
        confidence: np.ndarray,
        accuracy: np.ndarray,
        count: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        estimator_name: str | None = None,
    ) -> None:
        self.confidence = confidence
        self.accuracy = accuracy
        self.count = count
        self.low = low
        self.high = high
        self.estimator_name = estimator_name

    @property
    def error(self) -> float:
        """Expected calibration error of these bins.

        Returns
        -------
        float
        """
        return float(np.average(np.abs(self.accuracy - self.confidence), weights=self.count))

    @property
    def error_by_chance(self) -> float:
        """Approximate mean of `error` if the probabilities were perfect.

        Returns
        -------
        float
            The accuracy of a bin of n rows of confidence c then differs from c by ``sqrt(2 c (1 - c) / (pi n))`` on
            average.
        """
        spread = np.sqrt(2 * self.confidence * (1 - self.confidence) / (np.pi * self.count))
        return float(np.average(spread, weights=self.count))

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        n_bins: int = 10,
        strategy: str = "uniform",
        name: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Compute the probabilities of a fitted classifier and draw their reliability.

        Parameters
        ----------
        estimator : classifier
            A fitted classifier with `predict_proba`, or a pipeline that ends with one.
        X : array-like of shape (n_samples, ...)
            Rows that the classifier was not fitted on.
        y : array-like of shape (n_samples,)
            Their classes.
        n_bins : int, default=10
            Number of bins.
        strategy : {"uniform", "quantile"}, default="uniform"
            Bins of equal width, or of equally many rows.
        name : str, default=None
            Name for the legend. None means the class of the estimator.
        ax : matplotlib Axes, default=None
            Where to draw. None means a new figure.

        Returns
        -------
        ReliabilityDisplay

        Raises
        ------
        TypeError
            If the estimator has no `predict_proba`.
        ValueError
            If a parameter is not valid, or `y` holds a class that the estimator does not know.
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "predict_proba"):
            raise TypeError(
                f"`estimator` {type(estimator).__name__} has no `predict_proba`; wrap it, for example in "
                "sklearn.calibration.CalibratedClassifierCV."
            )
        return cls.from_predictions(
            y,
            estimator.predict_proba(X),
            labels=estimator.classes_,
            n_bins=n_bins,
            strategy=strategy,
            name=type(estimator).__name__ if name is None else name,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_prob: ArrayLike,
        *,
        labels: ArrayLike | None = None,
        n_bins: int = 10,
        strategy: str = "uniform",
        name: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw the reliability of probabilities.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True classes.
        y_prob : array-like of shape (n_samples, n_classes) or (n_samples,)
            Probabilities, as for :func:`expected_calibration_error`.
        labels : array-like of shape (n_classes,), default=None
            Class of each column. None: the sorted classes of `y_true`.
        n_bins : int, default=10
            Number of bins.
        strategy : {"uniform", "quantile"}, default="uniform"
            Bins of equal width, or of equally many rows.
        name : str, default=None
            Name for the legend.
        ax : matplotlib Axes, default=None
            Where to draw. None means a new figure.

        Returns
        -------
        ReliabilityDisplay

        Raises
        ------
        ValueError
            If a parameter is not valid, or the shapes do not agree.
        """
        bins = confidence_bins(y_true, y_prob, n_bins=n_bins, strategy=strategy, labels=labels)
        display = cls(
            confidence=bins.confidence,
            accuracy=bins.accuracy,
            count=bins.n_rows,
            low=bins.low,
            high=bins.high,
            estimator_name=name,
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None, *, name: str | None = None) -> Self:
        """Draw the bins, their intervals and counts, and the diagonal.

        Several classifiers can be drawn into the same axes; bars show the counts of the first.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None means a new figure.
        name : str, default=None
            Name for the legend. None means `estimator_name`.

        Returns
        -------
        ReliabilityDisplay
            This object, with `line_`, `ax_` and `figure_` set.
        """
        if ax is None:
            plt = import_optional("matplotlib.pyplot", extra="plot")
            _, ax = plt.subplots(figsize=(5.2, 5), layout="constrained")
        name = self.estimator_name if name is None else name
        shown = f"{'' if name is None else f'{name}: '}ECE {self.error:.3f} ({self.error_by_chance:.3f} by chance)"
        if not ax.lines:
            self._draw_background(ax)
        low, high = _wilson(self.accuracy, self.count)
        ends = np.stack([self.accuracy - low, high - self.accuracy]).clip(min=0)
        container = ax.errorbar(
            self.confidence, self.accuracy, ends, marker="o", capsize=3, linewidth=1.5, elinewidth=0.9, label=shown
        )
        self.line_ = container[0]
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False)  # above: lines may end in any corner
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw_background(self, ax):
        """Draw the diagonal and the counts, set limits and labels."""
        heights = 0.18 * self.count / self.count.max()
        # Bins of equal mass may lie so close that their counts would cover each other.
        edges, crowded = self.high - self.low, (self.high - self.low).min() < 0.03
        ax.bar(self.low, heights, width=edges, align="edge", color="0.88", edgecolor="white", linewidth=0.8, zorder=0)
        for left, width, height, count in zip(self.low, edges, heights, self.count):
            if not crowded:
                ax.text(left + width / 2, height + 0.005, str(count), ha="center", va="bottom", fontsize=7, color="0.4")
        ax.plot([0, 1], [0, 1], color="0.5", linestyle="--", linewidth=1, zorder=0.5)
        ax.set(
            xlim=(0, 1),
            ylim=(0, 1.02),
            xlabel="confidence (largest probability)",
            ylabel="accuracy of the predicted class",
        )
        if crowded:
            ax.text(
                0.99,
                0.2,
                f"{self.count.min()} to {self.count.max()} rows a bin",
                ha="right",
                va="bottom",
                fontsize=7,
                color="0.4",
                transform=ax.transAxes,
            )
        ax.spines[["top", "right"]].set_visible(False)


def _wilson(share, count):
    """Ends (n_bins,) of Wilson's intervals of shares: they stay within 0 and 1, also for shares of 0 and 1."""
    z = ndtri((1 + _CONFIDENCE_LEVEL) / 2)
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return middle - half, middle + half
