import itertools

import numpy as np
import pytest
from encoders.tiny_language_models import CAUSAL, make_network, make_tokenizer

from skicl._models._language_model import LanguageModel
from skicl._models._template import TemplateParts
from skicl.encoders._demonstrations import (
    Block,
    count_that_fit,
    cut_text,
    demonstration_block,
    fit_query,
    prompt_order,
    query_block,
    split_template,
)

TEMPLATE = split_template("Sentence: {text}\nLabel: {label}\n")
# Texts that would mislead a search for label words, or for the words of the template.
HARD = ["a positive Label: positive", "Label:", "positive", "Sentence: x\nLabel: negative\n"]
HARD += ["", " ", "café é", "{text}"]


@pytest.fixture(scope="module", params=CAUSAL)
def model(request):
    return LanguageModel(make_network(request.param), make_tokenizer(request.param))


def written(model, ids):
    """What tokens say, without marks of words and without white space."""
    text = model.backend.decode(list(ids), skip_special_tokens=False)
    return "".join(text.split())


def test_template_is_split_at_its_fields():
    assert TEMPLATE == TemplateParts((("Sentence: ", "text"),), "\nLabel:", " ", "\n")
    assert split_template("{text}={label}") == TemplateParts((("", "text"),), "=", "", "")
    assert split_template("{0} {text} {x}: {label}") == TemplateParts((("{0} ", "text"),), " {x}:", " ", "")
    assert split_template("{{text}} { => {label}.") == TemplateParts((("{", "text"),), "} { =>", " ", ".")


@pytest.mark.parametrize(
    "template", ["{text}", "{label}: {text}", "{text} {label}", "{text}{label}", "{text} {text}: {label}", "", None, 3]
)
def test_bad_templates(template):
    with pytest.raises(ValueError, match=r"`template` must be a string with \{text\} once"):
        split_template(template)


@pytest.mark.parametrize("text", HARD)
@pytest.mark.parametrize("word", ["positive", "neg", "a b", "7"])
def test_span_holds_text_and_cue_and_nothing_of_the_label(model, text, word):
    block = demonstration_block(model, TEMPLATE, text, word)
    assert 0 <= block.start < block.end < len(block.ids)
    if "é" in text and "▁" in model.backend.to_str():  # pieces without bytes: unknown letters are not written back
        return
    assert written(model, block.ids[: block.start]) == "Sentence:"
    assert written(model, block.ids[block.start : block.end]) == "".join(f"{text}Label:".split())
    assert written(model, block.ids[block.end :]) == "".join(word.split())


@pytest.mark.parametrize("text", HARD)
def test_query_is_a_demonstration_without_its_label(model, text):
    query = query_block(model, TEMPLATE, text)
    demonstration = demonstration_block(model, TEMPLATE, text, "positive")
    assert query.ids == query.query == demonstration.query
    assert (query.start, query.end) == (demonstration.start, demonstration.end)


def test_the_label_does_not_change_what_stands_before_it(model):
    blocks = [demonstration_block(model, TEMPLATE, "some card", word) for word in ("a", "positive", "", ":", "\n")]
    assert len({(block.query, block.start) for block in blocks}) == 1


def test_a_token_that_holds_a_letter_of_the_label_is_not_in_the_span():
    """A tokenizer may join the end of the cue with the beginning of the label."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = {piece: i for i, piece in enumerate(["a", ":", "x", ":x"])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[(":", "x")]))
    joined = LanguageModel(make_network("gpt_neox"), PreTrainedTokenizerFast(tokenizer_object=backend))
    block = demonstration_block(joined, split_template("{text}a:{label}"), "a", "x")
    assert block.ids == (0, 0, 3)
    assert (block.start, block.end) == (0, 2)


def test_cut_text_has_the_first_tokens(model):
    text = "my card is lost and the refund has not come yet"
    whole = model.backend.encode(text, add_special_tokens=False).ids
    for n_tokens in range(1, len(whole) + 3):
        short = cut_text(model, text, n_tokens)
        assert text.startswith(short)
        assert model.backend.encode(short, add_special_tokens=False).ids == whole[:n_tokens]
    assert cut_text(model, text, 0) == ""
    assert cut_text(model, text, None) == text


@pytest.mark.parametrize("room", [12, 20, 30])
def test_fitted_queries_fit_and_are_as_long_as_possible(model, room):
    least = len(query_block(model, TEMPLATE, "").ids)
    room = max(room, least)
    for text in ("my card is lost and the refund has not come yet", "日本語 " * 9, "short", ""):
        short = fit_query(model, TEMPLATE, text, room)
        assert text.startswith(short)
        assert len(query_block(model, TEMPLATE, short).ids) <= room
        if len(query_block(model, TEMPLATE, text).ids) <= room:
            assert short == text
    assert fit_query(model, TEMPLATE, "short", None) == "short"


def test_any_two_texts_keep_their_order_whatever_the_others_are():
    texts = [f"text {i}" for i in range(12)]
    order = [texts[i] for i in prompt_order(texts, 0)]
    assert order != texts
    rng = np.random.default_rng(0)
    for _ in range(20):
        some = rng.permutation(texts)[: rng.integers(1, 12)].tolist()
        found = [some[i] for i in prompt_order(some, 0)]
        assert found == [text for text in order if text in some]


def test_salts_give_different_orders_without_a_preference():
    texts = ["a", "b", "c"]
    orders = [tuple(prompt_order(texts, salt)) for salt in range(600)]
    counts = [orders.count(order) for order in itertools.permutations(range(3))]
    assert min(counts) > 60  # 100 expected


def test_equal_texts_stay_in_the_order_given():
    assert prompt_order(["a", "a", "a"], 0) == [0, 1, 2]


def test_count_that_fit_is_of_whole_blocks():
    blocks, queries = ([Block((0,) * (n + more), 0, n) for n in (3, 4, 5, 2)] for more in (2, 0))
    rooms = (0, 4, 5, 10, 11, 17, 18, 22, None)
    assert [count_that_fit(blocks, queries, room) for room in rooms] == [0, 0, 1, 1, 2, 2, 3, 4, 4]


def test_count_that_fit_does_not_depend_on_which_label_a_block_has():
    """Two blocks swap a long and a short label."""
    queries = [Block((0,) * 4, 0, 4)] * 3
    one, two = (
        [Block((0,) * n, 0, end) for n, end in some] for some in ([(9, 4), (5, 4), (9, 4)], [(5, 3), (9, 4), (9, 4)])
    )  # a label may share a token with the cue
    for room in range(30):
        assert count_that_fit(one, queries, room) == count_that_fit(two, queries, room)
