import copy
import gc
import json
import os
import pickle
import shutil
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from encoders.tiny_language_models import make_network, make_tokenizer, save_tiny_model
from encoders.tiny_vision_audio import build_audio_model, build_image_model, some_images, some_recordings
from forked_process import in_child
from sklearn.base import clone

import skicl.encoders
from skicl._models import _in_memory
from skicl._models._files import folder_state
from skicl._models._in_memory import (
    LoadedModel,
    own_memory,
    quick_digest,
    shared_from_folder,
    shared_model,
    weights_digest,
)
from skicl.encoders import EmbeddingCache, LiveModel, clear_model_cache


class Model:
    """Something that can be referred to weakly."""


@pytest.fixture(autouse=True)
def _leave_nothing_behind():
    yield
    clear_model_cache()


def test_a_model_is_loaded_once_per_key():
    calls = []

    def load():
        calls.append(1)
        return Model()

    first = shared_model(("a", "cpu"), load)
    assert shared_model(("a", "cpu"), load) is first
    assert shared_model(("b", "cpu"), load) is not first
    assert len(calls) == 2


def test_another_version_replaces_the_model():
    first = shared_model(("a",), Model, version=1)
    second = shared_model(("a",), Model, version=2)
    assert second.model is not first.model
    assert shared_model(("a",), Model, version=2) is second


