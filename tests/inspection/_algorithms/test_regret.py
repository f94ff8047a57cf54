"""Regret: zero for Bayes, the divergence from it for others, and the same from expectations as from targets."""

from functools import partial

import numpy as np
import pytest
from sklearn.utils import Bunch

from skicl.datasets import make_boolean_function, make_linear_tasks, make_logistic_tasks
from skicl.inspection import icl_regret, mixture_bayes_predictor, reference_predictors

LINEAR = make_linear_tasks(200, 40, 4, noise=0.5, random_state=0)
BOOLEAN = make_boolean_function("conjunction", 60, 80, 4, random_state=0)
POOL = make_linear_tasks(100, 40, 4, noise=1.0, n_distinct=3, random_state=0)
LOGISTIC = make_logistic_tasks(40, 30, 3, scale=2.0, random_state=0)
LOGISTIC.bayes_predict = partial(LOGISTIC.bayes_predict, n_chains=16, n_draws=10)


@pytest.mark.parametrize("estimate", ["expected", "observed"])
@pytest.mark.parametrize("tasks", [LINEAR, POOL, BOOLEAN, LOGISTIC], ids=["linear", "pool", "boolean", "logistic"])
def test_bayes_has_no_regret(tasks, estimate):
    regret = icl_regret(tasks.bayes_predict, tasks, n_ctx=[1, 8], estimate=estimate)
    np.testing.assert_allclose(regret.per_task, 0, atol=1e-12)


@pytest.mark.parametrize("tasks", [LINEAR, POOL, BOOLEAN, LOGISTIC], ids=["linear", "pool", "boolean", "logistic"])
def test_others_have_regret_in_every_task_and_targets_tell_the_same(tasks):
    for name in ("mean", "gd_8"):
        model = reference_predictors(tasks)[name]
        expected = icl_regret(model, tasks, n_ctx=[2, 16])
        observed = icl_regret(model, tasks, n_ctx=[2, 16], estimate="observed", confidence_level=0.999)
        assert (expected.per_task >= 0).all()
        assert (expected.low > expected.noise_floor).all()
        assert (observed.low <= expected.regret).all()
        assert (expected.regret <= observed.high).all()


def test_regret_of_probabilities_is_the_divergence():
    half = icl_regret(lambda X, y, X_query: np.full(X_query.shape[:2], 0.5), BOOLEAN, n_ctx=8)
    bayes = BOOLEAN.bayes_predict(BOOLEAN.X[:, :8], BOOLEAN.y[:, :8], BOOLEAN.X[:, 8:])
    p = np.clip(bayes, 1e-9, 1 - 1e-9)
    assert half.regret[0] == pytest.approx((np.log(2) + p * np.log(p) + (1 - p) * np.log(1 - p)).mean())


def test_regret_of_gaussians_counts_means_and_variances():
    def doubled(X, y, X_query):
        mean, variance = LINEAR.bayes_predict(X, y, X_query, return_variance=True)
        return mean, 2 * variance

    regret = icl_regret(doubled, LINEAR, n_ctx=8)
    assert regret.regret[0] == pytest.approx((np.log(2) - 0.5) / 2)
    mean, variance = LINEAR.bayes_predict(LINEAR.X[:, :8], LINEAR.y[:, :8], LINEAR.X[:, 8:], return_variance=True)
    shifted = icl_regret(lambda *split: mean + 0.3, LINEAR, n_ctx=8)
    assert shifted.regret[0] == pytest.approx((0.045 / variance).mean())


def test_knowing_less_costs_something():
    """A mixture of the true family and a wrong one starts with regret, and loses it as the context tells them apart."""
    D = 4
    predict = mixture_bayes_predictor(np.zeros((2, D)), np.stack([np.eye(D), 0.01 * np.eye(D)]), noise=0.5)
    regret = icl_regret(predict, LINEAR, n_ctx=[1, 4, 16])
    assert (np.diff(regret.regret) < 0).all()
    assert regret.low[0] > 0.01
    assert regret.high[-1] < regret.low[0] / 4


