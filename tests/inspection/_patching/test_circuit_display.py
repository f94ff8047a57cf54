"""Bars of circuit shifts: their heights, their intervals, their floors, and which of them are filled."""

import matplotlib
import matplotlib.pyplot as plt
import pytest
from inspection._patching.test_circuit_shift import BASE, state
from matplotlib.colors import to_rgba

from skicl.inspection import CircuitShiftDisplay, circuit_shift

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def shifts():
    base, null = state(BASE), state(BASE, seed=2)
    options = {"n_bootstrap": 50, "random_state": 0}
    moved = circuit_shift(base, state(BASE[::-1, ::-1], seed=1), nulls={"labels shuffled": null}, **options)
    still = circuit_shift(base, state(BASE, seed=3), nulls={"noise": null}, **options)
    return {"in context": moved, "fine-tuned": still}


def test_bars_intervals_and_floors(shifts):
    display = CircuitShiftDisplay.from_shifts(shifts)
    assert set(display.floors_) == {"split half", "labels shuffled", "noise"}
    for row, kind in enumerate(("heads", "mlps")):
        for column, measure in enumerate(("jaccard", "spearman", "l1")):
            bars = display.bars_[kind, measure]
            assert [bar.get_height() for bar in bars] == [s.values[row, column] for s in shifts.values()]
            for bar, shift in zip(bars, shifts.values()):
                filled = bar.get_facecolor() != to_rgba("white")
                assert filled == shift.above[row, column]
            ax, number = display.axes_[row, column], 3 * row + column
            floors = {line.get_ydata()[0] for line in ax.lines if line.get_label() == "split half"}
            assert floors == {shift.nulls[0, row, column] for shift in shifts.values()}
            noise = display.floors_["noise"][number].get_ydata()[0]
            assert noise == shifts["fine-tuned"].nulls[1, row, column]
    for ax in display.axes_[1]:
        assert [label.get_text() for label in ax.get_xticklabels()] == ["in context", "fine-tuned"]
    filled = display.bars_["heads", "l1"][0].get_facecolor()
    assert filled != to_rgba("white"), "some bar is filled"
    display.figure_.canvas.draw()


def test_one_shift_and_given_axes(shifts):
    _, axes = plt.subplots(2, 3)
    display = CircuitShiftDisplay.from_shifts(shifts["in context"], axes=axes)
    assert display.axes_[1, 2] is axes[1, 2]
    assert len(display.bars_["mlps", "l1"]) == 1


@pytest.mark.parametrize(("shifts", "error"), [({}, ValueError), ([1], TypeError), ({"a": 1}, TypeError)])
def test_other_things_are_refused(shifts, error):
    with pytest.raises(error, match="`shifts`"):
        CircuitShiftDisplay.from_shifts(shifts)
    assert not plt.get_fignums()


def test_one_shift_by_the_constructor_and_other_axes(shifts):
    assert len(CircuitShiftDisplay(shifts["in context"]).plot().bars_["heads", "l1"]) == 1
    with pytest.raises(TypeError, match="`shifts` must be a result of circuit_shift"):
        CircuitShiftDisplay(3).plot()
    _, axes = plt.subplots(1, 3)
    with pytest.raises(ValueError, match=r"`axes` must be an array of Axes of shape \(2, 3\), got shape \(3,\)"):
        CircuitShiftDisplay.from_shifts(shifts, axes=axes)
