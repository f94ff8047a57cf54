"""What is drawn is what the study says."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from evaluation.implicit_learners import Fixed

from skicl.evaluation import ImplicitPatternDisplay, implicit_pattern_study

mpl.use("Agg")
LEARNERS = {"solver": Fixed("solve"), "follower": Fixed("shortcut")}
SMALL = {"n_train": 20, "n_validation": 20, "n_test": 20, "n_repeats": 1}


@pytest.fixture(scope="module")
def study():
    return implicit_pattern_study(LEARNERS, "expression", **SMALL, curves={"follower": ("sure", [0.5, 0.9])})


@pytest.fixture(autouse=True)
def no_open_figures():
    yield
    plt.close("all")


def test_points_lie_where_the_accuracies_are(study):
    display = ImplicitPatternDisplay.from_results(study)
    places = {name: bars.lines[0].get_xydata().tolist() for (_, _, name), bars in display.points_.items()}
    assert places == {"solver": [[1, 1]], "follower": [[1, 0]]}
    assert [ax.get_title(loc="left") for ax in display.axes_] == ["expression"]
    assert display.chance == {"expression": 0.1}
    labels = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert labels == ["solver", "follower"]


def test_bars_are_the_intervals(study):
    record = {**study.records[0], "accuracy_pattern": 0.7, "accuracy_conflict": 0.4}
    display = ImplicitPatternDisplay.from_results([record])
    bars = display.points_["expression", 20, "solver"]
    x, y = (collection.get_segments()[0] for collection in bars.lines[2])
    rows = {row["measure"]: row for row in display.rows}
    assert x[:, 0] == pytest.approx([rows["accuracy_pattern"][end] for end in ("low", "high")])
    assert y[:, 1] == pytest.approx([rows["accuracy_conflict"][end] for end in ("low", "high")])
    assert x[0, 0] < 0.7 < x[1, 0]


def test_curves_have_losses_above_and_shares_below(study):
    display = ImplicitPatternDisplay.from_results(study, kind="curves")
    assert display.axes_.shape == (2, 1)
    assert {measure: line.axes is display.axes_[0, 0] for (*_, measure), line in display.points_.items()} == {
        "train_log_loss": True, "validation_log_loss": True, "accuracy_pattern": False, "accuracy_conflict": False,
        "accuracy_neutral": False, "shortcut_rate": False,
    }  # fmt: skip
    line = display.points_["expression", 20, "follower", "validation_log_loss"]
    assert line.get_xydata() == pytest.approx(np.array([[0.5, -np.log(0.5)], [0.9, -np.log(0.9)]]))
    assert display.axes_[1, 0].get_xlabel() == "sure"


def test_names_say_who_is_drawn_and_how_it_is_called(study):
    display = ImplicitPatternDisplay.from_results(study, names={"follower": "F"})
    assert list(display.points_) == [("expression", 20, "follower")]
    assert [text.get_text() for text in display.figure_.legends[0].get_texts()] == ["F"]


def test_every_task_has_axes_and_given_axes_are_used(study):
    other = implicit_pattern_study({"solver": Fixed("zero")}, "parity", **SMALL)
    _, axes = plt.subplots(1, 2)
    display = ImplicitPatternDisplay.from_results(study + other, ax=axes)
    assert display.axes_.tolist() == axes.tolist()
    assert list(display.points_)[-1] == ("parity", 20, "solver")
    with pytest.raises(ValueError, match="`ax` must be 2 axes"):
        display.plot(ax=axes[:1])


def test_estimators_are_run_and_drawn():
    display = ImplicitPatternDisplay.from_estimators(
        LEARNERS, "expression", kind="curves", curves={"solver": ("sure", [0.5, 0.6, 0.7])}, **SMALL
    )
    assert len(display.points_["expression", 20, "solver", "accuracy_pattern"].get_xdata()) == 3


def test_bad_parameters_are_named(study):
    with pytest.raises(ValueError, match="`kind` must be one of 'scatter', 'curves', got 'bars'"):
        ImplicitPatternDisplay.from_results(study, kind="bars")
    with pytest.raises(ValueError, match="`kind`='curves' needs `curves`"):
        ImplicitPatternDisplay.from_estimators(LEARNERS, "expression", kind="curves")
    with pytest.raises(ValueError, match="nothing to draw with `kind`='curves'"):
        ImplicitPatternDisplay.from_results(study.records, kind="curves")
    with pytest.raises(ValueError, match="`names`: nothing is drawn of 'lr'"):
        ImplicitPatternDisplay.from_results(study, names={"lr": "LR"})
