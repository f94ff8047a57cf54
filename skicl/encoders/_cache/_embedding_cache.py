"""Embeddings that were computed before: one entry per item, in memory or in a folder."""

import os
import threading
import time
from contextlib import closing, suppress
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Self
from weakref import WeakValueDictionary

import numpy as np

from skicl._process_lock import ProcessLock
from skicl._validation._scalars import is_integer
from skicl.encoders._cache._memory_store import MemoryStore

LEAST_BYTES = 2**20
BYTES_IN_MEMORY = 2**29
BYTES_IN_A_FOLDER = 2**33
# Part of every key; to be raised when entries of older versions must not be used any more.
KEY_VERSION = 1
LOOKED_UP_AT_ONCE = 4096
SECONDS_BETWEEN_LOOKS = (0.01, 0.2)
# What was encoded is kept after a look at the weights, which takes a moment: not after every batch.
SECONDS_BETWEEN_CHECKS = 1.0

# The places of all caches of this process; those that are to outlive the objects that refer to them are kept.
_STORES: WeakValueDictionary = WeakValueDictionary()
_KEPT: dict[tuple, Any] = {}
_OPENING = ProcessLock()
_NUMBERS = count()
_SHARED = "shared"


class CacheStats(NamedTuple):
    """What a cache holds and how often it helped.

    Attributes
    ----------
    hits : int
        Distinct items per call that were found, since this process started or ``clear`` was called.
    misses : int
        Distinct items per call that had to be encoded, likewise.
    n_items : int
        Vectors that it holds now.
    n_bytes : int
        Memory or disk space that they take.

    Examples
    --------
    >>> from skicl.encoders import EmbeddingCache
    >>> EmbeddingCache().stats
    CacheStats(hits=0, misses=0, n_items=0, n_bytes=0)
    """

    hits: int
    misses: int
    n_items: int
    n_bytes: int


class EmbeddingCache:
    """Vectors of items that were encoded before, in memory or in a folder.

    Every encoder of skicl takes one as ``cache``. An entry belongs to one item and to all that changes its vector:
    the weights, the layer, the prompt and so on. So encoders with any settings may share one cache, and a vector is
    never mistaken for another. What is least recently used makes room for the new.

    A cache in memory belongs to one process; every worker of ``n_jobs`` has its own. A folder is shared by all
    processes that use it, now and later: what one of them is encoding the others wait for. Entries carry checksums;
    a damaged one is encoded again, with a warning. If the folder cannot be written to (disk full, no permission), a
    warning says so and vectors are computed without it.

    Parameters
    ----------
    folder : str, path or None, default=None
        Where to keep the vectors; made if it does not exist. It should be on a disk of this machine: locks are
        unreliable on many network file systems. None means memory.
    max_bytes : int or None, default=None
        Most memory or disk space, at least 1 MiB. None means 512 MiB in memory and 8 GiB in a folder. A text of the
        default encoder takes about 1.6 kB.

    See Also
    --------
    SentenceEncoder : Takes a cache.

    Notes
    -----
    A copy, a clone and a pickle refer to the same cache. A pickle holds the path of a folder but no vectors, so a
    cache in memory is empty in another process.

    Examples
    --------
    >>> from skicl import SentenceEncoder
    >>> from skicl.encoders import EmbeddingCache
    >>> cache = EmbeddingCache()
    >>> encoder = SentenceEncoder(device="cpu", cache=cache)
    >>> vectors = encoder.fit_transform(["where is my card", "refund please", "where is my card"])
    >>> vectors = encoder.transform(["refund please", "I cannot log in"])
    >>> cache.stats.hits, cache.stats.misses
    (1, 3)
    >>> cache.clear()
    """

    def __init__(self, folder: Any = None, *, max_bytes: int | None = None) -> None:
        self.folder = None if folder is None else _absolute(folder)
        self.max_bytes = _checked_bytes(max_bytes, BYTES_IN_MEMORY if folder is None else BYTES_IN_A_FOLDER)
        self._name = f"{os.getpid()}.{next(_NUMBERS)}"
        self._opened: tuple[int, Any] | None = None

    @classmethod
    def shared(cls, max_bytes: int | None = None) -> Self:
        """The memory that all encoders of this process with ``cache=True`` share.

        Parameters
        ----------
        max_bytes : int or None, default=None
            None for that of ``cache=True``; a number for that of encoders with this number as `cache`.

        Returns
        -------
        cache : EmbeddingCache
            To look at its statistics, or to clear it.
        """
        cache = cls(max_bytes=max_bytes)
        cache._name = _SHARED
        return cache

    @property
    def stats(self) -> CacheStats:
        """What the cache holds and how often it helped.

        Returns
        -------
        stats : CacheStats
            Numbers of hits, misses and items, and their size.
        """
        store = self.open()
        return CacheStats(store.hits, store.misses, *store.size())

    def clear(self) -> None:
        """Forget all vectors and reset the statistics."""
        self.open().clear()

    def open(self) -> Any:
        """The place where vectors are, shared by all copies of this cache in this process.

        Returns
        -------
        store : MemoryStore or FolderStore
            With ``find``, ``put`` and ``claims``.
        """
        process = os.getpid()  # a forked process must not use the locks of its parent
        if self._opened is None or self._opened[0] != process:
            key = (process, self.folder or self._name, self.max_bytes)
            with _OPENING.own():
                store = _STORES.get(key)
                if store is None:
                    store = _STORES[key] = self._make()
                # The memory of an object of this process goes with it. A worker keeps its own for the next task.
                if self.folder is not None or not self._name.startswith(f"{process}."):
                    _KEPT[key] = store
            self._opened = process, store
        return self._opened[1]

    def _make(self):
        if self.folder is None:
            return MemoryStore(self.max_bytes)
        from skicl.encoders._cache._folder_store import FolderStore

        return FolderStore(self.folder, self.max_bytes)

    def __sklearn_clone__(self):
        return self

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __getstate__(self):
        return {**vars(self), "_opened": None}

    def __repr__(self):
        folder = "" if self.folder is None else f"{str(self.folder)!r}, "
        return f"EmbeddingCache({folder}max_bytes={self.max_bytes})"