def test_threads_that_ask_together_get_one_copy():
    calls = []

    def load():
        calls.append(1)
        time.sleep(0.05)
        return Model()

    found = []
    threads = [threading.Thread(target=lambda: found.append(shared_model(("a",), load))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len({id(loaded) for loaded in found}) == 1


def test_nothing_is_kept_of_a_failure():
    def fail():
        raise OSError("no such model")

    with pytest.raises(OSError, match="no such model"):
        shared_model(("a",), fail)
    assert isinstance(shared_model(("a",), Model).model, Model)


def test_clearing_frees_the_memory():
    reference = weakref.ref(shared_model(("a",), Model).model)
    assert reference() is not None
    clear_model_cache()
    gc.collect()
    assert reference() is None


def test_a_live_model_is_its_own_clone_and_copy():
    handle = LiveModel(Model())
    assert clone(handle, safe=False) is handle
    assert copy.copy(handle) is handle
    assert copy.deepcopy(handle) is handle
    assert repr(handle) == "LiveModel(Model)"


def test_a_live_model_is_not_pickled():
    with pytest.raises(pickle.PicklingError, match=r"live Model is not pickled.*use model='path/to/folder'"):
        pickle.dumps(LiveModel(Model()))


# -- checksums -----------------------------------------------------------------------------------


def network(seed=0):
    import torch
    from torch import nn

    net = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.LayerNorm(4))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in net.parameters():
            weight.normal_(generator=generator)
    return net


def digest(*parts, live=False):
    return weights_digest(LoadedModel(parts[0], live=live), *parts)


def test_equal_models_have_equal_checksums():
    assert digest(network()) == digest(network()) == digest(network(), live=True)
    assert len(digest(network())) == 32


def test_whatever_changes_what_a_model_computes_changes_its_checksum():
    import torch
    from torch import nn

    weight, order = network(), network()
    with torch.no_grad():
        weight[0].weight[1, 2] += 1e-6
        order[0].bias.copy_(order[0].bias.flip(0))
    activation = nn.Sequential(network()[0], nn.ReLU(), network()[2])
    epsilon = network()
    epsilon[2].eps = 1e-3
    others = [network(1), weight, order, activation, epsilon, network().double(), network().bfloat16()]
    digests = [digest(other) for other in [network(), *others]]
    digests += [digest(network(), "some"), digest(network(), "so", "me"), digest("some", network())]
    assert len(set(digests)) == len(digests)


def test_configuration_counts_and_its_place_does_not(tiny_folder, tmp_path):
    import shutil

    from transformers import AutoModel

    shutil.copytree(tiny_folder, tmp_path / "copy")
    one, other = AutoModel.from_pretrained(tiny_folder), AutoModel.from_pretrained(tiny_folder)
    copy_of_it = AutoModel.from_pretrained(tmp_path / "copy")
    for model in (copy_of_it, other):
        model.load_state_dict(one.state_dict())
    assert digest(copy_of_it) == digest(one)
    other.config.layer_norm_eps = 1e-3
    assert digest(other) != digest(one)


def test_tokenizer_counts(tiny_folder):
    from transformers import AutoTokenizer

    one, same, other = (AutoTokenizer.from_pretrained(tiny_folder) for _ in range(3))
    assert digest(one) == digest(same)
    other.add_tokens(["card"])
    assert digest(other) != digest(one)


def test_what_a_call_leaves_in_a_tokenizer_does_not_count(tiny_folder):
    from transformers import AutoTokenizer

    one, used = (AutoTokenizer.from_pretrained(tiny_folder) for _ in range(2))
    used(["a card", "refund"], padding="max_length", truncation=True, max_length=7)
    assert used.backend_tokenizer.to_str() != one.backend_tokenizer.to_str()
    assert digest(used) == digest(one)


def test_checksum_is_computed_once_unless_a_live_model_changes(monkeypatch):
    import torch

    asked, original = [], _in_memory._contents
    monkeypatch.setattr(_in_memory, "_contents", lambda part: asked.append(part) or original(part))
    for live in (False, True):
        net = network()
        loaded = LoadedModel(net, live=live)
        del asked[:]
        first = weights_digest(loaded, net)
        assert weights_digest(loaded, net) == first
        assert len(asked) == 1
    with torch.no_grad():
        net[0].weight[0, 0] += 1e-3
    assert weights_digest(loaded, net) != first
    assert len(asked) == 2
    options = network()
    loaded = LoadedModel(options, live=True)
    first = weights_digest(loaded, options)
    options[2].eps = 1e-2
    assert weights_digest(loaded, options) != first


def test_tokenizers_of_both_libraries_have_checksums():
    from tokenizers import Tokenizer, models

    one, other = (Tokenizer(models.WordLevel({"[UNK]": 0, word: 1}, unk_token="[UNK]")) for word in ("card", "refund"))
    assert digest(one) == digest(Tokenizer.from_str(one.to_str()))
    assert digest(one) != digest(other)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_child_waits_for_no_thread_of_its_parent_and_takes_nothing_half_done():
    used, idle = (shared_model(("fork", name), object) for name in ("used", "idle"))
    slow, loading, done = threading.Event(), threading.Event(), threading.Event()

    def load():
        loading.set()
        done.wait()
        return object()

    def use():
        with used.lock:
            slow.set()
            done.wait()

    threads = [threading.Thread(target=use), threading.Thread(target=lambda: shared_model(("fork", "slow"), load))]
    for thread in threads:
        thread.start()
    assert slow.wait(10)
    assert loading.wait(10)

    def ask():
        again = shared_model(("fork", "used"), object)
        kept = shared_model(("fork", "idle"), object)
        new = shared_model(("fork", "slow"), lambda: "loaded here")
        with again.lock, kept.lock, new.lock:
            return 0 if again is not used and kept is idle and new.model == "loaded here" else 1

    try:
        assert in_child(ask) == 0
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert shared_model(("fork", "used"), object) is used


def test_each_part_of_a_model_has_its_own_checksum(tiny_folder):
    """Whoever asks first for the network alone must not decide what the network with its tokenizer is called."""
    from transformers import AutoTokenizer

    net, tokenizer = network(), AutoTokenizer.from_pretrained(tiny_folder)
    first, second = LoadedModel(net), LoadedModel(net)
    alone, both = weights_digest(first, net), weights_digest(first, net, tokenizer)
    assert (weights_digest(second, net, tokenizer), weights_digest(second, net)) == (both, alone)
    assert both != alone


def exchange_rows(net):
    net[0].weight.data[[0, 1]] = net[0].weight.data[[1, 0]]


def exchange_two_numbers_through_numpy(net):
    values = net[0].weight.detach().numpy()
    values[0, 0], values[1, 2] = values[1, 2], values[0, 0].copy()


def flip_two_signs(net):
    net[0].weight.data[0, 0] *= -1
    net[0].weight.data[0, 1] *= -1


def put_other_numbers(net):
    net[0].weight.data = net[0].weight.data.flip(1)


def exchange_two_layers(net):
    net[2].weight.data, net[2].bias.data = net[2].bias.data, net[2].weight.data


CHANGES = [exchange_rows, exchange_two_numbers_through_numpy, flip_two_signs, put_other_numbers, exchange_two_layers]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("digest_of", [weights_digest, quick_digest], ids=lambda one: one.__name__)
def test_no_change_of_a_live_model_escapes_its_checksum(change, digest_of):
    net = network()
    loaded = LoadedModel(net, live=True)
    before, kept = digest_of(loaded, net), copy.deepcopy(net.state_dict())
    change(net)
    assert digest_of(loaded, net) == digest_of(LoadedModel(net), net) != before
    net.load_state_dict(kept)
    assert digest_of(loaded, net) == before


def test_no_change_of_a_live_tokenizer_escapes_its_checksum(tiny_folder):
    from tokenizers import normalizers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    loaded = LoadedModel(tokenizer, live=True)
    before = weights_digest(loaded, tokenizer)
    tokenizer(["a card", "refund"], padding="max_length", truncation=True, max_length=7)
    assert weights_digest(loaded, tokenizer) == before
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("a", "b")
    assert weights_digest(loaded, tokenizer) != before


def test_a_model_that_is_trained_meanwhile_gets_no_checksum_of_another_state(monkeypatch):
    net, trained = network(), []
    loaded, original = LoadedModel(net, live=True), _in_memory._contents

    def contents(part):
        yield from original(part)
        if len(trained) < 2:  # after what is digested, before it is kept
            trained.append(net[0].bias.data.add_(1))

    monkeypatch.setattr(_in_memory, "_contents", contents)
    assert weights_digest(loaded, net) == digest(net)
    trained.clear()
    monkeypatch.setattr(_in_memory, "_contents", lambda part: original(net[0].bias.data.add_(1) is not None and part))
    with pytest.raises(RuntimeError, match="changed while it was in use"):
        weights_digest(LoadedModel(net, live=True), net)


def test_the_adapter_that_is_active_counts():
    peft = pytest.importorskip("peft")
    net = peft.inject_adapter_in_model(peft.LoraConfig(target_modules=["0"], r=2, init_lora_weights=False), network())
    loaded = LoadedModel(net, live=True)
    before = weights_digest(loaded, net)
    net[0].enable_adapters(False)
    without = weights_digest(loaded, net)
    net[0].enable_adapters(True)
    assert weights_digest(loaded, net) == before != without
    net[0].set_scale("default", 3.0)
    assert weights_digest(loaded, net) != before


# -- files that change ----------------------------------------------------------------------------


def test_a_model_whose_files_change_while_it_is_loaded_is_loaded_again():
    states = iter([1, 2, 2])
    loads = []
    loaded = shared_model(("a",), lambda: loads.append(1) or len(loads), version=lambda: next(states))
    assert (loaded.model, loaded.version) == (2, 2)
    ever_new = iter(range(100))
    with pytest.raises(OSError, match="changed while it was loaded, 5 times"):
        shared_model(("b",), Model, version=lambda: next(ever_new))


def test_weights_that_are_one_stay_one():
    net = network()
    net.tied = net[0].weight
    place, before = net[0].weight.data_ptr(), net[0].weight.detach().clone()
    assert own_memory(net) is net
    assert net.tied is net[0].weight
    assert net[0].weight.data_ptr() != place
    np.testing.assert_array_equal(net[0].weight.detach(), before)


def test_a_model_of_the_hub_is_looked_for_again_when_its_files_have_changed(tmp_path):
    finds, opens = [], []

    def find():
        finds.append(1)
        return folder

    def open_folder(place):
        opens.append(place)
        return Model()

    def load():
        return shared_from_folder(("a",), find, open_folder, folder_state)

    folder = tmp_path / "snapshot"
    folder.mkdir()
    (folder / "weights").write_bytes(b"first")
    first = load()
    assert load() is first
    assert first.folder == folder
    (folder / "weights").write_bytes(b"other")
    os.utime(folder / "weights", (0, 0))
    second = load()
    assert second is not first
    assert load() is second
    assert (len(finds), opens) == (2, [folder] * 2)
    shutil.rmtree(folder)  # somebody has tidied up the cache of the hub: what is in memory stays of use
    assert load() is second


TEXTS = ["my card is lost", "refund please", "no", "cannot log in"]
ENCODERS = {
    "SentenceEncoder": (None, TEXTS, {}),
    "LanguageModelEncoder": (lambda folder, seed: save_tiny_model("llama", folder, seed=seed), TEXTS, {}),
    "ContextualEncoder": (lambda folder, seed: save_tiny_model("gpt2", folder, seed=seed), TEXTS, {}),
    "ImageEncoder": (lambda folder, seed: build_image_model("vit", folder, seed), some_images(4), {}),
    "AudioEncoder": (
        lambda folder, seed: build_audio_model("wav2vec2 base", folder, seed),
        some_recordings(4),
        {"sampling_rate": 16000},
    ),
}


@pytest.fixture(params=ENCODERS)
def exchanged(request, tmp_path, tiny_folder, other_tiny_folder):
    """An encoder of a folder, its items, and a function that overwrites the weights there by the first or the second.

    As ``cp -p`` does: in place, with files of one size whose time is the same and lies in the past.
    """
    build, items, options = ENCODERS[request.param]
    if build is None:
        sources = [Path(tiny_folder), Path(other_tiny_folder)]
    else:
        sources = [Path(build(tmp_path / f"source{seed}", seed)) for seed in (0, 1)]
    folder = shutil.copytree(sources[0], tmp_path / "model")

    def overwrite(number):
        source, file = sources[number] / "model.safetensors", folder / "model.safetensors"
        before = file.stat()
        shutil.copyfile(source, file)
        os.utime(file, ns=(10**18, 10**18))
        assert (file.stat().st_size, file.stat().st_ino) == (before.st_size, before.st_ino)

    overwrite(0)
    encoder = getattr(skicl.encoders, request.param)(str(folder), device="cpu", batch_size=2, **options)
    return encoder, items, overwrite


def vectors_of(encoder, items):
    """As another process would compute them that keeps nothing."""
    clear_model_cache()
    found = clone(encoder).set_params(cache=None).fit_transform(items, [0, 1, 0, 1][: len(items)])
    clear_model_cache()
    return found


def test_a_cache_never_returns_vectors_of_weights_that_were_overwritten(exchanged, tmp_path):
    """Neither from the cache nor into it: the old weights come back, and so do their vectors alone."""
    encoder, items, overwrite = exchanged
    encoder.set_params(cache=EmbeddingCache(tmp_path / "cache"))
    y = [0, 1, 0, 1]
    expected = []
    for number in (0, 1):
        overwrite(number)
        expected.append(vectors_of(encoder, items))
    assert not np.allclose(*expected, atol=1e-2)
    for number, n_known in [(0, 2), (1, 3), (0, 4), (1, 4)]:  # some items are new each time
        overwrite(number)
        if isinstance(encoder, skicl.encoders.ContextualEncoder):
            n_known = 4  # the vector of a demonstration depends on the others
        found = clone(encoder).fit_transform(items[:n_known], y[:n_known])
        np.testing.assert_allclose(found, expected[number][:n_known], rtol=1e-4, atol=1e-5)


def test_a_model_in_use_does_not_change_with_its_file(exchanged, tmp_path, monkeypatch):
    """A process that has the old weights goes on with them, and writes them down under their own name."""
    encoder, items, overwrite = exchanged
    encoder.set_params(cache=EmbeddingCache(tmp_path / "cache"))
    y, original, batches = [0, 1, 0, 1], type(encoder)._encode, []
    expected = [vectors_of(encoder, items)]
    overwrite(1)
    expected.append(vectors_of(encoder, items))
    overwrite(0)

    def encode(self, model, batch):
        if not batches:
            overwrite(1)
        batches.append(batch)
        return original(self, model, batch)

    monkeypatch.setattr(type(encoder), "_encode", encode)
    np.testing.assert_allclose(clone(encoder).fit_transform(items, y), expected[0], rtol=1e-4, atol=1e-5)
    assert batches
    monkeypatch.undo()
    for number in (1, 0):
        overwrite(number)
        clear_model_cache()  # another process, with the same folder of vectors
        np.testing.assert_allclose(clone(encoder).fit_transform(items, y), expected[number], rtol=1e-4, atol=1e-5)


def test_an_encoder_says_so_when_its_files_have_changed_since_fit(exchanged):
    encoder, items, overwrite = exchanged
    y = [0, 1, 0, 1]
    fitted = encoder.fit(items, y)
    fitted.transform(items)  # without a warning
    overwrite(1)
    for one in (fitted, pickle.loads(pickle.dumps(fitted))):
        with pytest.warns(UserWarning, match=r"The files of `model`=.*model' have changed since .* was fitted"):
            found = one.transform(items)
    np.testing.assert_allclose(found, clone(encoder).fit(items, y).transform(items), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["tokenizer.json", "1_Pooling/config.json", "sentence_bert_config.json"])
def test_other_files_of_a_model_are_noticed_too(name, tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    encoder = skicl.encoders.SentenceEncoder(folder, device="cpu", cache=EmbeddingCache())
    before = encoder.fit_transform(TEXTS)
    file = folder / name
    content = json.loads(file.read_text(encoding="utf-8"))
    if name == "tokenizer.json":
        vocabulary = content["model"]["vocab"]
        vocabulary["r"], vocabulary["##e"] = vocabulary["##e"], vocabulary["r"]
    elif name == "1_Pooling/config.json":
        content |= {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}
    else:
        content["max_seq_length"] = 9
    stat = file.stat()
    file.write_text(json.dumps(content), encoding="utf-8")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns - 10**9))
    after = clone(encoder).fit_transform(TEXTS)
    assert not np.allclose(after, before, atol=1e-3)
    np.testing.assert_allclose(after, vectors_of(encoder, TEXTS), rtol=1e-4, atol=1e-5)


