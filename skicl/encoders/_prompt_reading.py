"""A prompt read once by a causal network: states of its tokens, keys and values, and how to read on after it.

Shapes: L layers, H heads, P tokens of the prompt, B continuations, T tokens of the longest, D features, K features of
a head.
"""

from typing import Any, NamedTuple

from skicl._models._in_memory import state_of
from skicl._models._states import padded, states_of

# How far states of the trial may differ, as a fraction of their size: in float32, in the shorter formats.
_ROUNDING = (1e-4, 5e-2)


class ReadPrompt(NamedTuple):
    """What a network made of a prompt.

    Attributes
    ----------
    ids : tuple of int
        The P tokens.
    states : tensor of shape (P, D), float32
        States of the tokens, the mean over the chosen layers.
    past : list of L pairs of tensors of shape (1, H, P, K), or None
        Keys and values. None where the network has none that can be read on from.
    """

    ids: tuple
    states: Any
    past: list | None


def shares_past(model):
    """Whether a network can read on from the keys and values of a prompt, or of its beginning: found out by a trial.

    Parameters
    ----------
    model : LanguageModel
        A causal one; it keeps the result.

    Returns
    -------
    bool
        False for recurrent and mixed networks, whose state at the end of a prompt cannot be taken back.

    Warns
    -----
    UserWarning
        If it cannot, once for each model.
    """
    if model.shares_past is None:
        model.shares_past = _try_to_share(model)
    return model.shares_past


def read_prompt(model, ids, layers, *, share=True, live=True):
    """Read a prompt, or return what was made of it if it was the last one that was read.

    Parameters
    ----------
    model : LanguageModel
        A causal one; it keeps the result.
    ids : tuple of int
        The tokens.
    layers : tuple of int
        Layers whose mean the states are.
    share : bool, default=True
        Whether to keep keys and values. False serves to check that this changes nothing.
    live : bool, default=True
        Whether others may have changed the weights since.

    Returns
    -------
    read : ReadPrompt
        What continuations are read after.
    """
    key = (ids, layers, share, str(model.network.device), state_of(model.network) if live else None)
    if model.prompt is None or model.prompt[0] != key:
        model.prompt = None  # its memory is free for the new one
        model.prompt = key, _read(model, ids, layers, share and shares_past(model))
    return model.prompt[1]


def read_on(model, read, n_kept, rows, layers):
    """States of the tokens that follow the beginning of a prompt.

    Parameters
    ----------
    model : LanguageModel
        A causal one.
    read : ReadPrompt
        The prompt.
    n_kept : int
        So many tokens of it stand before the rows.
    rows : list of tuple of int
        Tokens of the B continuations, each of which sees the prompt and itself.
    layers : tuple of int
        Layers whose mean the states are.

    Returns
    -------
    states : tensor of shape (B, T, D), float32
        The rows are padded on the right.
    """
    import torch

    if read.past is None or n_kept == 0:
        whole = [[*read.ids[:n_kept], *row] for row in rows]
        ids, mask = padded(whole, model.neutral_token, model.network.device)
        inputs = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
        return states_of(model.network, layers, model.n_layers, **inputs)[:, n_kept:]
    ids, mask = padded(rows, model.neutral_token, model.network.device)
    mask = torch.cat([mask.new_ones(len(rows), n_kept), mask], dim=1)  # B, n_kept + T
    past = _past(read.past, n_kept, len(rows))
    inputs = {"input_ids": ids, "attention_mask": mask, model.past_name(model.network): past, "use_cache": True}
    return states_of(model.network, layers, model.n_layers, **inputs)


def _try_to_share(model):
    """Read four tokens, go back to the third, and read on: is it as if the others had been read at once?"""
    first = tuple(model.some_tokens(6))
    layers = (model.n_layers,)
    whole = _read(model, (*first[:3], *first[4:]), layers, False).states[3:]

    def difference():
        states = read_on(model, _read(model, first[:4], layers, True), 3, [first[4:]], layers)[0]
        return (states - whole).abs().max() / whole.abs().max().clamp(min=1e-30)

    return model.reads_on(model.network, difference, _ROUNDING[model.network.dtype.itemsize < 4])


def _read(model, ids, layers, share):
    from transformers import DynamicCache

    tokens, mask = padded([ids], model.neutral_token, model.network.device)
    # Without a configuration the cache keeps all that sliding layers would forget: then any beginning can be reused.
    past = DynamicCache() if share else None
    inputs = {"input_ids": tokens, "attention_mask": mask, "use_cache": share}
    if share:
        inputs[model.past_name(model.network)] = past
    states = states_of(model.network, layers, model.n_layers, **inputs)[0]
    return ReadPrompt(ids, states, [(layer.keys, layer.values) for layer in past.layers] if share else None)


def _past(layers, n_kept, n_rows):
    """Keys and values of the beginning of a prompt, once for each continuation."""
    from transformers import DynamicCache

    past = DynamicCache()
    for number, (keys, values) in enumerate(layers):
        repeated = [part[:, :, :n_kept].expand(n_rows, -1, -1, -1) for part in (keys, values)]
        past.update(*repeated, number)
    return past
