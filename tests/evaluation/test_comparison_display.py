"""The picture of a comparison shows its ranks and wins."""

import matplotlib as mpl
import numpy as np
import pytest

from skicl.evaluation import ComparisonDisplay, compare

mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def made(n_sets=9, seed=0):
    rng = np.random.default_rng(seed)
    return [
        {"dataset": f"set {s}", "estimator": name, "k": k, "repeat": 0, "accuracy": rng.random() / 5 + gain}
        for s in range(n_sets)
        for k in (8, 16)
        for name, gain in {"worst": 0, "best": 0.6, "middle": 0.59}.items()
    ]


def wins_shown(display):
    """Texts of the table by row and column."""
    return {tuple(int(at) for at in text.get_position()[::-1]): text for text in display.axes_[1].texts}


def test_ranks_and_wins_are_those_of_the_comparison():
    display = ComparisonDisplay.from_results(made())
    found = compare(made())
    assert display.comparison == found
    assert display.order_ == [row["estimator"] for row in found.ranks]
    points = display.axes_[0].containers[0][0].get_xdata()
    np.testing.assert_allclose(points, [row["mean"] for row in found.ranks])
    cells = wins_shown(display)
    assert len(cells) == 6
    for pair in found.pairs:
        row, column = display.order_.index(pair["first"]), display.order_.index(pair["second"])
        assert cells[row, column].get_text().rstrip("*") == f"{pair['wins']}/9"
        assert cells[column, row].get_text().rstrip("*") == f"{pair['losses']}/9"


def test_stars_stand_where_the_test_says_so_and_on_the_side_of_the_winner():
    display = ComparisonDisplay.from_results(made())
    starred = {place for place, text in wins_shown(display).items() if text.get_text().endswith("*")}
    last = display.order_.index("worst")
    assert starred == {(row, last) for row in range(3) if row != last}
    for place, text in wins_shown(display).items():
        assert (text.get_weight() == "bold") == (place in starred)
    strict = display.plot(alpha=1e-9)
    assert not any(text.get_text().endswith("*") for text in wins_shown(strict).values())


def test_an_estimator_that_lacks_a_size_is_shown_with_the_others():
    records = [record for record in made() if record["k"] == 8 or record["estimator"] != "middle"]
    assert sorted(ComparisonDisplay.from_results(records).order_) == ["best", "middle", "worst"]
    apart = [record for record in records if (record["k"] == 8) == (record["estimator"] == "middle")]
    apart = [record for record in apart if record["estimator"] != "worst"]
    with pytest.raises(ValueError, match="`comparison` ranks no estimator: at no size did all of them run"):
        ComparisonDisplay.from_results(apart)


def test_names_titles_and_axes():
    figure, axes = plt.subplots(1, 2)
    display = ComparisonDisplay.from_results(made(), k=16, names={"best": "The $best"}, ax=axes)
    assert display.figure_ is figure
    assert axes[0].get_title(loc="left") == "Mean rank by accuracy, k = 16"
    labels = [tick.get_text() for tick in axes[1].get_xticklabels()]
    assert sorted(labels) == ["The $best", "middle", "worst"]
    with pytest.raises(ValueError, match="`ax` must be two axes"):
        display.plot(ax=axes[:1])
