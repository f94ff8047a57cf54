"""Who encodes which item right now, among the threads of a process and the processes that share a folder."""

import os
import threading
from contextlib import suppress

try:
    import fcntl
except ImportError:  # Windows: processes do not see each other's claims, so two may encode the same item
    fcntl = None  # type: ignore[assignment]  # a name of a module


class Claims:
    """Keys that somebody in this process is encoding, and with a lock file, at `path`, somebody in any process.

    A key is one byte of the lock file, locked as long as it is claimed. The operating system unlocks the bytes of
    a process that dies, so a claim never outlives its owner, and nothing is written into the file.
    """

    def __init__(self, path=None):
        self._path = path if fcntl is not None else None
        self._mutex = threading.Lock()
        self._taken = set()
        self._file = None

    def take(self, keys, owned=None):
        """Claim those keys that nobody has claimed, without waiting; they belong to the caller, who must release them.

        They are put into the set `owned` before they are claimed, so that an interrupt leaves no claim that nobody
        knows of.
        """
        with self._mutex:
            free = [key for key in keys if key not in self._taken]
            if free and self._path is not None and self._file is None:
                with suppress(OSError):  # a folder that is only readable, or gone: threads of this process only
                    self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                taken = {key for key in free if self._file is None or self._lock(key)}
                if owned is not None:
                    owned |= taken
                self._taken |= taken
            finally:
                self._close_if_idle()
            return taken

    def release(self, keys, owned=None):
        """Give keys back, each taken out of the set `owned` after that."""
        with self._mutex:
            for key in list(keys):
                if self._file is not None:
                    with suppress(OSError):
                        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _place(key))
                self._taken.discard(key)
                if owned is not None:
                    owned.discard(key)
            self._close_if_idle()

    def _lock(self, key):
        """Lock the byte of a key; False if another process has it."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(key))
        except (BlockingIOError, PermissionError):
            return False
        except OSError:  # a file system without locks: threads of this process only
            return True
        return True

    def _close_if_idle(self):
        # Closing a file gives up all locks that the process has on it, so only where it has none.
        if self._file is not None and not self._taken:
            file, self._file = self._file, None  # forgotten first: an interrupt must not leave a closed one
            os.close(file)


def _place(key):
    """The byte that stands for a key; two keys on one byte merely wait for each other."""
    return int.from_bytes(key[:7], "big")
