"""The picture of algorithm_match shows the numbers of the result."""

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")

from skicl.datasets import make_linear_tasks  # noqa: E402
from skicl.inspection import AlgorithmMatchDisplay, algorithm_match, reference_predictors  # noqa: E402

TASKS = make_linear_tasks(20, 40, 4, noise=0.5, random_state=0)
MODEL = reference_predictors(TASKS)["gd_8"]


def test_curves_and_floors_are_those_of_the_result():
    match = algorithm_match(MODEL, TASKS)
    display = AlgorithmMatchDisplay.from_estimator(MODEL, TASKS, floors=["ridge"])
    assert list(display.lines_) == match.references
    for name, line in display.lines_.items():
        np.testing.assert_array_equal(line.get_ydata(), match.distance[match.references.index(name)])
    np.testing.assert_array_equal(
        display.floors_["ridge"].get_ydata(), match.noise_floor[match.references.index("ridge")]
    )


def test_chosen_references_only_and_the_floor_of_the_nearest():
    display = AlgorithmMatchDisplay.from_estimator(MODEL, TASKS, references=["mean", "ridge"])
    assert list(display.lines_) == ["mean", "ridge"]
    assert list(display.floors_) == ["ridge"]
    assert display.ax_.get_yscale() == "log"


def test_other_objects_and_names_are_refused():
    with pytest.raises(TypeError, match="`match` must be what algorithm_match returns"):
        AlgorithmMatchDisplay(3).plot()
    display = AlgorithmMatchDisplay(algorithm_match(MODEL, TASKS, n_ctx=4))
    for names in ("ridge", ["bayes", "lasso"], 3):
        with pytest.raises(ValueError, match="`references` must be a list of names"):
            display.plot(references=names)
    with pytest.raises(ValueError, match="`references` is empty"):
        display.plot(references=[])
    with pytest.raises(ValueError, match=r"`floors` must be a list of names among \['ridge'\], got \['bayes'\]"):
        display.plot(references=["ridge"], floors=["bayes"])


def test_no_two_curves_look_alike():
    display = AlgorithmMatchDisplay(algorithm_match(MODEL, TASKS, n_ctx=[4, 8])).plot()
    looks = [(line.get_color(), line.get_marker()) for line in display.lines_.values()]
    assert len(set(looks)) == len(looks) > 10
