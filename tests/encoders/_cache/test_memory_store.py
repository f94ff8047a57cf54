import threading

import numpy as np

from skicl.encoders._cache._memory_store import BYTES_OF_AN_ENTRY, MemoryStore

KEYS = [i.to_bytes(16, "big") for i in range(200)]
VECTORS = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
SIZE = BYTES_OF_AN_ENTRY + VECTORS[0].nbytes


def test_what_was_put_is_found():
    store = MemoryStore(10**6)
    store.put(KEYS[:5], VECTORS[:5])
    found = store.find(KEYS[3:8])
    assert set(found) == set(KEYS[3:5])
    np.testing.assert_array_equal(found[KEYS[4]], VECTORS[4])
    store.put(KEYS[:5], VECTORS[:5])
    assert store.size() == (5, 5 * SIZE)


def test_the_batch_is_not_kept_alive():
    store, batch = MemoryStore(10**6), VECTORS.copy()
    store.put(KEYS[:1], batch[:1])
    batch[:] = 0
    np.testing.assert_array_equal(store.find(KEYS[:1])[KEYS[0]], VECTORS[0])
    assert store.find(KEYS[:1])[KEYS[0]].base is None


def test_the_least_recently_used_makes_room():
    store = MemoryStore(3 * SIZE)
    for i in range(3):
        store.put(KEYS[i : i + 1], VECTORS[i : i + 1])
    store.find(KEYS[:1])
    store.put(KEYS[3:4], VECTORS[3:4])
    assert set(store.find(KEYS)) == {KEYS[0], KEYS[2], KEYS[3]}
    assert store.size() == (3, 3 * SIZE)
    store.put(KEYS, VECTORS)
    assert store.size() == (3, 3 * SIZE)
    assert set(store.find(KEYS)) == set(KEYS[-3:])


def test_clear_and_statistics():
    store = MemoryStore(10**6)
    store.put(KEYS, VECTORS)
    store.count(hits=2, misses=3)
    store.count(hits=2, misses=0)
    assert (store.hits, store.misses) == (4, 3)
    store.clear()
    assert (store.hits, store.misses, *store.size()) == (0, 0, 0, 0)
    assert store.find(KEYS) == {}


def test_threads_leave_the_books_in_order():
    store = MemoryStore(50 * SIZE)

    def work():
        for i in range(200):
            store.put(KEYS[i : i + 1], VECTORS[i : i + 1])
            store.find(KEYS[:i])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    n_items, n_bytes = store.size()
    assert n_items == 50
    assert n_bytes == 50 * SIZE
