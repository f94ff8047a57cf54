"""Reading tokens with a causal network: log-probabilities of tokens after a prefix that is read once.

Shapes: B rows, T tokens of the longest, P tokens of the prefix, U positions asked about, V tokens of the vocabulary,
H heads, K features of a head, D features of a state.
"""

from typing import Any, NamedTuple

import numpy as np

from skicl.prompting._joint_tokens import shared_beginning

# How far log-probabilities of the trial may differ: in float32 and above, in the shorter formats.
_ROUNDING = (1e-3, 0.2)


class Prefix(NamedTuple):
    """What a network made of the tokens that many prompts begin with.

    Attributes
    ----------
    ids : tuple of int
        The P tokens.
    past : list of pairs of tensors of shape (1, H, P, K), or None
        Keys and values of the layers. None where there is no token, or where the network cannot read on from them:
        then every prompt is read from its beginning.
    shares : bool
        Whether the network can read on from keys and values.
    """

    ids: tuple
    past: list | None
    shares: bool


class Read(NamedTuple):
    """What came out of reading some rows.

    Attributes
    ----------
    log_probs : list of ndarray of shape (n_wanted,)
        For each row, those of the tokens asked about.
    cache : object or None
        Keys and values, if they were to be kept.
    states : tensor of shape (B, D) or None
        Last hidden states at the last position asked about, if they were wanted.
    vocabulary : tensor of shape (B, V) or None
        Log-probabilities of all tokens there, if they were wanted.
    """

    log_probs: list
    cache: Any = None
    states: Any = None
    vocabulary: Any = None


def read_prefix(model, ids, *, share=None, known=()):
    """Read the tokens that many prompts begin with.

    Parameters
    ----------
    model : LanguageModel
        With its head.
    ids : sequence of int
        The tokens.
    share : bool or None, default=None
        Whether to keep keys and values. None finds out by a trial whether the network can read on from them.
    known : iterable of Prefix, default=()
        What was read before. If one of them begins as `ids` do, it is read on from there.

    Returns
    -------
    prefix : Prefix
    """
    ids = tuple(ids)
    share = shares_prefix(model) if share is None else share
    if not (share and ids):
        return Prefix(ids, None, share)
    # The last token is read in any case, so that there is something to read.
    starts = [(shared_beginning([ids[:-1]], start.ids), start.past) for start in known if start.past is not None]
    n_known, past = max(starts, key=lambda start: start[0], default=(0, None))
    return Prefix(ids, _read_past(model, ids, n_known, past), share)


def shares_prefix(model):
    """Whether a network can read on from keys and values of a prefix, or of its beginning: found out by a trial.

    Layers that look back a window only are no obstacle, since all keys are kept here and the network masks them.
    Recurrent and mixed networks are: their state at the end of a prefix cannot be taken back.

    Parameters
    ----------
    model : LanguageModel
        With its head; the result is kept in it.

    Returns
    -------
    bool

    Warns
    -----
    UserWarning
        If it cannot, once for each model.
    """
    if model.shares_prefix is None:
        model.shares_prefix = _try_to_share(model)
    return model.shares_prefix


def read_rows(model, prefix, n_kept, rows, wanted, *, keep=False, states=False, vocabulary=False):
    """Log-probabilities of tokens, given all before them.

    Parameters
    ----------
    model : LanguageModel
        With its head.
    prefix : Prefix
        What stands before all rows.
    n_kept : int
        So many tokens of it do.
    rows : list of sequence of int
        Tokens of the B rows, at least one each. They are padded on the right, where padding changes nothing.
    wanted : list of list of (int, int)
        For each row pairs (position in the row, token): the token is asked about as the one after that position. The
        last position asked about is that of `states` and `vocabulary`.
    keep : bool, default=False
        Whether to return keys and values, where the network can read on from them.
    states, vocabulary : bool, default=False
        Whether to return these.

    Returns
    -------
    read : Read
    """
    import torch

    keep = keep and prefix.shares
    before = 0 if prefix.past is not None else n_kept
    whole = rows if not before else [[*prefix.ids[:n_kept], *row] for row in rows]
    n_past = n_kept - before
    past = _expanded(prefix.past if n_past else [], n_past, len(rows)) if n_past or keep else None
    ids, mask = _padded(whole, n_past, model.neutral_token, model.whole.device)
    places = sorted({before + place for row in wanted for place, _ in row})
    with torch.inference_mode():
        output = _forward(model, ids, mask, past, places, states)
        logits = output.logits if model.keeps_chosen_logits(model.whole) else output.logits[:, places]
        column = {place: i for i, place in enumerate(places)}
        index = torch.arange(len(rows), device=logits.device)
        last = torch.tensor([column[before + row[-1][0]] for row in wanted], device=logits.device)
        log_probs = _at_least_float32(logits).log_softmax(-1)  # B, U, V
        found = _gather(log_probs, wanted, column, before)
        last_states = None
        if states:
            ends = torch.tensor([before + row[-1][0] for row in wanted], device=logits.device)
            last_states = output.hidden_states[-1][index, ends].float()
        all_tokens = log_probs[index, last] if vocabulary else None
    return Read(found, past if keep else None, last_states, all_tokens)


