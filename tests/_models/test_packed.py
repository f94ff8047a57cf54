"""Rows that are packed into one with their trees: what a network says of each is what it says of it alone."""

from functools import cache

import numpy as np
import pytest
import torch
from encoders.argument_names import CountsTokens, forget_past
from prompting.tiny_causal_models import FAMILIES, OTHERS, model_of

from skicl._models import _packed
from skicl._models._packed import MOST_NODES, Tree, packed_at_once, read_packed
from skicl._models._prefix import Prefix, log_probs_after, read_prefix

model_of = cache(model_of)

PACKING = ["gpt2", "llama", "qwen", "gpt_neox", "opt", "gpt_neo", "mistral", "gemma"]
PREFIX = (11, 12, 13)
ROWS = [(20, 21, 22), (23,), (24, 25)]
SIZES = [3, 1, 2]
TREE = Tree((30, 31, 32, 33), (-1, 0, 0, -1))
CHAINS = [(0, 1), (0, 2), (3,)]
NO_TREE = Tree((), ())


def wanted_of(rows, tree):
    """Every place of every row and tree, with some token."""
    return [[(place, 40 + place) for place in range(len(row) + len(tree.tokens))] for row in rows]


def definition(model, before, row, tree, chains):
    """Log-probabilities of the tokens of `wanted_of`, each chain read from the first token to the last."""
    values = {}
    for chain in chains:
        text = [*before, *row, *(tree.tokens[node] for node in chain)]
        with torch.inference_mode():
            log_probs = model.whole(torch.tensor([text])).logits[0].log_softmax(-1)[len(before) :]
        for i, place in enumerate([*range(len(row)), *(len(row) + node for node in chain)]):
            values[place] = log_probs[i, 40 + place].item()
    return [values[place] for place in sorted(values)]


@pytest.mark.parametrize("n_kept", [0, 2, 3])
@pytest.mark.parametrize("family", PACKING)
def test_packed_is_alone(family, n_kept):
    model = model_of(family)
    prefix = read_prefix(model, PREFIX)
    n_tokens = packed_at_once(model, prefix, n_kept, SIZES, TREE)
    rows = ROWS if n_tokens >= 3 * 7 else ROWS[:1]  # layers with a window allow few tokens
    read = read_packed(model, prefix, n_kept, rows, TREE, wanted_of(rows, TREE), states=(1.0,), vocabulary=True)
    for row, found, state, vocabulary in zip(rows, read.log_probs, read.states, read.vocabulary):
        np.testing.assert_allclose(found, definition(model, PREFIX[:n_kept], row, TREE, CHAINS), atol=1e-4)
        with torch.inference_mode():
            alone = model.whole(torch.tensor([[*PREFIX[:n_kept], *row]]), output_hidden_states=True)
        torch.testing.assert_close(state, alone.hidden_states[-1][0, -1], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(vocabulary, alone.logits[0, -1].log_softmax(-1), atol=1e-4, rtol=1e-4)


def test_one_pass_without_padding_and_the_prefix_as_it_was():
    model = model_of.__wrapped__("llama")
    prefix = read_prefix(model, PREFIX)
    assert packed_at_once(model, prefix, 3, SIZES, TREE)
    before, counter = [part.clone() for layer in prefix.past for part in layer], CountsTokens(model.whole)
    first = read_packed(model, prefix, 3, ROWS, TREE, wanted_of(ROWS, TREE))
    assert (counter.calls, counter.tokens) == (1, 6 + 3 * 4)
    again = read_packed(model, prefix, 3, ROWS, TREE, wanted_of(ROWS, TREE))
    np.testing.assert_array_equal(np.concatenate(first.log_probs), np.concatenate(again.log_probs))
    assert all(torch.equal(*pair) for pair in zip(before, [part for layer in prefix.past for part in layer]))


def test_a_trial_tells_which_networks_pack():
    found = {family: model_of(family).packs_rows(model_of(family).whole) for family in [*FAMILIES, *OTHERS]}
    assert {family for family in found if found[family]} == set(PACKING)


def test_a_network_that_forgets_what_stands_before_does_not_pack():
    model = model_of.__wrapped__("gpt2")
    forget_past(model.whole)
    assert not model.packs_rows(model.whole)


def test_a_network_that_counts_places_itself_does_not_pack():
    model = model_of.__wrapped__("llama")
    forward = model.whole.forward
    model.whole.forward = lambda *args, position_ids=None, **kwargs: forward(*args, **kwargs)
    assert not model.packs_rows(model.whole)


def test_a_trial_is_made_once_with_few_tokens():
    model = model_of.__wrapped__("llama")
    counter = CountsTokens(model.whole)
    assert model.packs_rows(model.whole)
    assert (counter.calls, counter.tokens) <= (5, 45)
    counter.tokens = 0
    assert model.packs_rows(model.whole)
    assert counter.tokens == 0


@pytest.mark.parametrize("family", ["gemma", "gpt_neo", "mistral"])
def test_beyond_a_window_rows_are_not_packed(family):
    """A layer with a window of 12 tokens would see all that the mask allows, or less."""
    model = model_of(family)
    prefix = read_prefix(model, PREFIX)
    assert packed_at_once(model, prefix, 3, [5, 2], TREE) == 9  # of 12
    assert not packed_at_once(model, prefix, 3, [6, 2], TREE)
    assert packed_at_once(model, prefix, 3, [9, 2], NO_TREE)
    assert not packed_at_once(model, prefix, 3, [10, 2], NO_TREE)


def test_numbers_beyond_which_layers_do_not_see_all():
    assert list(_packed._edges({"sliding_window": 12, "max_window_layers": 3, "sliding_window_pattern": 2})) == [12]
    assert list(_packed._edges({"text": {"chunk": 8}, "windows": [4, None, True]})) == [8, 4]


def test_what_cannot_be_packed():
    model = model_of("llama")
    prefix = read_prefix(model, PREFIX)
    assert not packed_at_once(model, Prefix(PREFIX, None, False), 3, [2], TREE)
    many = Tree((5,) * (MOST_NODES + 1), (-1,) * (MOST_NODES + 1))
    assert not packed_at_once(model, prefix, 3, [2], many)
    assert not packed_at_once(model_of("mamba"), Prefix((), None, False), 0, [2], NO_TREE)


def test_packed_and_padded_agree():
    model = model_of("qwen")
    prefix = read_prefix(model, PREFIX)
    wanted = wanted_of(ROWS, NO_TREE)
    packed = read_packed(model, prefix, 3, ROWS, NO_TREE, wanted).log_probs
    padded = log_probs_after(model, prefix, 3, ROWS, wanted).log_probs
    np.testing.assert_allclose(np.concatenate(packed), np.concatenate(padded), atol=1e-5)


def test_a_tree_knows_its_depths_and_what_its_nodes_see():
    assert TREE.depths() == [0, 1, 1, 0]
    assert TREE.seen().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]
