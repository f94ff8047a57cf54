"""Private copies: what is shared, what is not, what changes are, and dropout with a generator of its own."""

import pickle

import numpy as np
import pytest
import torch

from skicl.finetuning._private_copy import changed_tensors, freeze, private_copy, put_changes, seeded_dropout


def make_network(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Embedding(20, 4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 3))
    network.register_buffer("shift", torch.ones(2))
    with torch.no_grad():
        for weight in network.parameters():
            weight.normal_(generator=generator)
    return network.to(dtype).train()


def state(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_trainable_copy_has_weights_of_its_own_in_float32():
    network = make_network(torch.bfloat16)
    before = state(network)
    copy = private_copy(network, trainable=True)
    assert {weight.dtype for weight in copy.parameters()} == {torch.float32}
    copy(torch.tensor([1, 2])).sum().backward()
    with torch.no_grad():
        for weight in copy.parameters():
            weight.add_(1.0)
        copy.shift.add_(1.0)
    assert same(state(network), before)
    assert all(weight.grad is None for weight in network.parameters())
    assert network.training
    assert not copy.training


def test_a_light_copy_shares_memory_and_takes_no_gradient():
    network = make_network()
    copy = private_copy(network, trainable=False)
    for one, other in zip(network.parameters(), copy.parameters()):
        assert one.data_ptr() == other.data_ptr()
        assert one.requires_grad
        assert not other.requires_grad
    assert copy.shift.data_ptr() != network.shift.data_ptr()
    copy[2] = torch.nn.Identity()
    assert isinstance(network[2], torch.nn.Linear)


def test_tied_weights_stay_tied():
    network = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    network[1].weight = network[0].weight
    copy = private_copy(network, trainable=True)
    assert copy[1].weight is copy[0].weight


def test_freeze():
    copy = private_copy(make_network(), trainable=True)
    copy(torch.tensor([1])).sum().backward()
    freeze(copy)
    assert not any(weight.requires_grad or weight.grad is not None for weight in copy.parameters())


def test_changes_put_into_a_fresh_copy_restore_the_trained_one():
    network = make_network()
    copy = private_copy(network, trainable=True)
    with torch.no_grad():
        copy[0].weight[[3, 7]] += 1.0  # two of twenty rows
        copy[2].weight += 1.0
    changes = changed_tensors(network, copy)
    assert set(changes) == {"0.weight", "2.weight"}, "the bias has not changed"
    assert changes["0.weight"][0].tolist() == [3, 7]
    assert changes["2.weight"][0] is None
    fresh = private_copy(network, trainable=True)
    put_changes(fresh, pickle.loads(pickle.dumps(changes)))
    assert same(state(fresh), state(copy))
    assert changed_tensors(network, private_copy(network, trainable=True)) == {}


def test_changes_of_another_network_are_refused():
    with pytest.raises(ValueError, match="has no weight 'other'"):
        put_changes(make_network(), {"other": (None, np.zeros(3, dtype=np.float32))})
    with pytest.raises(ValueError, match=r"has no weight '2\.weight' of the shape"):
        put_changes(make_network(), {"2.weight": (None, np.zeros((2, 4), dtype=np.float32))})


def test_dropout_draws_from_its_own_generator_and_is_undone():
    copy = private_copy(make_network(), trainable=False)
    x = torch.arange(20)
    plain, layer, before = copy(x), copy[1], torch.get_rng_state()

    def outputs(seed):
        with seeded_dropout(copy, torch.Generator().manual_seed(seed)):
            return copy(x), copy(x)

    first, second = outputs(0)
    assert not torch.equal(first, second)
    assert torch.equal(first, outputs(0)[0])
    assert not torch.equal(first, outputs(1)[0])
    assert torch.equal(torch.get_rng_state(), before)
    assert copy[1] is layer
    assert torch.equal(copy(x), plain)


def test_dropout_keeps_the_mean_and_rests_in_evaluation_mode():
    network = torch.nn.Sequential(torch.nn.Dropout(0.25)).eval()
    ones = torch.ones(100_000)
    with seeded_dropout(network, torch.Generator().manual_seed(0)) as layers:
        dropped = network(ones)
        assert dropped.mean().item() == pytest.approx(1.0, abs=0.01)
        assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
        network.eval()
        assert torch.equal(network(ones), ones)
        layers.train()
        assert not torch.equal(network(ones), ones)


def test_dropout_is_undone_after_an_error():
    network = torch.nn.Sequential(torch.nn.Dropout(0.25))
    layer = network[0]
    with pytest.raises(KeyboardInterrupt), seeded_dropout(network, torch.Generator()):
        raise KeyboardInterrupt
    assert network[0] is layer
