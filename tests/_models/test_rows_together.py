"""Rows go together only where each gets what it gets alone; what a network does otherwise is noticed by its effect."""

import warnings

import numpy as np
import pytest
import torch
from benchmark_modules import load
from encoders.argument_names import CountsTokens
from encoders.tiny_language_models import FAMILIES, WINDOW, make_network, make_tokenizer

from skicl import ICLClassifier
from skicl._models import _rows_together
from skicl._models._language_model import LanguageModel, body_of
from skicl._models._rows_together import ALONE, EQUAL, TOGETHER, RowsTogether
from skicl.encoders import ContextualEncoder, LanguageModelEncoder
from skicl.prompting import PromptTemplate, Verbalizer

small, families = load("small_networks"), load("icl_families")
TEXTS = ["ab cd", "the quick brown fox", "a", "ab ab ab ab ab ab", "jumps over", "ab ef"]
WORDS = ["red", "rest", "blue"]
SAID = {EQUAL: "rows of equal length", ALONE: "rows are read one by one", "index_topk": "`index_topk`"}


def changed(network, change):
    """A network whose last states are changed by `change(states, ids)`."""
    body = body_of(network)[1]
    forward = body.forward

    def other(input_ids, *args, **inputs):
        output = forward(input_ids, *args, **inputs)
        output.last_hidden_state = change(output.last_hidden_state, input_ids)
        if output.get("hidden_states") is not None:
            output.hidden_states = (*output.hidden_states[:-1], output.last_hidden_state)
        return output

    body.forward = other
    return network


def by_length(states, ids):
    """What depends on the length of the longest row."""
    return states * (1 + 0.1 * ids.shape[1])


def by_neighbours(states, ids):
    """What depends on the rows beside too."""
    return states * (1 + 0.1 * ids.float().mean())


def by_chance(states, ids):
    return states * (1 + torch.rand(()))


def by_length_beyond_window(states, ids):
    return states * (1 + 0.1 * max(0, ids.shape[1] - WINDOW - 1))


def byte_pair(network):
    return network, small.byte_tokenizer()


def causal(kind):
    if kind == "index_topk":
        return network_of("glm_moe_dsa")
    change = {EQUAL: by_length, ALONE: by_neighbours}[kind]
    return changed(small.small_network("llama"), change)


def network_of(name):
    if name not in small.architectures():
        pytest.skip(f"this version of transformers has no {name}")
    return small.small_network(name)


def rows_of(network):
    return LanguageModel(*byte_pair(network)).rows


@pytest.mark.parametrize("family", FAMILIES)
def test_usual_networks_are_tried_once_in_few_short_passes(family):
    network = make_network(family, positions=512)
    model, counts = LanguageModel(network, make_tokenizer(family)), CountsTokens(network)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.rows.manner == TOGETHER
        first = counts.calls
        assert counts.tokens <= (len(model.rows.trial_lengths) * 2 + 1) * model.rows.trial_lengths[-1] + 2 * 9 * 3
        assert first <= len(model.rows.trial_lengths) + 4
        assert model.by_way([3, 100]) == [[0, 1]]
        assert model.rows.manner == TOGETHER
    assert counts.calls <= first + 2  # the switch


@pytest.mark.parametrize(("change", "manner"), [(by_length, EQUAL), (by_neighbours, ALONE)])
def test_what_rows_do_to_each_other_is_noticed(change, manner):
    rows = rows_of(changed(small.small_network("llama"), change))
    with pytest.warns(UserWarning, match=f"beside a longer one.*{SAID[manner]}.*exact, but take longer"):
        assert rows.manner == manner
    assert rows.groups([5, 3, 5]) == ([[0, 2], [1]] if manner == EQUAL else [[0], [1], [2]])
    assert not rows.alike
    assert rows.way(5) < 0


