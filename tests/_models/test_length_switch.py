"""Networks that read longer texts in another way: the switch is found, and nothing depends on what is read beside."""

import warnings
from functools import cache

import numpy as np
import pytest
import torch
from benchmark_modules import load
from encoders.tiny_language_models import FAMILIES, make_network, make_tokenizer

from skicl._models._language_model import LanguageModel
from skicl._models._length_switch import LengthSwitch, find_length_switch
from skicl._models._prefix import last_prefix, log_probs_after, read_prefix, states_after
from skicl.encoders import LanguageModelEncoder

small = load("small_networks")
SWITCH = small.SWITCH
RNG = np.random.default_rng(0)
LONG = tuple(RNG.integers(5, 200, SWITCH + 20).tolist())
SHORT = LONG[:30]
# After SHORT, rows end on both sides of the switch, and some of what is asked about too.
ROWS = [tuple(RNG.integers(5, 200, n).tolist()) for n in (4, 33, 34, 35, 36, 60)]


@cache
def model_of(rotary="longrope"):
    return LanguageModel(small.small_network("phi3", rotary), small.byte_tokenizer())


def alone(model, ids):
    ids = torch.tensor([ids])
    with torch.inference_mode():
        output = model.whole(input_ids=ids, use_cache=False, output_hidden_states=True)
    return output.logits[0, -1].log_softmax(-1), output.hidden_states[-1][0]


def test_switch_is_found():
    assert model_of().rows.switch == LengthSwitch(SWITCH, True)
    assert [model_of().way(n) for n in (1, SWITCH, SWITCH + 1, 500)] == [0, 0, 1, 1]
    assert model_of().by_way([5, 70, 6]) == [[0, 2], [1]]


@pytest.mark.parametrize("family", FAMILIES)
def test_other_families_have_none(family):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = LanguageModel(make_network(family), make_tokenizer(family))
        assert model.rows.switch is None
    assert model.way(10**6) == 0
    assert model.by_way([3, 10**6]) == [[0, 1]]


def test_a_scaling_that_never_settles_is_refused_beyond_its_switch():
    network = small.small_network("llama", "dynamic")
    before = network.model.rotary_emb.inv_freq.clone()
    for length in (SWITCH + 1, 3):
        network(torch.arange(5, 5 + length)[None], use_cache=False)
    if not torch.equal(network.model.rotary_emb.inv_freq, before):
        pytest.skip("in this version of transformers a long text changes how all later ones are read")
    switch = find_length_switch(network.model, [5, 6, 7], 512)
    assert switch == LengthSwitch(SWITCH, False)
    model = LanguageModel(network, small.byte_tokenizer())
    model.rows.__dict__["switch"] = switch
    assert model.way(SWITCH) == 0
    with pytest.raises(ValueError, match=f"`window` or `max_length` to at most {SWITCH}"):
        model.way(SWITCH + 1)


def test_memory_that_runs_out_says_nothing():
    def fail(**inputs):
        raise MemoryError

    fail.device, fail.dtype = torch.device("cpu"), torch.float32
    with pytest.raises(MemoryError):
        find_length_switch(fail, [5, 6, 7], 512)


@pytest.mark.parametrize("prefix", [SHORT, LONG, ()], ids=["short", "long", "none"])
@pytest.mark.filterwarnings("ignore:.*in another way than shorter ones")
def test_tokens_get_the_probabilities_that_they_have_alone(prefix):
    model = model_of()
    wanted = [[(place, 9) for place in range(len(row))] + [(len(row) - 1, 11)] for row in ROWS]
    read = log_probs_after(model, read_prefix(model, prefix), len(prefix), ROWS, wanted, states=(1.0,), vocabulary=True)
    for i, row in enumerate(ROWS):
        expected = [alone(model, [*prefix, *row[: place + 1]])[0][token] for place, token in wanted[i]]
        np.testing.assert_allclose(read.log_probs[i], torch.stack(expected), atol=1e-4)
        log_probs, states = alone(model, [*prefix, *row])
        torch.testing.assert_close(read.vocabulary[i], log_probs, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(read.states[i], states[-1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("prefix", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.filterwarnings("ignore:.*in another way than shorter ones")
def test_states_are_those_of_the_whole_text(prefix):
    model = model_of()
    layers = (model.n_layers,)
    states = states_after(model, last_prefix(model, prefix, layers), len(prefix), ROWS, layers)
    for i, row in enumerate(ROWS):
        expected = alone(model, [*prefix, *row])[1][len(prefix) :]
        torch.testing.assert_close(states[i, : len(row)], expected, atol=1e-4, rtol=1e-4)


def test_one_warning_says_what_is_read_again():
    model = LanguageModel(small.small_network("phi3", "longrope"), small.byte_tokenizer())
    wanted = [[(len(row) - 1, 9)] for row in ROWS]
    prefix = read_prefix(model, SHORT)
    with pytest.warns(UserWarning, match=f"more than {SWITCH} tokens in another way") as caught:
        log_probs_after(model, prefix, len(SHORT), ROWS, wanted)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log_probs_after(model, prefix, len(SHORT), ROWS, wanted)


def test_prompts_of_one_side_go_on_from_what_they_share():
    model, sizes = model_of(), []
    hook = model.network.register_forward_pre_hook(
        lambda module, args, inputs: sizes.append(inputs["input_ids"].shape[1]), with_kwargs=True
    )
    try:
        for prefix, rows in ((LONG, ROWS), (SHORT, ROWS[:2])):
            read = read_prefix(model, prefix)
            sizes.clear()
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                log_probs_after(model, read, len(prefix), rows, [[(len(row) - 1, 9)] for row in rows])
            assert sizes == [max(map(len, rows))]
    finally:
        hook.remove()


def test_vectors_do_not_depend_on_the_texts_beside():
    texts = ["a" * n + "b" for n in (3, SWITCH - 2, SWITCH - 1, SWITCH, 100)]
    encoder = LanguageModelEncoder((model_of().whole, small.byte_tokenizer()), device="cpu")
    together = encoder.fit_transform(texts)
    one_by_one = np.concatenate([encoder.transform([text]) for text in texts])
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)
