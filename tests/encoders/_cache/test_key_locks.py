import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import skicl
from skicl.encoders._cache._key_locks import Claims, fcntl

KEYS = [bytes([i]) * 16 for i in range(10)]


def in_another_process(path, program):
    """Start a process that has `claims` on the same file, and wait for its first line."""
    start = f"import sys\nfrom skicl.encoders._cache._key_locks import Claims\nclaims = Claims({str(path)!r})\n"
    start += "KEYS = [bytes([i]) * 16 for i in range(10)]\n"
    environment = {"PYTHONPATH": str(Path(skicl.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", start + program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    return process, process.stdout.readline().strip()


@pytest.fixture(params=["threads only", "lock file"])
def claims(request, tmp_path):
    return Claims(tmp_path / "lock" if request.param == "lock file" else None)


def test_a_key_belongs_to_one_at_a_time(claims):
    assert claims.take(KEYS[:3]) == set(KEYS[:3])
    assert claims.take(KEYS[2:5]) == set(KEYS[3:5])
    claims.release(KEYS[:3])
    assert claims.take(KEYS[:5]) == set(KEYS[:3])
    assert claims.take([]) == set()


def test_threads_share_out_all_keys(claims):
    taken = []
    threads = [threading.Thread(target=lambda: taken.append(claims.take(KEYS))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(key for keys in taken for key in keys) == KEYS


@pytest.mark.skipif("fcntl" not in sys.modules, reason="the platform has no locks of bytes")
def test_claims_of_another_process_count_and_end_with_it(tmp_path):
    claims = Claims(tmp_path / "lock")
    assert claims.take(KEYS[:1]) == {KEYS[0]}
    other, said = in_another_process(
        tmp_path / "lock", "print(len(claims.take(KEYS[:4])), flush=True)\nsys.stdin.readline()\n"
    )
    try:
        assert said == "3"
        assert claims.take(KEYS[:6]) == set(KEYS[4:6])
    finally:
        other.kill()
        other.communicate()
    assert claims.take(KEYS[:6]) == set(KEYS[1:4])
    assert (tmp_path / "lock").stat().st_size == 0


@pytest.mark.skipif("fcntl" not in sys.modules, reason="the platform has no locks of bytes")
def test_released_keys_are_free_for_another_process(tmp_path):
    claims = Claims(tmp_path / "lock")
    claims.take(KEYS)
    claims.release(KEYS[5:])
    other, said = in_another_process(tmp_path / "lock", "print(sorted(claims.take(KEYS)) == KEYS[5:], flush=True)\n")
    other.communicate()
    assert said == "True"


def test_folder_that_is_gone_leaves_claims_among_threads(tmp_path):
    claims = Claims(tmp_path / "absent" / "lock")
    assert claims.take(KEYS) == set(KEYS)
    assert claims.take(KEYS) == set()
    claims.release(KEYS)
    assert claims.take(KEYS) == set(KEYS)


@pytest.mark.skipif(fcntl is None, reason="no locks of files here")
def test_a_file_system_without_locks_leaves_claims_to_threads(tmp_path, monkeypatch):
    def without_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", without_locks)
    claims = Claims(tmp_path / "lock")
    assert claims.take([b"a" * 16, b"b" * 16]) == {b"a" * 16, b"b" * 16}
    assert claims.take([b"a" * 16]) == set()
    claims.release([b"a" * 16])
    assert claims.take([b"a" * 16]) == {b"a" * 16}


def test_claims_are_noted_where_their_owner_wants_them():
    """Before anybody can interrupt: an owner that does not know of a claim would keep it for good."""
    claims, owned = Claims(), set()
    assert claims.take(KEYS[:4], owned) == owned == set(KEYS[:4])
    claims.release(KEYS[:1], owned)
    assert owned == set(KEYS[1:4])
    claims.release(owned, owned)
    assert not owned
    assert claims.take(KEYS) == set(KEYS)


def test_a_lock_file_that_is_closed_is_forgotten_first(tmp_path, monkeypatch):
    claims = Claims(tmp_path / "lock")
    taken = claims.take(KEYS)

    def interrupted(file):
        close(file)
        raise KeyboardInterrupt

    close = os.close
    monkeypatch.setattr(os, "close", interrupted)
    with pytest.raises(KeyboardInterrupt):
        claims.release(taken)
    monkeypatch.undo()
    assert claims.take(KEYS) == set(KEYS)
    claims.release(KEYS)
