import warnings
from functools import cache

import numpy as np
import pytest
import torch
from encoders.argument_names import MANNERS, CountsTokens, forget_past, rename_past
from encoders.tiny_language_models import CAUSAL, POSITIONS, make_network, make_tokenizer
from prompting.tiny_causal_models import FAMILIES, model_of

from skicl._models import _prefix
from skicl._models._language_model import LanguageModel
from skicl._models._prefix import (
    Prefix,
    last_prefix,
    log_probs_after,
    past_of,
    read_prefix,
    shared_beginning,
    states_after,
)
from skicl._models._reading_on import NAMES

model_of = cache(model_of)

LAYERS = [(2,), (1,), (0, 2)]
RNG = np.random.default_rng(0)
PROMPT = tuple(RNG.integers(5, 60, 40).tolist())  # longer than the sliding windows
ROWS = [tuple(RNG.integers(5, 60, n).tolist()) for n in (1, 7, 4)]


@pytest.fixture(params=CAUSAL)
def model(request):
    return LanguageModel(make_network(request.param), make_tokenizer(request.param))


@pytest.fixture
def runs(monkeypatch):
    """Numbers of tokens that networks were given."""
    sizes, original = [], _prefix.states_of

    def states_of(network, layers, n_layers, **inputs):
        sizes.append(inputs["input_ids"].shape[1])
        return original(network, layers, n_layers, **inputs)

    monkeypatch.setattr(_prefix, "states_of", states_of)
    return sizes


