import copy
import pickle
import shutil
import threading
import warnings

import numpy as np
import pytest
import torch
from encoders.tiny_language_models import (
    CAUSAL,
    FAMILIES,
    FEATURES,
    MASKED,
    POSITIONS,
    WITH_FIRST_TOKEN,
    make_network,
    make_tokenizer,
    save_tiny_model,
)
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator
from text_battery import TRANSFORMER_CHECKS, name_of

from skicl import TartClassifier
from skicl._models._language_model import LanguageModel
from skicl._models._states import POOLINGS
from skicl.encoders import EmbeddingCache, LanguageModelEncoder, LiveModel, clear_model_cache
from skicl.encoders._language_model import count_cut, text_tokens

TEXTS = ["where is my card", "card lost", "refund please!", "", "no refund 12.50 yet", "café", "a", "card lost"]
LABELS = [0, 0, 1, 1, 1, 0, 1, 0]
CLOSE = {"rtol": 1e-4, "atol": 1e-5}

each_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("language_models")
    return {family: save_tiny_model(family, root / family) for family in FAMILIES}


def encoder(model, **options):
    return LanguageModelEncoder(model, device="cpu", **options)


def states_one_by_one(family, text, layer, seed=0):
    """Hidden states of one text without any padding, as transformers computes them; its tokens and offsets."""
    network, tokenizer = make_network(family, seed=seed), make_tokenizer(family)
    tokens = tokenizer(text, return_offsets_mapping=True)
    ids = tokens["input_ids"] or [tokenizer.bos_token_id]
    with torch.inference_mode():
        output = network(input_ids=torch.tensor([ids]), output_hidden_states=True)
    # Some versions of transformers list the last states of some families as they are before the last normalisation.
    return (output.last_hidden_state if layer == -1 else output.hidden_states[layer])[0], ids


# -- what the vectors are ------------------------------------------------------------------------


@each_family
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("layer", [0, 1, -1])
def test_vectors_are_the_pooled_states_of_transformers(folders, family, pooling, layer):
    vectors = encoder(folders[family], pooling=pooling, layers=layer).fit_transform(TEXTS)
    for text, vector in zip(TEXTS, vectors):
        states, ids = states_one_by_one(family, text, layer)
        if family in WITH_FIRST_TOKEN and len(ids) > 1:
            states = states[1:]  # the begin-of-text token has the same state in every text
        weights = {
            "mean": torch.ones(len(states)),
            "weighted_mean": torch.arange(1.0, len(states) + 1),
            "last": torch.eye(len(states))[-1],
            "first": torch.eye(len(states))[0],
        }[pooling]
        np.testing.assert_allclose(vector, weights @ states / weights.sum(), **CLOSE)


@each_family
def test_left_and_right_padding_give_the_same_vectors(family):
    network = make_network(family)
    vectors = {}
    for side in ("left", "right"):
        tokenizer = copy.deepcopy(make_tokenizer(family))
        tokenizer.padding_side = side
        tokenizer.backend_tokenizer.enable_padding(direction=side, length=40)
        vectors[side] = encoder((network, tokenizer), layers=[1, -1]).fit_transform(TEXTS)
    np.testing.assert_array_equal(vectors["left"], vectors["right"])
    alone = encoder((network, make_tokenizer(family)), layers=[1, -1], batch_size=1).fit_transform(TEXTS)
    np.testing.assert_allclose(vectors["left"], alone, **CLOSE)


@each_family
def test_a_text_does_not_depend_on_its_batch(folders, family):
    together = encoder(folders[family]).fit_transform([*TEXTS, "a " * 40])
    alone = encoder(folders[family]).fit_transform(TEXTS)
    np.testing.assert_allclose(together[:-1], alone, **CLOSE)
    assert np.ptp(alone, axis=0).max() > 0.1  # texts differ


@each_family
def test_folder_and_live_model_with_a_head_give_equal_vectors(folders, family):
    expected = encoder(folders[family]).fit_transform(TEXTS)
    pair = make_network(family, head=True), make_tokenizer(family)
    for live in (pair, LiveModel(pair)):
        np.testing.assert_allclose(LanguageModelEncoder(live).fit_transform(TEXTS), expected, **CLOSE)


def test_layers_are_averaged(folders):
    one, two = (encoder(folders["llama"], layers=layer).fit_transform(TEXTS) for layer in (0, 2))
    for layers in ([0, 2], (0.0, 1.0), [0, -1, 2]):
        vectors = encoder(folders["llama"], layers=layers).fit_transform(TEXTS)
        np.testing.assert_allclose(vectors, (one + two) / 2, **CLOSE)