def test_a_network_that_is_causal_only_by_its_own_length_reads_beginnings_as_texts():
    """Right padding does no harm, but a beginning of a text is read otherwise than alone."""

    def by_tokens(states, ids):
        return states * (1 + 0.1 * (ids != 2).sum(dim=1))[:, None, None]

    network = changed(small.small_network("llama"), by_tokens)
    rows = RowsTogether(network.model, [2, *range(5, 36)], 512, causal=True)
    with pytest.warns(UserWarning, match="equal length"):
        assert rows.manner == EQUAL


def test_effects_beyond_a_window_are_noticed_if_it_is_near(monkeypatch):
    def rows():
        return rows_of(changed(small.small_network("mistral"), by_length_beyond_window))

    assert rows().trial_lengths[-1] > WINDOW + 1
    with pytest.warns(UserWarning, match="equal length"):
        assert rows().manner == EQUAL
    monkeypatch.setattr(_rows_together, "_MOST_WORK", (1.0, 1.0))
    assert rows().trial_lengths[-1] <= WINDOW
    assert rows().manner == TOGETHER


def test_trials_stay_within_positions_and_on_one_side_of_a_switch():
    assert max(rows_of(small.small_network("gpt_neo")).trial_lengths) > small.WINDOW
    network = small.small_network("gpt_neo")
    assert RowsTogether(network.transformer, range(32), 10, True).trial_lengths[-1] <= 10
    network.config.window_size = 10**5
    assert RowsTogether(network.transformer, range(32), None, True).trial_lengths[-1] <= 300
    rows = rows_of(small.small_network("phi3", "longrope"))
    rows.__dict__["switch"] = rows.switch._replace(last=9)
    assert rows.trial_lengths[-1] <= 9


def test_chance_is_refused():
    pair = byte_pair(changed(small.small_network("llama"), by_chance))
    rows = RowsTogether(pair[0].model, range(5, 37), 512, causal=True)
    with pytest.raises(ValueError, match="another result each time"):
        _ = rows.manner


def test_random_hashes_are_refused_by_classifiers_and_encoders():
    pair = byte_pair(small.small_network("reformer"))
    with pytest.raises(ValueError, match=r"`model` .ReformerModel. gives another result each time"):
        ICLClassifier(pair, device="cpu").fit(TEXTS[:2], ["a", "b"])
    with pytest.raises(ValueError, match=r"`model` .ReformerModel. gives another result each time"):
        LanguageModelEncoder(pair, device="cpu").fit(TEXTS)


def test_states_that_are_no_numbers_are_not_taken_for_chance():
    rows = rows_of(changed(small.small_network("llama"), lambda states, ids: states * torch.nan))
    assert rows.manner == TOGETHER
    rows = rows_of(changed(small.small_network("llama"), lambda states, ids: states / 0))
    assert rows.manner == TOGETHER


def test_memory_that_runs_out_says_nothing():
    network = small.small_network("llama")
    rows = RowsTogether(network.model, range(5, 37), None, causal=True)
    forward = network.model.forward

    def fail(input_ids, **inputs):
        if len(input_ids) > 1:
            raise MemoryError
        return forward(input_ids, **inputs)

    network.model.forward = fail
    with pytest.raises(MemoryError):
        _ = rows.manner
    network.model.forward = forward
    assert rows.manner == TOGETHER


@pytest.mark.parametrize("kind", [EQUAL, ALONE, "index_topk"])
def test_classifier_scores_are_those_of_each_text_alone(kind):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outcome = families.compared(causal(kind))
    assert outcome.kind == "exact, read apart", outcome
    assert max(outcome.scores, outcome.vectors) <= families.ALLOWED
    assert not caught


