"""Pairs of prompts in a causal language model: what is read, how it is measured, and where it can be exchanged."""

from functools import partial
from typing import Any, NamedTuple

import torch

from skicl.inspection._patching._modules import find_sites
from skicl.inspection._patching._pairs import tokenise_pairs

_ELSEWHERE = "the modules are not all that moves information in this network. Check `modules`."

# Shapes: B pairs, T tokens, V tokens of the vocabulary.


class Subject(NamedTuple):
    """A network with the inputs that it is patched on."""

    network: Any
    sites: list  # its heads and MLPs, layer by layer
    n_heads: int | None  # heads of a layer, where a site does not tell its parts
    lengths: list  # size of each pair; pairs of similar size share a batch
    measures: Any  # measures(numbers): two functions that measure the clean and the corrupt inputs of these pairs
    elsewhere: str  # for the warning: what it means if heads and MLPs are not all there is


def prompt_subject(network, tokenizer, pairs, prefix, modules):
    """A language model and pairs of prompts, as a Subject."""
    sites, n_heads = find_sites(network, modules)
    tokens = tokenise_pairs(tokenizer, pairs, prefix)
    lengths = [len(pair.clean) for pair in tokens]
    _check_length(network, max(lengths))
    selects = _keeps_chosen_logits(network, tokens[0].clean[0])

    def measures(numbers):
        clean_ids, corrupt_ids, mask, answers = _tensors([tokens[i] for i in numbers], network.device)
        return tuple(partial(_difference, network, ids, mask, answers, selects) for ids in (clean_ids, corrupt_ids))

    return Subject(network, sites, n_heads, lengths, measures, _ELSEWHERE)


def _difference(network, ids, mask, answers, selects):
    """Logit of the clean answer minus that of the corrupt one, behind the last token of each row."""
    last = mask.sum(1) - 1
    inputs = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
    keep = last.unique()
    # The head is the largest matrix of a small model: where it can, it reads the last positions only.
    logits = network(**inputs, **({"logits_to_keep": keep} if selects else {})).logits  # B x T x V
    rows = torch.arange(len(ids), device=ids.device)
    chosen = logits[rows, torch.searchsorted(keep, last) if selects else last]
    pair = chosen.gather(1, answers).float()  # B x 2
    return pair[:, 0] - pair[:, 1]


def _keeps_chosen_logits(network, token):
    """Whether the head can be told where to read, by what comes out when it is told to read one of two tokens."""
    ids = torch.tensor([[token, token]], device=network.device)
    with torch.no_grad():
        try:
            chosen = network(input_ids=ids, use_cache=False, logits_to_keep=torch.tensor([1], device=ids.device)).logits
        except TypeError:  # no such argument
            return False
    return chosen.shape[1] == 1


def _tensors(batch, device):
    """Tokens, filled up on the right where no position before them looks, their mask, and the answers."""
    longest = max(len(pair.clean) for pair in batch)

    def filled(sequences):
        return torch.tensor([ids + ids[-1:] * (longest - len(ids)) for ids in sequences], device=device)

    mask = torch.tensor([[1] * len(pair.clean) + [0] * (longest - len(pair.clean)) for pair in batch], device=device)
    answers = torch.tensor([pair.answers for pair in batch], device=device)
    return filled([pair.clean for pair in batch]), filled([pair.corrupt for pair in batch]), mask, answers


def _check_length(network, longest):
    positions = getattr(network.config.get_text_config(), "max_position_embeddings", None)
    if positions is not None and longest > positions:
        raise ValueError(
            f"`pairs`: the longest prompt, with its `prefix`, has {longest} tokens, and the network has "
            f"{positions} positions. Take fewer demonstrations."
        )