def clear_shared_memory():
    """Forget the vectors of all caches in memory that encoders of this process share: ``cache=True`` or a number."""
    with _OPENING.own():
        shared = [store for (_, place, _), store in _KEPT.items() if place == _SHARED]
    for store in shared:
        store.clear()


def resolve_cache(cache):
    """The cache that the parameter of an encoder means, or None where nothing is to be kept.

    True means the memory that all encoders of this process share, an int memory like it with at most so many bytes, a
    string or path a folder. Anything else, or too few bytes, is a TypeError or ValueError.
    """
    if cache is None or isinstance(cache, EmbeddingCache):
        return cache
    if isinstance(cache, bool | np.bool_):
        return EmbeddingCache.shared() if cache else None
    if is_integer(cache):
        return EmbeddingCache.shared(_checked_bytes(int(cache), None, parameter="cache"))
    if isinstance(cache, str | os.PathLike) and os.fspath(cache):
        return EmbeddingCache(cache)
    raise TypeError(
        "`cache` must be None, True, False, a number of bytes, the path of a folder or an EmbeddingCache, got "
        f"{cache!r}."
    )


def content_digest(content):
    """Sixteen bytes that are equal for equal contents, and in practice for no others."""
    return blake2b(content, digest_size=16).digest()


def keys_of(digests, fingerprint):
    """The keys, of sixteen bytes, of items encoded in one way, from their content digests.

    The fingerprint holds all else that the vectors depend on. A TypeError if it holds anything but str, int, float and
    None: what is printed of an array or of an object does not tell it from others.
    """
    parts = tuple(_plain(part) for part in fingerprint)
    way = blake2b(repr((KEY_VERSION, *parts)).encode(errors="surrogatepass")).digest()
    return [blake2b(digest, digest_size=16, key=way).digest() for digest in digests]


class Rows:
    """A float32 matrix (n_rows, n_features) that is filled row by row; None before the first, which sets its width."""

    def __init__(self, n_rows):
        self.n_rows = n_rows
        self.matrix = None
        self._making = threading.Lock()

    def fill(self, positions, vectors):
        """Put vectors (n_positions, n_features) in their places."""
        if len(positions):
            with self._making:  # the thread that works ahead fills rows too
                if self.matrix is None:
                    self.matrix = np.empty((self.n_rows, len(vectors[0])), dtype=np.float32)
            self.matrix[positions] = vectors


class KeysOutdated(Exception):
    """What the keys stand for has changed while items were encoded."""


