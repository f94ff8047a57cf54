import hashlib
import os
import time

import pytest

from skicl._storage import _digests
from skicl._storage._digests import file_checksum, file_state


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch):
    monkeypatch.setattr(_digests, "_KNOWN", {})


@pytest.fixture
def reads(monkeypatch):
    """Names of the files that were read."""
    found, read = [], _digests.file_digest
    monkeypatch.setattr(_digests, "file_digest", lambda file, kind: found.append(file.name) or read(file, kind))
    return found


def settle(monkeypatch):
    """Let some seconds pass, as the module sees it."""
    monkeypatch.setattr(time, "time_ns", lambda now=time.time_ns: now() + 60 * 10**9)


def test_it_is_the_sha256_of_the_content(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    assert file_checksum(tmp_path / "a") == file_checksum(str(tmp_path / "a")) == hashlib.sha256(b"content").hexdigest()


def test_a_file_that_has_settled_is_read_once(tmp_path, monkeypatch, reads):
    (tmp_path / "a").write_bytes(b"content")
    settle(monkeypatch)
    first = file_checksum(tmp_path / "a")
    assert file_checksum(tmp_path / "a") == first
    os.link(tmp_path / "a", tmp_path / "b")  # changes the state, so it is read again
    assert file_checksum(tmp_path / "b") == file_checksum(tmp_path / "a") == first
    assert len(reads) == 2


def test_a_file_that_has_just_changed_is_read_every_time(tmp_path, reads):
    """A second change within one tick of the clock of the file system would leave no other trace."""
    (tmp_path / "a").write_bytes(b"content")
    assert file_checksum(tmp_path / "a") == file_checksum(tmp_path / "a")
    assert len(reads) == 2


def test_a_change_in_the_same_tick_is_noticed(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"content")
    monkeypatch.setattr(_digests, "_state", lambda found: (0, 0, found.st_size, 0, time.time_ns()))
    frozen = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: frozen)
    first = file_checksum(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"another")
    assert file_checksum(tmp_path / "a") != first


def test_setting_the_time_back_hides_nothing(tmp_path, monkeypatch):
    file = tmp_path / "a"
    file.write_bytes(b"content")
    settle(monkeypatch)
    before, first = file.stat(), file_checksum(file)
    file.write_bytes(b"another")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert file_checksum(file) == hashlib.sha256(b"another").hexdigest() != first


def test_where_the_time_of_change_says_nothing_files_are_read_every_time(tmp_path, monkeypatch, reads):
    (tmp_path / "a").write_bytes(b"content")
    settle(monkeypatch)
    monkeypatch.setattr(_digests, "_KEEPS_TIME_OF_CHANGE", False)
    assert file_checksum(tmp_path / "a") == file_checksum(tmp_path / "a")
    assert len(reads) == 2


def test_a_file_that_is_written_to_meanwhile_is_read_again(tmp_path, monkeypatch):
    file, read, left = tmp_path / "a", _digests.file_digest, [2]

    def read_and_write(opened, kind):
        found = read(opened, kind)
        if left[0]:
            left[0] -= 1
            file.write_bytes(b"content" * (4 - left[0]))
        return found

    file.write_bytes(b"content")
    monkeypatch.setattr(_digests, "file_digest", read_and_write)
    assert file_checksum(file) == hashlib.sha256(file.read_bytes()).hexdigest()
    left[0] = 100
    with pytest.raises(OSError, match=r"changed while it was read, 5 times\. Wait until it is complete"):
        file_checksum(file)


def test_what_is_known_stays_small(tmp_path, monkeypatch):
    settle(monkeypatch)
    monkeypatch.setattr(_digests, "MOST_KNOWN", 2)
    for name in "abcde":
        (tmp_path / name).write_text(name, encoding="utf-8")
        file_checksum(tmp_path / name)
        assert len(_digests._KNOWN) <= 2


def test_the_state_of_a_file_changes_with_its_time_of_change_alone(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"content")
    before, stat = file_state(file), file.stat()
    time.sleep(0.02)
    file.write_bytes(b"another")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert file_state(file)[:-1] == before[:-1]
    assert file_state(file) != before
