"""The map of effects shows the numbers it was given, and marks the circuit."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from skicl.inspection import ActivationPatchingDisplay
from skicl.inspection._patching._result import summarise_terms

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def patching():
    heads, mlps = np.array([[[0.9, 0.1, 0.0], [0.0, -0.5, 0.2]]]), np.array([[0.6, 0.1]])
    one = np.ones(1)
    return summarise_terms(heads, mlps, one, one / 2, -one / 2, "exact")


def test_images_are_the_effects(patching):
    display = ActivationPatchingDisplay.from_patching(patching, name="costs $5 and $x^$")
    np.testing.assert_array_equal(display.images_[0].get_array(), patching.heads)
    np.testing.assert_array_equal(display.images_[1].get_array(), patching.mlps[:, None])
    assert {image.get_clim() for image in display.images_} == {(-0.9, 0.9)}
    assert display.axes_[0].get_title(loc="left") == "costs $5 and $x^$"
    display.figure_.canvas.draw()


def test_dots_are_the_circuit(patching):
    display = ActivationPatchingDisplay.from_patching(patching, size=2)
    heads, mlps = patching.circuit(size=2)
    for marks, chosen in zip(display.marks_, (heads, mlps[:, None])):
        places = {tuple(place) for place in marks.get_offsets()[:, ::-1].astype(int)}
        assert places == set(map(tuple, np.argwhere(chosen)))


def test_no_circuit_no_dots(patching):
    display = ActivationPatchingDisplay(patching.heads, patching.mlps)
    assert not plt.get_fignums()
    assert display.plot(limit=2) is display
    assert [len(marks.get_offsets()) for marks in display.marks_] == [0, 0]
    assert display.images_[0].get_clim() == (-2, 2)


def test_given_axes_and_no_effects(patching):
    _, axes = plt.subplots(1, 2)
    display = ActivationPatchingDisplay.from_patching(patching, axes=axes)
    assert list(display.axes_) == list(axes)
    axes[0].figure.canvas.draw()
    assert not any(label.get_visible() for label in axes[1].get_yticklabels()), "layers are numbered once"
    flat = ActivationPatchingDisplay(np.zeros((2, 2)), np.zeros(2)).plot()
    assert flat.images_[0].get_clim() == (-1, 1)


def test_other_things_are_refused(patching):
    with pytest.raises(TypeError, match="`patching` must be a result of activation_patching, got ndarray"):
        ActivationPatchingDisplay.from_patching(np.eye(2))
    with pytest.raises(ValueError, match="`share`"):
        ActivationPatchingDisplay.from_patching(patching, share=0)
    assert not plt.get_fignums()


def test_other_axes_are_refused(patching):
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match=r"`axes` must be two Axes, for heads and for MLPs, got shape \(\)"):
        ActivationPatchingDisplay.from_patching(patching, axes=ax)