def cached_vectors(store, keys, encode, still_valid=None):
    """Vectors (n_keys, n_features), float32, from a store; what it lacks is encoded, by nobody else at the same time.

    ``encode(positions, choose)`` yields pairs of a batch (positions) and its vectors, for all batches that it makes of
    the positions, of each only what ``choose(batch)`` returns. ``still_valid()`` says, before vectors are kept, whether
    the keys still stand for what encodes; if not, KeysOutdated is raised. None means that they cannot change.
    """
    rows, waiting, encoded = Rows(len(keys)), range(len(keys)), 0
    shortest, longest = SECONDS_BETWEEN_LOOKS
    seconds = shortest
    while True:
        missing = _look_up(store, keys, waiting, rows)
        waiting, done = _encode_unclaimed(store, keys, missing, rows, encode, still_valid)
        encoded += done
        if not waiting:
            break
        # All that is missing is being encoded by others; should they fail or be killed, their claims end too.
        seconds = shortest if done else min(2 * seconds, longest)
        time.sleep(seconds)
    store.count(hits=len(keys) - encoded, misses=encoded)
    return rows.matrix


def _look_up(store, keys, positions, rows):
    """Fill the rows that the store has; the positions of the others."""
    missing = []
    for start in range(0, len(positions), LOOKED_UP_AT_ONCE):
        asked = positions[start : start + LOOKED_UP_AT_ONCE]
        kept = store.find([keys[i] for i in asked])
        here = [i for i in asked if keys[i] in kept]
        rows.fill(here, [kept[keys[i]] for i in here])
        missing += [i for i in asked if keys[i] not in kept]
    return missing


def _encode_unclaimed(store, keys, missing, rows, encode, still_valid):
    """Encode and store what nobody else is encoding; the positions of the rest, and the number encoded."""
    claimed, of_others, encoded = set(), [], 0
    waiting, checked = [], time.monotonic()

    def choose(batch):
        taken = store.claims.take([keys[i] for i in batch], claimed)
        of_others.extend(i for i in batch if keys[i] not in taken)
        # Between the look-up and the claim another may have finished.
        return _look_up(store, keys, [i for i in batch if keys[i] in taken], rows)

    def keep():
        if waiting and still_valid is not None and not still_valid():
            raise KeysOutdated
        for batch, vectors in waiting:
            store.put([keys[i] for i in batch], vectors)
            store.claims.release([keys[i] for i in batch], claimed)
        waiting.clear()

    try:
        try:
            with closing(encode(missing, choose)) as batches:
                for batch, vectors in batches:
                    waiting.append((batch, np.asarray(vectors, dtype=np.float32)))
                    rows.fill(batch, vectors)
                    encoded += len(batch)
                    if still_valid is None or time.monotonic() - checked > SECONDS_BETWEEN_CHECKS:
                        keep()
                        checked = time.monotonic()
            keep()
        except KeysOutdated:
            raise
        except BaseException:  # an error or an interrupt: what was done until then is kept
            with suppress(Exception):
                keep()
            raise
        finally:
            store.claims.release(claimed, claimed)
    finally:  # again, if an interrupt came just now: others would wait for what is never released
        store.claims.release(claimed, claimed)
    return of_others, encoded


def _plain(part):
    """A part of a fingerprint whose repr tells it from others."""
    if isinstance(part, np.generic):
        part = part.item()
    if isinstance(part, tuple):
        return tuple(_plain(inner) for inner in part)
    if part is None or isinstance(part, str | bytes | int | float):
        return part
    raise TypeError(
        f"_fingerprint returned {part!r}, of type {type(part).__name__}: expected a tuple of str, int, float and None. "
        "Of anything else give a checksum."
    )


def _absolute(folder):
    """The absolute path of a folder, which may not exist yet."""
    if not (isinstance(folder, str | os.PathLike) and os.fspath(folder)):
        raise TypeError(f"`folder` must be the path of a folder or None for memory, got {folder!r}.")
    path = Path(folder).expanduser().absolute()
    if os.path.exists(path) and not os.path.isdir(path):  # unlike Path.exists, False where nobody may look
        raise ValueError(f"`cache`={str(folder)!r} is a file. Expected a folder, which is made if it does not exist.")
    return path


def _checked_bytes(value, default, parameter="max_bytes"):
    """A number of bytes, or the default where it is None and has one."""
    if value is None and default is not None:
        return default
    if not is_integer(value) or value < LEAST_BYTES:
        raise ValueError(f"`{parameter}` must be a number of bytes, at least {LEAST_BYTES} (1 MiB), got {value!r}.")
    return int(value)
