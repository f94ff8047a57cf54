"""Layers beside the model's own vector: which, in which order, how they are scaled and what they are called."""

import pickle
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from encoders.tiny_language_models import FEATURES, make_network, make_tokenizer
from encoders.tiny_sentence_models import DENSE_FEATURES, modules, save_sentence_model
from sklearn.base import clone
from sklearn.pipeline import FeatureUnion

from skicl import SentenceEncoder, TartClassifier
from skicl._models._hidden_states import HiddenLayers
from skicl.encoders import EmbeddingCache
from skicl.encoders._layers import block_names, check_layer_list, encode_blocks, layer_numbers

TEXTS = ["where is my card", "x", "refund please, no refund came yet", "cannot log in", "x"]
KINDS = {
    "masked": ("bert", "mean", {}),
    "masked, dense": ("roberta", "cls", {"after": ("dense", "normalize")}),
    "decoder": ("qwen", "lasttoken", {"padding": "left"}),
    "decoder, dense": ("gpt_neox", "weightedmean", {"after": ("dense",), "padding": "left"}),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("sentence_models")
    return {
        kind: save_sentence_model(family, root / kind, pooling, **options)
        for kind, (family, pooling, options) in KINDS.items()
    }


def encoder(model, **options):
    return SentenceEncoder(model, device="cpu", **options)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


# -- what the vectors are ------------------------------------------------------------------------


@each_kind
def test_the_last_block_is_the_vector_of_the_model(folders, kind):
    alone = encoder(folders[kind]).fit_transform(TEXTS)
    for layers in ([0], [1, 2], "auto"):
        own = encoder(folders[kind], layers=layers).fit_transform(TEXTS)[:, -alone.shape[1] :]
        np.testing.assert_allclose(own, unit(alone), rtol=1e-5, atol=1e-6)


@each_kind
def test_blocks_stand_in_the_order_of_the_list_and_have_unit_length(folders, kind):
    one = encoder(folders[kind], layers=[2, 0, 1]).fit(TEXTS)
    vectors = one.transform(TEXTS)
    own = DENSE_FEATURES if "dense" in kind else FEATURES
    assert one.layers_ == (2, 0, 1)
    assert one.n_features_out_ == vectors.shape[1] == 3 * FEATURES + own
    blocks = np.split(vectors, [FEATURES, 2 * FEATURES, 3 * FEATURES], axis=1)
    for number, block in zip(one.layers_, blocks):
        alone = encoder(folders[kind], layers=[number]).fit_transform(TEXTS)
        np.testing.assert_array_equal(block, alone[:, :FEATURES])
    for block in blocks:
        np.testing.assert_allclose(np.linalg.norm(block, axis=1), 1.0, rtol=1e-5)


def test_blocks_are_the_hidden_states_pooled_by_hand(folders):
    vectors = encoder(folders["masked"], layers=[0, 1, 2]).fit_transform(TEXTS)
    for text, vector in zip(TEXTS, vectors):
        with torch.inference_mode():
            output = make_network("bert")(
                **make_tokenizer("bert")(text, return_tensors="pt"), output_hidden_states=True
            )
        means = [states[0].mean(dim=0).numpy() for states in output.hidden_states]
        expected = np.concatenate([unit(mean[None])[0] for mean in (*means, means[-1])])
        np.testing.assert_allclose(vector, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("layers", "numbers"), [([-1], (2,)), ([0.5, 1.0], (1, 2)), ((-3, 0.0, 1), (0, 1))])
def test_negative_numbers_and_fractions_count_as_elsewhere(folders, layers, numbers):
    one = encoder(folders["masked"], layers=layers).fit(TEXTS)
    assert one.layers_ == numbers
    expected = encoder(folders["masked"], layers=list(numbers)).fit_transform(TEXTS)
    np.testing.assert_array_equal(one.transform(TEXTS), expected)


@pytest.mark.parametrize(
    ("n_layers", "numbers"), [(1, (0,)), (2, (1,)), (3, (2,)), (6, (3, 5)), (12, (6, 10)), (24, (12, 20))]
)
def test_auto_is_half_and_five_sixths_of_the_depth_but_never_the_last(n_layers, numbers):
    assert layer_numbers("auto", HiddenLayers((None,) * n_layers), "some/model") == numbers


@each_kind
def test_one_by_one_equals_all_together(folders, kind):
    one = encoder(folders[kind], layers="auto").fit(TEXTS)
    together = one.transform(TEXTS)
    np.testing.assert_allclose(
        np.concatenate([one.transform([text]) for text in TEXTS]), together, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(one.set_params(batch_size=2).transform(TEXTS), together, rtol=1e-4, atol=1e-5)


@each_kind
def test_an_older_sentence_transformers_gives_the_same(folders, kind, monkeypatch):
    """One without `preprocess`, whose `encode` sorts the texts of a batch by their length."""
    options = {"layers": [0, 1], "prompt": "Label: ", "truncate_dim": 5}
    expected = encoder(folders[kind], **options).fit_transform(TEXTS)
    monkeypatch.setattr(SentenceEncoder, "_prepare", lambda self, model, batch: batch)
    np.testing.assert_allclose(encoder(folders[kind], **options).fit_transform(TEXTS), expected, rtol=1e-4, atol=1e-5)


def test_truncation_leaves_other_layers_whole(folders):
    whole = encoder(folders["masked"], layers=[1]).fit_transform(TEXTS)
    cut = encoder(folders["masked"], layers=[1], truncate_dim=5).fit_transform(TEXTS)
    assert cut.shape[1] == FEATURES + 5
    np.testing.assert_array_equal(cut[:, :FEATURES], whole[:, :FEATURES])
    np.testing.assert_allclose(cut[:, FEATURES:], unit(whole[:, FEATURES : FEATURES + 5]), rtol=1e-5)
    with pytest.raises(ValueError, match=f"`truncate_dim`={FEATURES + 1} exceeds the {FEATURES} features"):
        encoder(folders["masked"], layers=[1], truncate_dim=FEATURES + 1).fit(TEXTS)


def test_normalize_changes_nothing_where_every_block_has_unit_length(folders):
    expected = encoder(folders["masked"], layers=[1]).fit_transform(TEXTS)
    vectors = encoder(folders["masked"], layers=[1], normalize=True).fit_transform(TEXTS)
    np.testing.assert_array_equal(vectors, expected)


def test_half_precision_is_close(folders):
    expected = encoder(folders["masked"], layers=[0, 1]).fit_transform(TEXTS)
    vectors = encoder(folders["masked"], layers=[0, 1], dtype="bfloat16").fit_transform(TEXTS)
    assert vectors.dtype == np.float32
    assert (vectors * expected).reshape(len(TEXTS), 3, FEATURES).sum(axis=2).min() > 0.999


def test_without_layers_nothing_is_watched(folders, monkeypatch):
    from skicl.encoders import _sentence

    expected = encoder(folders["masked"], layers=[1]).fit_transform(TEXTS)[:, FEATURES:]
    monkeypatch.setattr(_sentence, "encode_blocks", None)
    monkeypatch.setattr(_sentence, "hidden_layers", None)
    one = encoder(folders["masked"]).fit(TEXTS)
    assert one.layers_ == ()
    np.testing.assert_allclose(unit(one.transform(TEXTS)), expected, rtol=1e-5, atol=1e-6)


# -- what it costs -------------------------------------------------------------------------------


@each_kind
def test_layers_come_from_one_pass(folders, kind):
    """As many passes as without layers, one for each batch; the trial is made before."""
    from skicl.encoders import LiveModel
    from skicl.encoders._sentence import open_model

    model = LiveModel(open_model(Path(folders[kind]), torch.device("cpu"), torch.float32))
    calls = []
    model.model.transformers_model.get_input_embeddings().register_forward_pre_hook(lambda *_: calls.append(1))
    counts = {}
    for layers in (None, [0, 1, 2], "auto"):
        one = encoder(model, layers=layers, batch_size=2).fit(TEXTS)
        calls.clear()
        one.transform(TEXTS)
        counts[str(layers)] = len(calls)
    assert set(counts.values()) == {2}  # four different texts


# -- names ---------------------------------------------------------------------------------------


def test_names_tell_the_blocks_apart(folders):
    one = encoder(folders["masked, dense"], layers=[-1, 0.5]).fit(TEXTS)
    names = one.get_feature_names_out().tolist()
    assert len(names) == len(set(names)) == one.n_features_out_
    expected = [f"sentenceencoder_layer{number}_{i}" for number in (2, 1) for i in range(FEATURES)]
    assert names == expected + [f"sentenceencoder_last_{i}" for i in range(DENSE_FEATURES)]
    frame = one.set_output(transform="pandas").transform(TEXTS)
    assert frame.columns.tolist() == names
    assert encoder(folders["masked, dense"]).fit(TEXTS).get_feature_names_out()[0] == "sentenceencoder0"
    assert block_names((3,), (2,), 3) == ["_layer3_0", "_layer3_1", "_last_0"]


def test_clone_and_pickle_keep_the_layers(folders):
    one = encoder(folders["masked"], layers=[1, -1]).fit(TEXTS)
    assert clone(one).get_params()["layers"] == [1, -1]
    other = pickle.loads(pickle.dumps(one))
    assert other.layers_ == (1, 2)
    assert other.get_feature_names_out().tolist() == one.get_feature_names_out().tolist()
    np.testing.assert_array_equal(other.transform(TEXTS), one.transform(TEXTS))


# -- the cache -----------------------------------------------------------------------------------


def test_layers_are_part_of_the_key(folders):
    cache = EmbeddingCache()
    variants = [None, [1], [2], [1, 2], [2, 1], [0]]
    for layers in variants * 2:
        cached = encoder(folders["masked"], layers=layers, cache=cache).fit_transform(TEXTS)
        np.testing.assert_array_equal(cached, encoder(folders["masked"], layers=layers).fit_transform(TEXTS))
    assert cache.stats[:2] == (4 * len(variants), 4 * len(variants))


def test_the_same_layers_by_another_word_have_the_same_key(folders):
    cache = EmbeddingCache()
    for layers in ([1], [-2], [0.5], (0.5, 1), "auto"):
        encoder(folders["masked"], layers=layers, cache=cache).fit_transform(TEXTS)
    assert cache.stats.misses == 4


# -- threads -------------------------------------------------------------------------------------


def test_threads_with_different_layers_do_not_disturb_each_other(folders):
    wanted = [None, [0], [1, 2], "auto"]
    texts = [f"{text} {i}" for i in range(8) for text in TEXTS]
    encoders = [encoder(folders["masked"], layers=layers, batch_size=4).fit(texts) for layers in wanted]
    expected = [one.transform(texts) for one in encoders]
    found = [[] for _ in wanted]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [
            threading.Thread(target=lambda i=i: found[i].append(encoders[i].transform(texts)))
            for i in list(range(len(wanted))) * 3
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    for vectors, results in zip(expected, found):
        assert len(results) == 3
        for result in results:
            np.testing.assert_array_equal(result, vectors)


# -- who reads blocks ----------------------------------------------------------------------------


def test_several_encoders_side_by_side(folders):
    union = FeatureUnion([(kind, encoder(folders[kind], layers="auto")) for kind in ("masked", "decoder")])
    vectors = union.fit_transform(TEXTS)
    names = union.get_feature_names_out()
    assert vectors.shape == (len(TEXTS), 4 * FEATURES) == (len(TEXTS), len(set(names)))
    assert names[0] == "masked__sentenceencoder_layer1_0"
    np.testing.assert_allclose(np.linalg.norm(vectors.reshape(len(TEXTS), 4, FEATURES), axis=2), 1.0, rtol=1e-5)
    labels = ["card", "other", "refund", "login", "other"]
    classifier = TartClassifier(union, class_texts="labels", device="cpu").fit(TEXTS, labels)
    assert classifier.predict_proba(TEXTS).shape == (len(TEXTS), 4)


# -- models and parameters that do not fit -------------------------------------------------------


def table_of_words():
    from sentence_transformers import SentenceTransformer

    parts = modules()
    return SentenceTransformer(modules=[parts.StaticEmbedding(make_tokenizer("bert"), embedding_dim=4)], device="cpu")


def test_a_table_of_word_vectors_has_no_layers():
    model = table_of_words()
    with pytest.raises(ValueError, match=r"`layers`=\[1\] is impossible with .*holds no network of transformers"):
        encoder(model, layers=[1]).fit(TEXTS)
    one = encoder(model, layers="auto")
    with pytest.warns(UserWarning, match="`layers`='auto': .* its own vector, which stands alone") as caught:
        one.fit(TEXTS)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vectors = one.transform(TEXTS)
    plain = encoder(model).fit(TEXTS)
    np.testing.assert_array_equal(vectors, plain.transform(TEXTS))
    assert one.layers_ == ()
    assert one.n_features_out_ == 4
    assert one.get_feature_names_out().tolist() == plain.get_feature_names_out().tolist()


def test_auto_without_layers_shares_its_key_with_none():
    model, cache = table_of_words(), EmbeddingCache()
    with pytest.warns(UserWarning, match="`layers`='auto'"):
        encoder(model, layers="auto", cache=cache).fit_transform(TEXTS)
    encoder(model, cache=cache).fit_transform(TEXTS)
    assert cache.stats.misses == 4


@pytest.mark.parametrize(
    "layers", [[], (), 4, 0.5, True, [True], [1.5], [-0.1], [np.nan], [None], ["auto"], "all", [[1]], {1}, {1: 2}]
)
def test_bad_layers_are_refused_before_any_work(layers):
    with pytest.raises(ValueError, match="`layers` must be None, 'auto' or a list of layers"):
        check_layer_list(layers)
    with pytest.raises(ValueError, match="`layers` must be None, 'auto' or a list of layers"):
        encoder("./absent", layers=layers).fit(TEXTS)


def test_a_word_that_is_almost_auto_is_pointed_out():
    with pytest.raises(ValueError, match=r"got 'atuo'\. Did you mean 'auto'"):
        check_layer_list("atuo")


@pytest.mark.parametrize("layer", [3, -4])
def test_a_layer_that_the_model_does_not_have_is_refused(folders, layer):
    message = rf"`layers`=\[1, {layer}\]: the model has no layer {layer}. Expected -3 to 2"
    with pytest.raises(ValueError, match=message):
        encoder(folders["masked"], layers=[1, layer]).fit(TEXTS)


def test_numbers_of_numpy_are_numbers(folders):
    check_layer_list([np.int64(1), np.float32(0.5)])
    assert encoder(folders["masked"], layers=[np.int64(1), np.float32(0.5)]).fit(TEXTS).layers_ == (1,)


def test_rows_are_those_of_the_batch(folders):
    """Whichever way the pass is made."""
    from skicl._models._hidden_states import hidden_layers
    from skicl._models._in_memory import LoadedModel
    from skicl.encoders._sentence import open_model

    loaded = LoadedModel(open_model(Path(folders["masked"]), torch.device("cpu"), torch.float32))
    found, batch = hidden_layers(loaded), ["x", "where is my card", "refund"]
    vectors = encode_blocks(loaded.model, batch, found, (0, 2), None, None)
    alone = [encode_blocks(loaded.model, [text], found, (0, 2), None, None) for text in batch]
    np.testing.assert_allclose(vectors, np.concatenate(alone), rtol=1e-4, atol=1e-5)
