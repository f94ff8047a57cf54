"""Networks as other versions of transformers have them: keys and values go by one name only, whichever is installed."""

import torch

from skicl._models._reading_on import NAMES, find_past_name

# What a network does with a name that it does not know: it goes unread among further arguments, or is refused.
MANNERS = ["ignored", "refused"]


def rename_past(network, name, *, unknown="ignored"):
    """Let `network` take keys and values as `name` only; None: under no name at all."""
    forward, installed = network.forward, find_past_name(network, [5, 6, 7])

    def renamed(*args, **kwargs):
        past = None
        for known in NAMES:
            if known in kwargs and known != name and unknown == "refused":
                raise TypeError(f"forward() got an unexpected keyword argument {known!r}")
            given = kwargs.pop(known, None)
            past = given if known == name else past
        return forward(*args, **kwargs, **({} if past is None else {installed: past}))

    network.forward = renamed
    return network


class CountsTokens:
    """Counts the tokens that a network reads, in `tokens`, and how often it is called, in `calls`."""

    def __init__(self, network):
        self.tokens = self.calls = 0
        network.register_forward_pre_hook(self.count, with_kwargs=True)

    def count(self, network, args, kwargs):
        self.tokens += kwargs["input_ids"].numel()
        self.calls += 1


def forget_past(network):
    """Let `network` fill what it is given, and read on as if nothing stood before."""
    forward, installed = network.forward, find_past_name(network, [5, 6, 7])

    def forgetful(*args, **kwargs):
        past = kwargs.get(installed)
        if past is not None and past.get_seq_length():
            kwargs = {key: value for key, value in kwargs.items() if key != installed}
            kwargs["attention_mask"] = torch.ones_like(kwargs["input_ids"])
        return forward(*args, **kwargs)

    network.forward = forgetful
    return network
