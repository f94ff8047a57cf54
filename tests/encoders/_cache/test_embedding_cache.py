import copy
import gc
import os
import pickle
import subprocess
import sys
import threading
import warnings
import weakref
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from counting_encoder import CountingEncoder, features
from forked_process import in_child
from joblib import parallel_config
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import skicl
from skicl.encoders import CacheStats, EmbeddingCache, LanguageModelEncoder
from skicl.encoders._cache._embedding_cache import (
    _OPENING,
    BYTES_IN_MEMORY,
    cached_vectors,
    content_digest,
    keys_of,
    resolve_cache,
)
from skicl.encoders._cache._folder_store import FILE

MIB = 2**20
TEXTS = [f"{'no ' * (i % 3)}text number {i} {'aeiou'[i % 5] * (i % 7)}" for i in range(40)] + ["text number 1 "] * 10
LABELS = [i % 2 for i in range(len(TEXTS))]


@pytest.fixture(params=["memory", "folder"])
def cache(request, tmp_path):
    return EmbeddingCache(tmp_path / "cache" if request.param == "folder" else None)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def times(log):
    """How often each text was encoded."""
    return Counter(log.read_text(encoding="utf-8").splitlines()) if log.exists() else Counter()


# -- the parameter -------------------------------------------------------------------------------


def test_what_the_parameter_means(tmp_path):
    assert resolve_cache(None) is resolve_cache(False) is None
    own = EmbeddingCache()
    assert resolve_cache(own) is own
    assert resolve_cache(True).max_bytes == BYTES_IN_MEMORY
    assert resolve_cache(np.True_).open() is resolve_cache(True).open()
    assert resolve_cache(2 * MIB).max_bytes == 2 * MIB
    assert resolve_cache(2 * MIB).open() is resolve_cache(np.int64(2 * MIB)).open()
    assert resolve_cache(2 * MIB).open() is not resolve_cache(3 * MIB).open()
    assert own.open() is not resolve_cache(True).open()
    assert EmbeddingCache.shared().open() is resolve_cache(True).open()
    assert EmbeddingCache.shared(2 * MIB).open() is resolve_cache(2 * MIB).open()
    for folder in (tmp_path / "cache", str(tmp_path / "cache")):
        assert resolve_cache(folder).folder == tmp_path / "cache"
    assert resolve_cache(str(tmp_path / "cache")).open() is EmbeddingCache(tmp_path / "cache").open()


def test_home_and_relative_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert EmbeddingCache("some").folder == tmp_path / "some"
    if sys.platform != "win32":
        assert EmbeddingCache("~/some").folder == tmp_path / "home" / "some"


@pytest.mark.parametrize("value", [3.0, "", [], object, b"folder"])
def test_other_values_are_refused(value, log):
    with pytest.raises(TypeError, match="`cache` must be None, True, False, a number of bytes, the path of a folder"):
        CountingEncoder(log, cache=value).fit(TEXTS)
    assert not log.exists()


@pytest.mark.parametrize("value", [0, 1, -5, MIB - 1])
def test_tiny_sizes_are_refused(value, log):
    with pytest.raises(ValueError, match=rf"`cache` must be a number of bytes, at least {MIB} \(1 MiB\), got {value}"):
        CountingEncoder(log, cache=value).fit(TEXTS)
    with pytest.raises(ValueError, match="`max_bytes` must be a number of bytes"):
        EmbeddingCache(max_bytes=value)


def test_file_in_place_of_a_folder_is_refused(log):
    log.touch()
    with pytest.raises(ValueError, match=r"`cache`='.*' is a file\. Expected a folder"):
        CountingEncoder(log, cache=log).fit(TEXTS)


@pytest.mark.parametrize("folder", ["", 2 * MIB, True])
def test_folder_is_a_path(folder):
    with pytest.raises(TypeError, match="`folder` must be the path of a folder or None for memory, got"):
        EmbeddingCache(folder)


# -- copies, pickles, life -----------------------------------------------------------------------


def test_copies_clones_and_pickles_are_the_same_cache(cache):
    store = cache.open()
    for other in (copy.copy(cache), copy.deepcopy(cache), clone(cache, safe=False), pickle.loads(pickle.dumps(cache))):
        assert other.open() is store
        assert repr(other) == repr(cache)
        assert other.max_bytes == cache.max_bytes


def test_pickle_holds_no_vectors(cache, log):
    encoder = CountingEncoder(log, cache=cache).fit(TEXTS)
    before = len(pickle.dumps(encoder))
    encoder.transform(TEXTS)
    assert len(pickle.dumps(encoder)) == before < 1000


def test_memory_goes_with_the_cache(log):
    cache = EmbeddingCache()
    CountingEncoder(log, cache=cache).fit_transform(TEXTS)
    store = weakref.ref(cache.open())
    assert store() is not None
    del cache
    gc.collect()
    assert store() is None