# -- live models ----------------------------------------------------------------------------------


def live_encoder(kind, tiny_model):
    if kind == "SentenceEncoder":
        return skicl.encoders.SentenceEncoder(tiny_model, batch_size=1), tiny_model
    net = make_network("llama")
    return getattr(skicl.encoders, kind)((net, make_tokenizer("llama")), batch_size=1), net


@pytest.mark.parametrize("kind", ["SentenceEncoder", "LanguageModelEncoder", "ContextualEncoder"])
def test_rows_exchanged_in_a_live_model_give_new_vectors(kind, tiny_model):
    encoder, net = live_encoder(kind, tiny_model)
    cached = clone(encoder).set_params(cache=EmbeddingCache())
    before = cached.fit_transform(TEXTS, [0, 1, 0, 1])
    weight = max(net.parameters(), key=lambda parameter: parameter.numel())
    weight.data[5:] = weight.data[5:].flip(0)
    after = clone(cached).fit_transform(TEXTS, [0, 1, 0, 1])
    assert not np.allclose(after, before, atol=1e-3)
    np.testing.assert_allclose(after, clone(encoder).fit_transform(TEXTS, [0, 1, 0, 1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seconds", [0.0, 100.0])
def test_weights_that_change_while_texts_are_encoded_are_not_stored_under_the_old_name(
    tiny_model, monkeypatch, seconds
):
    """Checked after the last batch at the latest; the call begins anew."""
    monkeypatch.setattr("skicl.encoders._cache._embedding_cache.SECONDS_BETWEEN_CHECKS", seconds)
    plain, cache = skicl.encoders.SentenceEncoder(tiny_model, batch_size=1), EmbeddingCache()
    original, calls = skicl.encoders.SentenceEncoder._encode, []
    weight = tiny_model[0].auto_model.embeddings.word_embeddings.weight
    before, old = weight.data.clone(), plain.fit_transform(TEXTS)

    def encode(self, model, batch):
        calls.append(batch)
        if len(calls) == 2:
            weight.data = before.flip(0)
        return original(self, model, batch)

    monkeypatch.setattr(skicl.encoders.SentenceEncoder, "_encode", encode)
    encoder = clone(plain).set_params(cache=cache)
    found = encoder.fit_transform(TEXTS)
    assert len(calls) > len(TEXTS)
    monkeypatch.undo()
    np.testing.assert_allclose(found, plain.fit_transform(TEXTS), rtol=1e-4, atol=1e-5)
    weight.data = before
    np.testing.assert_allclose(encoder.fit_transform(TEXTS), old, rtol=1e-4, atol=1e-5)


def test_weights_that_change_all_the_time_are_refused_with_a_cache(tiny_model, monkeypatch):
    original = skicl.encoders.SentenceEncoder._encode
    weight = tiny_model[0].auto_model.embeddings.word_embeddings.weight

    def encode(self, model, batch):
        weight.data *= 1.01
        return original(self, model, batch)

    monkeypatch.setattr(skicl.encoders.SentenceEncoder, "_encode", encode)
    cache = EmbeddingCache()
    with pytest.raises(RuntimeError, match=r"changed while it was in use.*cache=None"):
        skicl.encoders.SentenceEncoder(tiny_model, cache=cache).fit_transform(TEXTS)
    assert cache.stats.n_items == 0


def test_the_checksum_of_a_handle_is_that_of_its_weights(tiny_model):
    pair = (make_network("llama"), make_tokenizer("llama"))
    wrapped = skicl.encoders.LanguageModelEncoder(pair).model
    assert LiveModel(pair).checksum() == wrapped.checksum() != LiveModel(tiny_model).checksum()
    assert LiveModel(object()).checksum() == ""
    before = wrapped.checksum()
    weight = next(pair[0].parameters())
    weight.data = weight.data.flip(0)
    assert wrapped.checksum() != before
