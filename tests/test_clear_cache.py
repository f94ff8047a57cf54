import gc
import weakref

import numpy as np
import pytest
import torch
from prompting.tiny_causal_models import pair_of, save_pair

import skicl
from skicl.encoders import EmbeddingCache, LanguageModelEncoder, LiveModel
from skicl.reasoning import reasoner_path
from skicl.reasoning._in_memory import shared_reasoner

TEXTS = ["where is my parcel?", "it has not arrived", "I was charged twice", "wrong amount on my bill"]
Y = ["delivery", "delivery", "billing", "billing"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_pair("llama", tmp_path_factory.mktemp("models") / "llama")


def test_weights_and_what_they_made_of_a_prompt_are_released(folder):
    classifier = skicl.ICLClassifier(folder, demonstrations=4, device="cpu").fit(TEXTS, Y)
    expected = classifier.predict_proba(TEXTS)
    network = classifier._load().model.whole
    ((prefix,),) = [kept.values() for kept, _ in classifier._learnt.questions[0][0]._prompts._read.values()]
    keys = prefix.prefix.past[0][0]
    assert keys.shape[2] > 4
    watched = [weakref.ref(part) for part in (network, next(network.parameters()), keys)]
    del network, keys, prefix
    gc.collect()
    assert all(watch() is not None for watch in watched)
    skicl.clear_cache()
    assert [watch() for watch in watched] == [None, None, None]
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), expected, atol=1e-6)


def test_models_of_the_user_stay():
    handle = LiveModel(pair_of("llama"))
    classifier = skicl.ICLClassifier(handle, demonstrations=2).fit(TEXTS, Y)
    loaded = classifier._load().model
    skicl.clear_cache()
    assert classifier._load().model is loaded


def test_reasoners_are_released():
    reasoner, _ = shared_reasoner(reasoner_path(None), CPU, torch.float64)
    again, _ = shared_reasoner(reasoner_path(None), CPU, torch.float64)
    assert again is reasoner
    watched = weakref.ref(reasoner)
    del reasoner, again
    gc.collect()
    assert watched() is not None
    skicl.clear_cache()
    assert watched() is None


def test_shared_vectors_are_forgotten_and_others_kept(folder, tmp_path):
    own = EmbeddingCache()
    kept = {"own": own, "folder": EmbeddingCache(tmp_path)}
    shared = {"shared": True, "of another size": 2**21}
    for cache in (*kept.values(), *shared.values()):
        LanguageModelEncoder(folder, device="cpu", cache=cache).fit_transform(TEXTS)
    stores = [EmbeddingCache.shared(), EmbeddingCache.shared(2**21)]
    assert [store.stats.n_items for store in stores] == [4, 4]
    skicl.clear_cache()
    assert [store.stats.n_items for store in stores] == [0, 0]
    assert [cache.stats.n_items for cache in kept.values()] == [4, 4]
