"""Whether and how a network reads on from keys and values of what stands before: found out by trials, for effect.

The argument for them has had several names in transformers, and a network may take one and make nothing of it. So no
name and no signature is trusted: a name is right if keys and values are in the cache afterwards, and reading on is
right if its results are those of reading everything at once.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from skicl._models._states import padded
from skicl._validation._environment import warn_user

if TYPE_CHECKING:
    import torch
    import transformers

# Names of the argument, newest first: a network that knows the newest may complain about an older one.
NAMES = ("cache", "past_key_values")


class CannotReadOnError(Exception):
    """A network does not take keys and values; the message says what it did instead."""


def find_past_name(network: "transformers.PreTrainedModel", tokens: Sequence[int]) -> str:
    """The one of `NAMES` under which a network, with its head or without, takes keys and values: it fills the cache.

    Raises CannotReadOnError if it fills none under any of them.
    """
    import torch
    from transformers import DynamicCache

    ids = torch.tensor([list(tokens)], device=network.device)
    complaints = []
    for name in NAMES:
        past = DynamicCache()
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "use_cache": True, "return_dict": True}
        try:
            with torch.inference_mode():
                network(**inputs, **{name: past})
            filled = past.get_seq_length() == len(tokens)  # fails where no layer has any
        except (MemoryError, torch.cuda.OutOfMemoryError):  # says nothing of the network
            raise
        except Exception as error:
            complaints.append(f"`{name}`: {type(error).__name__}: {error}")
            if not isinstance(error, TypeError):  # it knows the name; an older one would bring the same, and a warning
                break
        else:
            if filled:
                return name
            complaints.append(f"`{name}` is ignored")
    raise CannotReadOnError(f"it does not take keys and values ({'; '.join(complaints)})")


def cache_of(layers: list, n_tokens: int, n_rows: int) -> "transformers.DynamicCache":
    """A cache with the keys and values of the first `n_tokens` tokens in every row: views, not copies.

    `layers` has pairs of tensors of shape (1 or n_rows, H, at least n_tokens, K).
    """
    from transformers import DynamicCache

    # Without a configuration the cache keeps all that sliding layers would forget: then any beginning can be reused.
    cache = DynamicCache()
    for number, pair in enumerate(layers):
        kept = [part[:, :, :n_tokens] for part in pair]
        kept = [part.expand(n_rows, -1, -1, -1) if part.shape[0] == 1 else part for part in kept]
        cache.update(*(part[:, :, :0] for part in kept), number)  # makes the layer; given the rest, it would copy it
        layer: Any = cache.layers[number]
        layer.keys, layer.values = kept
    return cache


def layers_of(cache: Any) -> list:
    """Keys and values of every layer, as :func:`cache_of` takes them."""
    return [(layer.keys, layer.values) for layer in cache.layers]


def trial_of_reading_on(
    network: "transformers.PreTrainedModel", tokens: Sequence[int], past_name: Callable[[], str]
) -> Callable[[], float]:
    """A trial with at least five tokens: of what is read of them, a part is forgotten before the rest is read.

    The rest stands in two rows of unequal length; what is kept is short and, given more tokens, long too. Called, the
    trial returns how far the last states are from those of reading everything at once, as a fraction of their size.
    """
    import torch

    text, other = [*tokens[:2], *tokens[3:]], tokens[2]

    def last_states(rows: list, n_past: int = 0, past: dict[str, Any] | None = None) -> "torch.Tensor":
        ids, mask = padded(rows, tokens[0], network.device)
        mask = torch.cat([mask.new_ones(len(rows), n_past), mask], dim=1)
        inputs = {"input_ids": ids, "attention_mask": mask, "use_cache": past is not None, **(past or {})}
        with torch.inference_mode():
            return network(**inputs, output_hidden_states=True, return_dict=True).hidden_states[-1].float()

    at_once = last_states([text])[0]

    def distance(n_kept: int) -> float:
        name, cache, row = past_name(), cache_of([], 0, 1), text[n_kept:]
        last_states([[*text[:n_kept], other]], past={name: cache})
        rows = last_states([row, row[:1]], n_kept, {name: cache_of(layers_of(cache), n_kept, 2)})
        whole, beginning = rows[0], rows[1, :1]
        aim = at_once[n_kept:]
        largest = max((whole - aim).abs().max(), (beginning - aim[:1]).abs().max())
        return float(largest / at_once.abs().max().clamp(min=1e-30))

    return lambda: max(map(distance, [len(text) // 2, len(text) - 2] if len(text) > 8 else [2]))


def reason_against(difference: Callable[[], float], allowed: float) -> str | None:
    """Why a network cannot read on, as half a sentence; None if it can.

    `difference` reads on, and returns how far the results are from those of reading all at once; rounding may make up
    to `allowed` of it.
    """
    import torch

    try:
        distance = float(difference())
    except (MemoryError, torch.cuda.OutOfMemoryError):
        raise
    except CannotReadOnError as error:
        return str(error)
    except Exception as error:  # networks with a state of their own fail in ways of their own
        return f"reading on from keys and values failed ({type(error).__name__}: {error})"
    if distance <= allowed:
        return None
    return (
        f"what it reads on from keys and values differs by {distance:.2g} from what it reads at once, where rounding "
        f"makes up to {allowed:.2g}"
    )


def warn_of_reading_again(network: "transformers.PreTrainedModel", reason: str) -> None:
    """Say that every prompt is read from its beginning, and why."""
    warn_user(
        f"{type(network).__name__} reads every prompt from its beginning instead of reading once what prompts share: "
        f"{reason}. The results are the same, but take many times as long. Networks with a recurrent state cannot do "
        "otherwise; with any other, try the newest or the pinned version of transformers."
    )


def keeps_chosen_logits(network: "transformers.PreTrainedModel", tokens: Sequence[int]) -> bool:
    """Whether a network with a head returns logits at chosen positions only, asked by ``logits_to_keep``.

    Told by what comes out, with at least three tokens.
    """
    import torch

    ids = torch.tensor([list(tokens)], device=network.device)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "use_cache": False, "return_dict": True}
    with torch.inference_mode():
        plain = network(**inputs).logits
        try:
            chosen = network(**inputs, logits_to_keep=torch.tensor([0, 1], device=ids.device)).logits
        except (MemoryError, torch.cuda.OutOfMemoryError):
            raise
        except Exception:  # mostly a TypeError: no such argument
            return False
    if chosen.shape != plain[:, :2].shape:
        return False
    # Half formats round with the shape of a matrix; logits of another place differ by as much as there is.
    return bool((chosen - plain[:, :2]).abs().max() <= 0.05 * plain.abs().max())
