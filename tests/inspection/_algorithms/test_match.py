"""Distances to reference predictors: every reference is nearest to itself, and the intervals hold what they promise."""

import numpy as np
import pytest
from sklearn.utils import Bunch

from skicl.datasets import make_boolean_function, make_linear_tasks, make_logistic_tasks
from skicl.inspection import algorithm_match, reference_predictors

LINEAR = make_linear_tasks(24, 40, 4, noise=0.5, random_state=0)
BOOLEAN = make_boolean_function("majority", 24, 40, 5, random_state=0)


def without_seeds(tasks):
    """Logistic tasks with a Bayes predictor of few draws, for speed."""
    predict = tasks.bayes_predict
    tasks.bayes_predict = lambda X, y, X_query: predict(X, y, X_query, n_chains=8, n_draws=4)
    return tasks


LOGISTIC = without_seeds(make_logistic_tasks(24, 40, 4, scale=3.0, random_state=0))


@pytest.mark.parametrize("tasks", [LINEAR, LOGISTIC, BOOLEAN], ids=["linear", "logistic", "boolean"])
def test_every_reference_is_at_no_distance_from_itself(tasks):
    references = reference_predictors(tasks)
    for name in ("knn_3", "gd_8", "bayes"):
        match = algorithm_match(references[name], tasks, n_ctx=[4, 16], references=references)
        at = match.references.index(name)
        assert (match.distance[at] == 0).all()
        assert (match.distance[match.references.index("mean")] > match.distance[at]).all()


def test_ridge_and_bayes_are_one_and_least_squares_gets_near_with_more_rows():
    match = algorithm_match(reference_predictors(LINEAR)["ridge"], LINEAR, n_ctx=[8, 32])
    bayes, exact = (match.distance[match.references.index(name)] for name in ("bayes", "least_squares"))
    np.testing.assert_allclose(bayes, 0, atol=1e-15)
    assert exact[1] < exact[0] / 4


def test_distance_is_symmetric_and_what_it_says():
    references = reference_predictors(LINEAR)
    split = LINEAR.X[:, :8], LINEAR.y[:, :8], LINEAR.X[:, 8:]
    differences = references["gd_1"](*split) - references["mean"](*split)
    expected = (differences**2).mean() / (LINEAR.y[:, 8:] ** 2).mean()
    for one, other in [("gd_1", "mean"), ("mean", "gd_1")]:
        match = algorithm_match(references[one], LINEAR, n_ctx=8, references={other: references[other]})
        assert match.distance[0, 0] == pytest.approx(expected)


def test_permuted_tasks_have_the_same_distances():
    order = np.random.RandomState(0).permutation(24)
    moved = Bunch(**(LINEAR | {"X": LINEAR.X[order], "y": LINEAR.y[order]}))
    model = reference_predictors(LINEAR)["gd_8"]
    one, other = (algorithm_match(model, tasks, n_ctx=[4, 16]) for tasks in (LINEAR, moved))
    np.testing.assert_allclose(other.distance, one.distance, atol=1e-12)
    np.testing.assert_allclose(other.noise_floor, one.noise_floor, atol=1e-12)


def test_disagreement_does_not_see_confidence():
    model = reference_predictors(LOGISTIC)["gd_8"]

    def timid(*split):
        return 0.5 + (model(*split) - 0.5) / 10

    references = {"itself": model}
    assert algorithm_match(timid, LOGISTIC, n_ctx=8, references=references).distance[0, 0] > 0.01
    assert algorithm_match(timid, LOGISTIC, n_ctx=8, references=references, metric="disagreement").distance[0, 0] == 0


def test_intervals_hold_the_mean_of_many_tasks_and_shrink_with_tasks():
    """95 % intervals from 24 tasks, on 40 sets of tasks: fewer than 85 % of hits would have a probability below 1 %."""
    model = {"m": reference_predictors(LINEAR)["gd_1"]}
    many = make_linear_tasks(40 * 24, 40, 4, noise=0.5, random_state=1)
    ridge = reference_predictors(LINEAR)["ridge"]
    whole = algorithm_match(ridge, many, n_ctx=8, references=model, n_bootstrap=200)
    truth, hits = whole.distance[0, 0], 0
    for i in range(40):
        part = Bunch(X=many.X[24 * i : 24 * i + 24], y=many.y[24 * i : 24 * i + 24])
        one = algorithm_match(ridge, part, n_ctx=8, references=model, n_bootstrap=200)
        hits += one.low[0, 0] <= truth <= one.high[0, 0]
    assert hits >= 33
    assert (whole.high - whole.low)[0, 0] < (one.high - one.low)[0, 0] / 3


def test_the_floor_is_what_one_row_less_changes():
    ridge = reference_predictors(LINEAR)["ridge"]
    match = algorithm_match(
        lambda X, y, X_query: ridge(X[:, :-1], y[:, :-1], X_query), LINEAR, n_ctx=[4, 16], references={"ridge": ridge}
    )
    np.testing.assert_allclose(match.distance, match.noise_floor)
    assert match.noise_floor[0, 0] > match.noise_floor[0, 1] > 0


def test_closest_share_is_certain_where_one_reference_is_the_model():
    match = algorithm_match(reference_predictors(LINEAR)["gd_1"], LINEAR, n_ctx=[4, 16])
    at = match.references.index("gd_1")
    assert (match.closest_share[at] == 1).all()
    np.testing.assert_allclose(match.closest_share.sum(axis=0), 1)


def test_the_frame_and_the_text_show_the_numbers():
    pytest.importorskip("pandas")
    match = algorithm_match(reference_predictors(LINEAR)["gd_1"], LINEAR, n_ctx=[4, 16])
    frame = match.to_frame().set_index(["reference", "n_ctx"])
    assert frame.loc[("mean", 16), "distance"] == match.distance[match.references.index("mean"), 1]
    assert len(frame) == 2 * len(match.references)
    assert "closest" in repr(match)
    assert "n = 16" in repr(match)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"metric": "cosine"}, "metric"),
        ({"metric": "disagreement"}, "metric"),
        ({"n_ctx": [1, 4]}, "n_ctx"),
        ({"n_bootstrap": 0}, "n_bootstrap"),
        ({"confidence_level": 95}, "confidence_level"),
        ({"confidence_level": "0.95"}, "confidence_level"),
        ({"confidence_level": None}, "confidence_level"),
        ({"n_ctx": 4.0}, "n_ctx"),
        ({"references": {}}, "references"),
    ],
)
def test_parameters_out_of_range_are_refused(change, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        algorithm_match(reference_predictors(LINEAR)["gd_1"], LINEAR, **change)


def test_counts_may_be_numpy_integers():
    ridge = reference_predictors(LINEAR)["ridge"]
    one = algorithm_match(ridge, LINEAR, n_ctx=np.int64(4), n_bootstrap=np.int64(20))
    np.testing.assert_array_equal(one.low, algorithm_match(ridge, LINEAR, n_ctx=4, n_bootstrap=20).low)


def test_errors_come_before_any_work():
    def model(X, y, X_query):
        raise AssertionError("the model was asked")

    for references in (["ridge"], {"ridge": 3}):
        with pytest.raises(TypeError, match="`references` must be a dict"):
            algorithm_match(model, LINEAR, n_ctx=4, references=references)
    with pytest.raises(ValueError, match="cannot be used to seed"):
        algorithm_match(model, LINEAR, n_ctx=4, random_state="zero")
