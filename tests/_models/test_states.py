import numpy as np
import pytest
import torch

from skicl._models._states import POOLINGS, check_layers, check_pooling, padded, pool, resolve_layers


def test_pooling_of_one_text_by_hand():
    states = torch.tensor([[[1.0, 0.0], [2.0, 4.0], [6.0, 5.0]]])
    counted = torch.ones(1, 3)
    expected = {"mean": [3, 3], "weighted_mean": [23 / 6, 23 / 6], "last": [6, 5], "first": [1, 0]}
    assert set(expected) == set(POOLINGS)
    for pooling, vector in expected.items():
        np.testing.assert_allclose(pool(states, counted, pooling)[0], vector, rtol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_on_either_side_or_between_changes_nothing(pooling):
    states = torch.randn(3, 9, 4, generator=torch.Generator().manual_seed(0))
    short = states[:, :5]
    expected = pool(short, torch.ones(3, 5), pooling)
    junk = torch.full((3, 4, 4), float("nan"))
    zeros, ones = torch.zeros(3, 4), torch.ones(3, 5)
    left = pool(torch.cat([junk, short], 1), torch.cat([zeros, ones], 1), pooling)
    right = pool(torch.cat([short, junk], 1), torch.cat([ones, zeros], 1), pooling)
    between = pool(
        torch.cat([short[:, :2], junk, short[:, 2:]], 1), torch.cat([ones[:, :2], zeros, ones[:, 2:]], 1), pooling
    )
    for actual in (left, right, between):
        torch.testing.assert_close(actual, expected)


def test_one_counted_token_is_the_vector():
    states = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    counted = torch.zeros(2, 6, dtype=torch.bool)
    counted[0, 1] = counted[1, 5] = True
    for pooling in POOLINGS:
        torch.testing.assert_close(pool(states, counted, pooling), torch.stack([states[0, 1], states[1, 5]]))


@pytest.mark.parametrize(
    ("layers", "numbers"),
    [(-1, (6,)), (6, (6,)), (0, (0,)), (-7, (0,)), (0.0, (0,)), (1.0, (6,)), (0.5, (3,)), (0.75, (5,)), (1 / 3, (2,)),
     ([-1, -2], (6, 5)), ((0.5, 3), (3,)), (np.int64(2), (2,)), (np.float32(0.5), (3,)), (np.array([1, 2]), (1, 2))],
)  # fmt: skip
def test_layers_by_index_and_by_fraction(layers, numbers):
    assert resolve_layers(layers, 6) == numbers


def test_integer_one_is_a_layer_and_float_one_the_depth():
    assert resolve_layers(1, 6) != resolve_layers(1.0, 6)


@pytest.mark.parametrize("layers", [7, -8, [0, 7]])
def test_layers_that_the_model_lacks(layers):
    with pytest.raises(ValueError, match=r"the model has no layer .*Expected -7 to 6, where 0 are the embeddings"):
        resolve_layers(layers, 6)


@pytest.mark.parametrize("layers", [None, "last", 1.5, -0.1, True, [], [None], [[1]], {}, float("nan")])
def test_layers_of_no_model(layers):
    with pytest.raises(ValueError, match="`layers` must be an integer"):
        check_layers(layers)


@pytest.mark.parametrize("pooling", [None, "max", 1, ["mean"]])
def test_unknown_pooling(pooling):
    with pytest.raises(ValueError, match="`pooling` must be one of 'mean', 'weighted_mean', 'last', 'first'"):
        check_pooling(pooling)


def test_rows_are_padded_on_the_right():
    ids, mask = padded([[5, 6, 7], [8]], 9, torch.device("cpu"))
    assert ids.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