@pytest.mark.parametrize("kind", [EQUAL, ALONE, "index_topk"])
def test_one_warning_for_a_classifier_and_an_encoder_of_one_model(kind):
    classifier = ICLClassifier(
        byte_pair(causal(kind)),
        template=PromptTemplate("{text}>{label}", separator="\n", chat=False),
        verbalizer=Verbalizer(normalize="sum"),
        device="cpu",
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        classifier.fit(TEXTS[:3], WORDS).predict(TEXTS)
        encoder = LanguageModelEncoder(classifier.model, device="cpu").fit(TEXTS)
        classifier.predict(TEXTS[1:])
        encoder.transform(TEXTS[2:])
    told = [str(warning.message) for warning in caught if SAID[kind] in str(warning.message)]
    assert len(told) == 1


@pytest.mark.parametrize("kind", [EQUAL, ALONE, "index_topk"])
@pytest.mark.filterwarnings("ignore:.*exact, but take longer", "ignore:.*reads every prompt from its beginning")
def test_vectors_do_not_depend_on_the_texts_beside(kind):
    pair = byte_pair(causal(kind))
    alone = LanguageModelEncoder(pair, device="cpu", batch_size=1).fit(TEXTS)
    np.testing.assert_allclose(
        LanguageModelEncoder(pair, device="cpu").fit_transform(TEXTS), alone.transform(TEXTS), rtol=1e-4, atol=1e-5
    )
    contextual = ContextualEncoder(pair, device="cpu", batch_size=3).fit(TEXTS[:3], WORDS)
    one_by_one = np.concatenate([contextual.transform([text]) for text in TEXTS])
    np.testing.assert_allclose(contextual.transform(TEXTS), one_by_one, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*exact, but take longer", "ignore:.*reads every prompt from its beginning")
def test_choices_are_those_of_the_text_alone_to_the_last_bit():
    """Repeated tokens are equally good for Doge: only a text that is read just as alone gets the same choice."""
    network = small.small_network("doge")
    assert rows_of(network).chooses_beyond == (small.WINDOW, "keep_window_size")
    texts = ["abab" * n for n in range(2, 12)]
    vectors = LanguageModelEncoder(byte_pair(network), device="cpu").fit_transform(texts)
    expected = np.stack([families.vector(network, text, False) for text in texts])
    np.testing.assert_allclose(vectors, expected, rtol=1e-5, atol=1e-5)


def test_blocks_of_tokens_count_as_tokens():
    rows = rows_of(network_of("minimax_m3_vl_text"))
    assert rows.chooses_beyond == (2 * small.WINDOW, "index_topk_blocks")
    assert rows.way(2 * small.WINDOW) == 0
    with pytest.warns(UserWarning, match="more than 24 "):
        assert rows.way(2 * small.WINDOW + 1) < 0


def test_keys_and_values_that_are_forgotten_beyond_a_window_are_not_used():
    network = small.small_network("mistral")
    model, forward = LanguageModel(*byte_pair(network)), network.forward

    def forgetful(**inputs):
        if inputs.get("use_cache") and inputs["attention_mask"].shape[1] > small.WINDOW + 3:
            inputs["attention_mask"][:, : -small.WINDOW] = 0
        return forward(**inputs)

    network.forward = forgetful
    with pytest.warns(UserWarning, match="reads every prompt from its beginning"):
        assert not model.shares_prefix(network)
    assert model.rows.manner == TOGETHER


def test_a_head_that_mixes_what_the_states_keep_apart_is_noticed():
    """That of ProphetNet predicts otherwise from the beginning of a longer text."""
    network = small.small_network("prophetnet")
    model = LanguageModel(*byte_pair(network))
    assert model.rows.manner == TOGETHER
    with pytest.warns(UserWarning, match="equal length"):
        model.rows.try_head(network)
    assert model.rows.manner == EQUAL
    counts = CountsTokens(network)
    model.rows.try_head(network)
    assert counts.calls == 0


def test_texts_that_are_too_long_for_the_network_itself_are_left_out_of_the_trial():
    network = small.small_network("mistral")
    rows, forward = rows_of(network), network.model.forward

    def short(input_ids, **inputs):
        if input_ids.shape[1] > small.WINDOW:
            raise RuntimeError("too long")
        return forward(input_ids, **inputs)

    network.model.forward = short
    assert rows.trial_lengths[-1] > small.WINDOW
    assert rows.manner == TOGETHER
