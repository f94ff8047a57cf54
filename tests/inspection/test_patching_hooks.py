"""Hooks read and exchange the right tensors, and are gone afterwards."""

import pytest
import torch
from inspection.patched_networks import hooks_of

from skicl.inspection._patching_hooks import evaluating, hooked, recorded
from skicl.inspection._patching_modules import Site


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
    assert torch.equal(states["one"], x)
    assert torch.equal(states["two"], output)
    assert not states["two"].requires_grad
    assert hooks_of(network) == 0


def test_records_do_not_change_with_what_is_added_in_place(network):
    x = torch.arange(3.0)
    with recorded([Site("two", "mlps", 0, network[1])]) as states:
        output, _ = network(x)
    with torch.no_grad():
        before = output.clone()
        output += 1
    assert torch.equal(states["two"], before)


def test_what_a_function_returns_takes_the_place(network):
    x = torch.arange(3.0)
    with hooked([(Site("one", "heads", 0, network[0]), lambda tensor: tensor + 1)]):
        changed, _ = network(x)
    assert torch.equal(changed, network(x + 1)[0])
    with hooked([(Site("two", "mlps", 0, network[1]), lambda tensor: -tensor)]):
        changed, more = network(x)
    assert torch.equal(changed, -network(x)[0])
    assert more == "more"


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
