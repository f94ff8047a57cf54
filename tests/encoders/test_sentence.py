import copy
import pickle
import shutil
import threading
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from skicl import SentenceEncoder
from skicl.encoders import EmbeddingCache, LiveModel, _sentence, clear_model_cache
from skicl.encoders._sentence import _count_longer

TEXTS = ["where is my card", "card lost", "refund please", "", "no refund yet", "log in fails", "a", "card lost"]
LABELS = [0, 0, 1, 1, 1, 0, 1, 0]
LIMIT = 32


@pytest.fixture
def loads(monkeypatch):
    """The folders that were loaded, in a cache that starts empty."""
    clear_model_cache()
    opened, original = [], _sentence.open_model

    def open_model(folder, device, dtype, *, name=None):
        opened.append(str(folder))
        return original(folder, device, dtype, name=name)

    monkeypatch.setattr(_sentence, "open_model", open_model)
    return opened


def encoder(model, **options):
    return SentenceEncoder(model, device="cpu", **options)


def test_vectors_are_those_of_sentence_transformers(tiny_folder, tiny_model):
    vectors = encoder(tiny_folder).fit_transform(TEXTS)
    expected = tiny_model.encode(TEXTS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-5)


def test_options_are_those_of_sentence_transformers(tiny_folder, tiny_model):
    for ours, theirs in [
        ({"prompt": "query: "}, {"prompt": "query: "}),
        ({"truncate_dim": 5}, {"truncate_dim": 5}),
        ({"normalize": True, "truncate_dim": 5}, {"normalize_embeddings": True, "truncate_dim": 5}),
    ]:
        vectors = encoder(tiny_folder, **ours).fit_transform(TEXTS)
        np.testing.assert_allclose(vectors, tiny_model.encode(TEXTS, **theirs), rtol=1e-4, atol=1e-5)
    unit = encoder(tiny_folder, normalize=True).fit_transform(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1.0, rtol=1e-5)


