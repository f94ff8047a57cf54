"""The next batch is made ready while the device computes."""

import queue
import threading
from contextlib import contextmanager

BATCHES_AHEAD = 2
_END = object()


@contextmanager
def work_ahead(items, ahead=True):
    """Draw from a generator in a thread, some items before they are needed; without `ahead` when they are needed.

    Yields an iterator of the same items in the same order. An error is raised where its item would have come. The
    generator is used by one thread at a time, and closed at the end.
    """
    if not ahead:
        try:
            yield items
        finally:
            items.close()
        return
    ready, stopped = queue.Queue(BATCHES_AHEAD), threading.Event()
    thread = threading.Thread(target=_draw, args=(items, ready, stopped), daemon=True)
    thread.start()
    try:
        yield _received(ready)
    finally:
        stopped.set()
        while thread.is_alive():  # it may wait for room
            _empty(ready)
            thread.join(0.01)


def _draw(items, ready, stopped):
    """Put items into a queue until they end or are no longer wanted; then the end, with the error if there was one."""
    error = None
    try:
        for item in items:
            ready.put((item, None))
            if stopped.is_set():
                break
    except BaseException as caught:  # handed to the thread that waits for the item
        error = caught
    finally:
        items.close()
    ready.put((_END, error))


def _received(ready):
    """Yield the items of a queue up to its end."""
    while True:
        item, error = ready.get()
        if error is not None:
            raise error
        if item is _END:
            return
        yield item


def _empty(ready):
    """Throw away what is in a queue."""
    try:
        while True:
            ready.get_nowait()
    except queue.Empty:
        return
