"""Names of arguments are told by what they do, whichever version of transformers is installed."""

import warnings

import pytest
import torch
from encoders.argument_names import MANNERS, forget_past, rename_past
from encoders.tiny_language_models import CAUSAL, make_network, make_tokenizer

from skicl._models._language_model import LanguageModel
from skicl._models._reading_on import (
    NAMES,
    CannotReadOnError,
    find_past_name,
    keeps_chosen_logits,
    reason_against,
    trial_of_reading_on,
    warn_of_reading_again,
)

SOME = [5, 6, 7]
each_name = pytest.mark.parametrize("name", NAMES)
each_manner = pytest.mark.parametrize("unknown", MANNERS)


@pytest.mark.parametrize("head", [False, True])
@pytest.mark.parametrize("family", CAUSAL)
def test_every_family_takes_keys_and_values_without_a_word(family, head):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find_past_name(make_network(family, head=head), SOME) in NAMES


@each_manner
@each_name
def test_the_name_is_the_one_that_works(name, unknown):
    assert find_past_name(rename_past(make_network("llama"), name, unknown=unknown), SOME) == name


@pytest.mark.parametrize(("unknown", "what"), [("ignored", "`cache` is ignored"), ("refused", "`cache`: TypeError")])
def test_what_each_name_did_is_reported(unknown, what):
    with pytest.raises(CannotReadOnError, match=rf"does not take keys and values \({what}.*; `past_key_values`"):
        find_past_name(rename_past(make_network("llama"), None, unknown=unknown), SOME)


@pytest.mark.parametrize("error", [MemoryError, torch.cuda.OutOfMemoryError, KeyboardInterrupt])
def test_memory_that_runs_out_and_interrupts_say_nothing_of_a_network(error):
    """They are not taken for an answer, and nothing is remembered."""
    network = make_network("llama", head=True)
    model, forward = LanguageModel(network, make_tokenizer("llama")), network.forward

    def fail(*args, **kwargs):
        raise error

    network.forward = fail
    for trial in (model.past_name, model.keeps_chosen_logits):
        with pytest.raises(error):
            trial(network)
    with pytest.raises(error):
        model.reads_on(network, fail, 1.0)
    network.forward = forward
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.past_name(network) in NAMES
        assert model.keeps_chosen_logits(network)
        assert model.reads_on(network, lambda: 0.0, 1.0)


def test_a_network_that_fails_with_the_name_it_knows_is_not_asked_by_an_older_one():
    network, asked = make_network("llama"), []
    forward = network.forward

    def fail(**inputs):
        asked.extend(name for name in NAMES if name in inputs)
        if "cache" in inputs:
            raise ValueError("no such layer")
        return forward(**inputs)

    network.forward = fail
    with pytest.raises(CannotReadOnError, match=r"\(`cache`: ValueError: no such layer\)"):
        find_past_name(network, SOME)
    assert asked == ["cache"]


@pytest.mark.parametrize("n_tokens", [5, 6, 9, 40])
def test_a_trial_of_any_length_goes_well_with_every_family(n_tokens):
    for family in CAUSAL:
        model = LanguageModel(make_network(family), make_tokenizer(family))
        difference = trial_of_reading_on(model.network, range(5, 5 + n_tokens), lambda m=model: m.past_name(m.network))
        assert difference() < 1e-4


def test_reasons():
    def fail():
        raise RuntimeError("no such layer")

    assert reason_against(lambda: 0.5, 0.5) is None
    assert "differs by 0.6" in reason_against(lambda: 0.6, 0.5)
    assert "differs by nan" in reason_against(lambda: float("nan"), 0.5)
    assert "(RuntimeError: no such layer)" in reason_against(fail, 0.5)


def test_a_model_warns_once_and_names_itself_and_the_reason():
    model = LanguageModel(forget_past(make_network("llama")), make_tokenizer("llama"))
    with pytest.warns(UserWarning, match=r"^LlamaModel reads every prompt from its beginning .* differs by 3 "):
        assert not model.reads_on(model.network, lambda: 3.0, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not model.reads_on(model.network, lambda: 4.0, 1.0)
    with pytest.warns(UserWarning, match="LlamaModel reads .*: for a reason"):
        warn_of_reading_again(model.network, "for a reason")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", CAUSAL)
def test_heads_read_where_they_are_asked_to(family, dtype):
    assert keeps_chosen_logits(make_network(family, head=True).to(dtype), SOME)


@pytest.mark.parametrize("manner", ["ignored", "refused", "elsewhere"])
def test_heads_that_read_elsewhere_are_found_out(manner):
    network = make_network("llama", head=True)
    forward = network.forward

    def other(*args, logits_to_keep=None, **kwargs):
        if logits_to_keep is not None and manner == "refused":
            raise TypeError("forward() got an unexpected keyword argument 'logits_to_keep'")
        if logits_to_keep is not None and manner == "elsewhere":  # the last two instead of the first two
            return forward(*args, logits_to_keep=2, **kwargs)
        return forward(*args, **kwargs)

    network.forward = other
    assert not keeps_chosen_logits(network, SOME)
