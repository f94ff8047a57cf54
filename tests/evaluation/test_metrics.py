"""Calibration error and Brier score against direct loops, scikit-learn, and probabilities of known quality."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import brier_score_loss

from skicl.evaluation import brier_score, expected_calibration_error
from skicl.evaluation._metrics import confidence_bins


def drawn(n_rows, n_classes, seed=0, sharpness=2.0):
    """Probabilities, and classes drawn from them: perfectly calibrated."""
    rng = np.random.default_rng(seed)
    prob = softmax(sharpness * rng.normal(size=(n_rows, n_classes)), axis=1)
    true = (prob.cumsum(axis=1) < rng.random((n_rows, 1))).sum(axis=1).clip(max=n_classes - 1)
    return true, prob


def loop_ece(true, prob, n_bins):
    """Bins of equal width, row by row."""
    error = 0.0
    for b in range(n_bins):
        low, high = b / n_bins, (b + 1) / n_bins
        rows = [i for i in range(len(true)) if low < prob[i].max() <= high]
        if rows:
            accuracy = np.mean([prob[i].argmax() == true[i] for i in rows])
            confidence = np.mean([prob[i].max() for i in rows])
            error += len(rows) / len(true) * abs(accuracy - confidence)
    return error


@pytest.mark.parametrize("n_classes", [2, 3, 7])
@pytest.mark.parametrize("n_bins", [1, 4, 15])
def test_uniform_ece_is_that_of_a_loop(n_classes, n_bins):
    true, prob = drawn(200, n_classes)
    expected = loop_ece(true, prob, n_bins)
    assert expected_calibration_error(true, prob, n_bins=n_bins) == pytest.approx(expected, abs=1e-12)


def test_quantile_ece_of_bins_that_divide_the_rows():
    true, prob = drawn(120, 4)
    by_confidence = np.argsort(prob.max(axis=1)).reshape(6, 20)
    gaps = [
        abs(np.mean(prob[rows].argmax(axis=1) == true[rows]) - prob[rows].max(axis=1).mean()) for rows in by_confidence
    ]
    found = expected_calibration_error(true, prob, n_bins=6, strategy="quantile")
    assert found == pytest.approx(np.mean(gaps), abs=1e-12)


def chunked_ece(true, prob, n_bins):
    """Equal mass, by hand: the sorted rows in runs of equal length, a run of ties never torn apart."""
    rows = sorted(range(len(true)), key=lambda i: prob[i].max())
    runs, start = [], 0
    for b in range(1, n_bins + 1):
        end = -(-b * len(rows) // n_bins)
        while start < end < len(rows) and prob[rows[end]].max() == prob[rows[end - 1]].max():
            end += 1
        runs.append(rows[start:end])
        start = max(start, end)
    assert sorted(i for run in runs for i in run) == list(range(len(true)))
    gaps = [abs(sum((prob[i].argmax() == true[i]) - prob[i].max() for i in run)) for run in runs]
    return sum(gaps) / len(true)


@pytest.mark.parametrize("digits", [12, 1])
def test_quantile_ece_is_that_of_a_loop_also_with_ties_and_few_rows(digits):
    rng = np.random.default_rng(0)
    for _ in range(100):
        n_rows, n_bins = int(rng.integers(1, 40)), int(rng.integers(1, 60))
        low = np.round(rng.uniform(0, 0.5, n_rows), digits)
        prob, true = np.column_stack([low, 1 - low]), rng.integers(2, size=n_rows)
        options = {"n_bins": n_bins, "strategy": "quantile", "labels": [0, 1]}
        found = expected_calibration_error(true, prob, **options)
        assert found == pytest.approx(chunked_ece(true, prob, n_bins), abs=1e-12)


def test_bins_of_equal_mass_hold_equally_many_rows():
    confidence = np.random.default_rng(0).uniform(0.5, 1, size=25)  # every edge of 12 bins is a row
    for n_bins in range(1, 26):
        bins = confidence_bins(np.ones(25, dtype=int), confidence, n_bins=n_bins, strategy="quantile", labels=[0, 1])
        assert len(bins.n_rows) == n_bins
        assert np.ptp(bins.n_rows) <= 1


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_ece_does_not_depend_on_the_order_of_rows_even_with_ties(strategy):
    true, prob = drawn(100, 3)
    prob = np.round(prob, 1)
    prob[:, 0] += 1 - prob.sum(axis=1)
    prob = prob.clip(0, 1) / prob.clip(0, 1).sum(axis=1, keepdims=True)
    shuffled = np.random.default_rng(1).permutation(100)
    a = expected_calibration_error(true, prob, strategy=strategy, n_bins=10)
    b = expected_calibration_error(true[shuffled], prob[shuffled], strategy=strategy, n_bins=10)
    assert a == pytest.approx(b, abs=1e-12)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_ece_finds_calibration_and_its_lack(strategy):
    true, prob = drawn(50_000, 4)
    assert expected_calibration_error(true, prob, strategy=strategy) < 0.015
    overconfident = prob**4 / (prob**4).sum(axis=1, keepdims=True)
    assert expected_calibration_error(true, overconfident, strategy=strategy) > 0.15
    certain = np.eye(4)[(true + 1) % 4]
    assert expected_calibration_error(true, certain, strategy=strategy) == 1.0
    assert expected_calibration_error(true, np.eye(4)[true], strategy=strategy) == 0.0


def test_the_bias_with_few_rows_is_the_one_that_is_documented():
    rng = np.random.default_rng(0)
    n_rows, n_bins, errors = 300, 15, []
    for _ in range(300):
        confidence = rng.uniform(0.6, 0.9, size=n_rows)
        prob = np.column_stack([confidence, 1 - confidence])
        true = (rng.random(n_rows) > confidence).astype(int)
        errors.append(expected_calibration_error(true, prob, n_bins=n_bins, strategy="quantile"))
    variance = 0.75 * 0.25
    documented = np.sqrt(2 * n_bins * variance / (np.pi * n_rows))
    assert np.mean(errors) == pytest.approx(documented, rel=0.1)


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_brier_score_is_that_of_a_loop(n_classes):
    true, prob = drawn(50, n_classes)
    total = 0.0
    for row, label in zip(prob, true):
        total += sum((p - (c == label)) ** 2 for c, p in enumerate(row))
    assert brier_score(true, prob, labels=range(n_classes)) == pytest.approx(total / 50, abs=1e-12)


def test_brier_score_of_two_classes_is_twice_that_of_scikit_learn():
    true, prob = drawn(80, 2)
    assert brier_score(true, prob) == pytest.approx(2 * brier_score_loss(true, prob[:, 1]), abs=1e-12)


@pytest.mark.parametrize("score", [brier_score, expected_calibration_error])
class TestInput:
    def test_one_column_of_two_classes(self, score):
        true, prob = drawn(60, 2)
        assert score(true, prob[:, 1]) == pytest.approx(score(true, prob), abs=1e-12)

    def test_labels_may_be_strings_in_any_order(self, score):
        true, prob = drawn(60, 3)
        names = np.array(["b", "c", "a"])
        assert score(names[true], prob, labels=names) == score(true, prob)
        assert score(names[true].tolist(), prob[:, [2, 0, 1]].tolist()) == pytest.approx(score(true, prob))

    def test_labels_may_hold_classes_that_do_not_occur(self, score):
        true, prob = drawn(60, 3)
        wide = np.column_stack([prob[:, :2], np.zeros(60), prob[:, 2]])
        assert score(np.array([0, 1, 5])[true], wide, labels=[0, 1, 3, 5]) == pytest.approx(score(true, prob))

    def test_float32(self, score):
        true, prob = drawn(60, 50)
        found = score(true, prob.astype(np.float32), labels=range(50))
        assert found == pytest.approx(score(true, prob, labels=range(50)), abs=1e-6)

    @pytest.mark.parametrize(
        ("true", "prob", "labels", "message"),
        [
            ([0, 1], [[0.5, 0.5]], None, "`y_true` has 2 rows and `y_prob` has 1"),
            ([0, 1], [[0.7, 0.7], [0.5, 0.5]], None, "row 0 sums to 1.4"),
            ([0, 1], [[-2.0, 3.0], [0.5, 0.5]], None, "not scores"),
            ([0, 1], [[np.nan, 0.5], [0.5, 0.5]], None, "NaN"),
            ([0, 1], [[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]], None, "3 columns but `y_true` holds 2 classes"),
            ([0, 1], [[0.5, 0.5], [0.5, 0.5]], [0, 1, 2], "`labels` has 3 classes"),
            ([0, 1], [[0.5, 0.5], [0.5, 0.5]], [0, 0], "names a class twice"),
            ([0, 7], [[0.5, 0.5], [0.5, 0.5]], [0, 1], "class .*7.*not in `labels`"),
            ([0, 1], [[1.0], [1.0]], None, "`y_prob` has one column"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, score, true, prob, labels, message):
        with pytest.raises(ValueError, match=message):
            score(true, prob, labels=labels)


@pytest.mark.parametrize("n_bins", [0, 1.5, True, "10"])
def test_a_number_of_bins_that_is_none_is_refused(n_bins):
    with pytest.raises(ValueError, match="`n_bins` must be an integer"):
        expected_calibration_error([0, 1], [0.1, 0.9], n_bins=n_bins)


def test_an_unknown_strategy_is_refused():
    with pytest.raises(ValueError, match="`strategy` must be one of 'uniform', 'quantile', got 'equal'"):
        expected_calibration_error([0, 1], [0.1, 0.9], strategy="equal")


def miscalibrated(n_rows, rng):
    """Two levels of confidence, each too high by 0.1: the squared error is 0.01 whatever the bins."""
    confidence = rng.choice([0.73, 0.93], size=n_rows)
    true = (rng.random(n_rows) > confidence - 0.1).astype(int)
    return true, np.column_stack([confidence, 1 - confidence])


def test_the_debiased_squared_error_is_right_on_average():
    rng = np.random.default_rng(0)
    plain, debiased = [], []
    for _ in range(400):
        true, prob = miscalibrated(600, rng)
        plain.append(expected_calibration_error(true, prob, norm="l2") ** 2)
        debiased.append(expected_calibration_error(true, prob, norm="l2", debias=True) ** 2)
    error = np.std(debiased) / np.sqrt(400)
    assert np.mean(debiased) == pytest.approx(0.01, abs=3 * error)
    assert np.mean(plain) > 0.01 + 3 * error


def test_the_debiased_error_of_perfect_probabilities_is_often_zero_and_always_smaller():
    found = []
    for seed in range(60):
        true, prob = drawn(150, 3, seed=seed)
        plain, debiased = (expected_calibration_error(true, prob, norm="l2", debias=debias) for debias in (False, True))
        assert debiased < plain
        found.append(debiased)
    assert 0.3 < np.mean(np.array(found) == 0) < 0.8


def test_the_squared_error_is_never_smaller_than_the_mean_distance():
    true, prob = drawn(200, 4)
    assert expected_calibration_error(true, prob, norm="l2") >= expected_calibration_error(true, prob)
    one_bin = {"n_bins": 1}
    assert expected_calibration_error(true, prob, norm="l2", **one_bin) == pytest.approx(
        expected_calibration_error(true, prob, **one_bin)
    )


def test_bins_of_single_rows_have_no_variance():
    assert np.isnan(expected_calibration_error([0, 1], [0.1, 0.8], norm="l2", debias=True))


def test_only_the_squared_error_can_be_debiased():
    with pytest.raises(ValueError, match="`debias` needs norm='l2'"):
        expected_calibration_error([0, 1], [0.1, 0.9], debias=True)
    with pytest.raises(ValueError, match="`norm` must be one of 'l1', 'l2', got 'max'"):
        expected_calibration_error([0, 1], [0.1, 0.9], norm="max")


@pytest.mark.parametrize("metric", [expected_calibration_error, brier_score])
def test_missing_and_mixed_labels_are_refused(metric):
    prob = [[0.2, 0.8], [0.3, 0.7]]
    for true in ([None, "a"], np.array([1, "a"], dtype=object)):
        for labels in (None, ["a", "b"]):
            with pytest.raises(ValueError, match=r"`y_true` (has a missing label at position 0|mixes labels of types)"):
                metric(true, prob, labels=labels)
    with pytest.raises(ValueError, match="`y_true` holds the class '0', which is not in `labels`"):
        metric(["0", "1"], prob, labels=[0, 1])
