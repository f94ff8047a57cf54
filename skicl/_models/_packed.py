"""Many rows, each with what may follow it as a tree, read by a causal network as one long row: no padding, no copies.

A mask says what each token sees: the beginning that all share, its own row before it, the nodes of the tree that lead
to it. What is shared stays in memory once, and a tree costs no pass of its own. Not every network heeds such a mask and
the places of tokens that go with it; whether one does is found out by a trial.

Shapes: B rows, N tokens of all rows and trees, P tokens before them, K nodes of a tree, U positions asked about.
"""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skicl._models._prefix import Prefix, TokenScores, asked_about, states_at
from skicl._models._reading_on import cache_of
from skicl._models._rows_together import numbers_of
from skicl._models._states import padded

if TYPE_CHECKING:
    import torch
    import transformers

    from skicl._models._language_model import LanguageModel

# How far logits may be from those of each row alone, as a fraction of their size: in float32, in shorter formats.
_ROUNDING = (1e-4, 5e-2)
# Numbers of a configuration beyond which a layer does not look at all tokens: it would not heed the mask there.
_EDGES = re.compile(r"window|chunk|block_size|local_att|index\w*top_?k")
_NO_EDGES = re.compile(r"layers|pattern")
# Most nodes of a tree: each looks at all others, if only to find that it does not see them.
MOST_NODES = 512
# Tokens of one pass. On a CPU more do not make a token cheaper, and each looks at all others in vain.
_TOKENS = {"cpu": 256}
_TOKENS_ELSEWHERE = 2048


class Tree(NamedTuple):
    """Tokens that may follow a row."""

    tokens: tuple  # (K,)
    parents: tuple  # (K,): The node before each, which stands before it in the list; -1 for the end of the row

    def depths(self) -> list[int]:
        """How many nodes lead to each."""
        depths: list[int] = []
        for parent in self.parents:
            depths.append(0 if parent < 0 else depths[parent] + 1)
        return depths

    def seen(self) -> np.ndarray:
        """Which nodes (K, K) each sees: itself and those that lead to it."""
        seen = np.eye(len(self.tokens), dtype=bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] |= seen[parent]
        return seen


def tokens_at_once(model: "LanguageModel") -> int:
    """How many tokens are best read in one pass."""
    return _TOKENS.get(model.network.device.type, _TOKENS_ELSEWHERE)


def packed_at_once(model: "LanguageModel", prefix: Prefix, n_kept: int, lengths: Sequence[int], tree: Tree) -> int:
    """How many tokens of rows and their trees to read as one row after the first `n_kept` of a prefix; 0 if none.

    `lengths` are those of all rows. None are where some would not be read as exactly as one by one.
    """
    if len(tree.tokens) > MOST_NODES or (n_kept and prefix.past is None):
        return 0
    ends = [n_kept + 1, n_kept + min(lengths), n_kept + max(lengths) + max(tree.depths(), default=-1) + 1]
    way = model.way(ends[-1])
    if way < 0 or len(model.by_way(ends)) > 1 or (n_kept and way != prefix.way):
        return 0
    # A network may count what a layer looks at in places of the long row: none is longer than that.
    edge = min(_edges(model.network.config.get_text_config().to_dict()), default=None)
    most = tokens_at_once(model)
    if edge is not None:
        most = min(most, edge - n_kept)
        if n_kept + max(lengths) + len(tree.tokens) > edge:
            return 0
    return most if model.packs_rows(model.whole) else 0


def read_packed(
    model: "LanguageModel",
    prefix: Prefix,
    n_kept: int,
    rows: Sequence[Sequence[int]],
    tree: Tree,
    wanted: Sequence[Sequence[tuple[int, int]]],
    *,
    states: Sequence[float] = (),
    vocabulary: bool = False,
) -> TokenScores:
    """Log-probabilities of tokens in rows and in the tree after each, in one pass, as of rows that stand alone.

    `wanted` has for each row pairs (place, token): the token is asked about as the one after that place. The nodes of
    the tree have the places that follow those of the row. `states` and `vocabulary` are those at the ends of the rows.
    """
    import torch

    starts = np.cumsum([0, *(len(row) + len(tree.tokens) for row in rows)])
    flat = [(0, int(start) + place, token) for start, row in zip(starts, wanted) for place, token in row]
    ends = [int(start) + len(row) - 1 for start, row in zip(starts, rows)]
    places = sorted({place for _, place, _ in flat} | (set(ends) if states or vocabulary else set()))
    past = {model.past_name(model.whole): cache_of((n_kept and prefix.past) or [], n_kept, 1)}
    inputs = _packed_inputs(model.whole, rows, tree, n_kept) | past
    column = {place: i for i, place in enumerate(places)}
    with torch.inference_mode():
        values, output, log_probs = asked_about(model, inputs, places, flat, states)
        of_rows = np.split(values, np.cumsum([len(row) for row in wanted])[:-1])
        last_states = states_at(output, states, 0, ends) if states else None
        all_tokens = log_probs[0, [column[end] for end in ends]] if vocabulary else None
    return TokenScores(of_rows, None, last_states, all_tokens)


