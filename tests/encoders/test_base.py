import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from skicl.encoders import EmbeddingCache
from skicl.encoders._base import SMALLEST_BATCH, BaseEncoder, batches_of_similar_size, distinct_digests
from skicl.encoders._cache._embedding_cache import content_digest, keys_of


class CountingEncoder(BaseEncoder):
    """Two features, the length and the number of vowels, and a list of the batches it was given."""

    def __init__(self, batch_size=4, device="cpu"):
        self.batch_size = batch_size
        self.device = device

    def _load(self, device):
        return []

    def _encode(self, model, batch):
        self.batches = [*getattr(self, "batches", []), batch]
        return np.array([[len(text), sum(letter in "aeiou" for letter in text)] for text in batch], dtype=np.float64)


TEXTS = ["a", "bb", "ccc", "aaaa", "bb", "eeeee", "a", "hhhhhh", "a"]


def used_batches(encoder, texts):
    encoder.fit(texts)
    encoder.batches = []
    encoder.transform(texts)
    return encoder.batches


def test_rows_come_back_in_the_order_of_the_input():
    vectors = CountingEncoder().fit_transform(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors[:, 0].tolist() == [len(text) for text in TEXTS]
    assert vectors[:, 1].tolist() == [1, 0, 0, 4, 0, 5, 1, 0, 1]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_result_does_not_depend_on_the_batch_size(batch_size):
    expected = CountingEncoder().fit_transform(TEXTS)
    np.testing.assert_array_equal(CountingEncoder(batch_size).fit_transform(TEXTS), expected)


def test_duplicates_are_encoded_once():
    batches = used_batches(CountingEncoder(), TEXTS)
    assert sorted(text for batch in batches for text in batch) == sorted(set(TEXTS))


def test_batches_are_sorted_by_length_longest_first():
    batches = used_batches(CountingEncoder(batch_size=2), TEXTS)
    assert batches == [["hhhhhh", "eeeee"], ["aaaa", "ccc"], ["bb", "a"]]


def test_fit_encodes_one_short_item_only():
    encoder = CountingEncoder().fit(TEXTS)
    assert encoder.batches == [["a"]]
    assert encoder.n_features_out_ == 2


def test_feature_names():
    encoder = CountingEncoder().fit(TEXTS)
    assert encoder.get_feature_names_out().tolist() == ["countingencoder0", "countingencoder1"]
    with pytest.raises(NotFittedError):
        CountingEncoder().get_feature_names_out()


def test_transform_needs_fit():
    with pytest.raises(NotFittedError):
        CountingEncoder().transform(TEXTS)


def test_bad_parameters_are_refused_before_the_model_is_loaded(monkeypatch):
    monkeypatch.setattr(CountingEncoder, "_load", lambda self, device: pytest.fail("the model was loaded"))
    with pytest.raises(ValueError, match="`batch_size` must be an integer of at least 1, got 0"):
        CountingEncoder(batch_size=0).fit(TEXTS)
    with pytest.raises(ValueError, match="bare string"):
        CountingEncoder().fit("text")
    with pytest.raises(ValueError, match="`device`='nowhere'"):
        CountingEncoder(device="nowhere").fit(TEXTS)


def test_the_base_class_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        BaseEncoder()


def test_distinct_digests():
    digests = [b"b", b"a", b"b", b"c", b"a"]
    first, rows = distinct_digests(digests)
    assert first == {b"b": 0, b"a": 1, b"c": 3}
    assert [list(first)[row] for row in rows] == digests


@pytest.mark.parametrize("n_items", [1, 5, 64, 65, 500])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_every_item_is_in_one_batch(n_items, batch_size):
    sizes = np.random.default_rng(0).integers(0, 300, n_items).tolist()
    batches = list(batches_of_similar_size(sizes, batch_size))
    assert sorted(i for batch in batches for i in batch) == list(range(n_items))
    assert max(map(len, batches)) <= batch_size
    assert all(batches)
    in_order = [sizes[i] for batch in batches for i in batch]
    assert in_order == sorted(sizes, reverse=True)


def test_batches_end_where_items_get_much_smaller():
    sizes = [100] * SMALLEST_BATCH + [10] * SMALLEST_BATCH
    assert [len(batch) for batch in batches_of_similar_size(sizes, 1000)] == [SMALLEST_BATCH, SMALLEST_BATCH]
    assert [len(batch) for batch in batches_of_similar_size([100, 99, 10, 9], 1000)] == [4]
    assert [len(batch) for batch in batches_of_similar_size([7] * 130, 64)] == [64, 64, 2]


def test_every_item_needs_a_vector(monkeypatch):
    monkeypatch.setattr(CountingEncoder, "_encode", lambda self, model, batch: np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"CountingEncoder\._encode returned 1 vectors for 3 items"):
        CountingEncoder().fit_transform(["a", "b", "c"])


def test_nothing_to_encode_is_refused(monkeypatch):
    monkeypatch.setattr(CountingEncoder, "_read", lambda self, X: list(X))
    with pytest.raises(ValueError, match="`X` is empty: found 0 items while a minimum of 1 is required"):
        CountingEncoder().fit_transform([])


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("cached", [False, True])
def test_vectors_that_are_not_finite_are_refused_and_not_kept(wrong, cached, monkeypatch):
    """The message counts rows as the user gave them, whatever their order in batches and whatever is equal."""

    def encode(self, model, batch):
        return np.array([[wrong if text == "bad" else 1.0, 2.0] for text in batch], dtype=np.float32)

    monkeypatch.setattr(CountingEncoder, "_encode", encode)
    monkeypatch.setattr(CountingEncoder, "_fingerprint", lambda self, model: ("counting",), raising=False)
    encoder, cache = CountingEncoder(), EmbeddingCache()
    if cached:
        monkeypatch.setattr(CountingEncoder, "cache", cache, raising=False)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"vectors .* first at position 3, are NaN or infinite\. .*float16"):
            encoder.fit_transform(["a", "a", "longest of all", "bad", "bad", "b"])
    assert encoder.fit_transform(["a", "b"]).shape == (2, 2)
    if cached:
        keys = keys_of([content_digest(b"bad")], ("counting",))
        assert not cache.open().find(keys)


def test_a_vector_that_an_earlier_version_kept_is_checked_too(monkeypatch):
    cache = EmbeddingCache()
    monkeypatch.setattr(CountingEncoder, "_fingerprint", lambda self, model: ("counting",), raising=False)
    monkeypatch.setattr(CountingEncoder, "cache", cache, raising=False)
    cache.open().put(keys_of([content_digest(b"a")], ("counting",)), np.full((1, 2), np.nan, dtype=np.float32))
    with pytest.raises(ValueError, match="vectors of 1 of 1 rows, first at position 0, are NaN"):
        CountingEncoder().fit_transform(["a"])
