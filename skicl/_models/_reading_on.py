"""Whether and how a network reads on from keys and values of what stands before: found out by trials, for effect.

The argument for them has had several names in transformers, and a network may take one and make nothing of it. So no
name and no signature is trusted: a name is right if keys and values are in the cache afterwards, and reading on is
right if its results are those of reading everything at once.
"""

from skicl._validation._environment import warn_user

# Names of the argument, newest first: a network that knows the newest may complain about an older one.
NAMES = ("cache", "past_key_values")


class CannotReadOnError(Exception):
    """A network does not take keys and values; the message says what it did instead."""


def find_past_name(network, tokens):
    """The name of the argument under which a network takes keys and values.

    Parameters
    ----------
    network : transformers.PreTrainedModel
        With its head or without.
    tokens : sequence of int
        A few tokens to read.

    Returns
    -------
    name : str
        One of `NAMES`.

    Raises
    ------
    CannotReadOnError
        If it fills no cache under any of them.
    """
    import torch
    from transformers import DynamicCache

    ids = torch.tensor([list(tokens)], device=network.device)
    found = []
    for name in NAMES:
        past = DynamicCache()
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "use_cache": True, "return_dict": True}
        try:
            with torch.inference_mode():
                network(**inputs, **{name: past})
        except (MemoryError, torch.cuda.OutOfMemoryError):  # says nothing of the network
            raise
        except Exception as error:
            found.append(f"`{name}`: {type(error).__name__}: {error}")
        else:
            if past.get_seq_length() == len(tokens):
                return name
            found.append(f"`{name}` is ignored")
    raise CannotReadOnError(f"it does not take keys and values ({'; '.join(found)})")


def reason_against(difference, allowed):
    """Why a network cannot read on, or None if it can.

    Parameters
    ----------
    difference : callable
        Without arguments. It reads on, and returns how far the results are from those of reading all at once.
    allowed : float
        Most that rounding may make of it.

    Returns
    -------
    reason : str or None
        Half a sentence.
    """
    import torch

    try:
        found = float(difference())
    except (MemoryError, torch.cuda.OutOfMemoryError):
        raise
    except CannotReadOnError as error:
        return str(error)
    except Exception as error:  # networks with a state of their own fail in ways of their own
        return f"reading on from keys and values failed ({type(error).__name__}: {error})"
    if found <= allowed:
        return None
    return (
        f"what it reads on from keys and values differs by {found:.2g} from what it reads at once, where rounding "
        f"makes up to {allowed:.2g}"
    )


def warn_of_reading_again(network, reason):
    """Say that every prompt is read from its beginning.

    Parameters
    ----------
    network : transformers.PreTrainedModel
        The network, which is named.
    reason : str
        As :func:`reason_against` returned it.

    Warns
    -----
    UserWarning
        Always.
    """
    warn_user(
        f"{type(network).__name__} reads every prompt from its beginning instead of reading once what prompts share: "
        f"{reason}. The results are the same, but take many times as long. Networks with a recurrent state cannot do "
        "otherwise; with any other, try the newest or the pinned version of transformers."
    )


def keeps_chosen_logits(network, tokens):
    """Whether a network with a head returns the logits of chosen positions only, if asked for them.

    Parameters
    ----------
    network : transformers.PreTrainedModel
        With its head.
    tokens : sequence of int
        At least three tokens to read.

    Returns
    -------
    bool
        True if ``logits_to_keep`` does that, by what comes out.
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
