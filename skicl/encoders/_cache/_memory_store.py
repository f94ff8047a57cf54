"""Vectors kept in memory, the least recently used given up first."""

import threading
from collections import OrderedDict

from skicl.encoders._cache._key_locks import Claims

# What Python needs for an entry beside the numbers: the array, the key, the slot.
BYTES_OF_AN_ENTRY = 320


class MemoryStore:
    """Vectors by key in this process, in at most `max_bytes` of memory.

    `hits` and `misses` are items found and items encoded; `claims` are keys that a thread is encoding.
    """

    def __init__(self, max_bytes):
        self.max_bytes = max_bytes
        self.hits = self.misses = 0
        self.claims = Claims()
        self._vectors = OrderedDict()
        self._bytes = 0
        self._mutex = threading.Lock()

    def find(self, keys):
        """The vectors (n_features,) that are here, by key; the arrays are not to be changed."""
        with self._mutex:
            vectors = {key: self._vectors[key] for key in keys if key in self._vectors}
            for key in vectors:
                self._vectors.move_to_end(key)
            return vectors

    def put(self, keys, vectors):
        """Keep vectors (n_keys, n_features), which are copied, and give up others where room is short."""
        with self._mutex:
            for key, vector in zip(keys, vectors):
                if key not in self._vectors:
                    self._vectors[key] = vector.copy()  # a view would keep the whole batch
                    self._bytes += vector.nbytes + BYTES_OF_AN_ENTRY
            while self._bytes > self.max_bytes:
                _, vector = self._vectors.popitem(last=False)
                self._bytes -= vector.nbytes + BYTES_OF_AN_ENTRY

    def count(self, hits, misses):
        """Add numbers of items found and of items encoded to the statistics."""
        with self._mutex:
            self.hits += hits
            self.misses += misses

    def clear(self):
        """Forget everything."""
        with self._mutex:
            self._vectors.clear()
            self._bytes = self.hits = self.misses = 0

    def size(self):
        """Number of vectors held now, and of bytes."""
        with self._mutex:
            return len(self._vectors), self._bytes
