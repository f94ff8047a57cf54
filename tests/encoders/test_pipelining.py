import threading
import time

import pytest

from skicl.encoders._pipelining import BATCHES_AHEAD, work_ahead


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize("n_items", [0, 1, 10])
def test_items_come_in_their_order(ahead, n_items):
    with work_ahead((i for i in range(n_items)), ahead) as items:
        assert list(items) == list(range(n_items))


def test_items_are_made_in_another_thread_while_this_one_works():
    made, threads = [], set()

    def items():
        for i in range(10):
            made.append(i)
            threads.add(threading.current_thread())
            yield i

    with work_ahead(items()) as work:
        assert next(work) == 0
        deadline = time.monotonic() + 10
        while len(made) < BATCHES_AHEAD + 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        assert len(made) == BATCHES_AHEAD + 2, "some are made ahead, but not all"
    assert threading.current_thread() not in threads


@pytest.mark.parametrize("ahead", [True, False])
def test_error_comes_in_place_of_its_item(ahead):
    def items():
        yield 1
        raise OSError("unreadable")

    with work_ahead(items(), ahead) as work:
        assert next(work) == 1
        with pytest.raises(OSError, match="unreadable"):
            next(work)


@pytest.mark.parametrize("ahead", [True, False])
def test_generator_is_closed_and_the_thread_ended_where_work_breaks_off(ahead):
    closed, before = [], threading.active_count()

    def items():
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    def interrupted():
        with work_ahead(items(), ahead) as work:
            next(work)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert closed == [True]
    assert threading.active_count() == before