def test_name_path_and_live_model_give_equal_vectors(tiny_folder, tiny_model, tmp_path, monkeypatch):
    expected = encoder(tiny_folder).fit_transform(TEXTS)
    shutil.copytree(tiny_folder, tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    for model in ("tiny", "./tiny", tmp_path / "tiny", tiny_model, LiveModel(tiny_model)):
        np.testing.assert_allclose(encoder(model).fit_transform(TEXTS), expected, rtol=1e-4, atol=1e-5)


def test_model_in_half_precision_runs_in_float32(tiny_model, tmp_path):
    tiny_model.half().save(str(tmp_path / "half"))
    vectors = encoder(tmp_path / "half").fit_transform(TEXTS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, tiny_model.float().encode(TEXTS), rtol=1e-4, atol=1e-5)


def test_plain_transformers_folder_gets_mean_pooling(tiny_folder, tmp_path):
    plain = tmp_path / "plain"
    shutil.copytree(tiny_folder, plain)
    shutil.rmtree(plain / "1_Pooling")
    (plain / "modules.json").unlink()
    (plain / "sentence_bert_config.json").unlink()
    expected = encoder(tiny_folder).fit_transform(TEXTS)
    np.testing.assert_allclose(encoder(plain).fit_transform(TEXTS), expected, rtol=1e-4, atol=1e-5)


def test_loading_prints_nothing(tiny_folder, capfd):
    clear_model_cache()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder(tiny_folder).fit_transform(TEXTS)
    assert capfd.readouterr() == ("", "")


def test_missing_weights_are_reported(tiny_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny_folder, tmp_path / "damaged")
    file = tmp_path / "damaged" / "model.safetensors"
    weights = load_file(file)
    del weights["encoder.layer.0.output.dense.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.warns(UserWarning, match=r"lack 1 weights.*encoder\.layer\.0\.output\.dense\.weight"):
        encoder(tmp_path / "damaged").fit(TEXTS)


def test_vectors_are_those_of_an_older_sentence_transformers_too(tiny_folder, tiny_model, monkeypatch):
    """One without `preprocess`, where `encode` does it all."""
    options = {"prompt": "query: ", "truncate_dim": 5, "normalize": True, "max_length": 12}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        expected = encoder(tiny_folder, **options).fit_transform(TEXTS)
        monkeypatch.setattr(SentenceEncoder, "_prepare", lambda self, model, batch: batch)
        vectors = encoder(tiny_folder, **options).fit_transform(TEXTS)
    np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-5)


def test_default_prompt_of_the_model_is_used(tiny_model):
    tiny_model.prompts, tiny_model.default_prompt_name = {"query": "find "}, "query"
    vectors = encoder(tiny_model).fit_transform(TEXTS)
    np.testing.assert_allclose(vectors, tiny_model.encode(TEXTS), rtol=1e-4, atol=1e-5)
    tiny_model.default_prompt_name = None
    np.testing.assert_allclose(vectors, encoder(tiny_model, prompt="find ").fit_transform(TEXTS), rtol=1e-4, atol=1e-5)
    assert not np.allclose(vectors, encoder(tiny_model).fit_transform(TEXTS))


def test_texts_can_be_tokenized_while_the_network_computes(tiny_folder, monkeypatch):
    """As on a GPU, where the next texts are made ready in a thread of their own."""
    from skicl.encoders import _base

    original, threads = _base.work_ahead, set()
    expected = encoder(tiny_folder, batch_size=2).fit_transform(TEXTS)
    prepare = SentenceEncoder._prepare

    def noted(self, model, batch):
        threads.add(threading.current_thread())
        return prepare(self, model, batch)

    monkeypatch.setattr(_base, "work_ahead", lambda items, ahead: original(items, True))
    monkeypatch.setattr(SentenceEncoder, "_prepare", noted)
    np.testing.assert_array_equal(encoder(tiny_folder, batch_size=2).fit_transform(TEXTS), expected)
    assert threads
    assert threading.current_thread() not in threads


def test_batches_hold_texts_of_as_many_tokens(tiny_folder, tiny_model, monkeypatch):
    """Letters would put the wrong ones together: spaces are many and no tokens."""
    texts = [letter * n + " " * (100 - 3 * n) for n in range(1, 11) for letter in "ab"]
    widths, prepare = [], SentenceEncoder._prepare

    def noted(self, model, batch):
        features = prepare(self, model, batch)
        tokens = tiny_model.tokenize(batch) if isinstance(features, list) else features  # a list: older versions
        widths.append(tokens["attention_mask"].sum(dim=1).tolist())
        return features

    monkeypatch.setattr(SentenceEncoder, "_prepare", noted)
    vectors = encoder(tiny_folder, batch_size=2).fit_transform(texts)
    assert all(len(set(width)) == 1 for width in widths)
    np.testing.assert_allclose(vectors, tiny_model.encode(texts), rtol=1e-4, atol=1e-5)


# -- number formats ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bfloat16", torch.bfloat16])
def test_half_precision_is_close(tiny_folder, loads, dtype):
    expected = encoder(tiny_folder).fit_transform(TEXTS)
    vectors = encoder(tiny_folder, dtype=dtype).fit_transform(TEXTS)
    assert vectors.dtype == np.float32
    cosines = (vectors * expected).sum(axis=1) / np.linalg.norm(vectors, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosines.min() >= 0.999
    assert not np.array_equal(vectors, expected)
    assert len(loads) == 2, "weights in two formats are two models"


def test_format_of_a_live_model_is_its_own(tiny_model):
    with pytest.raises(ValueError, match=r"`dtype`='bfloat16' does not apply to a model in memory.*model\.to\(dtype\)"):
        encoder(tiny_model, dtype="bfloat16").fit(TEXTS)
    expected = encoder(tiny_model).fit_transform(TEXTS)
    vectors = encoder(tiny_model.to(torch.bfloat16)).fit_transform(TEXTS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, atol=0.1)


# -- the cache -----------------------------------------------------------------------------------


@pytest.fixture
def encoded(monkeypatch):
    """All texts that the network was asked for."""
    texts, prepare = [], SentenceEncoder._prepare

    def noted(self, model, batch):
        texts.extend(batch)
        return prepare(self, model, batch)

    monkeypatch.setattr(SentenceEncoder, "_prepare", noted)
    return texts


def test_grid_search_encodes_each_text_once(tiny_folder, encoded):
    texts = [f"{word} {i}" for i in range(10) for word in ("card", "refund", "login")]
    labels = ["card", "refund", "login"] * 10
    pipeline = make_pipeline(encoder(tiny_folder, cache=EmbeddingCache()), LogisticRegression())
    GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1, 10]}, cv=5, error_score="raise").fit(texts, labels)
    assert sorted(encoded) == sorted(texts)


