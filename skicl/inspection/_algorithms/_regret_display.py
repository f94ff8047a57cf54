"""Picture of the regret: nats above the Bayes predictor along the length of the context."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.utils import Bunch

from skicl.inspection._algorithms._regret import ICLRegret, icl_regret


class ICLRegretDisplay:
    """Curve of the regret of a model, with its interval, over the noise floor.

    Parameters
    ----------
    regret : ICLRegret
        What :func:`icl_regret` returned.

    Attributes
    ----------
    line_ : matplotlib Line2D
        The curve.
    band_ : matplotlib PolyCollection
        The interval.
    floor_ : matplotlib PolyCollection
        The noise floor.
    ax_ : matplotlib Axes
        Where they were drawn.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    icl_regret : The numbers, and what they mean.

    Examples
    --------
    >>> from skicl.datasets import make_linear_tasks
    >>> from skicl.inspection import ICLRegretDisplay, reference_predictors
    >>> tasks = make_linear_tasks(20, 40, 4, random_state=0)
    >>> predictors = reference_predictors(tasks)
    >>> display = ICLRegretDisplay.from_estimator(predictors["averaging"], tasks, name="averaging")
    >>> display = ICLRegretDisplay.from_estimator(predictors["ridge"], tasks, name="ridge", ax=display.ax_)
    >>> len(display.ax_.lines)
    2
    """

    def __init__(self, regret: ICLRegret) -> None:
        self.regret = regret

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        tasks: Bunch,
        *,
        n_ctx: int | Sequence[int] | None = None,
        estimate: str = "expected",
        random_state: int | np.random.RandomState | None = 0,
        name: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Measure the regret of a model and draw it.

        Parameters
        ----------
        model : Reasoner, classifier, regressor or callable
            The learner, as in :func:`icl_regret`.
        tasks : Bunch
            Tasks with a ``bayes_predict``.
        n_ctx : int or sequence of int or None, default=None
            Lengths of the context. None means powers of two.
        estimate : {"expected", "observed"}, default="expected"
            How to estimate the regret.
        random_state : int, RandomState instance or None, default=0
            Draws the bootstrap samples.
        name : str or None, default=None
            Name in the legend. None means that of the model.
        ax : matplotlib Axes, default=None
            Where to draw, for instance over another curve. None means a new figure.

        Returns
        -------
        ICLRegretDisplay
        """
        regret: Any = icl_regret(model, tasks, n_ctx=n_ctx, estimate=estimate, random_state=random_state)
        return cls(regret).plot(ax=ax, name=name)

    def plot(self, ax: Any = None, *, name: str | None = None) -> Self:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None means a new figure.
        name : str or None, default=None
            Name in the legend. None means that of the model.

        Returns
        -------
        ICLRegretDisplay
            This object, with `ax_`, `figure_`, `line_`, `band_` and `floor_` set.

        Raises
        ------
        TypeError
            If `regret` is something else.
        """
        import matplotlib.pyplot as plt

        regret = self.regret
        if not isinstance(regret, ICLRegret):
            raise TypeError(
                f"`regret` must be what icl_regret returns, got {type(regret).__name__}. To start from a "
                "model, use ICLRegretDisplay.from_estimator."
            )
        if ax is None:
            _, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
        first = not ax.lines
        before = 0.0 if first else ax.get_ylim()[0]
        (self.line_,) = ax.plot(regret.n_ctx, regret.regret, marker="o", markersize=4, label=name or regret.model_name)
        self.band_ = ax.fill_between(
            regret.n_ctx, regret.low, regret.high, color=self.line_.get_color(), alpha=0.2, linewidth=0
        )
        self.floor_ = ax.fill_between(
            regret.n_ctx,
            0,
            regret.noise_floor,
            color="0.8",
            linewidth=0,
            zorder=0,
            label="noise floor" if first and regret.noise_floor.any() else None,
        )
        ax.set_xscale("log", base=2)
        ax.set_xticks(regret.n_ctx, [str(n) for n in regret.n_ctx])
        lowest = min(before, 0.0, float(regret.low.min()))
        # The upper end goes on adapting itself to curves that come later.
        ax.set_ylim(bottom=lowest, auto=True)
        ax.set_xlabel("labelled rows in the context")
        ax.set_ylabel("nats above the Bayes predictor")
        ax.legend(frameon=False)
        ax.spines[["top", "right"]].set_visible(False)
        self.ax_, self.figure_ = ax, ax.figure
        return self
