"""Finding the modules of a network: right ones, right order, and clear errors where names are unknown."""

import pytest
from inspection.patched_networks import FAMILIES, random_network
from prompting.tiny_causal_models import network_of

from skicl.inspection._patching._modules import find_sites

NAMES = {
    "gpt2": ("transformer.h.1.attn.c_proj", "transformer.h.1.mlp"),
    "gpt_neo": ("transformer.h.1.attn.attention.out_proj", "transformer.h.1.mlp"),
    "gpt_neox": ("gpt_neox.layers.1.attention.dense", "gpt_neox.layers.1.mlp.dense_4h_to_h"),
    "opt": ("model.decoder.layers.1.self_attn.out_proj", "model.decoder.layers.1.fc2"),
    "bloom": ("transformer.h.1.self_attention.dense", "transformer.h.1.mlp.dense_4h_to_h"),
    "falcon": ("transformer.h.1.self_attention.dense", "transformer.h.1.mlp.dense_4h_to_h"),
    "phi": ("model.layers.1.self_attn.dense", "model.layers.1.mlp"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_modules_of_every_family(family):
    network, _ = random_network(family)
    sites, n_heads = find_sites(network)
    assert n_heads == 2
    assert [(site.layer, site.kind) for site in sites] == [(0, "heads"), (0, "mlps"), (1, "heads"), (1, "mlps")]
    expected = NAMES.get(family, ("model.layers.1.self_attn.o_proj", "model.layers.1.mlp"))
    assert (sites[2].name, sites[3].name) == expected
    assert all(network.get_submodule(site.name) is site.module for site in sites)


def test_own_names():
    network, _ = random_network("gpt2")
    names = {"heads": "transformer.h.{layer}.attn.c_proj", "mlps": "transformer.h.{layer}.mlp.c_proj"}
    sites, _ = find_sites(network, names)
    assert sites[1].module is network.transformer.h[0].mlp.c_proj


def test_unknown_architectures_are_named():
    with pytest.raises(ValueError, match=r"MambaForCausalLM \(mamba\) have unknown names: no heads and mlps"):
        find_sites(network_of("mamba"))


@pytest.mark.parametrize(
    ("modules", "error", "message"),
    [
        ("attn", TypeError, "`modules` must be a mapping"),
        ({"heads": "h.{layer}"}, ValueError, r"must have the keys 'heads' and 'mlps', got \['heads'\]"),
        ({"heads": "h.0", "mlps": "h.{layer}.mlp"}, ValueError, r"`modules`\['heads'\] must be a name with \{layer\}"),
        ({"heads": "h.{layer}", "mlps": "h.{layer}"}, ValueError, "GPT2LMHeadModel has no module 'h.0'"),
    ],
)
def test_errors(modules, error, message):
    with pytest.raises(error, match=message):
        find_sites(random_network("gpt2")[0], modules)
