"""A lock that a forked process begins anew."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from forked_process import in_child

from skicl._process_lock import ProcessLock

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def held_elsewhere(lock):
    """A thread that holds a lock, and what makes it let go."""
    held, done = threading.Event(), threading.Event()

    def hold():
        with lock.own():
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    return thread, done


def test_one_thread_at_a_time_and_the_same_again():
    lock = ProcessLock()
    with lock.own(), lock.own():
        thread = threading.Thread(target=lambda: taken.append(lock.own().acquire(blocking=False)))
        taken = []
        thread.start()
        thread.join()
    assert taken == [False]
    assert lock.own().acquire(timeout=1)
    lock.own().release()


@forks
def test_a_child_does_not_wait_for_a_thread_that_it_does_not_have():
    lock = ProcessLock()
    thread, done = held_elsewhere(lock)

    def ask():
        with lock.own():
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
                with lock.own():
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


PROGRAM = """
import os, sys, numpy as np, torch
sys.path.insert(0, {tests!r})
from forked_process import in_child
from sklearn.datasets import load_digits
from skicl import TartClassifier
torch.set_num_threads(2)
X, y = load_digits(return_X_y=True)
classifier = TartClassifier(device="cpu").fit(X[:200], y[:200])
expected = classifier.predict_proba(X[200:400])
def ask():
    torch.set_num_threads(1)
    return int(not np.allclose(classifier.predict_proba(X[200:400]), expected, atol=1e-9))
sys.exit(in_child(ask, seconds=60))
"""


@forks
def test_after_torch_used_two_threads_a_child_with_one_predicts():
    """The way out of the hang of torch that the user guide gives (docs/user_guide/processes.rst)."""
    tests = Path(__file__).parent
    path = os.pathsep.join([str(tests.parent), os.environ.get("PYTHONPATH", "")])
    program = PROGRAM.format(tests=str(tests))
    assert subprocess.run([sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": path}).returncode == 0
