"""Hooks read and exchange the right tensors, and are gone afterwards."""

import pytest
import torch
from inspection.patched_networks import hooks_of

from skicl.inspection._patching._hooks import evaluating, hooked, recorded
from skicl.inspection._patching._modules import Site


class Twice(torch.nn.Module):
    """Returns several things, as some attention modules do."""

    def forward(self, x):
        return 2 * x, "more"


@pytest.fixture
def network():
    return torch.nn.Sequential(torch.nn.Linear(3, 3), Twice())


def test_inputs_of_heads_and_outputs_of_mlps_are_recorded(network):
    x = torch.arange(3.0)
    sites = [Site("one", "heads", 0, network[0]), Site("two", "mlps", 0, network[1])]
    with recorded(sites) as states:
        output, _ = network(x)
        network(x + 1)
    assert [len(states[name]) for name in ("one", "two")] == [2, 2]
    assert torch.equal(states["one"][0], x)
    assert torch.equal(states["one"][1], x + 1)
    assert torch.equal(states["two"][0], output)
    assert not states["two"][0].requires_grad
    assert hooks_of(network) == 0


def test_records_do_not_change_with_what_is_added_in_place(network):
    x = torch.arange(3.0)
    with recorded([Site("two", "mlps", 0, network[1])]) as states:
        output, _ = network(x)
    with torch.no_grad():
        before = output.clone()
        output += 1
    assert torch.equal(states["two"][0], before)


def test_what_a_function_returns_takes_the_place(network):
    x = torch.arange(3.0)
    with hooked([(Site("one", "heads", 0, network[0]), lambda tensor: tensor + 1)]):
        changed, _ = network(x)
    assert torch.equal(changed, network(x + 1)[0])
    with hooked([(Site("two", "mlps", 0, network[1]), lambda tensor: -tensor)]):
        changed, more = network(x)
    assert torch.equal(changed, -network(x)[0])
    assert more == "more"


class Doubler(torch.nn.Module):
    """Has a method that is no module."""

    def double(self, x):
        return 2 * x

    def forward(self, x):
        return self.double(x)


def test_results_of_methods_are_read_and_exchanged():
    module, x = Doubler(), torch.arange(3.0)
    site = Site("double", "heads", 0, module, "double")
    with recorded([site]) as states, hooked([(site, lambda tensor: tensor + 1)]):
        assert torch.equal(module(x), 2 * x + 1)
    assert torch.equal(states["double"][0], 2 * x)
    with hooked([(site, lambda _: None)]):
        assert torch.equal(module(x), 2 * x)
    twice = [(site, lambda tensor: tensor + 1)] * 2
    with hooked(twice):
        assert torch.equal(module(x), 2 * x + 2)
    assert "double" not in vars(module)
    with pytest.raises(TypeError), hooked(twice):
        module(None)
    assert "double" not in vars(module)
    assert torch.equal(module(x), 2 * x)


def test_methods_that_users_had_replaced_come_back():
    module, x = Doubler(), torch.arange(3.0)
    module.double = lambda x: 3 * x
    with hooked([(Site("double", "heads", 0, module, "double"), lambda tensor: tensor + 1)]):
        assert torch.equal(module(x), 3 * x + 1)
    assert torch.equal(module(x), 3 * x)


def test_none_changes_nothing(network):
    x = torch.arange(3.0)
    with hooked([(Site(str(i), kind, 0, network[i]), lambda _: None) for i, kind in enumerate(("heads", "mlps"))]):
        assert torch.equal(network(x)[0], network[0](x) * 2)


def test_hooks_that_were_set_go_if_a_later_one_cannot_be_set(network):
    actions = [(Site("one", "heads", 0, network[0]), id), (Site("no module", "mlps", 0, 3), id)]
    with pytest.raises(AttributeError), hooked(actions):
        pytest.fail("entered")
    assert hooks_of(network) == 0


def test_modules_without_a_positional_input_are_named():
    class ByName(torch.nn.Module):
        def forward(self, *, x):
            return x

    module = ByName()
    actions = [(Site("one", "heads", 0, module), id)]
    with hooked(actions), pytest.raises(ValueError, match="one is called without a positional argument"):
        module(x=torch.ones(1))


def test_modes_are_restored_one_by_one(network):
    network.train()
    network[1].eval()
    with evaluating(network):
        assert not any(module.training for module in network.modules())
    assert [module.training for module in network.modules()] == [True, True, False]
