"""Networks that read all tokens in another way as soon as a text is long: found out by a trial, for effect.

Some rotary scalings (longrope, dynamic NTK) exchange all frequencies when a text has more tokens than a number. What
such a network makes of a token then depends on the length of what is read together: a batch may hold rows of one side
of the switch only, and keys and values of one side are of no use on the other.
"""

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch
    import transformers

# States that differ by less, as a fraction of their size, come of rounding: in float32, in the shorter formats.
_ROUNDING = (1e-5, 2e-2)


class LengthSwitch(NamedTuple):
    """Where a network begins to read in another way."""

    last: int  # the most tokens of a text that is read as all shorter ones
    steady: bool  # whether all longer texts are read in one way, rather than those of each length in their own


def find_length_switch(
    network: "transformers.PreTrainedModel", tokens: Sequence[int], most: int
) -> LengthSwitch | None:
    """Where a network without its head switches, among texts of up to `most` tokens; None if nowhere.

    Two tokens are read before a third, which is masked and said to stand at a later place: only the way of reading can
    change their states then. All pairs of the first three `tokens` are tried: one may look at nothing but itself, and
    then nothing changes it. Networks that take no places of tokens have none of these scalings.
    """
    import torch

    ids = torch.tensor([[*pair, tokens[0]] for pair in product(tokens[:3], repeat=2)], device=network.device)
    mask = torch.tensor([[1, 1, 0]] * len(ids), device=network.device)

    def states(n_tokens: int) -> "torch.Tensor":
        places = torch.tensor([[0, 1, n_tokens - 1]] * len(ids), device=network.device)
        with torch.inference_mode():
            output = network(input_ids=ids, attention_mask=mask, position_ids=places, use_cache=False, return_dict=True)
        return output.last_hidden_state[:, :2].float()

    def differ(some: "torch.Tensor", others: "torch.Tensor") -> bool:
        allowed = _ROUNDING[network.dtype.itemsize < 4]
        return bool((some - others).abs().max() > allowed * some.abs().max())

    if most <= 3:
        return None
    try:
        short = states(3)
        if not differ(short, states(most)):
            return None
    except (MemoryError, torch.cuda.OutOfMemoryError):
        raise
    except Exception:  # mostly a TypeError: no such argument
        return None
    last, first_long = 3, most
    while first_long - last > 1:
        middle = (last + first_long) // 2
        last, first_long = (last, middle) if differ(short, states(middle)) else (middle, first_long)
    states(3)  # a network may go on as it read the longest text so far, until a short one comes
    return LengthSwitch(last, not differ(states(first_long), states(most)))
