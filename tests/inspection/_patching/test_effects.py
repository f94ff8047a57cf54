"""Effects in networks small enough to know them by hand, passed once or several times."""

import numpy as np
import pytest
import torch

from skicl.inspection._patching._effects import effects_of_batch
from skicl.inspection._patching._modules import Site


class TwoHeads(torch.nn.Module):
    """Adds a weighted sum of two heads, and the square of the result."""

    def __init__(self):
        super().__init__()
        self.out, self.mlp = torch.nn.Linear(2, 1, bias=False), torch.nn.Identity()
        self.out.weight.data = torch.tensor([[2.0, 3.0]])

    def forward(self, x):
        summed = self.out(x)
        return (summed + self.mlp(summed**2))[..., 0]


def sites_of(network):
    return [Site("out", "heads", 0, network.out), Site("mlp", "mlps", 0, network.mlp)]


def effects(clean, corrupt, method, read):
    network = TwoHeads()
    clean, corrupt = torch.tensor(clean), torch.tensor(corrupt)
    return effects_of_batch(sites_of(network), 2, lambda: read(network, clean), lambda: read(network, corrupt), method)


def test_exact_effects_are_those_by_hand():
    heads, mlps, together, right, wrong = effects([[1.0, 1.0]], [[0.0, 1.0]], "exact", lambda f, x: f(x))
    assert right.tolist() == [5 + 25]
    assert wrong.tolist() == [3 + 9]
    assert heads.tolist() == [[[18.0, 0.0]]]  # the first head makes it clean; the second is the same in both
    assert mlps.tolist() == [[25.0 - 9.0]]
    assert together.tolist() == [18.0]


def test_attribution_is_the_derivative_at_the_corrupt_input():
    heads, mlps, *_ = effects([[1.0, 1.0]], [[0.0, 1.0]], "attribution", lambda f, x: f(x))
    assert heads.tolist() == [[[2 * (1 + 2 * 3.0), 0.0]]]
    assert mlps.tolist() == [[16.0]]


@pytest.mark.parametrize("method", ["exact", "attribution"])
def test_several_passes_and_rows_in_parts(method):
    """A network that is passed twice over three pairs of two rows, the second time in unequal parts, gives the sums."""
    generator = torch.Generator().manual_seed(0)
    clean, corrupt = (torch.randn(3, 2, 2, generator=generator).tolist() for _ in range(2))

    def twice(network, x):
        rows = x.flatten(0, 1)
        first = network(rows)
        return (first + torch.cat([network(-rows[:4]), network(-rows[4:])])).view(3, 2).sum(1)

    def both(network, x):
        return torch.stack([network(x), network(-x)]).sum((0, 2))

    for one, other in zip(effects(clean, corrupt, method, twice), effects(clean, corrupt, method, both)):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_heads_may_have_unequal_parts():
    network = TwoHeads()
    sites = [sites_of(network)[0]._replace(parts=(slice(0, 0), slice(0, 2))), sites_of(network)[1]]
    clean, corrupt = torch.ones(1, 2), torch.zeros(1, 2)
    heads, *_ = effects_of_batch(sites, None, lambda: network(clean), lambda: network(corrupt), "exact")
    assert heads.tolist() == [[[0.0, 30.0]]]


def test_sites_that_cannot_be_exchanged_are_named():
    network, x = TwoHeads(), torch.ones(1, 2)
    with pytest.raises(ValueError, match="out reads 2 channels, which 3 heads cannot share equally"):
        effects_of_batch(sites_of(network), 3, lambda: network(x), lambda: network(x), "exact")
    aside = Site("aside", "heads", 0, torch.nn.Identity())
    with pytest.raises(ValueError, match="`modules`: aside takes no part in the forward pass"):
        effects_of_batch([aside, *sites_of(network)], 2, lambda: network(x), lambda: network(x), "exact")
