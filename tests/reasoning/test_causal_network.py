"""The causal transformer: cached = uncached, together = one by one, and nothing from the future."""

import copy

import pytest
import torch

from skicl.reasoning._causal_network import CausalNetwork


@pytest.fixture
def network():
    network = CausalNetwork(n_features=3, n_points=12, n_channels=16, n_heads=4, n_layers=3).double()
    network.reset_parameters(torch.Generator().manual_seed(0))
    return network


def points(n_sequences=4, n_points=12):
    generator = torch.Generator().manual_seed(1)
    X = torch.randn(n_sequences, n_points, 3, dtype=torch.float64, generator=generator)
    return X, torch.randint(0, 2, (n_sequences, n_points), generator=generator)


def test_cached_equals_the_full_pass_at_every_length(network):
    X, y = points()
    whole = network(X, y)
    caches = network.encode(X[:, :11], y[:, :11])
    for n in range(12):
        lengths = torch.full((4,), n)
        torch.testing.assert_close(network.score(caches, lengths, X[:, n : n + 1])[:, 0], whole[:, n])


def test_lengths_may_differ_and_what_lies_beyond_them_is_not_read(network):
    X, y = points()
    lengths = torch.tensor([0, 3, 7, 11])
    found = network.score(network.encode(X[:, :11], y[:, :11]), lengths, X[:, 11:])
    other = X.clone()
    for row, n in zip(other, lengths):
        row[n:11] = 7.0
    torch.testing.assert_close(network.score(network.encode(other[:, :11], y[:, :11]), lengths, X[:, 11:]), found)
    assert (found[:-1] != network(X, y)[:-1, 11:]).all()


def test_queries_together_equal_one_by_one(network):
    X, y = points()
    caches, lengths = network.encode(X[:, :6], y[:, :6]), torch.full((4,), 6)
    together = network.score(caches, lengths, X[:, 6:])
    alone = [network.score(caches, lengths, X[:, i : i + 1]) for i in range(6, 12)]
    torch.testing.assert_close(torch.cat(alone, 1), together)


def test_a_label_is_predicted_without_it_and_without_what_follows(network):
    X, y = points()
    before = network(X, y)
    changed = network(torch.cat([X[:, :6], -X[:, 6:]], 1), torch.cat([y[:, :5], 1 - y[:, 5:]], 1))
    torch.testing.assert_close(changed[:, :6], before[:, :6])
    assert (changed[:, 6:] != before[:, 6:]).all()


def test_the_same_generator_gives_the_same_weights():
    first, second = (CausalNetwork(3, 12, 16, 4, 2) for _ in range(2))
    for network in (first, second):
        network.reset_parameters(torch.Generator().manual_seed(5))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters()))


def test_a_sequence_that_begins_later_is_read_at_its_positions(network):
    X, y = points(3, 4)
    plain, found = network(X, y), network(X, y, torch.tensor([0, 2, 8]))
    torch.testing.assert_close(found[0], plain[0])
    assert (found[1:] != plain[1:]).all()
    moved = copy.deepcopy(network)
    for i, first in enumerate((0, 2, 8)):
        with torch.no_grad():
            moved.position.copy_(network.position.roll(-2 * first, 0))
        torch.testing.assert_close(moved(X, y)[i], found[i])
