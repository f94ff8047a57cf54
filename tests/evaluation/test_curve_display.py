"""The picture of a curve draws the means and intervals of the records."""

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from skicl.evaluation import FewShotCurveDisplay, few_shot_curve, mean_differences, mean_scores

mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def made(n_sets=3, n_repeats=4, sizes=(4, 8, 16), seed=0):
    rng = np.random.default_rng(seed)
    records = [
        {"dataset": f"set {s}", "estimator": name, "k": k, "repeat": r, "accuracy": rng.random()}
        for s in range(n_sets)
        for k in sizes
        for r in range(n_repeats)
        for name in ("tart", "lr", "knn")
        if not (s == 0 and k == 4)
    ]
    return [record | {"neg_log_loss": -1 - rng.random(), "log_loss": 1 + rng.random()} for record in records]


def rows_of(summary, name):
    return [row for row in summary if row["estimator"] == name and row["k"] is not None]


def test_lines_and_bands_are_means_and_intervals():
    display = FewShotCurveDisplay.from_results(made(), score=["accuracy", "neg_log_loss", "log_loss"])
    for score, sign in (("accuracy", 1), ("neg_log_loss", -1), ("log_loss", 1)):
        for name in ("tart", "lr", "knn"):
            rows, line = rows_of(mean_scores(made(), score), name), display.scores[score][name]
            assert line["k"].tolist() == [4, 8, 16]
            np.testing.assert_allclose(line["mean"], [sign * row["mean"] for row in rows])
            ends = np.sort([[sign * row[end] for row in rows] for end in ("low", "high")], axis=0)
            np.testing.assert_allclose([line["low"], line["high"]], ends)
            x, y = display.lines_[score][name].get_data()
            np.testing.assert_array_equal(x, [4, 8, 16])
            np.testing.assert_array_equal(y, line["mean"])


def test_bands_around_a_reference_are_those_of_the_distance():
    display = FewShotCurveDisplay.from_results(made(), score="neg_log_loss", reference="lr")
    level = [row["mean"] for row in rows_of(mean_scores(made(), "neg_log_loss"), "lr")]
    distance = rows_of(mean_differences(made(), "lr", "neg_log_loss"), "tart")
    line = display.scores["neg_log_loss"]["tart"]
    np.testing.assert_allclose(line["low"], [-at - row["high"] for at, row in zip(level, distance)])
    np.testing.assert_allclose(line["high"], [-at - row["low"] for at, row in zip(level, distance)])
    own = display.scores["neg_log_loss"]["lr"]
    np.testing.assert_allclose(own["low"], own["high"])


def test_axes_are_logarithmic_and_say_what_they_show():
    display = FewShotCurveDisplay.from_results(made())
    assert list(display.scores) == ["accuracy", "neg_log_loss"]
    left, right = display.axes_
    assert left.get_xscale() == "log"
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["4\n2 sets", "8\n3 sets", "16\n3 sets"]
    assert left.get_title(loc="left") == "Accuracy (%), higher is better"
    assert right.get_title(loc="left") == "Log-loss (nats), lower is better"
    legend = display.figure_.legends[0].get_texts()
    assert [text.get_text() for text in legend] == ["tart", "lr", "knn"]


def test_ticks_do_not_run_into_each_other():
    display = FewShotCurveDisplay.from_results(made(sizes=(16, 18, 32, 48, 64, 65)), score="accuracy")
    assert [tick.get_text().split()[0] for tick in display.axes_[0].get_xticklabels()] == ["16", "32", "48", "64"]
    assert len(display.lines_["accuracy"]["lr"].get_xdata()) == 6


def test_names_choose_order_and_style():
    names = {"knn": "Neighbours", "tart": "TART"}
    styles = {"tart": {"color": "black"}}
    display = FewShotCurveDisplay.from_results(made(), score="accuracy", names=names, styles=styles)
    assert list(display.lines_["accuracy"]) == ["knn", "tart"]
    assert display.lines_["accuracy"]["tart"].get_color() == "black"
    assert [text.get_text() for text in display.axes_[0].get_legend().get_texts()] == ["Neighbours", "TART"]


