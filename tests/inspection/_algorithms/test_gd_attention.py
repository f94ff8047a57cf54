"""The construction of von Oswald et al.: layers of linear attention are steps of gradient descent, exactly."""

import numpy as np
import pytest

from skicl.datasets import make_linear_tasks
from skicl.inspection import LinearAttentionStack, gd_attention_weights
from skicl.inspection._algorithms._reference_linear import gradient_descent

TASKS = make_linear_tasks(8, 25, 5, random_state=0)
SPLIT = TASKS.X[:, :15], TASKS.y[:, :15], TASKS.X[:, 15:]


def test_every_layer_is_one_step_of_gradient_descent():
    """Against a loop over weights, which knows nothing of attention."""
    layers = gd_attention_weights(5, 6, learning_rate=0.03).predict_all_layers(*SPLIT)
    X, y, X_query = SPLIT
    w = np.zeros((8, 5))
    for layer in layers:
        w = w - 0.03 * np.einsum("tnd,tn->td", X, np.einsum("tnd,td->tn", X, w) - y)
        np.testing.assert_allclose(layer, np.einsum("tqd,td->tq", X_query, w), atol=1e-10)
    assert np.abs(layers[-1] - layers[0]).max() > 0.1


def test_it_is_the_reference_predictor():
    found = gd_attention_weights(5, 12, learning_rate=0.02)(*SPLIT)
    np.testing.assert_allclose(found, gradient_descent(*SPLIT, n_steps=12, learning_rate=0.02), atol=1e-6)


def test_rates_may_differ_from_layer_to_layer():
    rates = [0.01, 0.04]
    both = gd_attention_weights(5, 2, learning_rate=rates)
    joined = LinearAttentionStack(
        [*gd_attention_weights(5, 1, learning_rate=0.01).layers, *gd_attention_weights(5, 1, learning_rate=0.04).layers]
    )
    np.testing.assert_array_equal(both(*SPLIT), joined(*SPLIT))
    assert not np.allclose(both(*SPLIT), gd_attention_weights(5, 2, learning_rate=0.01)(*SPLIT))


def test_the_order_of_rows_and_the_other_queries_do_not_matter():
    stack, order = gd_attention_weights(5, 3, learning_rate=0.02), np.random.RandomState(0).permutation(15)
    X, y, X_query = SPLIT
    np.testing.assert_allclose(stack(X[:, order], y[:, order], X_query), stack(*SPLIT), atol=1e-12)
    np.testing.assert_allclose(stack(X, y, X_query[:, 4:5]), stack(*SPLIT)[:, 4:5], atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((0, 1, 0.1), "n_features"),
        ((2, 0, 0.1), "n_steps"),
        ((2, 2, -0.1), "learning_rate"),
        ((2, 2, [0.1]), "learning_rate"),
        ((2, 1, "fast"), "learning_rate"),
        ((2, 1, np.inf), "learning_rate"),
        ((2, 1, True), "learning_rate"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        gd_attention_weights(*arguments[:2], learning_rate=arguments[2])
