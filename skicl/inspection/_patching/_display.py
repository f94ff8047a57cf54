"""Picture of activation patching: a map of layers and heads, and a column for the MLPs."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from skicl.inspection._patching._result import ActivationPatching, check_circuit


class ActivationPatchingDisplay:
    """Map of the effects of all heads, with a column for the MLPs.

    Made by :meth:`from_patching`; drawn by :meth:`plot`.

    Parameters
    ----------
    heads : ndarray of shape (n_layers, n_heads)
        Effects of the heads.
    mlps : ndarray of shape (n_layers,)
        Effects of the MLPs.
    circuit : tuple of two ndarrays of bool or None, default=None
        Heads and MLPs to mark by dots. None marks none.
    name : str or None, default=None
        Title.

    Attributes
    ----------
    images_ : list of two matplotlib AxesImage
        Heads and MLPs.
    marks_ : list of two matplotlib PathCollection
        The dots on heads and on MLPs; empty without a circuit.
    axes_ : ndarray of two matplotlib Axes
        Where they were drawn.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    activation_patching : The numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl.inspection import ActivationPatchingDisplay
    >>> display = ActivationPatchingDisplay(np.array([[0.1, 0.9], [0.0, -0.2]]), np.array([0.1, 0.1])).plot()
    >>> len(display.images_)
    2
    """

    def __init__(
        self,
        heads: np.ndarray,
        mlps: np.ndarray,
        *,
        circuit: tuple[np.ndarray, np.ndarray] | None = None,
        name: str | None = None,
    ) -> None:
        self.heads = heads
        self.mlps = mlps
        self.circuit = circuit
        self.name = name

    @classmethod
    def from_patching(
        cls,
        patching: ActivationPatching,
        *,
        share: float = 0.8,
        size: int | None = None,
        name: str | None = None,
        axes: Sequence[Any] | None = None,
    ) -> Self:
        """Draw a result of :func:`activation_patching`.

        Parameters
        ----------
        patching : ActivationPatching
            The effects.
        share : float, default=0.8
            Dots mark the smallest sets of heads and of MLPs that reach this share of the absolute effects.
        size : int or None, default=None
            Dots mark this number of the largest effects instead.
        name : str or None, default=None
            Title.
        axes : sequence of two matplotlib Axes or None, default=None
            For heads and for MLPs. None means a new figure.

        Returns
        -------
        ActivationPatchingDisplay

        Raises
        ------
        TypeError
            If `patching` is something else.
        ValueError
            If `share` or `size` is out of range.
        """
        if not isinstance(patching, ActivationPatching):
            raise TypeError(f"`patching` must be a result of activation_patching, got {type(patching).__name__}.")
        check_circuit(share, size)
        circuit = patching.circuit(share=share, size=size)
        return cls(patching.heads, patching.mlps, circuit=circuit, name=name).plot(axes=axes)

    def plot(self, axes: Sequence[Any] | None = None, *, limit: float | None = None) -> Self:
        """Draw the map: red components carry the answer, blue ones work against it.

        Parameters
        ----------
        axes : sequence of two matplotlib Axes or None, default=None
            For heads and for MLPs. None means a new figure.
        limit : float or None, default=None
            Effect with the full colour. None means the largest one. Pass the same limit for maps to be compared.

        Returns
        -------
        ActivationPatchingDisplay
            This object, with `axes_`, `figure_`, `images_` and `marks_` set.

        Raises
        ------
        ValueError
            If `axes` is not two Axes.
        """
        import matplotlib.pyplot as plt

        if axes is not None and np.shape(axes) != (2,):
            raise ValueError(
                f"`axes` must be two Axes, for heads and for MLPs, got shape {np.shape(axes)}. Make them "
                "by plt.subplots(1, 2)."
            )
        heads, mlps = np.asarray(self.heads), np.asarray(self.mlps)[:, None]
        if axes is None:
            n_layers, n_heads = heads.shape
            size = (min(2.8 + 0.42 * n_heads, 12), min(1.6 + 0.42 * max(n_layers, 3), 12))
            _, axes = plt.subplots(1, 2, figsize=size, width_ratios=[n_heads, 1], layout="constrained", sharey=True)
        if limit is None:
            limit = max(np.abs(heads).max(), np.abs(mlps).max()) or 1.0
        self.axes_, self.figure_ = np.asarray(axes), axes[0].figure
        self.images_, self.marks_ = [], []
        for ax, effects, title, chosen in zip(axes, (heads, mlps), ("heads", "MLPs"), self.circuit or (None, None)):
            image = ax.imshow(effects, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", origin="lower")
            chosen = np.zeros(effects.shape, dtype=bool) if chosen is None else np.reshape(chosen, effects.shape)
            rows, columns = np.nonzero(chosen)
            # Dark dots cannot be seen on the darkest colours.
            dark = np.abs(effects[rows, columns]) > 0.6 * limit
            self.marks_.append(ax.scatter(columns, rows, s=14, c=np.where(dark, "white", "black"), linewidths=0))
            self.images_.append(image)
            ax.set_title(title, fontsize="medium")
        axes[0].set(xlabel="head", ylabel="layer", xticks=_ticks(heads.shape[1]), yticks=_ticks(len(heads)))
        axes[1].set_xticks([])
        axes[1].tick_params(left=False, labelleft=False)
        self.figure_.colorbar(self.images_[0], ax=list(axes), label="effect", shrink=0.9)
        if self.name is not None:
            axes[0].set_title(self.name, loc="left", fontsize="medium", fontweight="bold", parse_math=False)
            axes[0].set_title("")
            axes[0].set_xlabel("head")
        return self


def _ticks(n):
    """At most about a dozen positions below n, equally far apart."""
    return np.arange(0, n, max(1, -(-n // 12)))
