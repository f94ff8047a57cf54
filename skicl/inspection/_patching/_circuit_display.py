"""Picture of circuit shifts: bars with their intervals, and the floors that they must stand above."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from skicl.inspection._patching._circuit_shift import KINDS, MEASURES, CircuitShift

_TITLES = {"jaccard": "1 − Jaccard (circuits)", "spearman": "1 − Spearman (order)", "l1": "normalised L1 (sizes)"}
_NAMES = {"heads": "heads", "mlps": "MLPs"}


class CircuitShiftDisplay:
    """Bars of circuit shifts with their confidence intervals and null floors.

    Made by :meth:`from_shifts` and drawn by :meth:`plot`. A bar is filled where its shift is above all of its nulls; an
    empty bar claims nothing.

    Parameters
    ----------
    shifts : dict of {str: CircuitShift}
        The shifts, by the names of the states.

    Attributes
    ----------
    bars_ : dict of {(str, str): matplotlib BarContainer}
        The bars of each panel, by kind and measure.
    floors_ : dict of {str: list of matplotlib Line2D}
        The marks of each null.
    axes_ : ndarray of shape (2, 3) of matplotlib Axes
        Heads above, MLPs below; a column for each measure.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    circuit_shift : The numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from skicl.inspection import CircuitShift, CircuitShiftDisplay
    >>> half, ends = np.full((2, 3), 0.5), np.full((2, 3, 2), [0.4, 0.6])
    >>> null = {"null_names": ("split half",), "nulls": half[None] / 2, "excess_intervals": ends[None] - 0.25}
    >>> shift = CircuitShift(half, half / 10, ends, profile=half[:, :2], above=half > 0, **null)
    >>> CircuitShiftDisplay.from_shifts({"in context": shift}).axes_.shape
    (2, 3)
    """

    def __init__(self, shifts: Mapping[str, CircuitShift]) -> None:
        self.shifts = shifts

    @classmethod
    def from_shifts(cls, shifts: CircuitShift | Mapping[str, CircuitShift], *, axes: Any = None) -> Self:
        """Draw results of :func:`circuit_shift`.

        Parameters
        ----------
        shifts : CircuitShift or dict of {str: CircuitShift}
            One result, or several with the names of their states.
        axes : array of shape (2, 3) of matplotlib Axes or None, default=None
            Where to draw. None means a new figure.

        Returns
        -------
        CircuitShiftDisplay

        Raises
        ------
        TypeError
            If `shifts` is something else.
        ValueError
            If `shifts` is empty.
        """
        return cls(_checked_shifts(shifts)).plot(axes=axes)

    def plot(self, axes: Any = None) -> Self:
        """Draw a panel for each measure, heads above and MLPs below.

        Parameters
        ----------
        axes : array of shape (2, 3) of matplotlib Axes or None, default=None
            Where to draw. None means a new figure.

        Returns
        -------
        CircuitShiftDisplay
            This object, with `axes_`, `figure_`, `bars_` and `floors_` set.

        Raises
        ------
        TypeError
            If `shifts` is something else.
        ValueError
            If there are no shifts, or `axes` has another shape.
        """
        import matplotlib.pyplot as plt
        from matplotlib.patches import Patch

        shifts = _checked_shifts(self.shifts)
        if axes is not None and np.shape(axes) != (2, 3):
            raise ValueError(
                f"`axes` must be an array of Axes of shape (2, 3), got shape {np.shape(axes)}. Make it by "
                "plt.subplots(2, 3)."
            )
        if axes is None:
            size = (max(8.5, 3 * (0.8 + 0.75 * len(shifts))), 5.4)
            _, axes = plt.subplots(2, 3, figsize=size, layout="constrained", sharex=True)
        self.axes_ = np.asarray(axes)
        self.figure_ = self.axes_[0, 0].figure
        self.bars_: dict[tuple[str, str], Any] = {}
        self.floors_: dict[str, list[Any]] = {}
        for row, kind in enumerate(KINDS):
            for column, measure in enumerate(MEASURES):
                self._panel(self.axes_[row, column], shifts, row, column)
                if row == 0:
                    self.axes_[0, column].set_title(_TITLES[measure], fontsize="medium")
            self.axes_[row, 0].set_ylabel(f"shift of {_NAMES[kind]}")
        handles = [lines[0] for lines in self.floors_.values()]
        bars = [
            Patch(facecolor="0.55", edgecolor="0.3", label="above all nulls"),
            Patch(facecolor="white", edgecolor="0.3", label="not above"),
        ]
        self.figure_.legend(
            handles=[*bars, *handles],
            loc="outside lower center",
            fontsize="small",
            frameon=False,
            ncols=min(len(handles) + 2, 4),
        )
        return self

    def _panel(self, ax, named, row, column):
        """The bars of one kind and one measure."""
        shifts = list(named.values())
        places = np.arange(len(shifts))
        values = np.array([shift.values[row, column] for shift in shifts])
        ends = np.array([shift.intervals[row, column] for shift in shifts])
        above = [bool(shift.above[row, column]) for shift in shifts]
        self.bars_[KINDS[row], MEASURES[column]] = ax.bar(
            places,
            values,
            width=0.6,
            color=[f"C{i}" if up else "white" for i, up in enumerate(above)],
            edgecolor=[f"C{i}" for i in range(len(shifts))],
            linewidth=1.4,
        )
        around = np.stack([np.maximum(values - ends[:, 0], 0), np.maximum(ends[:, 1] - values, 0)])
        ax.errorbar(places, values, yerr=around, fmt="none", ecolor="0.2", elinewidth=1.2, capsize=3)
        names = list(dict.fromkeys(name for shift in shifts for name in shift.null_names))
        markers = "_xvsD^P*"
        for place, shift in zip(places, shifts):
            for name, null in zip(shift.null_names, shift.nulls[:, row, column]):
                number = names.index(name)
                wide = number == 0
                # Beside the middle, where the interval stands.
                spot = place if wide else place - 0.24 + 0.12 * ((number - 1) % 5)
                (line,) = ax.plot(
                    spot,
                    null,
                    linestyle="none",
                    marker=markers[number % len(markers)],
                    label=name,
                    markersize=22 if wide else 5,
                    markeredgewidth=1.6 if wide else 1.2,
                    color="0.15",
                )
                self.floors_.setdefault(name, []).append(line)
        ax.set_xticks(places, list(named), parse_math=False)
        ax.set_xlim(-0.6, len(shifts) - 0.4)
        # Panels without any shift keep a scale on which nothing looks like nothing.
        ax.set_ylim(0, max(ax.get_ylim()[1], 0.1))
        ax.spines[["top", "right"]].set_visible(False)


def _checked_shifts(shifts):
    """Shifts by the names of their states."""
    if isinstance(shifts, CircuitShift):
        return {"shift": shifts}
    if not isinstance(shifts, Mapping) or not all(isinstance(shift, CircuitShift) for shift in shifts.values()):
        raise TypeError(f"`shifts` must be a result of circuit_shift or a dict of such, got {type(shifts).__name__}.")
    if not shifts:
        raise ValueError("`shifts` is empty. Expected at least one result of circuit_shift.")
    return dict(shifts)
