"""From the states of a network to one vector a text: which layers, which tokens, which mean. Pure functions.

Shapes: B texts, T tokens, D features.
"""

from collections.abc import Iterable
from numbers import Integral, Real

import numpy as np

from skicl._validation._wording import did_you_mean

POOLINGS = ("mean", "weighted_mean", "last", "first")


def check_pooling(pooling):
    """Refuse a parameter that names no pooling.

    Parameters
    ----------
    pooling : object
        What the user gave.

    Raises
    ------
    ValueError
        If it is none of ``POOLINGS``.
    """
    if not (isinstance(pooling, str) and pooling in POOLINGS):
        raise ValueError(
            f"`pooling` must be one of {', '.join(map(repr, POOLINGS))}, got {pooling!r}."
            + did_you_mean(pooling, POOLINGS)
        )


def check_layers(layers):
    """Refuse a parameter that cannot denote layers of any network.

    Parameters
    ----------
    layers : object
        What the user gave.

    Raises
    ------
    ValueError
        If it is neither an integer, nor a fraction from 0 to 1, nor a non-empty collection of these.
    """
    some = list(layers) if _is_collection(layers) else [layers]
    if not some or not all(_is_index(layer) or _is_fraction(layer) for layer in some):
        raise ValueError(
            "`layers` must be an integer (0 the embeddings, -1 the last layer), a float from 0.0 to 1.0 (fraction of "
            f"the depth) or a list of these, got {layers!r}."
        )


def resolve_layers(layers, n_layers):
    """Numbers of layers, counted from 0, the embeddings, to `n_layers`, the output.

    Parameters
    ----------
    layers : int, float or collection of these
        Indices, from the end if negative, or fractions of the depth.
    n_layers : int
        Number of blocks of the network.

    Returns
    -------
    numbers : tuple of int
        In the order given, each once.

    Raises
    ------
    ValueError
        If there is no such layer.

    Examples
    --------
    >>> from skicl._models._states import resolve_layers
    >>> resolve_layers(-1, 12), resolve_layers(0.5, 12), resolve_layers([0, -2, 1.0], 12)
    ((12,), (6,), (0, 11, 12))
    """
    check_layers(layers)
    numbers = []
    for layer in layers if _is_collection(layers) else [layers]:
        number = int(layer) if _is_index(layer) else int(np.floor(float(layer) * n_layers + 0.5))
        if not -n_layers - 1 <= number <= n_layers:
            raise ValueError(
                f"`layers`={layers!r}: the model has no layer {layer}. Expected {-n_layers - 1} to {n_layers}, where 0 "
                f"are the embeddings and {n_layers} or -1 is the last layer, or a float from 0.0 to 1.0."
            )
        numbers.append(number % (n_layers + 1))
    return tuple(dict.fromkeys(numbers))


def states_of(network, layers, n_layers, **inputs):
    """States of all tokens, the mean over some layers.

    Parameters
    ----------
    network : transformers.PreTrainedModel
        Without a head.
    layers : tuple of int
        Layers from 0 to `n_layers`.
    n_layers : int
        Number of blocks of the network.
    **inputs : dict
        What the network gets.

    Returns
    -------
    states : tensor of shape (B, T, D), float32
        Without gradients.
    """
    import torch

    with torch.inference_mode():
        return states_with_gradient(network, layers, n_layers, **inputs)


def states_with_gradient(network, layers, n_layers, **inputs):
    """The same as :func:`states_of`, for training."""
    import torch

    deeper = layers != (n_layers,)
    output = network(**inputs, output_hidden_states=deeper, return_dict=True)
    if not deeper:
        return output.last_hidden_state.float()
    # Some networks list the last state as it is before the last normalisation.
    last = output.last_hidden_state
    states = [(last if layer == n_layers else output.hidden_states[layer]).float() for layer in layers]
    return states[0] if len(states) == 1 else torch.stack(states).mean(dim=0)


def padded(rows, filler, device):
    """Rows of tokens as one tensor, filled up on the right, where no token of a causal network sees the filler.

    Parameters
    ----------
    rows : list of list of int
        Tokens of each text, at least one.
    filler : int
        The token to fill up with.
    device : torch.device
        Where the tensors go.

    Returns
    -------
    ids, mask : tensors of shape (B, T), int64
        The tokens, and 1 where there are some.
    """
    import torch

    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[filler] * (longest - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return ids.to(device), mask.to(device)


def pool(states, counted, pooling):
    """One vector a text from the states of its tokens.

    Parameters
    ----------
    states : tensor of shape (B, T, D)
        States of the tokens; those that are not counted may hold anything.
    counted : tensor of shape (B, T)
        True or 1 for the tokens that count, at least one in each row. Padding may stand on either side.
    pooling : {"mean", "weighted_mean", "last", "first"}
        "weighted_mean" weighs the first counted token by 1, the second by 2, and so on: in a causal network later
        tokens have seen more (Muennighoff, 2022, "SGPT: GPT Sentence Embeddings for Semantic Search", equation 1).

    Returns
    -------
    vectors : tensor of shape (B, D)
        In the number format of `states`.

    Examples
    --------
    >>> import torch
    >>> from skicl._models._states import pool
    >>> states = torch.tensor([[[1.0], [4.0], [99.0]]])
    >>> counted = torch.tensor([[1, 1, 0]])
    >>> [pool(states, counted, how).item() for how in ("mean", "weighted_mean", "last", "first")]
    [2.5, 3.0, 4.0, 1.0]
    """
    import torch

    counted = counted.bool()
    place = counted.cumsum(dim=1)  # B, T: 1 for the first counted
    if pooling == "mean":
        weights = counted.to(states.dtype)
    elif pooling == "weighted_mean":
        weights = (place * counted).to(states.dtype)
    else:
        chosen = place == (1 if pooling == "first" else place[:, -1:])
        weights = (chosen & counted).to(states.dtype)
    weights = weights / weights.sum(dim=1, keepdim=True)
    states = torch.where(counted[..., None], states, 0)  # padding may hold infinities
    return (weights[..., None] * states).sum(dim=1)  # B, D


def _is_collection(layers):
    return isinstance(layers, Iterable) and not isinstance(layers, str | bytes | dict)


def _is_index(layer):
    return isinstance(layer, Integral) and not isinstance(layer, bool | np.bool_)


def _is_fraction(layer):
    return isinstance(layer, Real) and not isinstance(layer, Integral | bool | np.bool_) and 0.0 <= layer <= 1.0