def test_a_huge_loss_does_not_flatten_the_others():
    records = [r | {"log_loss": r["log_loss"] + 50 * (r["estimator"] == "knn")} for r in made()]
    display = FewShotCurveDisplay.from_results(records, score="log_loss")
    assert display.axes_[0].get_ylim()[1] < 3
    assert display.axes_[0].texts[0].get_text() == "partly or wholly above the axis:\nknn"
    calm = FewShotCurveDisplay.from_results([r for r in records if r["estimator"] == "lr"], score="log_loss")
    assert not calm.axes_[0].texts


def test_the_line_to_compare_with_is_always_seen_whole():
    records = [r | {"log_loss": r["log_loss"] + 9 * (r["estimator"] == "lr")} for r in made()]
    for reference, is_seen in ((None, False), ("lr", True)):
        display = FewShotCurveDisplay.from_results(records, score="log_loss", reference=reference)
        assert (display.axes_[0].get_ylim()[1] > display.scores["log_loss"]["lr"]["mean"].max()) == is_seen


def test_ticks_are_the_numbers_that_are_written():
    low, high = 0.69, 0.897
    records = [
        {"dataset": "", "estimator": "a", "k": k, "repeat": 0, "accuracy": value} for k, value in ((4, low), (8, high))
    ]
    axes = FewShotCurveDisplay.from_results(records, score="accuracy").axes_[0]
    axes.figure.canvas.draw()
    written = [float(tick.get_text()) for tick in axes.get_yticklabels()]
    np.testing.assert_allclose(written, 100 * axes.get_yticks())


def test_axes_may_be_given_and_bands_left_out():
    figure, axes = plt.subplots(1, 2)
    display = FewShotCurveDisplay.from_results(made(), ax=axes)
    assert display.figure_ is figure
    assert len(axes[0].collections) == 3
    again = display.plot(bands=["tart"])
    assert len(again.axes_[0].collections) == 1
    with pytest.raises(ValueError, match="`ax` must be one axes for each of the 2 scores, got 1"):
        display.plot(ax=axes[0])


def test_from_estimators_is_the_curve_drawn():
    X, y = load_iris(return_X_y=True)
    estimators = {"lr": LogisticRegression(max_iter=1000), "nb": GaussianNB(var_smoothing=0.1)}
    options = {"k": [6, 12], "n_repeats": 2, "random_state": 3}
    display = FewShotCurveDisplay.from_estimators(estimators, X, y, scoring=("neg_log_loss",), **options)
    curve = few_shot_curve(estimators, X, y, scoring=("neg_log_loss",), **options)
    expected = FewShotCurveDisplay.from_results(curve, score="neg_log_loss")
    for name in estimators:
        for field in ("k", "mean", "low", "high"):
            one, other = (found.scores["neg_log_loss"][name][field] for found in (display, expected))
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": "auc"}, "`score` must be a number in every record"),
        ({"names": {"svm": "SVM"}}, "`names`: no record is of 'svm'; there are tart, lr, knn"),
        ({"styles": {"svm": {}}}, "`styles`: no record is of 'svm'"),
        ({"reference": "svm"}, "`reference`: no record is of 'svm'"),
    ],
)
def test_wrong_parameters_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        FewShotCurveDisplay.from_results(made(), **options)


def test_records_without_accuracy_and_log_loss_need_a_score():
    records = [{"dataset": "", "estimator": "a", "k": 4, "repeat": 0, "ece": 0.1}]
    with pytest.raises(ValueError, match="`score` must name a field to draw"):
        FewShotCurveDisplay.from_results(records)


def test_errors_that_are_mostly_zero_can_be_seen():
    records = [record | {"ece": 0.1 if record["estimator"] == "lr" else 0.0} for record in made()]
    bottom, top = FewShotCurveDisplay.from_results(records, score="ece").axes_[0].get_ylim()
    assert bottom <= 0 < 0.1 <= top


def test_a_score_that_does_not_exist_anywhere_is_named():
    records = [record | {"ece": np.nan} for record in made()]
    with pytest.raises(ValueError, match="`score`: no estimator has 'ece' on all contexts of a size"):
        FewShotCurveDisplay.from_results(records, score=["accuracy", "ece"])
