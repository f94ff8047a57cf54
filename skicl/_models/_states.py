"""From the states of a network to one vector a text: which layers, which tokens, which mean. Pure functions.

Shapes: B texts, T tokens, D features.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skicl._validation._scalars import check_choice, is_integer, is_number

if TYPE_CHECKING:
    import torch

POOLINGS = ("mean", "weighted_mean", "last", "first")


def check_pooling(pooling: Any) -> None:
    """Refuse a parameter that names no pooling."""
    check_choice(pooling, "pooling", POOLINGS)


def check_layers(layers: Any) -> None:
    """Refuse what is neither an integer, nor a fraction from 0 to 1, nor a non-empty collection of these."""
    if not are_layers(list(layers) if _is_collection(layers) else [layers]):
        raise ValueError(
            "`layers` must be an integer (0 the embeddings, -1 the last layer), a float from 0.0 to 1.0 (fraction of "
            f"the depth) or a list of these, got {layers!r}."
        )


def are_layers(listed: Sequence[Any]) -> bool:
    """Whether there are some, and all are integers or fractions from 0 to 1."""
    return bool(listed) and all(is_integer(layer) or _is_fraction(layer) for layer in listed)


def resolve_layers(layers: Any, n_layers: int) -> tuple[int, ...]:
    """Numbers of layers, each once: 0 are the embeddings, `n_layers`, the number of blocks, is the output.

    >>> from skicl._models._states import resolve_layers
    >>> resolve_layers(-1, 12), resolve_layers(0.5, 12), resolve_layers([0, -2, 1.0], 12)
    ((12,), (6,), (0, 11, 12))
    """
    check_layers(layers)
    numbers = []
    for layer in layers if _is_collection(layers) else [layers]:
        number = int(layer) if is_integer(layer) else int(np.floor(float(layer) * n_layers + 0.5))
        if not -n_layers - 1 <= number <= n_layers:
            raise ValueError(
                f"`layers`={layers!r}: the model has no layer {layer}. Expected {-n_layers - 1} to {n_layers}, where 0 "
                f"are the embeddings and {n_layers} or -1 is the last layer, or a float from 0.0 to 1.0."
            )
        numbers.append(number % (n_layers + 1))
    return tuple(dict.fromkeys(numbers))


def states_of(network: Any, layers: tuple[int, ...], n_layers: int, **inputs: Any) -> "torch.Tensor":
    """States (B, T, D) of all tokens in float32, the mean over some layers of a network without a head."""
    import torch

    with torch.inference_mode():
        return states_with_gradient(network, layers, n_layers, **inputs)


def states_with_gradient(network: Any, layers: tuple[int, ...], n_layers: int, **inputs: Any) -> "torch.Tensor":
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


def padded(rows: Sequence[Sequence[int]], filler: int, device: "torch.device") -> tuple["torch.Tensor", "torch.Tensor"]:
    """Rows of tokens as one tensor (B, T), and a mask (B, T) that is 1 where there are some.

    They are filled up on the right, where no token of a causal network sees the filler.
    """
    import torch

    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[filler] * (longest - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return ids.to(device), mask.to(device)


def pool(states: "torch.Tensor", counted: "torch.Tensor", pooling: str) -> "torch.Tensor":
    """One vector a text (B, D) from the states (B, T, D) of its tokens, of those that are `counted` (B, T).

    At least one counts in each row; others may hold anything, and padding may stand on either side. "weighted_mean"
    weighs the first counted token by 1, the second by 2, and so on: in a causal network later tokens have seen more
    (Muennighoff, 2022, "SGPT: GPT Sentence Embeddings for Semantic Search", equation 1).
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


def _is_collection(layers: Any) -> bool:
    return isinstance(layers, Iterable) and not isinstance(layers, str | bytes | dict)


def _is_fraction(layer: Any) -> bool:
    return is_number(layer) and not is_integer(layer) and 0.0 <= layer <= 1.0
