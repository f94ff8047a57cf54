"""The picture of the diagnostics: what is drawn is what was measured."""

import inspect

import matplotlib
import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import to_rgba
from sklearn.datasets import load_iris
from sklearn.neighbors import KNeighborsClassifier

from skicl.inspection import ICLDiagnostics, ICLDiagnosticsDisplay, icl_diagnostics
from skicl.inspection._diagnostics._report import Measure

matplotlib.use("agg")
MEASURES = [
    Measure("clear", 0.5, 0.4, 0.6, 0.2),
    Measure("within", 0.1, -0.1, 0.3, 0.2),
    Measure("outside its interval", 0.0, 0.1, 0.3, 0.05),
]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def display():
    report = ICLDiagnostics("Reader", MEASURES, [], n_context=8, n_queries=50, n_classes=3, confidence_level=0.9)
    return ICLDiagnosticsDisplay(report).plot()


def test_points_and_floors_are_the_numbers(display):
    assert [point[0].get_xdata()[0] for point in display.points_] == [0.5, 0.1, 0.0]
    assert [bar.get_width() for bar in display.floors_] == [0.2, 0.2, 0.05]
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == [measure.name for measure in MEASURES]
    low, high = (cap.get_xdata()[0] for cap in display.points_[0][1])
    assert (low, high) == (pytest.approx(0.4), pytest.approx(0.6))
    bottom, top = display.ax_.get_ylim()
    assert bottom > top, "the first measure is on top"


def test_what_lies_above_its_floor_has_a_colour_of_its_own(display):
    colours = [to_rgba(point[0].get_color()) for point in display.points_]
    assert colours[0] == colours[2] != colours[1]


def test_texts_and_limits(display):
    assert "90% interval" in display.ax_.get_xlabel()
    assert display.ax_.get_title(loc="right") == "Reader, 8 labelled rows"
    assert display.ax_.get_xlim()[0] <= -0.1


def test_from_estimator_measures_and_draws():
    X, y = load_iris(return_X_y=True)
    _, ax = plt.subplots()
    display = ICLDiagnosticsDisplay.from_estimator(KNeighborsClassifier(3), X, y, n_context=20, n_repeats=2, ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert len(display.points_) == len(display.report.measures)
    assert display.report.estimator_name == "KNeighborsClassifier"


def test_from_estimator_takes_what_the_function_takes():
    X, y = load_iris(return_X_y=True)
    options = {"n_context": 20, "n_repeats": 2, "confidence_level": 0.5, "n_bootstrap": 20, "random_state": 3}
    display = ICLDiagnosticsDisplay.from_estimator(KNeighborsClassifier(3), X, y, **options)
    assert display.report.measures == icl_diagnostics(KNeighborsClassifier(3), X, y, **options).measures
    assert "50% interval" in display.ax_.get_xlabel()
    taken, known = (
        set(inspect.signature(one).parameters) for one in (icl_diagnostics, ICLDiagnosticsDisplay.from_estimator)
    )
    assert known - {"ax"} == taken


def test_only_reports_are_drawn():
    with pytest.raises(TypeError, match="`report` must be what icl_diagnostics returns, got KNeighborsClassifier"):
        ICLDiagnosticsDisplay(KNeighborsClassifier()).plot()
    assert not plt.get_fignums()