def test_everything_that_changes_a_vector_is_part_of_the_key(tiny_folder, other_tiny_folder):
    """Each variant of the encoder gets its own vectors from a cache that holds those of all variants before."""
    cache, texts = EmbeddingCache(), ["where is my card and when", "refund please"]
    variants = [
        {},
        {"prompt": "query: "},
        {"prompt": "q: "},
        {"truncate_dim": 5},
        {"truncate_dim": 6},
        {"normalize": True},
        {"layers": [0]},
        {"layers": [1]},
        {"layers": [0, 1]},
        {"max_length": 8},
        {"max_length": 12},
        {"dtype": "bfloat16"},
        {"model": other_tiny_folder},
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for variant in variants * 2:
            options = {"model": tiny_folder, "device": "cpu", **variant}
            cached = SentenceEncoder(**options, cache=cache).fit_transform(texts)
            np.testing.assert_array_equal(cached, SentenceEncoder(**options).fit_transform(texts))
    assert cache.stats[:3] == (len(variants) * 2, len(variants) * 2, len(variants) * 2)


def test_what_does_not_change_a_vector_is_not(tiny_folder, tmp_path, encoded):
    """Batch size, where the files are, and whether the model was loaded before."""
    cache = EmbeddingCache()
    shutil.copytree(tiny_folder, tmp_path / "copy")
    for model in (tiny_folder, tmp_path / "copy", tiny_folder):
        clear_model_cache()
        for options in ({}, {"batch_size": 1}, {"prompt": None}, {"max_length": LIMIT}, {"verbose": False}):
            encoder(model, cache=cache, **options).fit_transform(TEXTS)
    encoder(tiny_folder, cache=cache, truncate_dim=None, dtype="float32").fit_transform(TEXTS)
    assert sorted(encoded) == sorted(set(TEXTS))


def test_calls_without_the_cache_before_its_first_use_change_nothing(tiny_folder):
    """The tokenizer of a model keeps padding and truncation of its last call."""
    cache = EmbeddingCache()
    for before in (None, {}, {"max_length": LIMIT - 2}):
        clear_model_cache()
        if before is not None:
            encoder(tiny_folder, **before).fit_transform(["card"])
        encoder(tiny_folder, cache=cache).fit_transform(["card", "refund"])
    assert cache.stats.misses == 2


def test_live_model_that_is_trained_further_gets_new_vectors(tiny_model):
    one = encoder(tiny_model, cache=EmbeddingCache()).fit(TEXTS)
    before = one.transform(TEXTS)
    weight = next(tiny_model.parameters())
    for change in (lambda: weight.add_(0.1), lambda: weight.data.mul_(1.5), lambda: weight[3].zero_()):
        with torch.no_grad():
            change()
        after = one.transform(TEXTS)
        assert not np.array_equal(after, before)
        np.testing.assert_array_equal(after, encoder(tiny_model).fit_transform(TEXTS))
        before = after


def test_live_model_without_weights_to_tell_it_by_has_no_cache(tiny_model, monkeypatch):
    monkeypatch.setattr(type(tiny_model), "state_dict", lambda self: {})
    encoder(tiny_model).fit(TEXTS)
    with pytest.raises(ValueError, match="`cache` does not work with LiveModel"):
        encoder(tiny_model, cache=True).fit(TEXTS)


def test_progress_bar_if_asked_for(tiny_folder, capfd):
    encoder(tiny_folder, verbose=True).fit(TEXTS).transform(TEXTS)
    assert "SentenceEncoder: 100%" in capfd.readouterr().err
    with pytest.raises(ValueError, match="`verbose` must be True or False, got 'yes'"):
        encoder(tiny_folder, verbose="yes").fit(TEXTS)


# -- one copy of the weights ---------------------------------------------------------------------


def test_clones_folds_and_options_share_one_model(loads, tiny_folder):
    pipeline = make_pipeline(encoder(tiny_folder), LogisticRegression())
    grid = {"sentenceencoder__normalize": [True, False], "sentenceencoder__max_length": [8, None]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        GridSearchCV(pipeline, grid, cv=2).fit(TEXTS, LABELS)
    clone(encoder(tiny_folder)).fit(TEXTS)
    pickle.loads(pickle.dumps(encoder(tiny_folder).fit(TEXTS))).transform(TEXTS)
    assert len(loads) == 1


def test_cleared_models_are_loaded_again(loads, tiny_folder):
    one = encoder(tiny_folder).fit(TEXTS)
    expected = one.transform(TEXTS)
    clear_model_cache()
    np.testing.assert_array_equal(one.transform(TEXTS), expected)
    assert len(loads) == 2


def test_folder_that_is_saved_again_is_loaded_again(loads, tiny_folder, other_tiny_folder, tmp_path):
    shutil.copytree(tiny_folder, tmp_path / "model")
    one = encoder(tmp_path / "model").fit(TEXTS)
    before = one.transform(TEXTS)
    shutil.copyfile(f"{other_tiny_folder}/model.safetensors", tmp_path / "model" / "model.safetensors")
    after = one.transform(TEXTS)
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after, encoder(other_tiny_folder).fit_transform(TEXTS), rtol=1e-4, atol=1e-5)
    assert len(loads) == 3


def test_short_and_full_name_share_one_model(loads, tiny_folder, monkeypatch):
    asked = []

    def find_model(name, revision):
        asked.append((name, revision))
        return tiny_folder

    monkeypatch.setattr(_sentence, "find_model", find_model)
    expected = encoder(tiny_folder).fit_transform(TEXTS)
    for name in ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"):
        np.testing.assert_array_equal(encoder(name).fit_transform(TEXTS), expected)
    encoder("all-MiniLM-L6-v2", revision="other").fit(TEXTS)
    default = "sentence-transformers/all-MiniLM-L6-v2"
    assert asked == [(default, None), (default, "other")]
    clear_model_cache()


def test_pickle_holds_no_weights(tiny_folder):
    assert len(pickle.dumps(encoder(tiny_folder).fit(TEXTS))) < 1000


# -- live models ---------------------------------------------------------------------------------


def test_live_model_is_not_copied(tiny_model, monkeypatch):
    monkeypatch.setattr(type(tiny_model), "__deepcopy__", lambda *_: pytest.fail("copied"), raising=False)
    one = encoder(tiny_model)
    assert one.model.model is tiny_model
    assert clone(one).model is one.model
    assert copy.deepcopy(one).model is one.model
    pipeline = make_pipeline(one, LogisticRegression())
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1.0]}, cv=2).fit(TEXTS, LABELS)
    assert search.best_estimator_[0].model.model is tiny_model
    grid = {"sentenceencoder__model": [LiveModel(tiny_model), one.model]}
    GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(TEXTS, LABELS)


