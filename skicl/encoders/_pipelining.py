"""The next batch is made ready while the device computes."""

import queue
import threading
from contextlib import contextmanager

BATCHES_AHEAD = 2
_END = object()


@contextmanager
def work_ahead(items, ahead=True):
    """Draw from an iterator in a thread, some items before they are needed.

    Parameters
    ----------
    items : generator
        It is used by one thread at a time, and closed at the end.
    ahead : bool, default=True
        False: no thread, items are drawn when they are needed.

    Yields
    ------
    items : iterator
        The same items in the same order. An error is raised where its item would have come.

    Examples
    --------
    >>> from skicl.encoders._pipelining import work_ahead
    >>> with work_ahead(letter for letter in "abc") as letters:
    ...     list(letters)
    ['a', 'b', 'c']
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
    while True:
        item, error = ready.get()
        if error is not None:
            raise error
        if item is _END:
            return
        yield item


def _empty(ready):
    try:
        while True:
            ready.get_nowait()
    except queue.Empty:
        return
