import warnings

import numpy as np
import pytest
import torch
from encoders.argument_names import MANNERS, forget_past, rename_past
from encoders.tiny_language_models import CAUSAL, POSITIONS, make_network, make_tokenizer

from skicl._models._language_model import LanguageModel
from skicl._models._reading_on import NAMES
from skicl.encoders import _prompt_reading
from skicl.encoders._prompt_reading import read_on, read_prompt, shares_past

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
    sizes, original = [], _prompt_reading.states_of

    def states_of(network, layers, n_layers, **inputs):
        sizes.append(inputs["input_ids"].shape[1])
        return original(network, layers, n_layers, **inputs)

    monkeypatch.setattr(_prompt_reading, "states_of", states_of)
    return sizes


def from_scratch(model, ids, layers):
    with torch.inference_mode():
        output = model.network(input_ids=torch.tensor([ids]), output_hidden_states=True, use_cache=False)
    return torch.stack([output.hidden_states[layer][0] for layer in layers]).mean(0)


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("n_kept", [0, 1, 17, 40])
def test_reading_on_equals_reading_the_whole(model, layers, n_kept):
    """After all of the prompt or its beginning, with keys and values or without, rows together or alone."""
    for share in (True, False):
        read = read_prompt(model, PROMPT, layers, share=share)
        assert (read.past is not None) == share
        torch.testing.assert_close(read.states, from_scratch(model, PROMPT, layers), rtol=1e-5, atol=1e-5)
        together = read_on(model, read, n_kept, ROWS, layers)
        for row, states in zip(ROWS, together):
            expected = from_scratch(model, (*PROMPT[:n_kept], *row), layers)[n_kept:]
            torch.testing.assert_close(states[: len(row)], expected, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(read_on(model, read, n_kept, [row], layers)[0], expected, rtol=1e-5, atol=1e-5)


def test_what_stands_before_is_seen(model):
    after_all, after_some = (read_on(model, read_prompt(model, PROMPT, (2,)), n, ROWS[1:2], (2,)) for n in (40, 38))
    assert (after_all - after_some).abs().max() > 0.01


def test_reading_on_does_not_change_the_prompt(model):
    read = read_prompt(model, PROMPT, (2,))
    before = [[part.clone() for part in layer] for layer in read.past]
    first = read_on(model, read, 40, ROWS, (2,))
    read_on(model, read, 7, ROWS[::-1], (2,))
    torch.testing.assert_close(read_on(model, read, 40, ROWS, (2,)), first, rtol=0, atol=0)
    for (keys, values), (old_keys, old_values) in zip(read.past, before):
        assert torch.equal(keys, old_keys)
        assert torch.equal(values, old_values)


def test_prompt_is_read_once(model, runs):
    shares_past(model)
    runs.clear()
    one = read_prompt(model, PROMPT, (2,))
    assert read_prompt(model, PROMPT, (2,)) is one
    assert runs == [40]
    read_on(model, one, 40, ROWS, (2,))
    assert runs == [40, 7]
    assert read_prompt(model, PROMPT[:9], (2,)) is not one
    assert read_prompt(model, PROMPT, (1,)) is not one
    assert runs == [40, 7, 9, 40]


def test_prompt_is_read_again_when_the_weights_have_changed(model):
    before = read_prompt(model, PROMPT, (2,)).states
    with torch.no_grad():
        next(model.network.parameters()).mul_(-0.5)
    after = read_prompt(model, PROMPT, (2,)).states
    torch.testing.assert_close(after, from_scratch(model, PROMPT, (2,)), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(after, before, atol=1e-3)


def test_all_families_share_their_past(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert shares_past(model)


@pytest.mark.parametrize("unknown", MANNERS)
@pytest.mark.parametrize("name", NAMES)
def test_prompts_are_shared_under_every_name(name, unknown, runs):
    model = LanguageModel(rename_past(make_network("llama"), name, unknown=unknown), make_tokenizer("llama"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = read_prompt(model, PROMPT, (2,))
    runs.clear()
    states = read_on(model, read, 40, ROWS, (2,))
    assert runs == [7]
    expected = from_scratch(model, (*PROMPT, *ROWS[1]), (2,))[40:]
    torch.testing.assert_close(states[1], expected, rtol=1e-5, atol=1e-5)


def test_up_to_the_last_position(model):
    prompt = tuple(RNG.integers(5, 60, POSITIONS - 3).tolist())
    row = ROWS[1][:3]
    states = read_on(model, read_prompt(model, prompt, (2,)), len(prompt), [row], (2,))[0]
    torch.testing.assert_close(states, from_scratch(model, (*prompt, *row), (2,))[-3:], rtol=1e-5, atol=1e-5)


def test_networks_with_a_state_of_their_own_read_every_prompt_from_scratch():
    from transformers import MambaConfig, MambaModel

    tokenizer = make_tokenizer("gpt_neox")
    config = MambaConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, state_size=4)
    model = LanguageModel(MambaModel(config), tokenizer)
    assert model.causal
    with pytest.warns(UserWarning, match="MambaModel reads every prompt from its beginning .* does not take keys"):
        assert not shares_past(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = read_prompt(model, PROMPT, (2,))
    assert read.past is None
    states = read_on(model, read, 40, ROWS, (2,))
    for row, found in zip(ROWS, states):
        expected = from_scratch(model, (*PROMPT, *row), (2,))[40:]
        torch.testing.assert_close(found[: len(row)], expected, rtol=1e-5, atol=1e-5)


def test_networks_that_ignore_the_past_are_found_out():
    model = LanguageModel(forget_past(make_network("llama")), make_tokenizer("llama"))
    with pytest.warns(UserWarning, match="LlamaModel reads every prompt from its beginning .* differs by "):
        assert not shares_past(model)


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
    before = read_prompt(model, PROMPT, (2,)).states
    change(model.network)
    after = read_prompt(model, PROMPT, (2,)).states
    torch.testing.assert_close(after, from_scratch(model, PROMPT, (2,)), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(after, before, atol=1e-3)


def test_weights_that_nobody_else_has_are_not_looked_at(monkeypatch):
    model = LanguageModel(make_network("llama"), make_tokenizer("llama"))
    monkeypatch.setattr(_prompt_reading, "state_of", lambda part: pytest.fail("looked at"))
    assert read_prompt(model, PROMPT, (2,), live=False) is read_prompt(model, PROMPT, (2,), live=False)