def test_live_model_through_set_params_is_not_copied_either(tiny_model, tiny_folder):
    one = encoder(tiny_folder).set_params(model=tiny_model)
    assert isinstance(one.model, LiveModel)
    assert clone(one).model is one.model


def test_live_model_is_not_pickled(tiny_model):
    one = encoder(tiny_model).fit(TEXTS)
    with pytest.raises(pickle.PicklingError, match=r"live SentenceTransformer is not pickled.*model='path/to/folder'"):
        pickle.dumps(one)


def test_live_model_works_in_threads(tiny_model):
    from joblib import parallel_config

    pipeline = make_pipeline(encoder(tiny_model), LogisticRegression())
    with parallel_config("threading", n_jobs=2):
        scores = cross_val_score(pipeline, TEXTS, LABELS, cv=2, error_score="raise")
    assert np.isfinite(scores).all()


def test_live_model_keeps_its_settings(tiny_model):
    one = SentenceEncoder(tiny_model, max_length=8, truncate_dim=4, normalize=True)
    with pytest.warns(UserWarning, match="truncated"):
        one.fit_transform(TEXTS)
    assert tiny_model.max_seq_length == LIMIT
    assert tiny_model.encode(TEXTS).shape == (len(TEXTS), 16)
    assert tiny_model.device == torch.device("cpu")


