"""Several threads and one estimator: every answer is right, from the first call on and while somebody else fits."""

import copy
import pickle
import sys
import threading
import time
from functools import partial
from itertools import cycle, islice

import joblib
import pytest
from batteries.estimators import alike, all_alike, answer, answers_of, each_subject, together

from skicl.encoders import clear_model_cache
from skicl.reasoning._in_memory import clear_reasoners

THREADS = 4
ROUNDS = 8


def by_joblib(estimator, folder):
    joblib.dump(estimator, folder / "estimator.joblib")
    return joblib.load(folder / "estimator.joblib")


COPIES = {
    "pickle": lambda estimator, folder: pickle.loads(pickle.dumps(estimator)),
    "joblib": by_joblib,
    "deepcopy": lambda estimator, folder: copy.deepcopy(estimator),
}


@pytest.fixture(autouse=True)
def eager_switches():
    """Threads take turns as often as they can, which shows what only goes well if nobody interrupts."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def rounds_of(subject, n_rounds):
    """Methods that the threads call in each round: all the same by turns, and all of them mixed."""
    for number, method in enumerate(islice(cycle(subject.answers), n_rounds)):
        yield [method] * THREADS if number % 2 == 0 else list(islice(cycle(subject.answers), number, number + THREADS))


def asked(estimator, methods, X):
    """What methods say, each called by a thread of its own at the same moment."""
    return together(*(lambda method=method: answer(estimator, method, X) for method in methods))


def check_first_calls(subject, renew, n_rounds=ROUNDS):
    expected, new = answers_of(subject, subject.fitted()), subject.rows.new
    for methods in rounds_of(subject, n_rounds):
        found = asked(renew(), methods, new)
        wrong = [method for method, values in zip(methods, found) if not alike(values, expected[method])]
        assert not wrong


@pytest.mark.parametrize("by", COPIES)
@each_subject("threads")
def test_a_loaded_estimator_answers_rightly_from_the_first_call(subject, by, tmp_path):
    trained = subject.fitted()
    check_first_calls(subject, lambda: COPIES[by](trained, tmp_path))


@each_subject("threads")
def test_a_model_that_several_threads_load_at_once_is_the_right_one(subject):
    trained = subject.fitted()

    def renew():
        loaded = pickle.loads(pickle.dumps(trained))
        clear_model_cache()
        clear_reasoners()
        return loaded

    check_first_calls(subject, renew, n_rounds=4)


def readings(subject, estimator, expected, write, *, mixed_up):
    """Answers of threads that ask on and on while one writes; every one is of one state as a whole."""
    done, new = threading.Event(), subject.rows.new

    def read(method):
        while True:
            last = done.is_set()
            found = answer(estimator, method, new)
            if not any(alike(found, state[method]) for state in expected):
                mixed_up.append((method, found))
                return
            if last:
                assert alike(found, expected[-1][method]), "the new state is what remains"
                return

    def change():
        try:
            time.sleep(0.001)
            write(estimator)
        finally:
            done.set()

    together(change, *(lambda m=method: read(m) for method in islice(cycle(subject.quick_answers), THREADS - 1)))
    assert not mixed_up, f"{mixed_up[0][0]} of neither state"


def others_with_the_same_queries(subject):
    """Other rows to fit, about whose state the same queries can be asked."""
    return [rows for rows in subject.others.values() if rows.new is subject.rows.new]


@each_subject("threads")
def test_readers_see_the_old_or_the_new_state_while_it_is_fitted(subject):
    old, mixed_up = answers_of(subject, subject.fitted(), quick=True), []
    for rows in others_with_the_same_queries(subject)[:2]:
        new = answers_of(subject, subject.fitted(rows), quick=True)
        for loaded in (False, True, False):
            estimator = subject.fitted()
            if loaded:
                estimator = pickle.loads(pickle.dumps(estimator))
            readings(subject, estimator, (old, new), lambda one, rows=rows: one.fit(rows.X, rows.y), mixed_up=mixed_up)


@each_subject("threads", lambda subject: hasattr(subject.cls, "partial_fit"))
def test_readers_see_the_old_or_the_new_context_while_rows_are_added(subject):
    X, y, _ = subject.rows
    half = 2 * len(X) // 3
    start = subject.make().fit(X[:half], y[:half])
    old = answers_of(subject, start)

    def write(estimator):
        estimator.partial_fit(X[half:], y[half:])

    whole = copy.deepcopy(start)
    write(whole)
    new, mixed_up = answers_of(subject, whole), []
    assert not all_alike(old, new)
    for loaded in (False, True, False, True):
        estimator = subject.make().fit(X[:half], y[:half])
        if loaded:
            estimator = pickle.loads(pickle.dumps(estimator))
        readings(subject, estimator, (old, new), write, mixed_up=mixed_up)


@each_subject("threads")
def test_of_two_fits_at_once_one_remains_as_a_whole(subject):
    rows = others_with_the_same_queries(subject)[0]
    states = [answers_of(subject, subject.fitted(), quick=True), answers_of(subject, subject.fitted(rows), quick=True)]
    for _ in range(3):
        estimator = subject.make()
        together(*(partial(estimator.fit, some.X, some.y) for some in (subject.rows, rows) * 2))
        for one in (estimator, pickle.loads(pickle.dumps(estimator))):
            found = answers_of(subject, one, quick=True)
            assert any(all_alike(found, state) for state in states), "a mixture of two fits"


@each_subject("threads")
def test_a_pickle_that_is_made_during_a_fit_is_of_one_state(subject):
    rows = others_with_the_same_queries(subject)[0]
    states = [answers_of(subject, subject.fitted(), quick=True), answers_of(subject, subject.fitted(rows), quick=True)]
    for _ in range(3):
        estimator = subject.fitted()
        _, *data = together(partial(estimator.fit, rows.X, rows.y), *[partial(pickle.dumps, estimator)] * 3)
        for one in data:
            found = answers_of(subject, pickle.loads(one), quick=True)
            assert any(all_alike(found, state) for state in states), "a mixture of two fits"