def packs_rows(network: "transformers.PreTrainedModel", tokens: Sequence[int], past_name: Callable[[], str]) -> bool:
    """Whether a network with its head reads two rows that are packed into one, with their trees, as each by itself.

    Told by what comes out after a beginning of two tokens with keys and values; three tokens are taken.
    """
    import torch

    first, second, third = tokens[:3]
    begun, rows = [first, second], [[third, first], [second]]
    tree, chains = Tree((second, third, first), (-1, 0, -1)), [[0, 1], [2]]
    ends = np.cumsum([len(row) + len(tree.tokens) for row in rows]) - len(tree.tokens)
    pairs = [(row, end, chain) for row, end in zip(rows, ends) for chain in chains]
    places = [[*range(end - len(row), end), *(end + node for node in chain)] for row, end, chain in pairs]
    texts = [[*begun, *row, *(tree.tokens[node] for node in chain)] for row, _, chain in pairs]
    try:
        name, cache = past_name(), cache_of([], 0, 1)
        ids, mask = padded([begun], first, network.device)
        _logits(network, {"input_ids": ids, "attention_mask": mask, "use_cache": True, name: cache})
        packed = _logits(network, _packed_inputs(network, rows, tree, 2) | {name: cache})[0]
        ids, mask = padded(texts, first, network.device)
        for where, alone in zip(places, _logits(network, {"input_ids": ids, "attention_mask": mask})):
            distance = (packed[where] - alone[2 : 2 + len(where)]).abs().max()
            if not distance <= _ROUNDING[network.dtype.itemsize < 4] * alone.abs().max():
                return False
    except (MemoryError, torch.cuda.OutOfMemoryError):
        raise
    except Exception:  # mostly a TypeError or a shape: no such mask, no such argument
        return False
    return True


def _logits(network: Any, inputs: dict) -> "torch.Tensor":
    """Logits (B, T, V) of rows."""
    import torch

    with torch.inference_mode():
        return network(**{"use_cache": False} | inputs, return_dict=True).logits.float()


def _packed_inputs(network: Any, rows: Sequence[Sequence[int]], tree: Tree, n_before: int) -> dict:
    """What a network gets to read rows and the tree after each as one row, after `n_before` tokens."""
    import torch

    depths, seen, size = tree.depths(), tree.seen(), len(tree.tokens)
    ids: list[int] = []
    positions: list[int] = []
    sees = np.zeros((sum(map(len, rows)) + size * len(rows),) * 2, dtype=bool)  # N, N
    for row in rows:
        start, end = len(ids), len(ids) + len(row)
        ids += [*row, *tree.tokens]
        positions += [*range(n_before, n_before + len(row)), *(n_before + len(row) + depth for depth in depths)]
        sees[start:end, start:end] = np.tri(len(row), dtype=bool)
        sees[end : end + size, start:end] = True
        sees[end : end + size, end : end + size] = seen
    sees = np.pad(sees, ((0, 0), (n_before, 0)), constant_values=True)  # N, P + N
    device, dtype = network.device, network.dtype
    mask = torch.zeros(sees.shape, dtype=dtype, device=device)
    mask = mask.masked_fill(torch.from_numpy(~sees).to(device), torch.finfo(dtype).min)
    return {
        "input_ids": torch.tensor([ids], device=device),
        "attention_mask": mask[None, None],
        "position_ids": torch.tensor([positions], device=device),
        "use_cache": True,
    }


def _edges(config: dict) -> list[int]:
    """Numbers of tokens in a configuration, also of its parts, beyond which a layer does not see all."""
    return [value for name, value in numbers_of(config) if _EDGES.search(name) and not _NO_EDGES.search(name)]