def test_repr_of_a_live_model_is_short(tiny_model):
    assert repr(encoder(tiny_model)) == "SentenceEncoder(device='cpu', model=LiveModel(SentenceTransformer))"


# -- long texts ----------------------------------------------------------------------------------


def test_truncated_texts_are_counted_in_one_warning(tiny_folder):
    one = encoder(tiny_folder).fit(TEXTS)
    with pytest.warns(UserWarning, match="truncated") as caught:
        one.transform(["short", "x" * 100, "x" * 100, "y" * (LIMIT - 2), "z" * (LIMIT - 1)])
    assert len(caught) == 1
    assert str(caught[0].message).startswith("3 of 5 texts are longer than 32 tokens and were truncated.")
    assert caught[0].filename == __file__


def test_texts_within_the_limit_give_no_warning(tiny_folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder(tiny_folder).fit_transform(["y" * (LIMIT - 2), "€" * 40 + " " * 300])


def test_truncated_text_equals_its_beginning(tiny_folder):
    one = encoder(tiny_folder, max_length=12).fit(TEXTS)
    with pytest.warns(UserWarning, match="1 of 2 texts are longer than 12 tokens"):
        vectors = one.transform(["abcdefghij" + "k" * 50, "abcdefghij"])
    np.testing.assert_allclose(vectors[0], vectors[1], rtol=1e-4, atol=1e-5)


def test_prompt_counts_towards_the_limit(tiny_folder):
    one = encoder(tiny_folder, prompt="p" * 10).fit(TEXTS)
    with pytest.warns(UserWarning, match="1 of 2 texts"):
        one.transform(["y" * 20, "y" * 21])


def test_limit_can_be_raised_up_to_the_positions_of_the_model(tiny_folder):
    text = "abcdefghij" * 6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        longer = encoder(tiny_folder, max_length=64).fit_transform([text])
    with pytest.warns(UserWarning, match="truncated"):
        shorter = encoder(tiny_folder).fit_transform([text])
    assert not np.allclose(longer, shorter)
    for impossible in (65, 2, 10**6):
        with pytest.raises(ValueError, match=rf"`max_length`={impossible} is impossible .* expected 3 to 64 tokens"):
            encoder(tiny_folder, max_length=impossible).fit(TEXTS)


def test_threads_with_different_limits_do_not_disturb_each_other(tiny_folder):
    texts = [letter * 30 + "z" * 20 for letter in "abcdefgh"]
    encoders = {limit: encoder(tiny_folder, max_length=limit, batch_size=1).fit(texts) for limit in (8, 16, 64)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        expected = {limit: one.transform(texts) for limit, one in encoders.items()}
        found = {limit: [] for limit in encoders}
        threads = [
            threading.Thread(target=lambda limit=limit: found[limit].append(encoders[limit].transform(texts)))
            for limit in list(encoders) * 3
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for limit, results in found.items():
        assert len(results) == 3
        for vectors in results:
            np.testing.assert_array_equal(vectors, expected[limit])


def test_count_longer_is_exact_where_letters_take_several_bytes(tiny_model):
    texts = ["é" * 40, "e" * 31, "日本" * 40, "", "e e " * 8]
    lengths = [len(tiny_model.tokenizer(text)["input_ids"]) for text in texts]
    for limit in (3, 20, 33, 34):
        assert _count_longer(texts, limit, tiny_model.tokenizer) == sum(length > limit for length in lengths)
    assert _count_longer(texts, None, tiny_model.tokenizer) == 0
    assert _count_longer(texts, float("inf"), tiny_model.tokenizer) == 0


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "`batch_size` must be an integer of at least 1, got 0"),
        ({"truncate_dim": 0}, ValueError, "`truncate_dim` must be an integer of at least 1 or None, got 0"),
        ({"truncate_dim": 17}, ValueError, "`truncate_dim`=17 exceeds the 16 features"),
        ({"max_length": 1.5}, ValueError, "`max_length` must be an integer of at least 1 or None, got 1.5"),
        ({"dtype": "double"}, ValueError, "`dtype` must be None or one of 'float32', 'bfloat16', 'float16', got 'dou"),
        ({"cache": 3}, ValueError, "`cache` must be a number of bytes, at least 1048576"),
        ({"normalize": "l2"}, ValueError, "`normalize` must be True or False, got 'l2'"),
        ({"prompt": 3}, TypeError, "`prompt` must be a string or None, got 3"),
        ({"revision": 3}, TypeError, "`revision` must be a string or None, got 3"),
        ({"revision": "main"}, ValueError, "`revision` applies to models of the hub only"),
        ({"device": "gpu"}, ValueError, "`device`='gpu' is not a device"),
        ({"model": 3}, TypeError, "`model` must be the name or the path of a model or a SentenceTransformer, got 3"),
        ({"model": None}, TypeError, "`model` must be the name or the path"),
        ({"model": "./absent"}, ValueError, "`model`='./absent' does not exist"),
    ],
)
def test_bad_parameters_are_refused(tiny_folder, options, error, message):
    with pytest.raises(error, match=message):
        SentenceEncoder(**{"model": tiny_folder, "device": "cpu", **options}).fit(TEXTS)


