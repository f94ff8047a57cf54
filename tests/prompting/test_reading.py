import warnings
from functools import cache

import numpy as np
import pytest
import torch
from encoders.argument_names import MANNERS, CountsTokens, forget_past, rename_past
from prompting.tiny_causal_models import FAMILIES, model_of

from skicl._models._reading_on import NAMES
from skicl.prompting._reading import Prefix, past_of, read_prefix, read_rows, shares_prefix

model_of = cache(model_of)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "mamba"])
def test_a_trial_tells_which_networks_read_on(family):
    model = model_of(family)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert shares_prefix(model)
    assert model.shares_prefix


def test_networks_with_a_state_of_their_own_are_read_again_with_one_warning():
    model = model_of.__wrapped__("mamba")
    with pytest.warns(UserWarning, match=r"MambaForCausalLM reads every prompt .* does not take keys and values"):
        assert not shares_prefix(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not shares_prefix(model)
        assert read_prefix(model, [5, 6, 7]).past is None


def test_a_network_that_reads_on_wrongly_is_found_out():
    model = model_of.__wrapped__("gpt2")
    forget_past(model.whole)
    with pytest.warns(UserWarning, match=r"GPT2LMHeadModel reads every prompt from its beginning .* differs by "):
        assert not shares_prefix(model)
    assert read_prefix(model, [5, 6, 7]).past is None


@pytest.mark.parametrize("unknown", MANNERS)
@pytest.mark.parametrize("name", NAMES)
def test_prefixes_are_shared_under_every_name(name, unknown):
    rows, wanted = [(50, 51), (60,)], [[(1, 70)], [(0, 71)]]
    expected = read_rows(model_of("llama"), Prefix(tuple(range(10, 40)), None, False), 30, rows, wanted)
    model = model_of.__wrapped__("llama")
    rename_past(model.whole, name, unknown=unknown)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prefix = read_prefix(model, range(10, 40))
        tokens = CountsTokens(model.whole)
        found = read_rows(model, prefix, 30, rows, wanted)
    assert tokens.tokens == 4
    np.testing.assert_allclose(found.log_probs, expected.log_probs, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gemma"])
def test_reading_on_twice(family):
    """The past of rows that were read after a prefix serves for what follows them."""
    model = model_of(family)
    prefix = read_prefix(model, range(10, 40))
    rows = [(50, 51, 52), (60, 61, 62)]
    first = read_rows(model, prefix, 30, rows, [[(2, 70)], [(2, 70)]], keep=True)
    past = Prefix((), past_of(first.cache, [1, 1, 0], 33), True)
    later = read_rows(model, past, 33, [(70, 71), (72,), (70,)], [[(0, 71), (1, 5)], [(0, 6)], [(0, 7)]])
    wholes = [(*rows[1], 70, 71), (*rows[1], 72), (*rows[0], 70)]
    for whole, found, tokens in zip(wholes, later.log_probs, [(71, 5), (6,), (7,)]):
        with torch.inference_mode():
            log_probs = model.whole(torch.tensor([[*range(10, 40), *whole]])).logits[0].log_softmax(-1)
        expected = [log_probs[len(tokens) * -1 + i, token].item() for i, token in enumerate(tokens)]
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gemma", "gpt2"])
def test_a_prefix_is_read_on_from_what_is_known(family):
    model, ids = model_of(family), tuple(range(10, 60))
    expected = read_prefix(model, ids)
    known = [read_prefix(model, start) for start in ((10, 11, 99), (*ids[:30], 99), (99,), ids)]
    tokens = []
    hook = model.whole.register_forward_pre_hook(
        lambda network, args, kwargs: tokens.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    found = [read_prefix(model, ids, known=some) for some in (known[:3], known[2:3], known)]
    hook.remove()
    assert tokens == [20, 50, 1]
    for prefix in found:
        for layer, other in zip(prefix.past, expected.past):
            for part, same in zip(layer, other):
                torch.testing.assert_close(part, same, atol=1e-4, rtol=1e-4)


def test_nothing_is_kept_where_it_was_not_asked_for():
    model = model_of("gpt2")
    read = read_rows(model, read_prefix(model, [5, 6, 7]), 3, [(8,)], [[(0, 9)]])
    assert read.cache is None
    assert read.states is None
    assert read.vocabulary is None


def test_short_formats_are_scored_in_float32():
    model = model_of.__wrapped__("llama")
    model.whole.to(torch.bfloat16)
    read = read_rows(model, read_prefix(model, [5, 6, 7]), 3, [(8,)], [[(0, 9)]], vocabulary=True)
    assert read.vocabulary.dtype == torch.float32
    np.testing.assert_allclose(read.vocabulary.exp().sum().item(), 1, atol=1e-5)
