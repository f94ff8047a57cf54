"""Picture of algorithm_match: distance to each reference predictor along the length of the context."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.utils import Bunch

from skicl.inspection._algorithms._match import AlgorithmMatch, algorithm_match

AXIS_LABELS = {
    "squared_difference": "mean squared difference of predictions",
    "disagreement": "share of queries labelled differently",
}
MARKERS = "os^D"


class AlgorithmMatchDisplay:
    """Curves of the distances of a model to reference predictors, with their intervals.

    Dotted, in the same colour, is the noise floor of a reference: its distance to itself with one row less.

    Parameters
    ----------
    match : AlgorithmMatch
        What :func:`algorithm_match` returned.

    Attributes
    ----------
    lines_ : dict of str to matplotlib Line2D
        The curves.
    bands_ : dict of str to matplotlib PolyCollection
        The intervals.
    floors_ : dict of str to matplotlib Line2D
        The noise floors that are drawn.
    ax_ : matplotlib Axes
        Where they were drawn.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    algorithm_match : The numbers, and what they mean.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from skicl.datasets import make_linear_tasks
    >>> from skicl.inspection import AlgorithmMatchDisplay
    >>> tasks = make_linear_tasks(20, 40, 4, random_state=0)
    >>> display = AlgorithmMatchDisplay.from_estimator(Ridge(), tasks, references=["ridge", "gd_8"])
    >>> list(display.lines_)
    ['ridge', 'gd_8']
    """

    def __init__(self, match: AlgorithmMatch) -> None:
        self.match = match

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        tasks: Bunch,
        *,
        n_ctx: int | Sequence[int] | None = None,
        metric: str = "squared_difference",
        random_state: int | np.random.RandomState | None = 0,
        references: Sequence[str] | None = None,
        floors: Sequence[str] | None = None,
        ax: Any = None,
    ) -> Self:
        """Compare a model with the reference predictors and draw the distances.

        Parameters
        ----------
        model : Reasoner, classifier, regressor or callable
            The learner, as in :func:`algorithm_match`.
        tasks : Bunch
            Tasks as in :func:`reference_predictors`.
        n_ctx : int or sequence of int or None, default=None
            Lengths of the context. None means powers of two.
        metric : {"squared_difference", "disagreement"}, default="squared_difference"
            The distance.
        random_state : int, RandomState instance or None, default=0
            Draws the bootstrap samples.
        references : list of str or None, default=None
            References to draw. None means all.
        floors : list of str or None, default=None
            References whose noise floor is drawn. None means the one nearest to the model over all lengths.
        ax : matplotlib Axes, default=None
            Where to draw. None means a new figure.

        Returns
        -------
        AlgorithmMatchDisplay
        """
        match = algorithm_match(model, tasks, n_ctx=n_ctx, metric=metric, random_state=random_state)
        return cls(match).plot(ax=ax, references=references, floors=floors)

    def plot(
        self,
        ax: Any = None,
        *,
        references: Sequence[str] | None = None,
        floors: Sequence[str] | None = None,
    ) -> Self:
        """Draw the distances, on a logarithmic scale.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None means a new figure.
        references : list of str or None, default=None
            References to draw. None means all.
        floors : list of str or None, default=None
            References whose noise floor is drawn. None means the one nearest to the model over all lengths.

        Returns
        -------
        AlgorithmMatchDisplay
            This object, with `ax_`, `figure_`, `lines_`, `bands_` and `floors_` set.

        Raises
        ------
        TypeError
            If `match` is something else.
        ValueError
            If a name is not among the references of the match, a floor is of a reference that is not drawn, or there
            is nothing to draw.
        """
        import matplotlib.pyplot as plt

        match = self.match
        if not isinstance(match, AlgorithmMatch):
            raise TypeError(
                f"`match` must be what algorithm_match returns, got {type(match).__name__}. To start from "
                "a model, use AlgorithmMatchDisplay.from_estimator."
            )
        references = self._check_names(references, match.references, match.references, "references")
        if not references:
            raise ValueError("`references` is empty. Name at least one, or leave it None to draw all.")
        nearest = min(references, key=lambda name: match.distance[match.references.index(name)].mean())
        floors = self._check_names(floors, [nearest], references, "floors")
        if ax is None:
            _, ax = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
        self.lines_, self.bands_, self.floors_ = {}, {}, {}
        for number, name in enumerate(references):
            row = match.references.index(name)
            # Where the ten colours begin again, the markers change.
            (line,) = ax.plot(
                match.n_ctx,
                match.distance[row],
                marker=MARKERS[number // 10 % len(MARKERS)],
                markersize=3.5,
                label=name.replace("_", " "),
            )
            self.lines_[name] = line
            self.bands_[name] = ax.fill_between(
                match.n_ctx, match.low[row], match.high[row], color=line.get_color(), alpha=0.15, linewidth=0
            )
            if name in floors:
                (self.floors_[name],) = ax.plot(
                    match.n_ctx,
                    match.noise_floor[row],
                    ":",
                    color=line.get_color(),
                    label=f"noise floor of {name.replace('_', ' ')}",
                )
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.set_xticks(match.n_ctx, [str(n) for n in match.n_ctx])
        ax.set_xlabel("labelled rows in the context")
        ax.set_ylabel(AXIS_LABELS[match.metric])
        ax.set_title(match.model_name, loc="left", fontsize="medium", parse_math=False)
        ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
        ax.spines[["top", "right"]].set_visible(False)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @staticmethod
    def _check_names(names, default, known, parameter):
        """Names among those known, the default for None."""
        if names is None:
            return default
        if isinstance(names, str) or not np.iterable(names) or not set(names) <= set(known):
            raise ValueError(f"`{parameter}` must be a list of names among {known}, got {names!r}.")
        return list(names)
