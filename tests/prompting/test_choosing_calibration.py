import numpy as np
import pytest
from scipy.special import log_softmax

from skicl.prompting import AffineCalibration, BatchCalibration
from skicl.prompting._choosing_calibration import choose_calibration, without_own_label


def scores_of(n_rows=60, n_classes=3, *, signal=2.0, seed=0):
    """Scores in which the own class is more probable, and the classes."""
    random = np.random.RandomState(seed)
    codes = np.arange(n_rows) % n_classes
    return log_softmax(random.randn(n_rows, n_classes) + signal * np.eye(n_classes)[codes], axis=1), codes


BIAS = np.array([3.0, 0.0, -3.0])
NEUTRAL = {"contextual": np.zeros((3, 3)), "domain": np.zeros((20, 3))}


def test_scores_without_a_bias_are_left_alone():
    scores, codes = scores_of(300)
    choice = choose_calibration(scores, codes, {"contextual": NEUTRAL["contextual"] + BIAS}, scales=False)
    assert choice.name in ("none", "batch")
    assert choice.losses["contextual"] > choice.losses[choice.name] + 0.1


@pytest.mark.parametrize("source", ["contextual", "domain"])
def test_a_bias_that_inputs_without_content_show_is_taken_off(source):
    scores, codes = scores_of(36)
    lopsided = codes != 2  # so that the mean over the rows is no bias alone
    scores, codes = scores[lopsided], codes[lopsided]
    probes = {source: NEUTRAL[source] + BIAS}
    choice = choose_calibration(log_softmax(scores + BIAS, axis=1), codes, probes, scales=False)
    assert choice.name == source
    np.testing.assert_allclose(choice.calibrator.transform(scores + BIAS), log_softmax(scores, axis=1), atol=1e-9)


def test_a_bias_that_only_rows_show_is_taken_off_by_them():
    scores, codes = scores_of()
    choice = choose_calibration(log_softmax(scores + BIAS, axis=1), codes, NEUTRAL, scales=False)
    assert choice.name == "batch"
    assert choice.losses["batch"] < choice.losses["none"] - 0.3


def test_a_model_that_prefers_the_wrong_class_is_turned_round():
    scores, codes = scores_of(n_classes=2)
    wrong = log_softmax(-scores, axis=1)
    choice = choose_calibration(wrong, codes, {})
    assert choice.name == "affine"
    assert (choice.calibrator.transform(wrong).argmax(axis=1) == codes).mean() > 0.8
    assert choose_calibration(wrong, codes, {}, scales=False).name != "affine"


def test_without_rows_inputs_without_content_decide():
    choice = choose_calibration(np.zeros((0, 3)), np.zeros(0, int), {"contextual": BIAS[None]})
    assert (choice.name, choice.losses) == ("contextual", {})
    np.testing.assert_allclose(choice.calibrator.transform(BIAS[None]), np.log(np.full((1, 3), 1 / 3)))


def test_one_row_is_enough():
    choice = choose_calibration(np.log([[0.9, 0.1]]), np.array([1]), {"contextual": np.log([[0.9, 0.1]])})
    assert choice.name == "contextual"
    assert set(choice.losses) == {"none", "contextual"}


@pytest.mark.parametrize("calibrator", [AffineCalibration(C=100.0), BatchCalibration()])
def test_the_own_label_has_no_part_in_the_score_of_a_row(calibrator):
    scores, codes = scores_of(20)
    before = without_own_label(calibrator, scores, codes)
    for i in (0, 7):
        other = codes.copy()
        other[i] = (codes[i] + 1) % 3
        np.testing.assert_array_equal(without_own_label(calibrator, scores, other)[i], before[i])
