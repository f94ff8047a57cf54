"""A lock that does not outlive a fork: a thread that held it in the parent does not exist in the child."""

import os
import threading


class ProcessLock:
    """A reentrant lock of the threads of one process; a forked process begins with a free one.

    Examples
    --------
    >>> from skicl._process_lock import ProcessLock
    >>> lock = ProcessLock()
    >>> with lock, lock:
    ...     lock.interrupted
    False
    """

    def __init__(self):
        self._locks = {os.getpid(): threading.RLock()}
        self._interrupted_in = None

    @property
    def interrupted(self):
        """Whether another thread held it when this process was forked, and left its work half done here."""
        self._own()
        return self._interrupted_in == os.getpid()

    def acquire(self, blocking=True, timeout=-1):
        """As :meth:`threading.Lock.acquire`."""
        return self._own().acquire(blocking, timeout)

    def release(self):
        """As :meth:`threading.Lock.release`."""
        self._own().release()

    def __enter__(self):
        self._own().acquire()
        return self

    def __exit__(self, *error):
        self._own().release()

    def _own(self):
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
