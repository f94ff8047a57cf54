"""The language model that a parameter denotes: by name or folder, or a network and its tokenizer in memory."""

import os
from collections.abc import Sequence
from contextlib import contextmanager, nullcontext

import torch

from skicl._models._causal_head import load_causal_model
from skicl._validation._environment import resolve_device

_EXPECTED = "the name or the folder of a causal language model, or a pair (network, tokenizer) of transformers"


@contextmanager
def opened_model(model):
    """A network with its head and its tokenizer, held for this block; a name or a folder is loaded and shared."""
    if isinstance(model, str | os.PathLike):
        loaded = load_causal_model(model, None, resolve_device(None), None)
        # Nobody else may use the network while there are hooks on it.
        held, network, tokenizer = loaded.lock, loaded.model.whole, loaded.model.tokenizer
    else:
        held, (network, tokenizer) = nullcontext(), _check_pair(model)
    with held:
        yield network, tokenizer


def opened_tokenizer(tokenizer):
    """The tokenizer that a parameter denotes; the name or the folder of a model means its tokenizer."""
    if isinstance(tokenizer, str | os.PathLike):
        try:
            with opened_model(tokenizer) as (_, of_model):
                return of_model
        except ValueError as error:
            raise ValueError(f"`tokenizer`={str(tokenizer)!r} names no model with a tokenizer: {error}") from error
    if not callable(tokenizer):
        raise TypeError(
            "`tokenizer` must be a tokenizer of transformers or the name or folder of a model, got "
            f"{type(tokenizer).__name__}."
        )
    return tokenizer


def _check_pair(model):
    if not isinstance(model, Sequence) or len(model) != 2:
        raise TypeError(f"`model` must be {_EXPECTED}, or a reasoner, got {type(model).__name__}.")
    network, tokenizer = model
    if hasattr(network, "get_base_model"):  # adapters of peft stay in place; what they wrap is given
        network = network.get_base_model()
    if not hasattr(network, "config") or not isinstance(network, torch.nn.Module) or not callable(tokenizer):
        raise TypeError(f"`model` must be {_EXPECTED}, got ({type(network).__name__}, {type(tokenizer).__name__}).")
    if network.get_output_embeddings() is None:
        raise ValueError(
            f"`model`: {type(network).__name__} has no head that gives logits. Load it by AutoModelForCausalLM."
        )
    return network, tokenizer
