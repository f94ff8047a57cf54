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
from skicl.encoders import LiveModel, _sentence, clear_model_cache
from skicl.encoders._sentence import count_longer

TEXTS = ["where is my card", "card lost", "refund please", "", "no refund yet", "log in fails", "a", "card lost"]
LABELS = [0, 0, 1, 1, 1, 0, 1, 0]
LIMIT = 32


@pytest.fixture
def loads(monkeypatch):
    """The folders that were loaded, in a cache that starts empty."""
    clear_model_cache()
    opened, original = [], _sentence.open_model

    def open_model(folder, device, *, name=None):
        opened.append(str(folder))
        return original(folder, device, name=name)

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
        assert count_longer(texts, limit, tiny_model.tokenizer) == sum(length > limit for length in lengths)
    assert count_longer(texts, None, tiny_model.tokenizer) == 0
    assert count_longer(texts, float("inf"), tiny_model.tokenizer) == 0


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "`batch_size` must be a positive integer, got 0"),
        ({"truncate_dim": 0}, ValueError, "`truncate_dim` must be a positive integer or None, got 0"),
        ({"truncate_dim": 17}, ValueError, "`truncate_dim`=17 exceeds the 16 features"),
        ({"max_length": 1.5}, ValueError, "`max_length` must be a positive integer or None, got 1.5"),
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