def past_of(cache, rows, n_tokens):
    """Keys and values of the beginning of some rows, as the past of further tokens.

    Parameters
    ----------
    cache : object
        As :func:`read_rows` returned it.
    rows : sequence of int
        Which rows, repeated as often as wanted.
    n_tokens : int
        So many tokens of each, the prefix included; none of them may be padding.

    Returns
    -------
    past : list of pairs of tensors of shape (n_rows, H, n_tokens, K)
    """
    import torch

    rows = torch.as_tensor(rows, device=cache.layers[0].keys.device)
    return [(layer.keys[rows, :, :n_tokens], layer.values[rows, :, :n_tokens]) for layer in cache.layers]


def _gather(log_probs, wanted, column, before):
    import torch

    flat = [(i, column[before + place], token) for i, row in enumerate(wanted) for place, token in row]
    rows, columns, tokens = (torch.tensor(part, device=log_probs.device) for part in zip(*flat))
    values = log_probs[rows, columns, tokens].double().cpu().numpy()
    return np.split(values, np.cumsum([len(row) for row in wanted])[:-1])


def _forward(model, ids, mask, past, places, states):
    """One pass; logits only where they are asked for, if the network knows how."""
    import torch

    inputs = {"input_ids": ids, "attention_mask": mask, "use_cache": past is not None, "return_dict": True}
    if model.keeps_chosen_logits(model.whole):
        inputs["logits_to_keep"] = torch.tensor(places, device=ids.device)
    if past is not None:
        inputs[model.past_name(model.whole)] = past
    if states:
        inputs["output_hidden_states"] = True
    return model.whole(**inputs)


def _read_past(model, ids, n_known=0, known=None):
    """Keys and values of tokens, of which those of the first may be known."""
    import torch

    past = _expanded(known if n_known else [], n_known, 1)
    tokens, mask = _padded([ids[n_known:]], n_known, model.neutral_token, model.whole.device)
    with torch.inference_mode():
        _forward(model, tokens, mask, past, [len(ids) - n_known - 1], False)
    return [(layer.keys, layer.values) for layer in past.layers]


def _expanded(layers, n_kept, n_rows):
    """Keys and values of the beginning of a prefix, for every row: views, not copies."""
    from transformers import DynamicCache

    # Without a configuration the cache keeps all that sliding layers would forget: then any beginning can be reused.
    past = DynamicCache()
    for number, (keys, values) in enumerate(layers):
        past.update(*(_first(part, n_kept, n_rows) for part in (keys, values)), number)
    return past


def _first(part, n_kept, n_rows):
    part = part[:, :, :n_kept]
    return part.expand(n_rows, -1, -1, -1) if part.shape[0] == 1 else part


def _padded(rows, n_past, fill, device):
    """Tokens (B, T) and which of all there are (B, P + T)."""
    import torch

    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), fill, dtype=torch.long)
    mask = torch.ones((len(rows), n_past + longest), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.as_tensor(row, dtype=torch.long)
        mask[i, n_past + len(row) :] = 0
    return ids.to(device), mask.to(device)


def _at_least_float32(logits):
    import torch

    return logits if logits.dtype == torch.float64 else logits.float()


def _try_to_share(model):
    """Read four tokens, go back to the third, and read on with two rows: is it as if all had been read at once?"""
    some = tuple(model.some_tokens(8))
    rows, wanted = [some[4:7], some[5:6]], [[(2, some[7]), (0, some[7])], [(0, some[7])]]
    plain = np.concatenate(read_rows(model, Prefix(some[:4], None, False), 3, rows, wanted).log_probs)

    def difference():
        prefix = Prefix(some[:4], _read_past(model, some[:4]), True)
        return np.abs(np.concatenate(read_rows(model, prefix, 3, rows, wanted).log_probs) - plain).max()

    return model.reads_on(model.whole, difference, _ROUNDING[model.whole.dtype.itemsize < 4])
