import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skicl._validation._scalars import check_integer
from skicl.prompting import RandomDemonstrations, StratifiedDemonstrations
from skicl.prompting._selectors import BaseSelector, by_turns

Y = np.array(["a"] * 10 + ["b"] * 5 + ["c"] * 2)
X = [f"text {i}" for i in range(len(Y))]


@pytest.mark.parametrize("selector", [RandomDemonstrations(k=6), StratifiedDemonstrations(k=6)])
def test_a_seed_makes_the_choice(selector):
    chosen = clone(selector).fit(X, Y).select(["q"])
    np.testing.assert_array_equal(chosen, clone(selector).fit(X, Y).select(["another"]))
    assert len(set(chosen.tolist())) == 6
    other = clone(selector).set_params(random_state=1).fit(X, Y).select(["q"])
    assert other.tolist() != chosen.tolist()
    assert len(clone(selector).set_params(k=99).fit(X, Y).select(["q"])) == len(X)
    assert len(clone(selector).set_params(k=0).fit(X, Y).select(["q"])) == 0


def test_stratified_takes_classes_by_turns():
    chosen = Y[StratifiedDemonstrations(k=6).fit(X, Y).indices_].tolist()
    assert sorted(chosen[:3]) == sorted(chosen[3:]) == ["a", "b", "c"]
    counts = np.unique(Y[StratifiedDemonstrations(k=11).fit(X, Y).indices_], return_counts=True)[1]
    assert counts.max() - np.sort(counts)[1] <= 1
    assert counts.tolist()[2] == 2


def test_orders():
    grouped = Y[StratifiedDemonstrations(k=6, order="grouped").fit(X, Y).indices_].tolist()
    assert grouped == sorted(grouped)
    interleaved, shuffled = (
        StratifiedDemonstrations(k=6, order=order).fit(X, Y).indices_ for order in ("interleaved", "random")
    )
    assert sorted(interleaved) == sorted(shuffled)
    assert interleaved.tolist() != shuffled.tolist()


def test_by_turns():
    groups = [np.array([1, 2, 3]), np.array([4]), np.array([], dtype=int)]
    taken = by_turns(groups, 9, np.random.RandomState(0)).tolist()
    assert sorted(taken[:2]) == [1, 4]
    assert taken[2:] == [2, 3]


@pytest.mark.parametrize("k", [-1, 1.5, True, None])
def test_bad_counts(k):
    with pytest.raises(ValueError, match="`k` must be"):
        check_integer(k, "k", least=0)
    for selector in (RandomDemonstrations(k=k), StratifiedDemonstrations(k=k)):
        with pytest.raises(ValueError, match="`k` must be"):
            selector.fit(X, Y)


def test_a_selector_must_say_all_that_it_is_asked():
    with pytest.raises(TypeError, match="abstract"):
        BaseSelector()


def test_bad_order_and_no_fit():
    with pytest.raises(ValueError, match="`order` must be one of 'interleaved'"):
        StratifiedDemonstrations(order="any").fit(X, Y)
    with pytest.raises(NotFittedError):
        StratifiedDemonstrations().select(["q"])
