"""The diagram shows the bins of the calibration error, their counts and their noise."""

import matplotlib as mpl
import numpy as np
import pytest
from scipy.special import softmax
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skicl.evaluation import ReliabilityDisplay, expected_calibration_error

mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def drawn(n_rows, seed=0):
    """Probabilities of four classes, and classes drawn from them."""
    rng = np.random.default_rng(seed)
    prob = softmax(2 * rng.normal(size=(n_rows, 4)), axis=1)
    return (prob.cumsum(axis=1) < rng.random((n_rows, 1))).sum(axis=1).clip(max=3), prob


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_bins_are_those_of_the_calibration_error(strategy):
    true, prob = drawn(500)
    display = ReliabilityDisplay.from_predictions(true, prob, n_bins=8, strategy=strategy)
    expected = expected_calibration_error(true, prob, n_bins=8, strategy=strategy)
    assert display.error == pytest.approx(expected, abs=1e-12)
    assert display.count.sum() == 500
    confidence, hits = prob.max(axis=1), prob.argmax(axis=1) == true
    for low, high, count, mean, share in zip(
        display.low, display.high, display.count, display.confidence, display.accuracy
    ):
        inside = (confidence > low) & (confidence <= high) | (confidence == low) & (low == display.low[0])
        assert inside.sum() == count
        assert mean == pytest.approx(confidence[inside].mean())
        assert share == pytest.approx(hits[inside].mean())


def test_the_error_by_chance_is_that_of_perfect_probabilities():
    errors, by_chance = [], []
    for seed in range(60):
        display = ReliabilityDisplay.from_predictions(*drawn(400, seed))
        errors.append(display.error)
        by_chance.append(display.error_by_chance)
        plt.close("all")
    assert np.mean(errors) == pytest.approx(np.mean(by_chance), rel=0.1)


def test_what_is_drawn_is_what_was_computed():
    display = ReliabilityDisplay.from_predictions(*drawn(300), name="mine")
    x, y = display.line_.get_data()
    np.testing.assert_array_equal(x, display.confidence)
    np.testing.assert_array_equal(y, display.accuracy)
    shown = [text.get_text() for text in display.ax_.texts]
    assert shown == [str(count) for count in display.count]
    legend = display.ax_.get_legend().get_texts()[0].get_text()
    assert legend == f"mine: ECE {display.error:.3f} ({display.error_by_chance:.3f} by chance)"


def test_several_classifiers_share_axes():
    first = ReliabilityDisplay.from_predictions(*drawn(300), name="one")
    second = ReliabilityDisplay.from_predictions(*drawn(300, seed=1), name="two", ax=first.ax_)
    assert second.ax_ is first.ax_
    assert len(first.ax_.get_legend().get_texts()) == 2
    assert len(first.ax_.texts) == len(first.count), "the counts of the first alone"


def test_from_an_estimator_of_any_labels_and_a_pipeline():
    X, y = load_iris(return_X_y=True)
    names = np.array(["b", "c", "a"])[y]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1)).fit(X[::2], names[::2])
    display = ReliabilityDisplay.from_estimator(model, X[1::2], names[1::2])
    assert display.estimator_name == "Pipeline"
    expected = expected_calibration_error(names[1::2], model.predict_proba(X[1::2]), n_bins=10)
    assert display.error == pytest.approx(expected)


def test_crowded_bins_have_one_number_for_their_counts():
    confidence = np.concatenate([np.linspace(0.9, 0.95, 90), np.linspace(0.5, 0.6, 10)])
    options = {"labels": [0, 1], "strategy": "quantile"}
    display = ReliabilityDisplay.from_predictions(np.ones(100, dtype=int), confidence, **options)
    shown = [text.get_text() for text in display.ax_.texts]
    assert shown == [f"{display.count.min()} to {display.count.max()} rows a bin"]


def test_wrong_input_is_refused():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(TypeError, match="`estimator` LinearSVC has no `predict_proba`"):
        ReliabilityDisplay.from_estimator(LinearSVC().fit(X, y), X, y)
    with pytest.raises(ValueError, match="not scores"):
        ReliabilityDisplay.from_predictions(y, 2 * X[:, :3])
    with pytest.raises(ValueError, match="`n_bins` must be an integer"):
        ReliabilityDisplay.from_predictions(*drawn(20), n_bins=0)
