"""Where the heads and MLPs of a causal language model are: modules found by their names in the usual architectures."""

from collections.abc import Mapping
from typing import Any, NamedTuple

# Where the list of blocks is, below the network without its head.
_BLOCKS = ("h", "layers", "decoder.layers", "language_model.layers")
# The projection that reads the outputs of all heads side by side, inside a block.
_HEADS = (
    "attn.c_proj",  # GPT-2
    "attn.attention.out_proj",  # GPT-Neo
    "self_attn.o_proj",  # Llama, Qwen, Mistral, Gemma, Phi-3
    "self_attn.out_proj",  # OPT
    "self_attn.dense",  # Phi
    "attention.dense",  # GPT-NeoX, Pythia
    "self_attention.dense",  # BLOOM, Falcon
)
# What the MLP adds. BLOOM's module `mlp` adds the residual stream to it, so its last projection is looked for first.
_MLPS = ("mlp.dense_4h_to_h", "mlp", "fc2")
_KINDS = ("heads", "mlps")


class Site(NamedTuple):
    """One place in a network where an activation is exchanged."""

    name: str  # of the module in the network
    kind: str  # "heads": the input of the module counts, all heads side by side; "mlps": its output
    layer: int
    module: Any
    method: str | None = None  # a method of the module instead, whose result counts
    parts: tuple | None = None  # the slice of channels of each head; None means equal parts


def find_sites(network, modules=None):
    """The sites of all blocks (heads of block 0, MLP of block 0, heads of block 1, ...) and the number of heads of one.

    `modules` are names with ``{layer}`` under "heads" and "mlps"; None looks for the names of known architectures.
    """
    config = network.config.get_text_config()
    named = dict(network.named_modules())
    patterns = _known_patterns(network, named) if modules is None else _check_patterns(modules)
    n_heads = getattr(config, "num_attention_heads", None)
    if not n_heads:
        raise ValueError(
            f"`model` has no number of heads in its configuration ({type(network).__name__}). Expected a "
            "causal language model with attention heads."
        )
    sites = []
    for layer in range(config.num_hidden_layers):
        for kind in _KINDS:
            name = patterns[kind].format(layer=layer)
            if name not in named:
                raise ValueError(
                    f"`modules`: {type(network).__name__} has no module {name!r}, which {kind!r} of layer "
                    f"{layer} should be. Take the names of network.named_modules(), with {{layer}} in "
                    "place of the number."
                )
            sites.append(Site(name, kind, layer, named[name]))
    return sites, n_heads


def _known_patterns(network, named):
    """Names with ``{layer}`` for an architecture whose modules are called as usual."""
    prefix = next((name + "." for name, module in named.items() if module is network.base_model and name), "")
    blocks = next((f"{prefix}{path}" for path in _BLOCKS if f"{prefix}{path}.0" in named), None)
    names = {}
    for kind, candidates in zip(_KINDS, (_HEADS, _MLPS)):
        names[kind] = next((name for name in candidates if f"{blocks}.0.{name}" in named), None)
    if blocks is None or None in names.values():
        missing = "list of blocks" if blocks is None else " and ".join(k for k in _KINDS if names[k] is None)
        raise ValueError(
            f"`model`: the modules of {type(network).__name__} ({network.config.model_type}) have unknown names: no "
            f"{missing} found. Name them by `modules`, such as {{'heads': 'model.layers.{{layer}}.self_attn.o_proj', "
            "'mlps': 'model.layers.{layer}.mlp'}: of the heads the projection that follows them, of the MLPs the "
            "module whose output is added to the residual stream."
        )
    return {kind: f"{blocks}.{{layer}}.{name}" for kind, name in names.items()}


def _check_patterns(modules):
    if not isinstance(modules, Mapping):
        raise TypeError(f"`modules` must be a mapping with the keys 'heads' and 'mlps', got {type(modules).__name__}.")
    if set(modules) != set(_KINDS):
        raise ValueError(f"`modules` must have the keys 'heads' and 'mlps', got {sorted(map(str, modules))}.")
    for kind, pattern in modules.items():
        if not isinstance(pattern, str) or "{layer}" not in pattern:
            raise ValueError(
                f"`modules`[{kind!r}] must be a name with {{layer}} in place of the number of the block, "
                f"got {pattern!r}."
            )
    return modules
