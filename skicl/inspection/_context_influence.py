"""Picture of one prediction: the rows of the context that moved it most, for or against a class."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from skicl._validation._scalars import check_integer

LONGEST_NAME = 48  # characters of a row's name that are shown
FOR, AGAINST = "C0", "C3"


class ContextInfluenceDisplay:
    """Bars of the rows of a context that moved one prediction most.

    Made by :meth:`from_estimator` and drawn by :meth:`plot`. The numbers are those of
    :meth:`skicl.TartClassifier.context_influence` for one query and one class: how much the logarithm of the
    probability of the class would fall if the row were taken out of the context.

    Parameters
    ----------
    influence : ndarray of shape (n_rows,)
        What each row adds to the log-probability of the class, in nats.
    rows : ndarray of shape (n_rows,)
        Numbers of these rows in the context.
    target : object
        Label of the class.
    probability : float
        Its probability with the whole context.
    row_names : sequence of length n_rows or None, default=None
        What to call the rows, such as their texts. None means their numbers.
    row_labels : sequence of length n_rows or None, default=None
        Labels of the rows, shown before their names; None entries are rows without a label. None shows none.

    Attributes
    ----------
    shown_ : ndarray of shape (n_shown,)
        Positions in `influence` of the rows that were drawn, from the top of the picture. Set by :meth:`plot`.
    bars_ : matplotlib BarContainer
        The bars.
    ax_ : matplotlib Axes
        Where they were drawn.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    skicl.TartClassifier.context_influence : The numbers, for many queries and all classes.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skicl import TartClassifier
    >>> from skicl.inspection import ContextInfluenceDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = TartClassifier().fit(X[::10], y[::10])
    >>> display = ContextInfluenceDisplay.from_estimator(classifier, X[77:78], row_labels=y[::10], n_rows=5)
    >>> len(display.influence), len(display.shown_)
    (15, 5)
    """

    def __init__(
        self,
        influence: np.ndarray,
        *,
        rows: np.ndarray,
        target: Any,
        probability: float,
        row_names: Sequence[Any] | None = None,
        row_labels: Sequence[Any] | None = None,
    ) -> None:
        self.influence = influence
        self.rows = rows
        self.target = target
        self.probability = probability
        self.row_names = row_names
        self.row_labels = row_labels

    @classmethod
    def from_estimator(
        cls,
        classifier: Any,
        X: ArrayLike,
        *,
        target: Any = None,
        rows: ArrayLike | None = None,
        row_names: Sequence[Any] | None = None,
        row_labels: Sequence[Any] | None = None,
        n_rows: int = 10,
        ax: Any = None,
    ) -> Self:
        """Compute the influence of the context on one prediction and draw it.

        Parameters
        ----------
        classifier : TartClassifier
            A fitted classifier.
        X : array-like of shape (1, n_features), or one text in a list
            The query.
        target : object, default=None
            Label of the class whose probability is explained. None means the predicted one.
        rows : array-like of int, default=None
            Numbers of the rows of the context to consider. None means all. The cost is explained in
            :meth:`skicl.TartClassifier.context_influence`.
        row_names : sequence of length n_context, default=None
            Names of all rows of the context, in the order of ``fit``: their texts, for instance. None means numbers.
        row_labels : sequence of length n_context, default=None
            Labels of all rows of the context, in the order of ``fit``: the ``y`` that was passed, including what marks
            rows without a label. None shows none.
        n_rows : int, default=10
            How many rows to show: those with the largest influence, for or against.
        ax : matplotlib Axes, default=None
            Where to draw. None means a new figure.

        Returns
        -------
        ContextInfluenceDisplay

        Raises
        ------
        TypeError
            If ``classifier`` has no method ``context_influence``.
        ValueError
            If ``X`` is not one query, or names, labels or ``target`` do not fit the classifier.
        """
        _check_classifier(classifier)
        _check_n_rows(n_rows)
        row_names = _check_one_per_row(row_names, classifier.n_context_, "row_names")
        row_labels = _check_one_per_row(row_labels, classifier.n_context_, "row_labels")
        classes = classifier.classes_.tolist()
        if target is not None and target not in classes:
            raise ValueError(f"`target` must be one of the classes {classes[:10]}, got {target!r}.")
        log_proba = classifier.predict_log_proba(X)
        if len(log_proba) != 1:
            raise ValueError(
                f"`X` must be one query, got {len(log_proba)}. Pass a slice of one row, such as X[3:4], "
                "and make one display for each query."
            )
        column = log_proba[0].argmax() if target is None else classes.index(target)
        target = classifier.classes_[column]
        influence = classifier.context_influence(X, rows=rows)[0, :, column]
        rows = np.arange(classifier.n_context_) if rows is None else np.asarray(rows)
        display = cls(
            influence,
            rows=rows,
            target=target,
            probability=float(np.exp(log_proba[0, column])),
            row_names=None if row_names is None else [row_names[row] for row in rows],
            row_labels=None if row_labels is None else [_class_or_none(row_labels[row], classes) for row in rows],
        )
        return display.plot(ax=ax, n_rows=n_rows)

    def plot(self, ax: Any = None, *, n_rows: int = 10) -> Self:
        """Draw the rows with the largest influence, the strongest support on top.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None means a new figure.
        n_rows : int, default=10
            How many rows to show.

        Returns
        -------
        ContextInfluenceDisplay
            This object, with `ax_`, `figure_`, `bars_` and `shown_` set.
        """
        import matplotlib.pyplot as plt

        _check_n_rows(n_rows)
        strongest = np.argsort(-np.abs(self.influence), kind="stable")[:n_rows]
        self.shown_ = strongest[np.argsort(-self.influence[strongest], kind="stable")]
        if ax is None:
            height = 1.2 + 0.28 * max(len(self.shown_), 3)
            _, ax = plt.subplots(figsize=(8, height), layout="constrained")
        values, places = self.influence[self.shown_], np.arange(len(self.shown_))
        self.bars_ = ax.barh(places, values, color=[FOR if value >= 0 else AGAINST for value in values])
        # Names are the user's texts: a dollar sign in them starts no formula.
        ax.set_yticks(places, [self._name(row) for row in self.shown_], parse_math=False)
        ax.invert_yaxis()
        ax.axvline(0, color="0.3", linewidth=0.8)
        # Aligned with the right edge: long names of rows leave the axes little width, and room on their left.
        ax.set_xlabel(f"added to log P({self.target}), in nats", loc="right", parse_math=False)
        ax.set_title(f"P({self.target}) = {_percent(self.probability)}", loc="right", parse_math=False)
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.tick_params(axis="y", length=0)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _name(self, position):
        """What stands beside the bar of a row: its label, and its name or number."""
        name = f"row {self.rows[position]}" if self.row_names is None else _shorten(str(self.row_names[position]))
        if self.row_labels is None:
            return name
        label = self.row_labels[position]
        return f"{'no label' if label is None else label}: {name}"


def _check_classifier(classifier):
    if not hasattr(classifier, "context_influence"):
        last = "; of a pipeline, pass its last step, and `X` transformed by the others"
        hint = last if hasattr(classifier, "steps") else ""
        raise TypeError(
            f"`classifier` {type(classifier).__name__} has no method context_influence. Pass a fitted "
            f"TartClassifier{hint}."
        )
    check_is_fitted(classifier, "classes_")


def _check_n_rows(n_rows):
    check_integer(n_rows, "n_rows")


def _check_one_per_row(values, n_context, parameter):
    """A list with one entry for each row of the context, or None."""
    if values is None:
        return None
    if isinstance(values, str | bytes):
        raise ValueError(
            f"`{parameter}` is a bare string ({values!r}): expected one entry for each row of the context."
        )
    values = list(values)
    if len(values) != n_context:
        raise ValueError(
            f"`{parameter}` has {len(values)} entries, expected {n_context}: one for each row of the "
            "context, in the order in which they were fitted."
        )
    return values


def _class_or_none(label, classes):
    """A label, or None for what marks a row without one."""
    return label if label in classes else None


def _shorten(text):
    """One line of at most LONGEST_NAME characters."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_NAME else line[: LONGEST_NAME - 1].rstrip() + "…"


def _percent(probability):
    """A probability in percent, or with as many digits as tell it from 0 and 1."""
    if 0.01 <= probability <= 0.99:
        return f"{probability:.0%}"
    return f"{probability:.2g}" if probability < 0.5 else f"1 - {1 - probability:.2g}"
