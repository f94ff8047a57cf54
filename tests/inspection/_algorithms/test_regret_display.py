"""The picture of the regret shows the numbers of the result."""

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")

from skicl.datasets import make_linear_tasks  # noqa: E402
from skicl.inspection import ICLRegretDisplay, icl_regret, reference_predictors  # noqa: E402

TASKS = make_linear_tasks(20, 40, 4, noise=0.5, random_state=0)
MODEL = reference_predictors(TASKS)["gd_1"]


def test_curve_and_band_are_those_of_the_result():
    display = ICLRegretDisplay.from_estimator(MODEL, TASKS, name="one step")
    regret = icl_regret(MODEL, TASKS)
    np.testing.assert_array_equal(display.line_.get_ydata(), regret.regret)
    np.testing.assert_array_equal(display.line_.get_xdata(), [2, 4, 8, 16])
    drawn = display.band_.get_paths()[0].vertices[:, 1]
    assert drawn.min() == regret.low.min()
    assert drawn.max() == regret.high.max()
    assert display.ax_.get_legend().get_texts()[0].get_text() == "one step"


def test_a_second_curve_goes_over_the_first_and_the_axis_keeps_zero():
    first = ICLRegretDisplay.from_estimator(MODEL, TASKS)
    second = ICLRegretDisplay.from_estimator(reference_predictors(TASKS)["ridge"], TASKS, ax=first.ax_)
    assert second.figure_ is first.figure_
    assert len(first.ax_.lines) == 2
    assert first.ax_.get_ylim()[0] <= 0


def test_the_axis_grows_with_curves_that_come_later():
    low = ICLRegretDisplay.from_estimator(MODEL, TASKS)
    high = ICLRegretDisplay(icl_regret(lambda X, y, X_query: X_query.sum(axis=2) + 9, TASKS)).plot(ax=low.ax_)
    assert high.ax_.get_ylim()[1] > high.regret.high.max() > 2 * low.regret.high.max()


def test_other_objects_are_refused():
    with pytest.raises(TypeError, match="`regret` must be what icl_regret returns"):
        ICLRegretDisplay([0.1, 0.2]).plot()