@pytest.mark.slow
def test_memory_of_a_worker_stays_for_its_next_task(log):
    program = (
        "import pickle, sys\n"
        "data = bytes.fromhex(sys.stdin.read())\n"
        "texts = ['a', 'b']\n"
        "pickle.loads(data).transform(texts)\n"
        "encoder = pickle.loads(data)\n"
        "encoder.transform(texts)\n"
        "print(*encoder.cache.stats)\n"
    )
    encoder = CountingEncoder(log, cache=EmbeddingCache()).fit(["a"])
    path = os.pathsep.join([str(Path(skicl.__file__).parents[1]), str(Path(__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps(encoder).hex(),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.stdout.split()[:3] == ["2", "2", "2"], done.stderr


def test_repr():
    assert repr(EmbeddingCache(max_bytes=MIB)) == f"EmbeddingCache(max_bytes={MIB})"
    assert repr(EmbeddingCache("/some", max_bytes=MIB)) == f"EmbeddingCache('/some', max_bytes={MIB})"


# -- keys ----------------------------------------------------------------------------------------


def test_keys_tell_contents_and_ways_apart():
    digests = [content_digest(content) for content in (b"", b"a", b"b", b"ab")]
    ways = [(), ("a",), ("a", None), ("a", 0), ("a", 0.0), ("a", "0"), (None, "a"), ("a,", "b"), ("a", ",b")]
    keys = [key for way in ways for key in keys_of(digests, way)]
    assert len(set(keys)) == len(digests) * len(ways)
    assert {len(key) for key in keys} == {16}
    assert keys_of(digests[::-1], ("a",)) == keys_of(digests, ("a",))[::-1]


def test_numbers_of_numpy_in_a_fingerprint_are_numbers():
    digests = [content_digest(b"a")]
    assert keys_of(digests, (np.int64(3), np.float64(0.5), np.str_("a"))) == keys_of(digests, (3, 0.5, "a"))


@pytest.mark.parametrize("part", [np.arange(3), [1], {}, object(), ("a", len)])
def test_fingerprint_that_need_not_tell_ways_apart_is_refused(part):
    with pytest.raises(TypeError, match=r"_fingerprint returned .*: expected a tuple of str, int, float and None"):
        keys_of([content_digest(b"a")], ("way", part))


def test_keys_do_not_change_between_versions():
    """A folder stays of use; raise KEY_VERSION where this cannot be."""
    assert keys_of([content_digest(b"text")], ("way", 1, None))[0].hex() == "2d28f662cf10b013bcfb30efc91eed1e"


# -- encoders with a cache -----------------------------------------------------------------------


def test_cached_equals_uncached(cache, log):
    expected = CountingEncoder(log).fit_transform(TEXTS)
    np.testing.assert_array_equal(expected, features(TEXTS))
    for _ in range(3):
        actual = CountingEncoder(log, cache=cache).fit_transform(TEXTS)
        assert actual.dtype == np.float32
        np.testing.assert_array_equal(actual, expected)
    actual[:] = 0  # what the user does with the result is no concern of the cache
    np.testing.assert_array_equal(CountingEncoder(log, cache=cache).fit_transform(TEXTS[:7]), expected[:7])


def test_no_text_is_encoded_twice(cache, log):
    encoder = CountingEncoder(log, cache=cache).fit(TEXTS[:20])
    encoder.transform(TEXTS[:25])
    encoder.transform(TEXTS[10:])
    clone(encoder).fit_transform(TEXTS[::-1])
    assert times(log) == dict.fromkeys(TEXTS, 1)


def test_without_a_cache_no_text_is_encoded_twice_in_a_call(log):
    CountingEncoder(log).fit_transform(TEXTS)
    assert times(log) == dict.fromkeys(TEXTS, 1)


def test_settings_share_a_cache_without_mixing(cache, log):
    for suffix in ("", "!", "", "aa"):
        encoder = CountingEncoder(log, suffix=suffix, cache=cache)
        np.testing.assert_array_equal(encoder.fit_transform(TEXTS), features([text + suffix for text in TEXTS]))
    assert set(times(log).values()) == {1}
    assert len(times(log)) == 3 * len(set(TEXTS))


def test_statistics(cache, log):
    n_distinct = len(set(TEXTS))
    assert cache.stats == CacheStats(0, 0, 0, 0)
    encoder = CountingEncoder(log, cache=cache)
    encoder.fit_transform(TEXTS)
    assert cache.stats[:3] == (0, n_distinct, n_distinct)
    assert cache.stats.n_bytes > n_distinct * 6 * 4
    encoder.transform([*TEXTS[:5], "new"])
    assert cache.stats[:3] == (5, n_distinct + 1, n_distinct + 1)
    cache.clear()
    assert cache.stats == CacheStats(0, 0, 0, 0)
    encoder.transform(["new"])
    assert times(log)["new"] == 2


def test_too_small_a_cache_changes_no_result(tmp_path, log):
    texts = [f"text {i}" for i in range(5000)]
    for cache in (EmbeddingCache(max_bytes=MIB), EmbeddingCache(tmp_path / "cache", max_bytes=MIB)):
        encoder = CountingEncoder(log, cache=cache, batch_size=500)
        np.testing.assert_array_equal(encoder.fit_transform(texts), features(texts))
        np.testing.assert_array_equal(encoder.transform(texts[::-1]), features(texts[::-1]))
        assert 0 < cache.stats.n_bytes <= MIB


def test_encoder_that_does_not_say_what_its_vectors_depend_on(cache, log, monkeypatch):
    monkeypatch.delattr(CountingEncoder, "_fingerprint")
    CountingEncoder(log).fit(TEXTS)
    with pytest.raises(TypeError, match=r"CountingEncoder does not say .* Write its method _fingerprint"):
        CountingEncoder(log, cache=cache).fit(TEXTS)


def test_damaged_entry_is_encoded_again(tmp_path, log):
    encoder = CountingEncoder(log, cache=tmp_path / "cache")
    expected = encoder.fit_transform(TEXTS)
    file = tmp_path / "cache" / FILE
    content = bytearray(file.read_bytes())
    place = content.rindex(expected[3].tobytes())
    content[place] ^= 1
    file.write_bytes(content)
    with pytest.warns(UserWarning, match="1 entries of the cache"):
        np.testing.assert_array_equal(encoder.transform(TEXTS), expected)
    assert sorted(Counter(times(log).values()).items()) == [(1, len(set(TEXTS)) - 1), (2, 1)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(encoder.transform(TEXTS), expected)


def test_error_and_interrupt_keep_what_was_done(cache, log, monkeypatch):
    original, calls = CountingEncoder._encode, []

    def encode(self, model, batch):
        calls.append(batch)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(self, model, batch)

    monkeypatch.setattr(CountingEncoder, "_encode", encode)
    encoder = CountingEncoder(log, cache=cache)
    with pytest.raises(KeyboardInterrupt):
        encoder.fit_transform(TEXTS)
    assert cache.stats.n_items == 12
    np.testing.assert_array_equal(encoder.fit_transform(TEXTS), features(TEXTS))
    assert times(log) == dict.fromkeys(TEXTS, 1)


def test_overlapped_preparation_gives_the_same(cache, log, monkeypatch):
    """As on a GPU: batches are claimed and prepared in a thread of their own."""
    from skicl.encoders import _base

    original, used = _base.work_ahead, []

    def work_ahead(items, ahead):
        used.append(ahead)
        return original(items, True)

    monkeypatch.setattr(_base, "work_ahead", work_ahead)
    encoder = CountingEncoder(log, cache=cache)
    np.testing.assert_array_equal(encoder.fit_transform(TEXTS[:30]), features(TEXTS[:30]))
    np.testing.assert_array_equal(encoder.fit_transform(TEXTS), features(TEXTS))
    assert times(log) == dict.fromkeys(TEXTS, 1)
    assert set(used) == {False}, "on a CPU nothing is gained"


# -- searches, threads and processes -------------------------------------------------------------


def search(encoder, **options):
    pipeline = make_pipeline(encoder, LogisticRegression())
    grid = {"logisticregression__C": [0.1, 1.0, 10.0]}
    return GridSearchCV(pipeline, grid, cv=5, error_score="raise", **options).fit(TEXTS, LABELS)


def test_grid_search_encodes_each_text_once(cache, log):
    found = search(CountingEncoder(log, cache=cache))
    assert times(log) == dict.fromkeys(TEXTS, 1)
    expected = search(CountingEncoder(log))
    assert sum(times(log).values()) > 10 * len(set(TEXTS)), "without a cache many times"
    np.testing.assert_array_equal(found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"])


def test_grid_search_in_threads_encodes_each_text_once(cache, log):
    with parallel_config("threading", n_jobs=2):
        search(CountingEncoder(log, cache=cache, seconds=0.005), n_jobs=2)
    assert times(log) == dict.fromkeys(TEXTS, 1)


@pytest.mark.slow
def test_grid_search_in_processes_encodes_each_text_once(tmp_path, log):
    """Of an encoder slow enough that both processes ask for the same texts at the same time."""
    found = search(CountingEncoder(log, cache=tmp_path / "cache", seconds=0.05), n_jobs=2)
    assert times(log) == dict.fromkeys(TEXTS, 1)
    expected = search(CountingEncoder(log))
    np.testing.assert_array_equal(found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"])


@pytest.mark.slow
def test_two_programs_on_one_folder_share_the_work(tmp_path, log):
    program = (
        "import sys\n"
        "from counting_encoder import CountingEncoder, features\n"
        "from skicl.encoders import EmbeddingCache\n"
        "texts = [f'text {i}' for i in range(120)]\n"
        "encoder = CountingEncoder(sys.argv[1], cache=sys.argv[2], seconds=0.03)\n"
        "sys.stdin.readline()\n"
        "vectors = encoder.fit_transform(texts)\n"
        "assert (vectors == features(texts)).all()\n"
        "print(EmbeddingCache(sys.argv[2]).stats.misses)\n"
    )
    path = os.pathsep.join([str(Path(skicl.__file__).parents[1]), str(Path(__file__).parents[2])])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(log), str(tmp_path / "cache")],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        for _ in range(2)
    ]
    for process in processes:  # both are ready before either starts
        process.stdin.write("\n")
        process.stdin.flush()
    results = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    assert set(times(log).values()) == {1}
    assert len(times(log)) == 120
    assert sum(int(out) for out, _ in results) == 120


def test_waits_for_what_another_thread_encodes(cache):
    """The second asks while the first encodes, and gets its vector without encoding."""
    store, key = cache.open(), keys_of([content_digest(b"a")], ("way",))
    started, go_on, encoded, results = threading.Event(), threading.Event(), [], []

    def encode(positions, choose):
        if chosen := choose(list(positions)):
            encoded.append(threading.current_thread().name)
            started.set()
            go_on.wait(10)
            yield chosen, np.ones((1, 3), dtype=np.float32)

    def ask():
        results.append(cached_vectors(store, key, encode))

    first = threading.Thread(target=ask, name="first")
    first.start()
    started.wait(10)
    second = threading.Thread(target=ask, name="second")
    second.start()
    second.join(0.1)
    assert second.is_alive(), "it waits"
    go_on.set()
    first.join()
    second.join()
    assert encoded == ["first"]
    np.testing.assert_array_equal(results, np.ones((2, 1, 3)))


def test_takes_over_what_another_thread_failed_to_encode(cache):
    store, key = cache.open(), keys_of([content_digest(b"a")], ("way",))
    started, results = threading.Event(), []

    def succeed(positions, choose):
        if chosen := choose(list(positions)):
            yield chosen, np.ones((1, 3), dtype=np.float32)

    second = threading.Thread(target=lambda: results.append(cached_vectors(store, key, succeed)))

    def start_the_second():
        started.wait(10)
        second.start()

    starter = threading.Thread(target=start_the_second)
    starter.start()

    def fail_late(positions, choose):
        choose(list(positions))
        started.set()
        starter.join()
        second.join(0.1)
        assert second.is_alive()
        yield from ()
        raise OSError("no more memory")

    with pytest.raises(OSError, match="no more memory"):
        cached_vectors(store, key, fail_late)
    second.join(10)
    np.testing.assert_array_equal(results, np.ones((1, 1, 3)))


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(28, "No space left on device")])
def test_a_forbidden_folder_is_a_warning_and_vectors_are_right(tmp_path, monkeypatch, error):
    encoder = LanguageModelEncoder("skicl-tiny", device="cpu")
    expected = encoder.fit_transform(["a text", "another"])

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(Path, "mkdir", refuse)
    encoder.set_params(cache=tmp_path / "forbidden" / "cache")
    with pytest.warns(UserWarning, match=f"The cache in .* could not be used .*{error.strerror}"):
        np.testing.assert_array_equal(encoder.fit_transform(["a text", "another"]), expected)


def test_a_path_that_nobody_may_look_at_is_no_error_yet(monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "stat", refuse)
    monkeypatch.setattr(Path, "stat", refuse)
    assert EmbeddingCache("/forbidden/cache").folder == Path("/forbidden/cache").absolute()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("in_folder", [True, False])
def test_a_child_waits_for_no_thread_that_uses_the_cache_of_its_parent(tmp_path, in_folder):
    cache = EmbeddingCache(tmp_path / "cache" if in_folder else None)
    store, key, vector = cache.open(), b"k" * 16, np.ones((1, 3), np.float32)
    held, done = threading.Event(), threading.Event()

    def hold():
        with _OPENING.own(), store._mutex, store.claims._mutex:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()

    def ask():
        own = cache.open()
        assert own.claims.take([key]) == {key}
        own.put([key], vector)
        own.claims.release([key])
        return int(not np.array_equal(own.find([key])[key], vector[0]))

    try:
        assert in_child(ask) == 0
    finally:
        done.set()
        thread.join()
    assert (key in store.find([key])) == in_folder
