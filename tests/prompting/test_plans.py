import numpy as np
import pytest
from sklearn.base import BaseEstimator

from skicl.prompting import NearestDemonstrations, RandomDemonstrations
from skicl.prompting._plans import check_selector, fit_selector, plans_of, resolve_selectors


class Says(BaseEstimator):
    """A selector that answers what it is told to."""

    def __init__(self, answer=()):
        self.answer = answer

    def fit(self, X, y):
        return self

    def select(self, X):
        return self.answer


class Asks(Says):
    def fit(self, X, y, scorer=None):
        self.heard = scorer([1, 0], [0, 1])
        return self


def test_one_choice_for_all_or_one_for_each():
    assert plans_of(Says([2, 0]), ["p", "q"], 3) == ([(2, 0), (2, 0)], True)
    assert plans_of(Says(np.array([[2], [0]])), ["p", "q"], 3) == ([(2,), (0,)], False)
    assert plans_of(Says([[2, 1], []]), ["p", "q"], 3) == ([(2, 1), ()], False)
    assert plans_of(Says([]), ["p", "q"], 3) == ([(), ()], True)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([3], "numbers of rows from 0 to 2"),
        ([-1], "numbers of rows"),
        ([0.5], "numbers of rows"),
        (["late"], "numbers of rows"),
        ([1, 1], "a row twice"),
        ([[0]], "1 choices for 2 queries"),
        ([[[0]], [[1]]], "numbers of rows"),
    ],
)
def test_answers_that_make_no_sense(answer, message):
    with pytest.raises(ValueError, match=f"`demonstrations`.*Says.*{message}"):
        plans_of(Says(answer), ["p", "q"], 3)


def test_a_selector_may_ask_for_scores():
    selector = fit_selector(Asks(), ["a", "b"], np.array([0, 1]), lambda shown, rows: (shown, rows))
    assert selector.heard == ([1, 0], [0, 1])
    fit_selector(Says(), ["a", "b"], np.array([0, 1]), None)


def test_resolution():
    assert [selector.k for selector in resolve_selectors(3, 100)] == [3]
    assert [selector.k for selector in resolve_selectors(np.int64(3), 0)] == [3]
    assert resolve_selectors(0, 5) == [None]
    own = RandomDemonstrations()
    assert resolve_selectors(own, 9) == [own]
    # Left open: four, and from 32 rows on a quarter of them, up to 16.
    numbers = {n_rows: [selector.k for selector in resolve_selectors(None, n_rows)] for n_rows in (0, 31, 40, 900)}
    assert numbers == {0: [4], 31: [4], 40: [4, 10], 900: [4, 16]}
    with pytest.raises(ValueError, match="`demonstrations` must be an integer"):
        resolve_selectors(-1, 9)


@pytest.mark.parametrize("bad", ["random", 0.5, NearestDemonstrations, object()])
def test_what_is_no_selector(bad):
    with pytest.raises(TypeError, match="`demonstrations` must be None, an integer or a selector"):
        check_selector(bad)
    check_selector(None)
    check_selector(Says())
