"""Checksums of the content of files, computed again whenever the content may have changed."""

import os
import time
from hashlib import file_digest, sha256
from pathlib import Path

# A file whose last change is younger than this is read every time: its next change could carry the same time.
SECONDS_TO_SETTLE = 3
READINGS = 5
MOST_KNOWN = 10_000
# Elsewhere the time of the last change of a file can be set, or is not kept.
_KEEPS_TIME_OF_CHANGE = os.name == "posix"

_KNOWN: dict[tuple[int, ...], str] = {}


def file_checksum(path: str | os.PathLike) -> str:
    """The sha256 of the content of a file, in hexadecimal digits.

    Computed once for each state of a file: device, inode, size, and times in nanoseconds, of which nobody can set back
    that of the last change. Where that time is too recent to tell two changes from each other, as git holds entries of
    its index to be "racy", the file is read every time. Reads about 2 GB in a second. Not seen: what a program writes
    through a memory map, later than that after its first writing, until the system takes note of it. A file that cannot
    be read, or changes all the time, is an OSError.
    """
    for _ in range(READINGS):
        with open(path, "rb") as file:
            state, now = _state(os.fstat(file.fileno())), time.time_ns()
            known = _KNOWN.get(state)
            if known is not None:
                return known
            checksum = file_digest(file, "sha256").hexdigest()
            if _state(os.fstat(file.fileno())) != state:  # written to meanwhile
                continue
        if _KEEPS_TIME_OF_CHANGE and now - state[-1] > SECONDS_TO_SETTLE * 10**9:
            if len(_KNOWN) >= MOST_KNOWN:
                _KNOWN.clear()
            _KNOWN[state] = checksum
        return checksum
    raise OSError(f"{os.fspath(path)!r} changed while it was read, {READINGS} times. Wait until it is complete.")


def content_checksum(path: str | os.PathLike) -> str:
    """The sha256 of the content of a file, or of all files in a folder but for hidden ones."""
    path = Path(path)
    if not path.is_dir():
        return file_checksum(path)
    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    entries = [f"{file}\0{file_checksum(path / file)}\0" for file in files if not file.startswith(".")]
    return sha256("".join(entries).encode(errors="surrogateescape")).hexdigest()


def file_state(path: str | os.PathLike) -> tuple[int, ...]:
    """What tells, without reading it, that a file has changed.

    Device, inode, size, and the times of the last writing and of the last change in nanoseconds.
    """
    return _state(os.stat(path))


def _state(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
