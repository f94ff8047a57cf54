"""A lock that a forked process begins anew."""

import os
import threading
import time

import pytest

from skicl._process_lock import ProcessLock

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


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


def held_elsewhere(lock):
    """A thread that holds a lock, and what makes it let go."""
    held, done = threading.Event(), threading.Event()

    def hold():
        with lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    return thread, done


def test_one_thread_at_a_time_and_the_same_again():
    lock = ProcessLock()
    with lock, lock:
        thread = threading.Thread(target=lambda: taken.append(lock.acquire(blocking=False)))
        taken = []
        thread.start()
        thread.join()
    assert taken == [False]
    assert lock.acquire(timeout=1)
    lock.release()


@forks
def test_a_child_does_not_wait_for_a_thread_that_it_does_not_have():
    lock = ProcessLock()
    thread, done = held_elsewhere(lock)

    def ask():
        with lock:
            return 7 if lock.interrupted else 8

    try:
        assert in_child(ask) == 7
    finally:
        done.set()
        thread.join()
    assert not lock.interrupted
    assert in_child(ask) == 8


@forks
def test_threads_of_a_child_share_one_lock():
    lock = ProcessLock()

    def ask():
        counts = [0]

        def work():
            for _ in range(200):
                with lock:
                    seen = counts[0]
                    time.sleep(0)
                    counts[0] = seen + 1

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return int(counts[0] != 800)

    assert in_child(ask) == 0