def from_scratch(model, ids, layers):
    with torch.inference_mode():
        output = model.network(input_ids=torch.tensor([ids]), output_hidden_states=True, use_cache=False)
    return torch.stack([output.hidden_states[layer][0] for layer in layers]).mean(0)


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("n_kept", [0, 1, 17, 40])
def test_reading_on_equals_reading_the_whole(model, layers, n_kept, monkeypatch):
    """After all of the prompt or its beginning, with keys and values or without, rows together or alone."""
    for share in (True, False):
        monkeypatch.setattr(model, "shares_prefix", lambda network, share=share: share)
        read = last_prefix(model, PROMPT, layers)
        assert (read.past is not None) == share
        torch.testing.assert_close(read.states, from_scratch(model, PROMPT, layers), rtol=1e-5, atol=1e-5)
        together = states_after(model, read, n_kept, ROWS, layers)
        for row, states in zip(ROWS, together):
            expected = from_scratch(model, (*PROMPT[:n_kept], *row), layers)[n_kept:]
            torch.testing.assert_close(states[: len(row)], expected, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(
                states_after(model, read, n_kept, [row], layers)[0], expected, rtol=1e-5, atol=1e-5
            )


def test_what_stands_before_is_seen(model):
    after_all, after_some = (
        states_after(model, last_prefix(model, PROMPT, (2,)), n, ROWS[1:2], (2,)) for n in (40, 38)
    )
    assert (after_all - after_some).abs().max() > 0.01


def test_reading_on_does_not_change_the_prompt(model):
    read = last_prefix(model, PROMPT, (2,))
    before = [[part.clone() for part in layer] for layer in read.past]
    first = states_after(model, read, 40, ROWS, (2,))
    states_after(model, read, 7, ROWS[::-1], (2,))
    torch.testing.assert_close(states_after(model, read, 40, ROWS, (2,)), first, rtol=0, atol=0)
    for (keys, values), (old_keys, old_values) in zip(read.past, before):
        assert torch.equal(keys, old_keys)
        assert torch.equal(values, old_values)


def test_prompt_is_read_once(model, runs):
    model.shares_prefix(model.network)
    runs.clear()
    one = last_prefix(model, PROMPT, (2,))
    assert last_prefix(model, PROMPT, (2,)) is one
    assert runs == [40]
    states_after(model, one, 40, ROWS, (2,))
    assert runs == [40, 7]
    assert last_prefix(model, PROMPT[:9], (2,)) is not one
    assert last_prefix(model, PROMPT, (1,)) is not one
    assert runs == [40, 7, 9, 40]


def test_prompt_is_read_again_when_the_weights_have_changed(model):
    before = last_prefix(model, PROMPT, (2,)).states
    with torch.no_grad():
        next(model.network.parameters()).mul_(-0.5)
    after = last_prefix(model, PROMPT, (2,)).states
    torch.testing.assert_close(after, from_scratch(model, PROMPT, (2,)), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(after, before, atol=1e-3)


def test_all_families_share_their_past(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.shares_prefix(model.network)


@pytest.mark.parametrize("unknown", MANNERS)
@pytest.mark.parametrize("name", NAMES)
def test_prompts_are_shared_under_every_name(name, unknown, runs):
    model = LanguageModel(rename_past(make_network("llama"), name, unknown=unknown), make_tokenizer("llama"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = last_prefix(model, PROMPT, (2,))
    runs.clear()
    states = states_after(model, read, 40, ROWS, (2,))
    assert runs == [7]
    expected = from_scratch(model, (*PROMPT, *ROWS[1]), (2,))[40:]
    torch.testing.assert_close(states[1], expected, rtol=1e-5, atol=1e-5)


def test_up_to_the_last_position(model):
    prompt = tuple(RNG.integers(5, 60, POSITIONS - 3).tolist())
    row = ROWS[1][:3]
    states = states_after(model, last_prefix(model, prompt, (2,)), len(prompt), [row], (2,))[0]
    torch.testing.assert_close(states, from_scratch(model, (*prompt, *row), (2,))[-3:], rtol=1e-5, atol=1e-5)


def test_networks_with_a_state_of_their_own_read_every_prompt_from_scratch():
    from transformers import MambaConfig, MambaModel

    tokenizer = make_tokenizer("gpt_neox")
    config = MambaConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, state_size=4)
    model = LanguageModel(MambaModel(config), tokenizer)
    assert model.causal
    with pytest.warns(UserWarning, match="MambaModel reads every prompt from its beginning .* does not take keys"):
        assert not model.shares_prefix(model.network)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = last_prefix(model, PROMPT, (2,))
    assert read.past is None
    states = states_after(model, read, 40, ROWS, (2,))
    for row, found in zip(ROWS, states):
        expected = from_scratch(model, (*PROMPT, *row), (2,))[40:]
        torch.testing.assert_close(found[: len(row)], expected, rtol=1e-5, atol=1e-5)


def test_networks_that_ignore_the_past_are_found_out():
    model = LanguageModel(forget_past(make_network("llama")), make_tokenizer("llama"))
    with pytest.warns(UserWarning, match="LlamaModel reads every prompt from its beginning .* differs by "):
        assert not model.shares_prefix(model.network)


def exchange_rows(network):
    weight = network.get_input_embeddings().weight
    weight.data = weight.data.flip(0)


def exchange_rows_in_place(network):
    values = network.get_input_embeddings().weight.detach().numpy()
    values[:] = values[::-1].copy()


@pytest.mark.parametrize("change", [exchange_rows, exchange_rows_in_place], ids=lambda change: change.__name__)
def test_a_change_that_no_counter_of_pytorch_sees_is_noticed(change):
    """In memory that was freed new weights may lie at the old address, with the old number of their version."""
    model = LanguageModel(make_network("llama"), make_tokenizer("llama"))
    before = last_prefix(model, PROMPT, (2,)).states
    change(model.network)
    after = last_prefix(model, PROMPT, (2,)).states
    torch.testing.assert_close(after, from_scratch(model, PROMPT, (2,)), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(after, before, atol=1e-3)


def test_weights_that_nobody_else_has_are_not_looked_at(monkeypatch):
    model = LanguageModel(make_network("llama"), make_tokenizer("llama"))
    monkeypatch.setattr(_prefix, "state_of", lambda part: pytest.fail("looked at"))
    assert last_prefix(model, PROMPT, (2,), live=False) is last_prefix(model, PROMPT, (2,), live=False)


# -- log-probabilities ----------------------------------------------------------------------------


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "mamba"])
def test_a_trial_tells_which_networks_read_on(family):
    model = model_of(family)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.shares_prefix(model.whole)
    assert model.shares_prefix(model.whole)


def test_networks_with_a_state_of_their_own_are_read_again_with_one_warning():
    model = model_of.__wrapped__("mamba")
    with pytest.warns(UserWarning, match=r"MambaForCausalLM reads every prompt .* does not take keys and values"):
        assert not model.shares_prefix(model.whole)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not model.shares_prefix(model.whole)
        assert read_prefix(model, [5, 6, 7]).past is None


def test_a_network_that_reads_on_wrongly_is_found_out():
    model = model_of.__wrapped__("gpt2")
    forget_past(model.whole)
    with pytest.warns(UserWarning, match=r"GPT2LMHeadModel reads every prompt from its beginning .* differs by "):
        assert not model.shares_prefix(model.whole)
    assert read_prefix(model, [5, 6, 7]).past is None


@pytest.mark.parametrize("unknown", MANNERS)
@pytest.mark.parametrize("name", NAMES)
def test_prefixes_are_shared_under_every_name(name, unknown):
    rows, wanted = [(50, 51), (60,)], [[(1, 70)], [(0, 71)]]
    expected = log_probs_after(model_of("llama"), Prefix(tuple(range(10, 40)), None, False), 30, rows, wanted)
    model = model_of.__wrapped__("llama")
    rename_past(model.whole, name, unknown=unknown)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prefix = read_prefix(model, range(10, 40))
        tokens = CountsTokens(model.whole)
        found = log_probs_after(model, prefix, 30, rows, wanted)
    assert tokens.tokens == 4
    np.testing.assert_allclose(found.log_probs, expected.log_probs, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gemma"])
def test_reading_on_twice(family):
    """The past of rows that were read after a prefix serves for what follows them."""
    model = model_of(family)
    prefix = read_prefix(model, range(10, 40))
    rows = [(50, 51, 52), (60, 61, 62)]
    first = log_probs_after(model, prefix, 30, rows, [[(2, 70)], [(2, 70)]], keep=True)
    past = Prefix((), past_of(first.cache, [1, 1, 0], 33), True)
    later = log_probs_after(model, past, 33, [(70, 71), (72,), (70,)], [[(0, 71), (1, 5)], [(0, 6)], [(0, 7)]])
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
    read = log_probs_after(model, read_prefix(model, [5, 6, 7]), 3, [(8,)], [[(0, 9)]])
    assert read.cache is None
    assert read.states is None
    assert read.vocabulary is None


def test_short_formats_are_scored_in_float32():
    model = model_of.__wrapped__("llama")
    model.whole.to(torch.bfloat16)
    read = log_probs_after(model, read_prefix(model, [5, 6, 7]), 3, [(8,)], [[(0, 9)]], vocabulary=True)
    assert read.vocabulary.dtype == torch.float32
    np.testing.assert_allclose(read.vocabulary.exp().sum().item(), 1, atol=1e-5)


def test_a_network_is_tried_once_with_few_tokens():
    model = model_of.__wrapped__("llama")
    tokens = CountsTokens(model.whole)
    assert model.shares_prefix(model.whole)
    assert tokens.tokens <= 3 * len(NAMES) + 14 + 21, "each name of the argument, and the trials"
    tokens.tokens = 0
    assert model.shares_prefix(model.whole)
    assert tokens.tokens == 0


def test_shared_beginning():
    assert shared_beginning([(1, 2), (1, 2, 3)], (1, 2, 3)) == 2
    assert shared_beginning([(4,)], (1, 2, 3)) == 0
    assert shared_beginning([(1, 2, 3, 4)], (1, 2, 3)) == 3
