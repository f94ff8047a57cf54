import copy
import gc
import os
import pickle
import threading
import time
import weakref

import pytest
from forked_process import in_child
from sklearn.base import clone

from skicl.encoders import LiveModel, _weights, clear_model_cache
from skicl.encoders._weights import LoadedModel, shared_model, weights_digest


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

    asked, original = [], _weights._contents
    monkeypatch.setattr(_weights, "_contents", lambda part: asked.append(part) or original(part))
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
