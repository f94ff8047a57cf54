"""Vectors kept in a folder, in one SQLite file that threads and processes share."""

import os
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from hashlib import blake2b

import numpy as np

from skicl._validation._environment import warn_user
from skicl.encoders._cache._key_locks import Claims

FILE = "embeddings.sqlite3"
LOCK_FILE = "claims.lock"
# How long SQLite waits for other writers, whose transactions take milliseconds.
SECONDS_TO_WAIT = 60
# This many rows that were stored one after the other are given up together, so that a hit need not be written down
# for every row.
ROWS_OF_A_BLOCK = 64
SECONDS_BETWEEN_NOTES = 60
KEYS_OF_A_QUERY = 500
BYTES_OF_A_CHECKSUM = 8
BYTES_OF_A_PAGE = 16384
# Of a page some is left over, and an empty file has some pages.
SPACE_BY_BYTES = 1.4
BYTES_OF_AN_EMPTY_FILE = 8 * BYTES_OF_A_PAGE
_CLAIM_OF_THE_FILE = b"the file itself "
_STATEMENTS = (
    "CREATE TABLE IF NOT EXISTS vectors (number INTEGER PRIMARY KEY, key BLOB UNIQUE NOT NULL, record BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS blocks (block INTEGER PRIMARY KEY, used INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS by_use ON blocks (used)",
    "PRAGMA user_version = 1",
)