def test_permuted_tasks_have_the_same_regret():
    order = np.random.RandomState(0).permutation(60)
    moved = Bunch(**(BOOLEAN | {"X": BOOLEAN.X[order], "y": BOOLEAN.y[order]}))
    model = reference_predictors(BOOLEAN)["knn_3"]
    one, other = (icl_regret(model, tasks, n_ctx=[4, 16]) for tasks in (BOOLEAN, moved))
    np.testing.assert_allclose(other.per_task, one.per_task[:, order], atol=1e-12)


def test_only_predictors_that_draw_have_a_floor_and_draws_lower_it():
    exact = icl_regret(reference_predictors(LINEAR)["mean"], LINEAR, n_ctx=4)
    assert exact.noise_floor[0] == 0
    model = reference_predictors(LOGISTIC)["mean"]
    few = icl_regret(model, LOGISTIC, n_ctx=8)
    more = Bunch(**LOGISTIC)
    more.bayes_predict = partial(LOGISTIC.bayes_predict, n_draws=90)
    assert few.noise_floor[0] > 2 * icl_regret(model, more, n_ctx=8).noise_floor[0] > 0


def test_several_models_at_once_are_like_each_alone():
    models = {name: reference_predictors(BOOLEAN)[name] for name in ("knn_3", "gd_8")}
    together = icl_regret(models, BOOLEAN, n_ctx=[4, 16])
    assert [regret.model_name for regret in together.values()] == ["knn_3", "gd_8"]
    for name, model in models.items():
        alone = icl_regret(model, BOOLEAN, n_ctx=[4, 16])
        np.testing.assert_array_equal(together[name].per_task, alone.per_task)
        np.testing.assert_array_equal(together[name].low, alone.low)


def test_certain_mistakes_cost_no_more_than_the_limit():
    regret = icl_regret(lambda X, y, X_query: np.zeros(X_query.shape[:2]), BOOLEAN, n_ctx=8, estimate="observed")
    assert 5 < regret.regret[0] < -np.log(1e-9)


def test_the_frame_and_the_text_show_the_numbers():
    pytest.importorskip("pandas")
    regret = icl_regret(reference_predictors(LINEAR)["mean"], LINEAR, n_ctx=[4, 8])
    assert regret.to_frame()["regret"].tolist() == regret.regret.tolist()
    assert f"{regret.regret[1]:.4f}" in repr(regret)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"estimate": "true"}, "estimate"),
        ({"n_ctx": 0}, "n_ctx"),
        ({"n_bootstrap": -1}, "n_bootstrap"),
        ({"confidence_level": 0}, "confidence_level"),
        ({"tasks": Bunch(X=LINEAR.X, y=LINEAR.y)}, "tasks"),
        ({"model": {}}, "model"),
        ({"n_ctx": 4.0}, "n_ctx"),
        ({"confidence_level": "a"}, "confidence_level"),
    ],
)
def test_what_does_not_fit_is_refused(change, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        icl_regret(**({"model": reference_predictors(LINEAR)["mean"], "tasks": LINEAR} | change))


@pytest.mark.parametrize("estimate", ["expected", "observed"])
def test_without_noise_there_are_no_nats(estimate):
    """Where the Bayes predictor is certain, a loss has no bound: an error, and no NaN."""
    tasks = make_linear_tasks(4, 20, 3, noise=0.0, random_state=0)
    with pytest.raises(ValueError, match="variances down to 0; a forecast needs positive ones"):
        icl_regret(reference_predictors(tasks)["gd_1"], tasks, n_ctx=[2, 8], estimate=estimate)


def test_variances_of_a_model_are_positive():
    def model(X, y, X_query, return_variance=False):
        return np.zeros(X_query.shape[:2]), -np.ones(X_query.shape[:2])

    with pytest.raises(ValueError, match="variances down to -1"):
        icl_regret(model, LINEAR, n_ctx=4)


def test_a_bayes_predictor_of_the_user_tells_variances():
    ridge = reference_predictors(LINEAR)["ridge"]
    with pytest.raises(ValueError, match="must take return_variance=True"):
        icl_regret(ridge, Bunch(X=LINEAR.X, y=LINEAR.y, bayes_predict=ridge), n_ctx=4)
    with pytest.raises(TypeError, match="a function as `bayes_predict`, got int"):
        icl_regret(ridge, Bunch(X=LINEAR.X, y=LINEAR.y, bayes_predict=3), n_ctx=4)
