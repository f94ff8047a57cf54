"""A forked process that is asked something, and given up where it hangs."""

import os
import time


def in_child(ask, seconds=20):
    """The exit code of a forked process that runs ``ask``; None if it hangs."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(ask())
        finally:
            os._exit(99)
    for _ in range(int(seconds / 0.02)):
        finished, status = os.waitpid(child, os.WNOHANG)
        if finished:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return None