def test_fraction_is_a_layer(folders):
    np.testing.assert_array_equal(
        encoder(folders["llama"], layers=0.5).fit_transform(TEXTS),
        encoder(folders["llama"], layers=1).fit_transform(TEXTS),
    )


def test_normalized_vectors_have_unit_length(folders):
    plain = encoder(folders["llama"]).fit_transform(TEXTS)
    unit = encoder(folders["llama"], normalize=True).fit_transform(TEXTS)
    np.testing.assert_allclose(unit, plain / np.linalg.norm(plain, axis=1, keepdims=True), **CLOSE)


def test_half_precision_is_close_and_comes_as_float32(folders):
    exact = encoder(folders["llama"]).fit_transform(TEXTS)
    rounded = encoder(folders["llama"], dtype="bfloat16").fit_transform(TEXTS)
    assert rounded.dtype == np.float32
    cosine = (exact * rounded).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rounded, axis=1)
    assert (cosine > 0.99).all()
    assert not np.allclose(exact, rounded, **CLOSE)


def test_the_middle_of_a_model_may_be_wider_than_its_output():
    """OPT-350m projects its last layer."""
    from transformers import OPTConfig, OPTModel

    tokenizer = make_tokenizer("opt")
    shape = {"vocab_size": len(tokenizer), "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 16}
    network = OPTModel(OPTConfig(**shape, hidden_size=16, word_embed_proj_dim=8, max_position_embeddings=POSITIONS))
    assert LanguageModelEncoder((network, tokenizer)).fit_transform(TEXTS).shape[1] == 8
    middle = LanguageModelEncoder((network, tokenizer), layers=1).fit(TEXTS)
    assert middle.transform(TEXTS).shape[1] == middle.n_features_out_ == 16


# -- which tokens count --------------------------------------------------------------------------


@pytest.mark.parametrize("family", CAUSAL)
def test_prompt_is_seen_and_does_not_count_in_a_causal_model(folders, family):
    model = LanguageModel(make_network(family), make_tokenizer(family))
    [(ids, counted)] = text_tokens(model, ["card"], "a topic: ", None)
    assert ids == model.backend.encode("a topic: card").ids
    n_prompt = len(model.backend.encode("a topic:").ids)
    assert not any(counted[:n_prompt])
    assert any(counted[n_prompt:])
    with_prompt = encoder(folders[family], prompt="a topic: ").fit_transform(TEXTS)
    assert not np.allclose(with_prompt, encoder(folders[family]).fit_transform(TEXTS), atol=1e-3)


@pytest.mark.parametrize("family", MASKED)
def test_every_token_counts_in_a_masked_model(family):
    model = LanguageModel(make_network(family), make_tokenizer(family))
    [(ids, counted)] = text_tokens(model, ["card"], "a topic: ", None)
    assert ids == model.backend.encode("a topic: card").ids
    assert all(counted)


@each_family
def test_empty_text_is_valid(family):
    model = LanguageModel(make_network(family), make_tokenizer(family))
    for prompt in (None, "topic: "):
        [(ids, counted)] = text_tokens(model, [""], prompt, None)
        assert len(ids) > 0
        assert any(counted)


@each_family
def test_cut_text_keeps_the_tokens_around_it(family):
    model = LanguageModel(make_network(family), make_tokenizer(family))
    [(whole, _)] = text_tokens(model, ["card refund login card refund"], None, None)
    [(ids, counted)] = text_tokens(model, ["card refund login card refund"], None, 6)
    assert len(ids) == len(counted) == 6
    if family in MASKED:
        assert ids == [*whole[:5], whole[-1]]
    else:
        assert ids == whole[:6]


def test_truncated_text_equals_its_beginning(folders):
    tokens = len(make_tokenizer("gpt_neox")("card lost")["input_ids"])
    one = encoder(folders["gpt_neox"], max_length=tokens).fit(TEXTS)
    with pytest.warns(UserWarning, match=f"1 of 2 texts are longer than {tokens} tokens"):
        vectors = one.transform(["card lost and found again in my pocket", "card lost"])
    np.testing.assert_allclose(vectors[0], vectors[1], **CLOSE)


def test_truncated_texts_are_counted_in_one_warning(folders):
    one = encoder(folders["llama"]).fit(TEXTS)
    with pytest.warns(UserWarning, match="truncated") as caught:
        one.transform(["short", "x " * 300, "x " * 300, "y " * 200])
    assert len(caught) == 1
    assert str(caught[0].message).startswith(f"3 of 4 texts are longer than {POSITIONS} tokens and were truncated.")
    assert caught[0].filename == __file__


def test_texts_within_the_limit_give_no_warning(folders):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder(folders["llama"]).fit_transform(["y " * 60, "€" * 30])
        encoder(folders["bloom"]).fit_transform(["y " * 400])  # no limit


@each_family
def test_count_of_long_texts_is_exact(family):
    model = LanguageModel(make_network(family), make_tokenizer(family))
    texts = ["é " * 40, "e" * 31, "日本" * 40, "", "refund " * 30, "refund " * 30]
    lengths = [len(model.backend.encode("p: " + text).ids) for text in texts]
    for limit in (4, 20, 33, 64):
        assert count_cut(model, texts, "p: ", limit) == sum(length > limit for length in lengths)
    assert count_cut(model, texts, None, None) == 0


@each_family
def test_longest_text_fits_into_the_positions(folders, family):
    with pytest.warns(UserWarning, match="truncated"):
        vectors = encoder(folders[family], max_length=POSITIONS).fit_transform(["refund " * 400])
    assert np.isfinite(vectors).all()


def test_impossible_lengths(folders):
    with pytest.raises(ValueError, match=rf"`max_length`={POSITIONS + 1} is impossible .* expected 2 to {POSITIONS}"):
        encoder(folders["llama"], max_length=POSITIONS + 1).fit(TEXTS)
    with pytest.raises(ValueError, match=r"`max_length`=2 is impossible .* expected 3 to"):
        encoder(folders["bert"], max_length=2).fit(TEXTS)
    assert encoder(folders["bloom"], max_length=10_000).fit(TEXTS).n_features_out_ == FEATURES


# -- as a transformer of scikit-learn ------------------------------------------------------------

VARIANTS = {
    "causal": lambda folders: encoder(folders["gpt_neox"]),
    "masked": lambda folders: encoder(folders["bert"], layers=0.5, pooling="first", normalize=True, batch_size=5),
    "options": lambda folders: encoder(
        folders["llama"], layers=[1, -1], pooling="weighted_mean", prompt="topic: ", max_length=64, cache=True
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("check", TRANSFORMER_CHECKS, ids=name_of)
def test_battery(check, variant, folders):
    check(VARIANTS[variant](folders))


@pytest.mark.filterwarnings("ignore:Can't test estimator")
def test_checks_of_scikit_learn(folders):
    check_estimator(VARIANTS["causal"](folders))


def test_pickle_holds_no_weights(folders):
    assert len(pickle.dumps(encoder(folders["llama"]).fit(TEXTS))) < 1000


def test_live_model_is_not_copied(monkeypatch):
    network = make_network("llama")
    monkeypatch.setattr(type(network), "__deepcopy__", lambda *_: pytest.fail("copied"), raising=False)
    one = LanguageModelEncoder((network, make_tokenizer("llama")))
    assert one.model.model.network is network
    assert clone(one).model is one.model
    pipeline = make_pipeline(one, LogisticRegression())
    search = GridSearchCV(pipeline, {"languagemodelencoder__layers": [1, -1]}, cv=2, error_score="raise")
    assert search.fit(TEXTS, LABELS).best_estimator_[0].model.model.network is network
    assert "tensor" not in repr(one)


def test_default_of_tart_classifier_can_be_replaced(folders):
    classifier = TartClassifier(encoder(folders["gpt_neox"]), class_texts=None).fit(TEXTS, LABELS)
    pipeline = make_pipeline(encoder(folders["gpt_neox"]), TartClassifier()).fit(TEXTS, LABELS)
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), pipeline.predict_proba(TEXTS), **CLOSE)


def test_threads_share_one_model(folders):
    clear_model_cache()
    expected = {n: encoder(folders["llama"], max_length=n).fit(["a"]) for n in (4, 8, 64)}
    texts = [f"{word} card refund login card refund" for word in "abcdefgh"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        vectors = {n: one.transform(texts) for n, one in expected.items()}
        found = {n: [] for n in expected}
        threads = [
            threading.Thread(target=lambda n=n: found[n].append(expected[n].transform(texts))) for n in [*expected] * 3
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for n, results in found.items():
        assert len(results) == 3
        for result in results:
            np.testing.assert_allclose(result, vectors[n], **CLOSE)


# -- the cache -----------------------------------------------------------------------------------


def test_cached_vectors_equal_those_that_are_not(folders):
    cache = EmbeddingCache()
    expected = encoder(folders["gpt_neox"]).fit_transform(TEXTS)
    one = encoder(folders["gpt_neox"], cache=cache).fit(TEXTS)
    np.testing.assert_allclose(one.transform(TEXTS), expected, **CLOSE)
    misses = cache.stats.misses
    np.testing.assert_allclose(one.transform(TEXTS[::-1]), expected[::-1], **CLOSE)
    assert cache.stats.misses == misses
    assert cache.stats.n_items == len(set(TEXTS))


def test_whatever_changes_a_vector_changes_its_key(folders, tmp_path):
    """Each of these encoders, sharing one cache, gives its own vectors."""
    other = save_tiny_model("gpt_neox", tmp_path / "other", seed=1)
    cache = EmbeddingCache()
    options = [{}, {"layers": 1}, {"layers": [0, 1]}, {"pooling": "last"}, {"pooling": "first"}, {"prompt": "topic: "},
               {"normalize": True}, {"max_length": 3}, {"dtype": "bfloat16"}, {"model": other}]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for changed in options:
            settings = {"model": folders["gpt_neox"], "device": "cpu", **changed}
            expected = LanguageModelEncoder(**settings).fit_transform(TEXTS)
            np.testing.assert_allclose(
                LanguageModelEncoder(**settings, cache=cache).fit_transform(TEXTS), expected, **CLOSE
            )
    assert cache.stats.n_items == len(options) * len(set(TEXTS))


def test_what_does_not_change_a_vector_does_not_change_its_key(folders, tmp_path):
    moved = shutil.copytree(folders["gpt_neox"], tmp_path / "moved")
    cache = EmbeddingCache()
    for model, options in [
        (folders["gpt_neox"], {}),
        (moved, {}),
        (folders["gpt_neox"], {"batch_size": 2, "layers": 2, "max_length": POSITIONS}),
        (folders["gpt_neox"], {"layers": 1.0, "prompt": ""}),
    ]:
        encoder(model, cache=cache, **options).fit_transform(TEXTS)
    assert cache.stats.n_items == len(set(TEXTS))


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "`batch_size` must be an integer of at least 1, got 0"),
        ({"max_length": 1.5}, ValueError, "`max_length` must be an integer of at least 1 or None, got 1.5"),
        ({"normalize": "l2"}, ValueError, "`normalize` must be True or False, got 'l2'"),
        ({"prompt": 3}, TypeError, "`prompt` must be a string or None, got 3"),
        ({"revision": 3}, TypeError, "`revision` must be a string or None, got 3"),
        ({"revision": "main"}, ValueError, "`revision` applies to models of the hub only"),
        ({"layers": "last"}, ValueError, "`layers` must be an integer"),
        ({"layers": 3}, ValueError, "the model has no layer 3. Expected -3 to 2"),
        ({"pooling": "max"}, ValueError, "`pooling` must be one of 'mean', 'weighted_mean', 'last', 'first'"),
        ({"dtype": "int8"}, ValueError, "`dtype` must be None or one of"),
        ({"device": "gpu"}, ValueError, "`device`='gpu' is not a device"),
        ({"cache": 3.5}, TypeError, "`cache` must be"),
        ({"model": 3}, TypeError, "`model` must be the name or the path of a model of transformers or a pair"),
        ({"model": "./absent"}, ValueError, "`model`='./absent' does not exist"),
    ],
)
def test_bad_parameters_are_refused(folders, options, error, message):
    with pytest.raises(error, match=message.replace(".", r"\.")):
        LanguageModelEncoder(**{"model": folders["llama"], "device": "cpu", **options}).fit(TEXTS)


def test_revision_and_dtype_of_a_live_model_are_refused():
    pair = make_network("llama"), make_tokenizer("llama")
    with pytest.raises(ValueError, match="`revision` applies to models of the hub only"):
        LanguageModelEncoder(pair, revision="main").fit(TEXTS)
    with pytest.raises(ValueError, match="`dtype`='bfloat16' does not apply to a model in memory"):
        LanguageModelEncoder(pair, dtype="bfloat16").fit(TEXTS)


def test_model_that_is_not_here_fails_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match=r"'someone/absent' is not on this machine"):
        encoder("someone/absent").fit(TEXTS)
