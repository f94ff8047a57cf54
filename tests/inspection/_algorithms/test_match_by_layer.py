"""Layers against numbers of steps: what is built from an algorithm is recognised as that, and not as the other."""

from functools import partial

import numpy as np
import pytest
import torch

from skicl.datasets import make_linear_tasks, make_logistic_tasks
from skicl.inspection import gd_attention_weights, layerwise_algorithm_match
from skicl.inspection._algorithms import _reference_linear as linear
from skicl.inspection._algorithms import _reference_logistic as logistic
from skicl.reasoning import EquivariantConfig, EquivariantReasoner

# Variances that differ make gradient descent slow, and tell it from Newton's method.
TASKS = make_linear_tasks(16, 60, 5, condition_number=20, random_state=0)


def layers_of(algorithm, steps):
    return lambda *split: np.stack([algorithm(*split, n_steps=k) for k in steps])


def test_linear_attention_is_gradient_descent_step_by_step_and_not_newton():
    match = layerwise_algorithm_match(
        gd_attention_weights(5, 6, learning_rate=0.005), TASKS, n_ctx=40, gd_steps=range(8), learning_rate=0.005
    )
    np.testing.assert_array_equal(match.best_steps["gd"], [1, 2, 3, 4, 5, 6])
    assert match.distance["gd"].min(axis=1).max() < 1e-12
    assert match.distance["newton"].min(axis=1)[1:].min() > 1e-3


def test_layers_of_newton_are_as_many_steps_of_it_and_ever_more_of_gradient_descent():
    match = layerwise_algorithm_match(layers_of(linear.newton, (2, 4, 6, 8)), TASKS, n_ctx=40)
    np.testing.assert_array_equal(match.best_steps["newton"], [2, 4, 6, 8])
    assert (match.distance["newton"].min(axis=1) == 0).all()
    of_gd = match.best_steps["gd"]
    assert (of_gd[1:] >= 2 * of_gd[:-1]).all()


@pytest.mark.parametrize("name", ["gd", "newton"])
def test_steps_on_the_logistic_loss_are_recognised(name):
    tasks = make_logistic_tasks(8, 40, 4, scale=5.0, random_state=0)
    algorithm = {"gd": logistic.gradient_descent, "newton": logistic.newton}[name]
    match = layerwise_algorithm_match(layers_of(partial(algorithm, scale=5.0), (1, 2, 4)), tasks, n_ctx=20)
    np.testing.assert_array_equal(match.best_steps[name], [1, 2, 4])
    other = {"gd": "newton", "newton": "gd"}[name]
    assert (match.distance[other].min(axis=1) > 1e-4).all()


def test_a_reasoner_is_compared_at_all_layers_and_intervals_hold_the_estimate():
    reasoner = EquivariantReasoner(EquivariantConfig(n_layers=3))
    reasoner.reset_parameters(torch.Generator().manual_seed(0))
    tasks = make_logistic_tasks(8, 30, 4, random_state=0)
    match = layerwise_algorithm_match(reasoner, tasks, n_ctx=20, gd_steps=(0, 4), newton_steps=(0, 2))
    assert match.distance["gd"].shape == match.distance["newton"].shape == (3, 2)
    smallest = match.distance["gd"].min(axis=1)
    assert (match.low["gd"] <= smallest).all()
    assert (smallest <= match.high["gd"]).all()
    # Weights that were never trained have learned nothing: no step is nearest, since it always says one half.
    np.testing.assert_array_equal(match.best_steps["gd"], 0)
    assert "layer  3  newton" in repr(match)


def test_the_floor_is_what_one_row_less_changes():
    match = layerwise_algorithm_match(
        gd_attention_weights(5, 1, learning_rate=0.005), TASKS, n_ctx=40, gd_steps=(0, 4), newton_steps=(0,)
    )
    assert match.noise_floor["gd"][0] == 0
    assert match.noise_floor["gd"][1] > 1e-5


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"gd_steps": [-1]}, "gd_steps"),
        ({"newton_steps": [0.5]}, "newton_steps"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"n_ctx": 1}, "n_ctx"),
        ({"n_bootstrap": 0}, "n_bootstrap"),
        ({"gd_steps": 5}, "gd_steps"),
        ({"gd_steps": [True]}, "gd_steps"),
        ({"newton_steps": []}, "newton_steps"),
        ({"learning_rate": "0.1"}, "learning_rate"),
        ({"learning_rate": np.inf}, "learning_rate"),
    ],
)
def test_parameters_out_of_range_are_refused(change, name):
    def model(X, y, X_query):
        raise AssertionError("the model was asked")

    with pytest.raises(ValueError, match=f"`{name}`"):
        layerwise_algorithm_match(model, TASKS, **({"n_ctx": 40} | change))


def test_steps_that_diverge_are_refused():
    stack = gd_attention_weights(5, 1, learning_rate=0.005)
    with pytest.raises(ValueError, match=r"`learning_rate`=1\.0 makes 256 steps of gradient descent diverge"):
        layerwise_algorithm_match(stack, TASKS, n_ctx=40, learning_rate=1.0)


def test_steps_may_be_unsigned():
    stack, numbers = gd_attention_weights(5, 1, learning_rate=0.005), np.array([0, 1], dtype=np.uint8)
    match = layerwise_algorithm_match(stack, TASKS, n_ctx=40, gd_steps=numbers, learning_rate=0.005)
    assert match.best_steps["gd"].tolist() == [1]
