"""Tokens that many prompts begin with, read once by a causal network, and what it makes of the tokens after them.

Encoders ask for states, classifiers by prompt for log-probabilities.

Shapes: B rows, T tokens of the longest, P tokens of the prefix, U positions asked about, V tokens of the vocabulary,
L layers, H heads, K features of a head, D features of a state.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skicl._models._in_memory import state_of
from skicl._models._reading_on import cache_of, layers_of
from skicl._models._states import padded, resolve_layers, states_of

if TYPE_CHECKING:
    import torch

    from skicl._models._language_model import LanguageModel


class Prefix(NamedTuple):
    """What a network made of the tokens that many prompts begin with."""

    ids: tuple  # the P tokens
    # L pairs (1 or B, H, P, K): keys and values, the same for all rows or those of each. None without a token, or where
    # the network cannot read on from them: then every row is read from the beginning of its prompt.
    past: list | None
    shares: bool  # whether the network can read on from keys and values
    states: "torch.Tensor | None" = None  # (P, D): States of the tokens, if they were wanted
    way: int = 0  # how the network read them, as LanguageModel.way says


class TokenScores(NamedTuple):
    """What a network with a head says about tokens in some rows."""

    log_probs: list  # (n_wanted,): For each row, those of the tokens asked about
    cache: Any = None  # keys and values, if they were to be kept
    # (B, D): Hidden states at the last position asked about, of the depths that were wanted
    states: "torch.Tensor | None" = None
    vocabulary: "torch.Tensor | None" = None  # (B, V): Log-probabilities of all tokens there, if they were wanted


def shared_beginning(rows: Iterable[Sequence[int]], most: Sequence[int]) -> int:
    """How many tokens all rows begin with, of those in `most`."""
    most = tuple(most)
    count = len(most)
    for row in rows:
        if tuple(row[:count]) != most[:count]:
            count = next((i for i in range(min(count, len(row))) if row[i] != most[i]), min(count, len(row)))
    return count


def read_prefix(model: "LanguageModel", ids: Iterable[int], *, known: Iterable[Prefix] = ()) -> Prefix:
    """Read tokens for a network with its head, going on from the one of `known` that begins most as they do."""
    ids = tuple(ids)
    shares = model.shares_prefix(model.whole)
    way = model.way(len(ids))
    if not (shares and ids and way >= 0):
        return Prefix(ids, None, shares)
    # The last token is read in any case, so that there is something to read.
    usable = [start for start in known if start.past is not None and start.way == way]
    starts = [(shared_beginning([ids[:-1]], start.ids), start.past) for start in usable]
    n_known, past = max(starts, key=lambda start: start[0], default=(0, None))
    inputs, cache = _inputs(model, model.whole, [ids[n_known:]], past, n_known, keep=True)
    _forward(model, inputs, [len(ids) - n_known - 1], ())
    return Prefix(ids, layers_of(cache), shares, way=way)


def last_prefix(model: "LanguageModel", ids: tuple, layers: tuple, *, live: bool = True) -> Prefix:
    """Tokens read with their states, the mean over `layers`: read anew unless they are those that were read last.

    With ``live=False`` nobody else can have changed the weights since.
    """
    network = model.network
    shares = model.shares_prefix(network)
    key = (ids, layers, shares, str(network.device), state_of(network) if live else None)
    if model.last_prefix is None or model.last_prefix[0] != key:
        model.last_prefix = None  # its memory is free for the new one
        inputs, cache = _inputs(model, network, [ids], None, 0, keep=shares)
        states = states_of(network, layers, model.n_layers, **inputs)[0]
        way = model.way(len(ids))
        past = layers_of(cache) if shares and way >= 0 else None
        model.last_prefix = key, Prefix(ids, past, shares, states, way)
    return model.last_prefix[1]


def states_after(
    model: "LanguageModel", prefix: Prefix, n_kept: int, rows: Sequence[Sequence[int]], layers: tuple
) -> "torch.Tensor":
    """States (B, T, D) of the tokens of rows after the first `n_kept` of a prefix, the mean over `layers`, in float32.

    Each row sees the prefix and itself. They are padded on the right.
    """
    groups = model.by_way([n_kept + len(row) for row in rows])
    if len(groups) > 1:
        parts = [states_after(model, prefix, n_kept, [rows[i] for i in group], layers) for group in groups]
        states = parts[0].new_zeros(len(rows), max(part.shape[1] for part in parts), parts[0].shape[2])
        for group, part in zip(groups, parts):
            states[group, : part.shape[1]] = part
        return states
    n_past, rows = _to_read(model, prefix, n_kept, rows)
    inputs, _ = _inputs(model, model.network, rows, prefix.past, n_past)
    return states_of(model.network, layers, model.n_layers, **inputs)[:, n_kept - n_past :]


def log_probs_after(
    model: "LanguageModel",
    prefix: Prefix,
    n_kept: int,
    rows: Sequence[Sequence[int]],
    wanted: Sequence[Sequence[tuple[int, int]]],
    *,
    keep: bool = False,
    states: Sequence[float] = (),
    vocabulary: bool = False,
) -> TokenScores:
    """Log-probabilities of tokens in rows after the first `n_kept` of a prefix, given all that stands before them.

    `wanted` has for each row pairs (position in the row, token): the token is asked about as the one after that
    position. The last position asked about is that of `vocabulary` and of `states`, which are the depths of layers
    (1.0 the last); `keep` returns keys and values, of
    rows that are read in one way.
    """
    if keep or model.rows.alike:
        return _read_together(model, prefix, n_kept, rows, wanted, keep, states, vocabulary)
    return _read_apart(model, prefix, n_kept, rows, wanted, states, vocabulary)


def _read_apart(
    model: "LanguageModel",
    prefix: Prefix,
    n_kept: int,
    rows: Sequence[Sequence[int]],
    wanted: Sequence[Sequence[tuple[int, int]]],
    states: Sequence[float],
    vocabulary: bool,
) -> TokenScores:
    """The same for rows that are read in several ways: beginnings of rows, those of one way together.

    What stands before a token is read as the text that it is; what follows may not change the way.
    """
    import torch

    pieces: dict[tuple[int, int], list[int]] = {}  # by way and row: which tokens of `wanted`
    for i, row in enumerate(wanted):
        for number, (place, _) in enumerate(row):
            pieces.setdefault((model.way(n_kept + place + 1), i), []).append(number)
    begun = [(i, numbers, 1 + max(wanted[i][number][0] for number in numbers)) for (_, i), numbers in pieces.items()]
    log_probs = [np.zeros(len(row)) for row in wanted]
    extra: tuple[list, list] = ([None] * len(rows), [None] * len(rows))
    for group in model.by_way([n_kept + length for _, _, length in begun]):
        parts = [begun[j] for j in group]
        asked = [[wanted[i][number] for number in numbers] for i, numbers, _ in parts]
        beginnings = [rows[i][:length] for i, _, length in parts]
        read = _read_together(model, prefix, n_kept, beginnings, asked, False, states, vocabulary)
        for k, (i, numbers, _) in enumerate(parts):
            log_probs[i][numbers] = read.log_probs[k]
            if numbers[-1] == len(wanted[i]) - 1:
                for found, part in zip(extra, (read.states, read.vocabulary)):
                    found[i] = None if part is None else part[k]
    stacked = [torch.stack(part) if asked_for else None for part, asked_for in zip(extra, (states, vocabulary))]
    return TokenScores(log_probs, None, *stacked)


def _read_together(
    model: "LanguageModel",
    prefix: Prefix,
    n_kept: int,
    rows: Sequence[Sequence[int]],
    wanted: Sequence[Sequence[tuple[int, int]]],
    keep: bool,
    states: Sequence[float],
    vocabulary: bool,
) -> TokenScores:
    """The same for rows that are read in one way."""
    import torch

    n_past, rows = _to_read(model, prefix, n_kept, rows)
    before = n_kept - n_past  # so many tokens of the prefix are read again with each row
    keep = keep and prefix.shares
    inputs, cache = _inputs(model, model.whole, rows, prefix.past, n_past, keep=keep)
    places = sorted({before + place for row in wanted for place, _ in row})
    column = {place: i for i, place in enumerate(places)}
    ends = [before + row[-1][0] for row in wanted]
    with torch.inference_mode():
        flat = [(i, before + place, token) for i, row in enumerate(wanted) for place, token in row]
        values, output, log_probs = asked_about(model, inputs, places, flat, states)
        # `split` gives each row its own again.
        of_rows = np.split(values, np.cumsum([len(row) for row in wanted])[:-1])
        all_rows = torch.arange(len(rows), device=log_probs.device)
        last_states = states_at(output, states, all_rows, ends) if states else None
        all_tokens = log_probs[all_rows, [column[end] for end in ends]] if vocabulary else None
    return TokenScores(of_rows, cache if keep else None, last_states, all_tokens)


def asked_about(
    model: "LanguageModel",
    inputs: dict,
    places: Sequence[int],
    flat: Sequence[tuple[int, int, int]],
    states: Sequence[float],
) -> tuple[np.ndarray, Any, "torch.Tensor"]:
    """One pass, asked for triples (row, place, token), places being some of `places`: the log-probability of each.

    Also all that the network returned, and the log-probabilities (B, U, V) at the places.
    """
    import torch

    output = _forward(model, inputs, places, states)
    logits = output.logits if model.keeps_chosen_logits(model.whole) else output.logits[:, places]
    log_probs = (logits if logits.dtype == torch.float64 else logits.float()).log_softmax(-1)  # B, U, V
    column = {place: i for i, place in enumerate(places)}
    asked = zip(*((row, column[place], token) for row, place, token in flat))
    index, columns, tokens = (torch.tensor(part, device=logits.device) for part in asked)
    return log_probs[index, columns, tokens].double().cpu().numpy(), output, log_probs


def past_of(cache: Any, rows: Sequence[int], n_tokens: int) -> list:
    """Keys and values (n_rows, H, n_tokens, K) of the beginning of some rows, as the past of further tokens.

    `rows` may name a row as often as wanted; `n_tokens` counts the prefix too, and none of them may be padding.
    """
    import torch

    index = torch.as_tensor(rows, device=cache.layers[0].keys.device)
    return [(keys[index, :, :n_tokens], values[index, :, :n_tokens]) for keys, values in layers_of(cache)]


def _to_read(
    model: "LanguageModel", prefix: Prefix, n_kept: int, rows: Sequence[Sequence[int]]
) -> tuple[int, Sequence[Sequence[int]]]:
    """How many tokens have keys and values, and what is read after them: without these, the prefix with each row."""
    if prefix.past is not None:
        if model.way(n_kept + max(map(len, rows))) == prefix.way:
            return n_kept, rows
        model.rows.warn_of_switch()
    return 0, [[*prefix.ids[:n_kept], *row] for row in rows]


def _inputs(
    model: "LanguageModel",
    network: Any,
    rows: Sequence[Sequence[int]],
    past: list | None,
    n_past: int,
    *,
    keep: bool = False,
) -> tuple[dict, Any]:
    """What `network` gets to read rows after `n_past` tokens with keys and values; and the cache that it fills."""
    import torch

    ids, mask = padded(rows, model.neutral_token, network.device)
    if not (n_past or keep):
        return {"input_ids": ids, "attention_mask": mask, "use_cache": False}, None
    cache = cache_of(past if past is not None and n_past else [], n_past, len(rows))
    mask = torch.cat([mask.new_ones(len(rows), n_past), mask], dim=1)  # B, n_past + T
    inputs = {"input_ids": ids, "attention_mask": mask, "use_cache": True, model.past_name(network): cache}
    return inputs, cache


def states_at(output: Any, depths: Sequence[float], rows: Any, places: Any) -> "torch.Tensor":
    """States (B, D) at a place in each row, in float32; of several depths side by side, each of unit length."""
    import torch

    numbers = resolve_layers(list(depths), len(output.hidden_states) - 1)
    states = [output.hidden_states[number][rows, places].float() for number in numbers]
    if len(states) == 1:
        return states[0]
    return torch.cat([torch.nn.functional.normalize(block, dim=-1) for block in states], dim=-1)


def _forward(model: "LanguageModel", inputs: dict, places: Sequence[int], states: Sequence[float]) -> Any:
    """One pass of the network with its head; logits only where they are asked for, if it knows how."""
    import torch

    if model.keeps_chosen_logits(model.whole):
        inputs = inputs | {"logits_to_keep": torch.tensor(places, device=inputs["input_ids"].device)}
    if states:
        inputs = inputs | {"output_hidden_states": True}
    with torch.inference_mode():
        return model.whole(**inputs, return_dict=True)
