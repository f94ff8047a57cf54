import copy
import gc
import pickle
import threading
import time
import weakref

import pytest
from sklearn.base import clone

from skicl.encoders import LiveModel, clear_model_cache
from skicl.encoders._weights import shared_model


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
