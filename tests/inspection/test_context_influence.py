"""The display of influence: right numbers, right bars, right names, and errors before any work."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skicl import TartClassifier
from skicl.inspection import ContextInfluenceDisplay

matplotlib.use("agg")
from_estimator = ContextInfluenceDisplay.from_estimator


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def problem():
    """A classifier of two classes, its rows with their labels, and a query."""
    rng = np.random.default_rng(0)
    y = np.array(["no", "yes"])[np.arange(14) % 2]
    X = rng.normal(size=(14, 3)) + (y == "yes")[:, None]
    return TartClassifier().fit(X, y), X, y, rng.normal(size=(1, 3)) + 0.7


def tick_texts(display):
    return [label.get_text() for label in display.ax_.get_yticklabels()]


def widths(display):
    return np.array([bar.get_width() for bar in display.bars_])


@pytest.mark.parametrize("target", ["no", "yes"])
def test_numbers_are_those_of_the_classifier(problem, target):
    classifier, _, _, query = problem
    display = from_estimator(classifier, query, target=target, n_rows=4)
    column = classifier.classes_.tolist().index(target)
    expected = classifier.context_influence(query)[0, :, column]
    np.testing.assert_allclose(display.influence, expected, atol=1e-12)
    assert display.probability == pytest.approx(classifier.predict_proba(query)[0, column])
    np.testing.assert_array_equal(display.rows, np.arange(14))


def test_the_predicted_class_is_explained_by_default(problem):
    classifier, _, _, query = problem
    display = from_estimator(classifier, query)
    assert display.target == classifier.predict(query)[0]
    assert str(display.target) in display.ax_.get_title(loc="right")
    assert str(display.target) in display.ax_.get_xlabel()


def test_bars_are_the_strongest_rows_in_descending_order(problem):
    classifier, _, _, query = problem
    display = from_estimator(classifier, query, n_rows=5)
    bars, influence = widths(display), display.influence
    assert len(bars) == 5
    assert sorted(np.abs(bars)) == pytest.approx(np.sort(np.abs(influence))[-5:])
    assert (np.diff(bars) <= 0).all()
    np.testing.assert_array_equal(bars, influence[display.shown_])
    bottom, top = display.ax_.get_ylim()
    assert bottom > top, "the first bar is on top"
    colours = {tuple(bar.get_facecolor()) for bar in display.bars_}
    assert len(colours) == len(set(np.sign(bars)))


def test_names_of_rows(problem):
    classifier, _, y, query = problem
    display = from_estimator(classifier, query, n_rows=3)
    assert tick_texts(display) == [f"row {row}" for row in display.shown_]
    display = from_estimator(classifier, query, n_rows=3, row_labels=y)
    assert tick_texts(display) == [f"{y[row]}: row {row}" for row in display.shown_]
    names = [f"text\n number  {row}" for row in range(14)]
    display = from_estimator(classifier, query, n_rows=3, row_names=names, row_labels=y)
    assert tick_texts(display) == [f"{y[row]}: text number {row}" for row in display.shown_]


def test_long_names_are_cut_and_dollars_are_no_formulas(problem):
    classifier, _, _, query = problem
    display = from_estimator(classifier, query, row_names=["I paid $20 and $x^$ " + "again " * 50] * 14)
    assert {len(text) for text in tick_texts(display)} == {48}
    assert all(text.endswith("…") for text in tick_texts(display))
    assert not any(label.get_parse_math() for label in display.ax_.get_yticklabels())
    display.figure_.canvas.draw()


def test_rows_without_a_label_are_called_so():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(9, 2)), np.array([3, 4, -1] * 3)
    classifier = TartClassifier().fit(X, y, classes=[3, 4])
    display = from_estimator(classifier, X[:1], row_labels=y)
    shown = dict(zip(display.shown_, tick_texts(display)))
    assert shown[2] == "no label: row 2"
    assert shown[0] == "3: row 0"


def test_some_rows_keep_their_numbers_and_names(problem):
    classifier, _, y, query = problem
    whole = from_estimator(classifier, query)
    display = from_estimator(classifier, query, rows=[11, 2, 5], row_labels=y, row_names=list("abcdefghijklmn"))
    np.testing.assert_allclose(display.influence, whole.influence[[11, 2, 5]], atol=1e-12)
    names = {2: "c", 5: "f", 11: "l"}
    assert set(tick_texts(display)) == {f"{y[row]}: {name}" for row, name in names.items()}


def test_more_rows_than_there_are(problem):
    classifier, _, _, query = problem
    assert len(from_estimator(classifier, query, n_rows=100).bars_) == 14


def test_plot_again_and_on_given_axes(problem):
    classifier, _, _, query = problem
    _, ax = plt.subplots()
    display = from_estimator(classifier, query, ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert display.plot(n_rows=2) is display
    assert display.ax_ is not ax
    assert len(display.bars_) == 2


def test_nothing_is_drawn_before_plot():
    display = ContextInfluenceDisplay(np.array([0.2, -0.4]), rows=np.array([7, 8]), target=1, probability=0.3)
    assert not plt.get_fignums()
    display.plot()
    assert tick_texts(display) == ["row 7", "row 8"]
    assert display.ax_.get_title(loc="right") == "P(1) = 30%"


@pytest.mark.parametrize(("probability", "title"), [(0.5, "50%"), (0.0004, "0.0004"), (0.99999, "1 - 1e-05")])
def test_probabilities_in_the_title_are_never_0_or_100_percent(probability, title):
    display = ContextInfluenceDisplay(np.ones(1), rows=np.arange(1), target="a", probability=probability)
    assert display.plot().ax_.get_title(loc="right") == f"P(a) = {title}"


def test_texts(tiny_folder):
    from skicl import SentenceEncoder

    texts, y = ["where is it", "not here", "charged twice", "wrong bill"], ["late", "late", "bill", "bill"]
    classifier = TartClassifier(SentenceEncoder(tiny_folder)).fit(texts, y)
    display = from_estimator(classifier, ["my parcel"], row_names=texts, row_labels=y)
    assert set(tick_texts(display)) == {f"{label}: {text}" for label, text in zip(y, texts)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "maybe"}, r"`target` must be one of the classes \['no', 'yes'\], got 'maybe'"),
        ({"n_rows": 0}, "`n_rows` must be an integer of at least 1, got 0"),
        ({"n_rows": True}, "`n_rows` must be an integer of at least 1"),
        ({"row_names": ["a"]}, "`row_names` has 1 entries, expected 14"),
        ({"row_labels": range(15)}, "`row_labels` has 15 entries, expected 14"),
        ({"row_names": "abcdefghijklmn"}, "`row_names` is a bare string"),
        ({"rows": [14]}, r"`rows` holds \[14\]"),
    ],
)
def test_errors(problem, arguments, message):
    classifier, _, _, query = problem
    with pytest.raises(ValueError, match=message):
        from_estimator(classifier, query, **arguments)
    assert not plt.get_fignums()


def test_one_query_at_a_time(problem):
    classifier, X, _, _ = problem
    with pytest.raises(ValueError, match=r"`X` must be one query, got 14. Pass a slice of one row"):
        from_estimator(classifier, X)


def test_other_classifiers_are_refused(problem):
    classifier, X, y, query = problem
    with pytest.raises(TypeError, match="`classifier` LogisticRegression has no method context_influence"):
        from_estimator(LogisticRegression().fit(X, y), query)
    with pytest.raises(TypeError, match="of a pipeline, pass its last step"):
        from_estimator(make_pipeline(StandardScaler(), classifier).fit(X, y), query)
    with pytest.raises(ValueError, match="not fitted"):
        from_estimator(TartClassifier(), query)