def test_revision_of_a_live_model_is_refused(tiny_model):
    with pytest.raises(ValueError, match="`revision` applies to models of the hub only"):
        encoder(tiny_model, revision="main").fit(TEXTS)


def test_other_live_objects_are_refused():
    class Encoder:
        def encode(self, texts):
            return texts

    with pytest.raises(TypeError, match=r"`model` holds an object of type Encoder\. Expected a SentenceTransformer"):
        encoder(Encoder()).fit(TEXTS)


def test_folder_without_a_model_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here", encoding="utf-8")
    with pytest.raises(ValueError, match=r"could not be loaded from .*Expected a folder that SentenceTransformer.save"):
        encoder(tmp_path).fit(TEXTS)


def test_damaged_weights_are_refused(tiny_folder, tmp_path):
    shutil.copytree(tiny_folder, tmp_path / "damaged")
    (tmp_path / "damaged" / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ValueError, match="could not be loaded"):
        encoder(tmp_path / "damaged").fit(TEXTS)


def test_limit_has_no_meaning_for_a_table_of_word_vectors():
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer, models, pre_tokenizers

    try:
        from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    except ImportError:  # sentence-transformers 5
        from sentence_transformers.models import StaticEmbedding

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "card": 1, "refund": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=4)], device="cpu")
    texts = ["card", "refund " * 5000]
    np.testing.assert_allclose(encoder(model).fit_transform(texts), model.encode(texts), rtol=1e-5)
    with pytest.raises(ValueError, match="`max_length` has no meaning for this model"):
        encoder(model, max_length=8).fit(texts)
