"""A lock that does not outlive a fork: a thread that held it in the parent does not exist in the child."""

import os
import threading
from typing import Any


class ProcessLock:
    """A reentrant lock for the threads of each process; a forked process begins with a free one."""

    def __init__(self) -> None:
        self._locks = {os.getpid(): threading.RLock()}
        self._interrupted_in: int | None = None

    def own(self) -> Any:
        """The lock of this process.

        A lock of Python itself, for ``with``: no interrupt can come between taking it and the block. In methods written
        in Python it could, and then nobody would give the lock back.
        """
        process = os.getpid()
        lock = self._locks.get(process)
        if lock is not None:
            return lock
        for inherited in list(self._locks.values()):
            if inherited.acquire(blocking=False):
                inherited.release()
            else:
                self._interrupted_in = process
        return self._locks.setdefault(process, threading.RLock())

    @property
    def interrupted(self) -> bool:
        """Whether another thread held it when this process was forked, and left its work half done here."""
        self.own()
        return self._interrupted_in == os.getpid()
