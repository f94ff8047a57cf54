"""What was learnt is one value, exchanged in one step."""

import pickle
import threading
from dataclasses import FrozenInstanceError, dataclass

import pytest
from sklearn.linear_model import LogisticRegression

from skicl._fitted import FittedState, blank, check_loaded, exchange_fitted, update_at_once


@dataclass(frozen=True, eq=False)
class Words(FittedState):
    words: list


def test_a_state_does_not_change():
    with pytest.raises(FrozenInstanceError):
        Words(["a"]).words = []


def test_what_can_be_made_again_is_made_once_and_not_pickled():
    state, calls = Words(["a", "b"]), []
    for _ in range(2):
        assert state.made(lambda learnt: calls.append(1) or "".join(learnt.words)) == "ab"
    assert calls == [1]
    again = pickle.loads(pickle.dumps(state))
    assert again.words == ["a", "b"]
    assert again.made(lambda learnt: "anew") == "anew"


def test_threads_that_ask_at_the_same_time_get_one_result():
    for _ in range(50):
        state, barrier, made = Words(["a"]), threading.Barrier(4), []

        def ask(state=state, barrier=barrier, made=made):
            barrier.wait()
            made.append(state.made(lambda learnt: object()))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(made) == 4
        assert len(set(map(id, made))) == 1


def test_all_that_was_learnt_is_exchanged_and_parameters_stay():
    model = LogisticRegression(C=3.0)
    model.old_, model._kept = 1, 2
    before = vars(model)
    exchange_fitted(model, {"new_": 5, "_learnt": 6})
    assert vars(model) is not before
    assert before["old_"] == 1
    assert (model.C, model.new_, model._learnt, model._kept) == (3.0, 5, 6, 2)
    assert not hasattr(model, "old_")


def test_a_blank_has_the_class_and_nothing_else():
    empty = blank(LogisticRegression(C=3.0))
    assert type(empty) is LogisticRegression
    assert vars(empty) == {}


def test_a_state_of_another_form_is_refused():
    check_loaded(LogisticRegression(), {"C": 1.0})
    check_loaded(LogisticRegression(), {"classes_": [0, 1], "_learnt": Words(["a"])})
    for state in ({"classes_": [0, 1]}, {"classes_": [0, 1], "_learnt": ("full", None)}):
        with pytest.raises(ValueError, match=r"pickle of a LogisticRegression .* Fit the LogisticRegression again"):
            check_loaded(LogisticRegression(), state)


def test_attributes_that_are_set_at_once_leave_the_others():
    model = LogisticRegression(C=3.0)
    model.old_ = 1
    before = vars(model)
    update_at_once(model, {"old_": 2, "new_": 3})
    assert before["old_"] == 1
    assert (model.C, model.old_, model.new_) == (3.0, 2, 3)
