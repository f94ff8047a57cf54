"""Laws of activation patching: nothing exchanged is 0, all exchanged is 1, known heads are found, no trace is left."""

import warnings
from copy import deepcopy

import numpy as np
import pytest
import torch
from inspection.patched_networks import (
    FAMILIES,
    hooks_of,
    induction_network,
    induction_pairs,
    letter_pairs,
    random_network,
)

from skicl.inspection import PatchingPairs, activation_patching


def patch(model, pairs, **options):
    """Without a word on pairs that random weights cannot solve."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The difference of logits")
        return activation_patching(model, pairs, **{"min_difference": 0, **options})


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family(family):
    """Heads and MLPs are all there is, in a batch as one by one, by either method, and no hook stays."""
    model, pairs = random_network(family), letter_pairs()
    before = [weight.clone() for weight in model[0].parameters()]
    together = patch(model, pairs)
    assert together.heads.shape == (2, 2)
    assert together.mlps.shape == (2,)
    assert together.completeness == pytest.approx(1, abs=1e-4)
    assert np.abs(together.head_terms).max() > 1e-4
    assert np.abs(together.mlp_terms).max() > 1e-4
    alone = [patch(model, PatchingPairs(*([column[i]] for column in pairs))) for i in range(3)]
    np.testing.assert_allclose(together.head_terms, np.concatenate([one.head_terms for one in alone]), atol=2e-4)
    np.testing.assert_allclose(together.mlp_terms, np.concatenate([one.mlp_terms for one in alone]), atol=2e-4)
    linear = patch(model, pairs, method="attribution")
    np.testing.assert_array_equal(linear.differences, together.differences)
    assert np.isfinite(linear.heads).all()
    assert hooks_of(model[0]) == 0
    assert all(weight.grad is None and torch.equal(weight, old) for weight, old in zip(model[0].parameters(), before))


@pytest.mark.parametrize("method", ["exact", "attribution"])
def test_a_prompt_exchanged_with_itself_gives_zero(method):
    model, pairs = random_network("llama"), letter_pairs(4)
    same = PatchingPairs(pairs.clean, [pairs.clean[0], *pairs.corrupt[1:]], pairs.clean_answers, pairs.corrupt_answers)
    patching = patch(model, same, method=method)
    assert patching.differences[0] == 0
    assert (patching.head_terms[0] == 0).all()
    assert (patching.mlp_terms[0] == 0).all()
    assert np.abs(patching.head_terms[1:]).max() > 0


def test_a_head_that_is_not_read_has_no_effect():
    network, tokenizer = random_network("qwen")
    with torch.no_grad():
        network.model.layers[1].self_attn.o_proj.weight[:, :16] = 0
    for method in ("exact", "attribution"):
        patching = patch((network, tokenizer), letter_pairs(), method=method)
        assert (patching.head_terms[:, 1, 0] == 0).all()
        assert (patching.head_terms[:, 1, 1] != 0).all()


def test_the_heads_of_an_induction_network_come_first():
    model, pairs = induction_network(), induction_pairs()
    patching = activation_patching(model, pairs)
    assert patching.coverage == 1
    order = np.argsort(-patching.heads.ravel())
    assert sorted(order[:2].tolist()) == [0 * 4 + 1, 1 * 4 + 2]
    np.testing.assert_allclose(patching.heads[[0, 1], [1, 2]], 1, atol=0.1)
    others = np.abs(np.append(np.delete(patching.heads.ravel(), order[:2]), patching.mlps))
    assert others.max() < 0.1
    heads, _ = patching.circuit(size=2)
    assert np.argwhere(heads).tolist() == [[0, 1], [1, 2]]
    assert np.array_equal(patching.circuit(share=0.7)[0], heads)


def test_without_its_heads_the_induction_network_tells_nothing_apart():
    network, tokenizer = induction_network()
    with torch.no_grad():
        network.transformer.h[1].attn.c_proj.weight[32:48] = 0
    with pytest.raises(ValueError, match="`pairs`: the network does not tell clean inputs from corrupt ones"):
        activation_patching((network, tokenizer), induction_pairs(), min_difference=0.5)


def test_sdpa_and_eager_agree():
    network, tokenizer = random_network("llama")
    found = []
    for kind in ("sdpa", "eager"):
        copy = deepcopy(network)
        copy.set_attn_implementation(kind)
        found.append(patch((copy, tokenizer), letter_pairs()))
    np.testing.assert_allclose(found[0].head_terms, found[1].head_terms, atol=2e-4)
    np.testing.assert_allclose(found[0].mlp_terms, found[1].mlp_terms, atol=2e-4)


def test_attribution_is_the_derivative_of_exact_patching():
    """The nearer the prompts are to one another, the better the linear approximation."""
    network, tokenizer = random_network("gpt2")
    with torch.no_grad():
        embedding = network.transformer.wte.weight
        network.lm_head.weight = torch.nn.Parameter(embedding.clone())  # answers stay apart
        centre = embedding.mean(0)
        apart = []
        for scale in (1.0, 0.1, 0.01):
            copy = deepcopy(network)
            copy.transformer.wte.weight.copy_(centre + scale * (embedding - centre))
            exact, linear = (patch((copy, tokenizer), letter_pairs(6), method=m) for m in ("exact", "attribution"))
            terms = [np.concatenate([p.head_terms.reshape(6, -1), p.mlp_terms], 1).ravel() for p in (exact, linear)]
            apart.append(1 - np.corrcoef(terms)[0, 1])
    assert apart[2] < 1e-3
    assert apart[2] < apart[0]


def test_a_prefix_stands_before_both_prompts():
    model, pairs = induction_network(), induction_pairs(3)
    joined = PatchingPairs([f"o n {p}" for p in pairs.clean], [f"o n {p}" for p in pairs.corrupt], *pairs[2:])
    first = activation_patching(model, pairs, prefix="o n ")
    for prompts in (activation_patching(model, joined), activation_patching(model, pairs, prefix=["o n "] * 3)):
        np.testing.assert_array_equal(first.head_terms, prompts.head_terms)
    assert not np.array_equal(first.head_terms, activation_patching(model, pairs).head_terms)


def test_the_order_of_the_pairs_and_the_batches_do_not_matter():
    model, pairs = induction_network(noise=0.1), induction_pairs(7)
    order = np.random.default_rng(0).permutation(7)
    whole = activation_patching(model, pairs)
    turned = activation_patching(model, PatchingPairs(*([c[i] for i in order] for c in pairs)), batch_size=2)
    np.testing.assert_allclose(whole.head_terms[order], turned.head_terms, atol=1e-4)
    np.testing.assert_allclose(whole.heads, turned.heads, atol=1e-4)


@pytest.mark.parametrize("method", ["exact", "attribution"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_hooks_are_removed_and_the_mode_restored_on_errors(error, method):
    network, tokenizer = random_network("opt")
    network.train()
    network.model.decoder.layers[0].eval()
    modes = [module.training for module in network.modules()]
    calls = []

    def stop(*_):
        calls.append(1)
        if len(calls) == 4:
            raise error("stop")

    handle = network.model.decoder.layers[1].fc2.register_forward_hook(stop)
    with pytest.raises(error):
        patch((network, tokenizer), letter_pairs(), method=method)
    handle.remove()
    assert hooks_of(network) == 0
    assert [module.training for module in network.modules()] == modes


def test_training_mode_plays_no_part():
    network, tokenizer = random_network("bloom")
    for module in network.modules():
        if isinstance(getattr(module, "hidden_dropout", None), float):
            module.hidden_dropout = 0.5
    expected = patch((network, tokenizer), letter_pairs())
    network.train()
    ids = torch.arange(5)[None]
    assert not torch.equal(network(ids).logits, network(ids).logits), "dropout is at work"
    found = patch((network, tokenizer), letter_pairs())
    np.testing.assert_array_equal(expected.head_terms, found.head_terms)
    assert network.training


def test_frozen_weights_have_gradients_of_activations():
    network, tokenizer = random_network("llama")
    expected = patch((network, tokenizer), letter_pairs(), method="attribution")
    network.requires_grad_(False)
    found = patch((network, tokenizer), letter_pairs(), method="attribution")
    np.testing.assert_array_equal(expected.head_terms, found.head_terms)


def test_half_precision():
    network, tokenizer = random_network("llama")
    expected = patch((network, tokenizer), letter_pairs(6))
    found = patch((network.to(torch.bfloat16), tokenizer), letter_pairs(6))
    assert found.completeness == pytest.approx(1, abs=0.05)
    assert np.corrcoef(expected.head_terms.ravel(), found.head_terms.ravel())[0, 1] > 0.95


def test_modules_by_name_and_what_they_miss():
    network, tokenizer = random_network("mistral")
    usual = {"heads": "model.layers.{layer}.self_attn.o_proj", "mlps": "model.layers.{layer}.mlp"}
    model, pairs = (network, tokenizer), letter_pairs()
    expected, found = patch(model, pairs), patch(model, pairs, modules=usual)
    np.testing.assert_array_equal(expected.heads, found.heads)
    queries = {**usual, "heads": "model.layers.{layer}.self_attn.q_proj"}  # keys and values left out
    with pytest.warns(UserWarning, match="All heads and MLPs together have an effect of"):
        patch(model, pairs, modules=queries)


def test_pairs_that_are_not_solved_are_named():
    model, pairs = random_network("llama"), letter_pairs(6)
    wrong = PatchingPairs(*pairs[:2], pairs.corrupt_answers, pairs.clean_answers)
    means = [patch(model, p).differences.mean() for p in (pairs, wrong)]
    assert means[0] == pytest.approx(-means[1])
    with pytest.warns(UserWarning, match="effects are shares of a number that may be zero"):
        activation_patching(model, pairs if means[0] < 0 else wrong)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": 3}, TypeError, "`model` must be the name or the folder of a causal language model, or a pair"),
        ({"model": "./nowhere"}, ValueError, "`model`='./nowhere' does not exist"),
        ({"model": (1, 2)}, TypeError, r"got \(int, int\)"),
        ({"pairs": "abc"}, TypeError, "`pairs` must be PatchingPairs"),
        ({"method": "fast"}, ValueError, "`method` must be one of 'exact', 'attribution', got 'fast'"),
        ({"batch_size": 0}, ValueError, "`batch_size` must be an integer of at least 1, got 0"),
        ({"min_difference": -1}, ValueError, "`min_difference` must be a number of at least 0, got -1"),
        ({"prefix": "b c " * 80}, ValueError, "`pairs`: the longest prompt, with its `prefix`, has"),
        ({"prefix": ["a"]}, ValueError, "`prefix` has 1 entries, expected 3"),
    ],
)
def test_errors_come_before_any_work(arguments, error, message):
    model = random_network("gpt2")
    handle = model[0].register_forward_pre_hook(lambda *_: pytest.fail("the network was called"))
    given = {"model": model, "pairs": letter_pairs(), **arguments}
    with pytest.raises(error, match=message):
        activation_patching(given.pop("model"), given.pop("pairs"), **given)
    handle.remove()


def test_pairs_are_checked_before_a_model_is_loaded():
    """A name is looked for on the hub, which takes time: with bad pairs it is not."""
    for arguments, name in (({"pairs": 3}, "pairs"), ({"prefix": 3}, "prefix")):
        with pytest.raises(TypeError, match=f"`{name}`"):
            activation_patching("./nowhere", **({"pairs": letter_pairs()} | arguments))


def test_networks_without_a_head_are_refused():
    network, tokenizer = random_network("llama")
    with pytest.raises(ValueError, match="LlamaModel has no head that gives logits"):
        activation_patching((network.model, tokenizer), letter_pairs())


def test_adapters_stay_in_place():
    """What peft wraps is read as it is, adapters included."""

    class Adapted(torch.nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def get_base_model(self):
            return self.network

    class LowRank(torch.nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer, self.change = layer, torch.nn.Linear(layer.in_features, layer.out_features, bias=False)

        def forward(self, x):
            return self.layer(x) + self.change(x)

    network, tokenizer = random_network("llama")
    attention = network.model.layers[0].self_attn
    attention.o_proj = LowRank(attention.o_proj)
    found = patch((Adapted(network), tokenizer), letter_pairs())
    with torch.no_grad():
        attention.o_proj.layer.weight += attention.o_proj.change.weight
    attention.o_proj = attention.o_proj.layer
    np.testing.assert_allclose(found.head_terms, patch((network, tokenizer), letter_pairs()).head_terms, atol=2e-4)
    assert found.completeness == pytest.approx(1, abs=1e-4)