class FolderStore:
    """Vectors by key, in a folder.

    Every call opens the file anew, so that nothing is shared with forked processes. Writes are transactions of SQLite:
    an interrupted one leaves nothing behind. They are not forced to the disk one by one; should a failure of power
    damage the file, the checksum of every vector and the checks of SQLite tell. `hits` and `misses` are items found and
    items encoded by this process; `claims` are keys that a thread of any process is encoding. A path of which a part is
    a file is a ValueError.
    """

    def __init__(self, folder, max_bytes):
        self._made = True
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ValueError(f"The folder `cache`={str(folder)!r} cannot be made ({error}). Choose another.") from error
        except OSError:  # forbidden, or no room: found out again, and warned of, by what needs the folder
            self._made = False
        self.folder = folder
        self.max_bytes = max_bytes
        self.hits = self.misses = 0
        self.claims = Claims(folder / LOCK_FILE)
        self._mutex = threading.Lock()
        self._warned = False

    def find(self, keys):
        """The vectors (n_features,) that are here and undamaged, by key; the arrays cannot be changed."""
        vectors, damaged, blocks = {}, [], set()
        with self._working("read from"), self._connected() as connection:
            for start in range(0, len(keys), KEYS_OF_A_QUERY):
                asked = keys[start : start + KEYS_OF_A_QUERY]
                marks = ",".join("?" * len(asked))
                query = f"SELECT number, key, record FROM vectors WHERE key IN ({marks})"
                for number, key, record in connection.execute(query, asked):
                    vector = _vector(key, record)
                    if vector is None:
                        damaged.append((key,))
                    else:
                        vectors[key] = vector
                        blocks.add(number // ROWS_OF_A_BLOCK)
            self._note_use(connection, blocks)
            if damaged:
                warn_user(
                    f"{len(damaged)} entries of the cache in {str(self.folder)!r} are damaged. Their items are encoded "
                    "again."
                )
                connection.executemany("DELETE FROM vectors WHERE key = ?", damaged)
        return vectors

    def put(self, keys, vectors):
        """Keep vectors (n_keys, n_features), float32, which are copied, and give up others where room is short."""
        records = [(key, _record(key, vector)) for key, vector in zip(keys, vectors)]
        space = SPACE_BY_BYTES * max(len(key) * 2 + len(record) for key, record in records)
        records = records[: int((self.max_bytes - BYTES_OF_AN_EMPTY_FILE) / space)]
        with self._working("write to"), self._connected() as connection, _transaction(connection):
            self._make_room(connection, int(space * len(records)))
            first = _next_number(connection) // ROWS_OF_A_BLOCK
            connection.executemany("INSERT OR IGNORE INTO vectors (key, record) VALUES (?, ?)", records)
            last = (_next_number(connection) - 1) // ROWS_OF_A_BLOCK
            blocks = [(block, _now()) for block in range(first, last + 1)]
            connection.executemany("INSERT OR REPLACE INTO blocks VALUES (?, ?)", blocks)

    def count(self, hits, misses):
        """Add numbers of items found and of items encoded to the statistics."""
        with self._mutex:
            self.hits += hits
            self.misses += misses

    def clear(self):
        """Forget everything, for all processes."""
        with self._working("clear"), self._connected() as connection:
            with _transaction(connection):
                connection.execute("DELETE FROM vectors")
                connection.execute("DELETE FROM blocks")
            connection.execute("VACUUM")
        with self._mutex:
            self.hits = self.misses = 0

    def size(self):
        """Number of vectors in the file now, and its size in bytes."""
        with self._working("read from"), self._connected() as connection:
            n_items = connection.execute("SELECT count(*) FROM vectors").fetchone()[0]
            return n_items, _pragma(connection, "page_count") * _pragma(connection, "page_size") if n_items else 0
        return 0, 0

    @contextmanager
    def _connected(self):
        """An open connection to the file, which is made if it is not there."""
        if not self._made:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._made = True
        connection = sqlite3.connect(self.folder / FILE, timeout=SECONDS_TO_WAIT, isolation_level=None)
        try:
            connection.execute(f"PRAGMA page_size = {BYTES_OF_A_PAGE}")
            connection.execute("PRAGMA synchronous = OFF")
            if _pragma(connection, "user_version") != 1:
                with _transaction(connection):
                    for statement in _STATEMENTS:
                        connection.execute(statement)
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _working(self, what):
        """A failure of the file is a warning: vectors are computed without the cache."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            kind = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest says more exactly what is wrong
            if kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                self._discard(error)
            elif not self._warned:
                self._warned = True  # once: the next batch would fail in the same way
                warn_user(
                    f"The cache in {str(self.folder)!r} could not be used ({error}). What it lacks is encoded and not "
                    "kept. Make room, or choose another folder."
                )
        else:
            self._warned = self._warned and what != "write to"

    def _discard(self, error):
        """Start a new file in place of a damaged one, unless another process is doing so."""
        taken = set()
        try:
            if self.claims.take([_CLAIM_OF_THE_FILE], taken) and not self._is_sound():
                warn_user(
                    f"The file of the cache in {str(self.folder)!r} is damaged ({error}). It is given up, and its "
                    "items are encoded again."
                )
                for name in (FILE, f"{FILE}-journal"):
                    with suppress(OSError):
                        os.unlink(self.folder / name)
        finally:
            self.claims.release(taken)

    def _is_sound(self):
        """Whether SQLite finds no damage in the file."""
        try:
            with self._connected() as connection:
                return connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
        except (sqlite3.Error, OSError):
            return False

    def _note_use(self, connection, blocks):
        """Write down when blocks were used, where that is not known to the minute already."""
        now = _now()
        old = connection.execute("SELECT block FROM blocks WHERE used < ?", (now - SECONDS_BETWEEN_NOTES,)).fetchall()
        if stale := blocks & {block for (block,) in old}:
            with suppress(sqlite3.OperationalError), _transaction(connection):  # a folder may be only readable
                connection.executemany("UPDATE blocks SET used = ? WHERE block = ?", [(now, block) for block in stale])

    def _make_room(self, connection, n_bytes):
        """Give up what was least recently used until so many more bytes fit."""
        while _used_bytes(connection) + n_bytes > self.max_bytes:
            oldest = connection.execute("SELECT block FROM blocks ORDER BY used, block LIMIT 1").fetchone()
            if oldest is None:
                return
            start = oldest[0] * ROWS_OF_A_BLOCK
            connection.execute("DELETE FROM vectors WHERE number >= ? AND number < ?", (start, start + ROWS_OF_A_BLOCK))
            connection.execute("DELETE FROM blocks WHERE block = ?", oldest)


@contextmanager
def _transaction(connection):
    """All statements inside take effect, or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _pragma(connection, name):
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def _used_bytes(connection):
    used_pages = _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
    return used_pages * _pragma(connection, "page_size")


def _next_number(connection):
    return connection.execute("SELECT coalesce(max(number), 0) + 1 FROM vectors").fetchone()[0]


def _now():
    return int(time.time())


def _record(key, vector):
    """The bytes of an entry: a checksum of key and numbers, then the numbers, least significant byte first."""
    content = np.asarray(vector, dtype="<f4").tobytes()
    return blake2b(content, digest_size=BYTES_OF_A_CHECKSUM, key=key).digest() + content


def _vector(key, record):
    """The numbers of an entry, or None if it is damaged."""
    checksum, content = record[:BYTES_OF_A_CHECKSUM], record[BYTES_OF_A_CHECKSUM:]
    if len(content) % 4 or checksum != blake2b(content, digest_size=BYTES_OF_A_CHECKSUM, key=key).digest():
        return None
    return np.frombuffer(content, dtype="<f4")
