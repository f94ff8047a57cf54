import errno
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import skicl
from skicl.encoders._cache import _folder_store
from skicl.encoders._cache._folder_store import FILE, ROWS_OF_A_BLOCK, FolderStore

N = 600
KEYS = [(i * 2**100).to_bytes(16, "big") for i in range(1, N + 1)]
VECTORS = np.random.default_rng(0).normal(size=(N, 32)).astype(np.float32)
PLENTY = 2**30


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "cache", PLENTY)


def held(store):
    """The keys in a store, each checked against what was put."""
    found = store.find(KEYS)
    for i, key in enumerate(KEYS):
        if key in found:
            np.testing.assert_array_equal(found[key], VECTORS[i])
    return set(found)


def in_another_process(folder, program, **options):
    start = (
        "import numpy as np, sys\nfrom pathlib import Path\n"
        "from skicl.encoders._cache._folder_store import FolderStore\n"
        f"N = {N}\nKEYS = [(i * 2**100).to_bytes(16, 'big') for i in range(1, N + 1)]\n"
        "VECTORS = np.random.default_rng(0).normal(size=(N, 32)).astype(np.float32)\n"
        f"store = FolderStore(Path({str(folder)!r}), {PLENTY})\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(skicl.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", start + program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


def test_what_was_put_is_found_also_later_and_elsewhere(store):
    store.put(KEYS[:300], VECTORS[:300])
    assert held(store) == set(KEYS[:300])
    assert held(FolderStore(store.folder, PLENTY)) == set(KEYS[:300])
    store.put(KEYS[200:], VECTORS[200:])
    assert held(store) == set(KEYS)
    assert store.size()[0] == N
    assert store.find([]) == {}


def test_few_files_however_many_entries(store):
    for i in range(0, N, 50):
        store.put(KEYS[i : i + 50], VECTORS[i : i + 50])
        store.claims.release(store.claims.take(KEYS[i : i + 50]))
    assert sorted(path.name for path in store.folder.iterdir()) == ["claims.lock", FILE]


def test_clear_frees_the_space(store):
    store.put(KEYS, VECTORS)
    store.count(hits=1, misses=2)
    before = (store.folder / FILE).stat().st_size
    store.clear()
    assert (store.hits, store.misses, *store.size()) == (0, 0, 0, 0)
    assert (store.folder / FILE).stat().st_size < before
    assert held(store) == set()
    store.put(KEYS, VECTORS)
    assert held(store) == set(KEYS)


# -- size ----------------------------------------------------------------------------------------


def test_size_is_bounded_and_the_least_recently_used_makes_room(tmp_path, monkeypatch):
    most, clock = 2**20, [10**9]
    monkeypatch.setattr(_folder_store, "_now", lambda: clock[0])
    store = FolderStore(tmp_path, most)
    vectors = np.ones((ROWS_OF_A_BLOCK, 384), dtype=np.float32)
    blocks = [[f"{i} {j}".encode().ljust(16) for j in range(ROWS_OF_A_BLOCK)] for i in range(40)]
    for keys in blocks:
        clock[0] += 100
        store.put(keys, vectors)
        assert len(store.find(blocks[0])) >= ROWS_OF_A_BLOCK - 1, "it is in use all the time"
        assert store.size()[1] <= most
        assert (tmp_path / FILE).stat().st_size <= most
    found = [len(store.find(keys)) for keys in blocks]
    assert found[-1] == ROWS_OF_A_BLOCK
    kept = [i for i, number in enumerate(found) if number == ROWS_OF_A_BLOCK]
    assert kept[1:] == list(range(kept[1], 40)), "the latest"
    assert sum(found) * 384 * 4 > 0.6 * most, "the room is used"


def test_batch_larger_than_the_bound_is_kept_in_part(tmp_path):
    store = FolderStore(tmp_path, 2**20)
    vectors = np.ones((N, 1024), dtype=np.float32)
    store.put(KEYS, vectors)
    n_items, n_bytes = store.size()
    assert 0 < n_items < N
    assert n_bytes <= 2**20


# -- damage --------------------------------------------------------------------------------------


def test_damaged_entry_is_not_returned(store):
    store.put(KEYS, VECTORS)
    changes = {
        KEYS[3]: lambda record: record[:50] + bytes([record[50] ^ 1]) + record[51:],
        KEYS[5]: lambda record: record[:-4],
        KEYS[7]: lambda record: record[:-3],
        KEYS[9]: lambda record: b"",
        KEYS[11]: lambda record: bytes([record[0] ^ 128]) + record[1:],
    }
    connection = sqlite3.connect(store.folder / FILE)
    for key, change in changes.items():
        record = connection.execute("SELECT record FROM vectors WHERE key = ?", (key,)).fetchone()[0]
        connection.execute("UPDATE vectors SET record = ? WHERE key = ?", (change(record), key))
    other = connection.execute("SELECT record FROM vectors WHERE key = ?", (KEYS[0],)).fetchone()[0]
    connection.execute("UPDATE vectors SET record = ? WHERE key = ?", (other, KEYS[13]))
    connection.commit()
    connection.close()
    damaged = {*changes, KEYS[13]}
    with pytest.warns(UserWarning, match=r"6 entries of the cache in '.*' are damaged\. Their items are encoded again"):
        found = held(store)
    assert found == set(KEYS) - damaged
    store.put(sorted(damaged), VECTORS[[KEYS.index(key) for key in sorted(damaged)]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert held(store) == set(KEYS)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_truncated_file_gives_no_wrong_vector(store, part):
    store.put(KEYS, VECTORS)
    size = (store.folder / FILE).stat().st_size
    os.truncate(store.folder / FILE, int(part * size))
    with pytest.warns(UserWarning, match=r"cache in '.*' is damaged .* its items are encoded again"):
        assert held(store) < set(KEYS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.put(KEYS, VECTORS)
        assert held(store) == set(KEYS)


def test_file_of_something_else_is_replaced(store):
    store.put(KEYS, VECTORS)
    (store.folder / FILE).write_bytes(b"These are not embeddings. " * 1000)
    with pytest.warns(UserWarning, match=r"damaged \(file is not a database\)") as caught:
        assert held(store) == set()
    assert caught[0].filename == __file__
    store.put(KEYS, VECTORS)
    assert held(store) == set(KEYS)


@pytest.mark.parametrize("seed", range(8))
def test_random_damage_gives_no_wrong_vector(store, seed):
    """Bytes anywhere in the file are overwritten; whatever is found is right, and afterwards all is well again."""
    store.put(KEYS, VECTORS)
    random = np.random.default_rng(seed)
    content = bytearray((store.folder / FILE).read_bytes())
    for place in random.integers(0, len(content) - 100, size=20):
        content[place : place + 100] = random.bytes(100)
    (store.folder / FILE).write_bytes(content)
    with pytest.warns(UserWarning, match="encoded again"):
        held(store)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for _ in range(3):
            store.put(KEYS, VECTORS)
            held(store)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert held(store) == set(KEYS)


def test_deleted_folder_is_a_warning(store):
    store.put(KEYS, VECTORS)
    (store.folder / FILE).unlink()
    assert held(store) == set()
    for path in store.folder.iterdir():
        path.unlink()
    store.folder.rmdir()
    with pytest.warns(UserWarning, match=r"The cache in '.*' could not be used \(unable to open database") as caught:
        store.put(KEYS, VECTORS)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.put(KEYS, VECTORS)  # said once


def test_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"The folder `cache`='.*' cannot be made .*Choose another"):
        FolderStore(tmp_path / "file" / "cache", PLENTY)


# -- interrupts, full disks, other processes ----------------------------------------------------


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal")
@pytest.mark.parametrize("seconds", [0.0, 0.03, 0.1])
def test_killed_writer_leaves_nothing_half_written(store, seconds):
    writer = in_another_process(
        store.folder,
        "print('ready', flush=True)\n"
        "while True:\n"
        "    for i in range(0, N, 20):\n"
        "        store.put(KEYS[i:i + 20], VECTORS[i:i + 20])\n"
        "    store.clear()\n",
    )
    assert writer.stdout.readline() == "ready\n"
    threading.Event().wait(seconds)
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(held(store)) % 20 == 0, "a batch is there as a whole or not at all"
        store.put(KEYS, VECTORS)
        assert held(store) == set(KEYS)


def test_interrupted_transaction_leaves_nothing(store, monkeypatch):
    store.put(KEYS[:100], VECTORS[:100])

    def interrupt(connection, n_bytes):
        connection.execute("DELETE FROM vectors")
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "_make_room", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.put(KEYS[100:200], VECTORS[100:200])
    assert held(store) == set(KEYS[:100])


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of resources")
def test_full_disk_is_a_warning_and_harms_nothing(store):
    """A limit on the size of files stands for a full disk."""
    store.put(KEYS[:100], VECTORS[:100])
    limit = (store.folder / FILE).stat().st_size + 16384
    done = in_another_process(
        store.folder,
        f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "store.put(KEYS[100:], VECTORS[100:])\n"
        "print(len(store.find(KEYS)))\n",
    )
    out, err = done.communicate()
    assert out == "100\n", err
    assert "UserWarning: The cache in" in err
    assert "could not be used" in err
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert held(store) == set(KEYS[:100])
        store.put(KEYS, VECTORS)
        assert held(store) == set(KEYS)


@pytest.mark.slow
def test_processes_write_and_read_together(store):
    program = (
        "import warnings\nwarnings.simplefilter('error')\n"
        "order = np.random.default_rng(SEED).permutation(N)\n"
        "for i in range(0, N, 5):\n"
        "    some = order[i:i + 5]\n"
        "    store.put([KEYS[j] for j in some], VECTORS[some])\n"
        "    for key, vector in store.find(KEYS[::7]).items():\n"
        "        np.testing.assert_array_equal(vector, VECTORS[KEYS.index(key)])\n"
    )
    processes = [in_another_process(store.folder, program.replace("SEED", str(i))) for i in range(2)]
    for process in processes:
        _, err = process.communicate()
        assert process.returncode == 0, err
    assert held(store) == set(KEYS)
    assert store.size()[0] == N


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EROFS, "Read-only file system"),
    ],
)
def test_a_folder_that_may_not_be_made_is_a_warning(tmp_path, monkeypatch, error):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(Path, "mkdir", refuse)
    store = FolderStore(tmp_path / "cache", PLENTY)
    with pytest.warns(UserWarning, match=f"could not be used .*{error.strerror}.*choose another folder"):
        assert store.find(KEYS) == {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        store.put(KEYS, VECTORS)
        assert store.size() == (0, 0)
    monkeypatch.undo()  # somebody has allowed it since
    store.put(KEYS, VECTORS)
    assert held(store) == set(KEYS)


@pytest.mark.parametrize("what", ["connect", "open"])
def test_a_folder_that_becomes_forbidden_is_a_warning(tmp_path, monkeypatch, what):
    store = FolderStore(tmp_path / "cache", PLENTY)
    store.put(KEYS[:1], VECTORS[:1])

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(*((sqlite3, "connect") if what == "connect" else (os, "open")), refuse)
    if what == "open":  # of the claims: they are left to the threads of this process
        assert store.claims.take(KEYS) == set(KEYS)
        return
    with pytest.warns(UserWarning, match=r"could not be used .*Permission denied"):
        assert store.find(KEYS) == {}
