"""Every check lets the right values pass and names the parameter, the value and what is expected."""

from decimal import Decimal

import numpy as np
import pytest

from skicl._validation._scalars import check_choice, check_flag, check_integer, check_number, check_share

NO_INTEGERS = [True, np.True_, 2.0, np.float64(2), "2", None, [2], float("nan")]
NO_NUMBERS = [True, np.False_, float("nan"), float("inf"), np.float32("-inf"), "0.5", None, [0.5], 1j, Decimal("0.5")]


@pytest.mark.parametrize("value", NO_INTEGERS)
def test_what_is_no_integer_is_refused(value):
    with pytest.raises(ValueError, match=r"`k` must be an integer of at least 1, got .+\.$"):
        check_integer(value, "k")


@pytest.mark.parametrize("kind", [int, np.int8, np.uint64, np.intp])
def test_integers_of_every_kind_pass_within_the_bounds(kind):
    check_integer(kind(3), "k", least=3, most=3)
    for least, most in [(4, None), (4, 9), (0, 2)]:
        with pytest.raises(ValueError, match=r"`k` must be an integer (of at least 4|from 4 to 9|from 0 to 2), got"):
            check_integer(kind(3), "k", least=least, most=most)


def test_none_passes_where_it_is_allowed():
    check_integer(None, "k", optional=True)
    check_number(None, "rate", above=0, optional=True)
    with pytest.raises(ValueError, match="an integer of at least 1 or None, got 0"):
        check_integer(0, "k", optional=True)


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_what_is_no_number_is_refused(value):
    for check in (check_number, check_share):
        with pytest.raises(ValueError, match="`rate` must be a"):
            check(value, "rate")


@pytest.mark.parametrize("kind", [int, float, np.float32, np.int64])
def test_bounds_are_allowed_or_not(kind):
    value = kind(2)
    check_number(value, "rate", least=2, most=2)
    for bounds, words in [
        ({"above": 2}, "above 2"),
        ({"below": 2}, "below 2"),
        ({"least": 3, "below": 5}, "of at least 3 and below 5"),
        ({"above": 0, "most": 1}, "above 0 and at most 1"),
    ]:
        with pytest.raises(ValueError, match=f"`rate` must be a number {words}, got"):
            check_number(value, "rate", **bounds)


@pytest.mark.parametrize(("value", "open_low", "open_high"), [(0, True, False), (1, False, True)])
def test_the_ends_of_a_share(value, open_low, open_high):
    check_share(value, "share", open_low=False, open_high=False)
    with pytest.raises(ValueError, match="`share` must be a number"):
        check_share(value, "share", open_low=open_low, open_high=open_high)


@pytest.mark.parametrize("value", ["mena", "Mean", 0, ["mean"], np.array(["mean", "x"])])
def test_what_is_no_choice_is_refused(value):
    check_choice("mean", "pooling", ("mean", None))
    check_choice(np.str_("mean"), "pooling", ("mean", None))
    check_choice(None, "pooling", ("mean", None))
    with pytest.raises(ValueError, match="`pooling` must be one of 'mean', None, got"):
        check_choice(value, "pooling", ("mean", None))


def test_what_was_probably_meant_is_said():
    with pytest.raises(ValueError, match=r"one of 'f1', 'accuracy', got 'acuracy'\. Did you mean 'accuracy'\?$"):
        check_choice("acuracy", "scoring", ("f1", "accuracy"))


def test_flags():
    for value in (True, np.False_, 0, np.int64(1)):
        check_flag(value, "verbose")
    for value in ("yes", None, 1.0):
        with pytest.raises(ValueError, match="`verbose` must be True or False, got"):
            check_flag(value, "verbose")
    check_flag(np.True_, "normalize", exact=True)
    with pytest.raises(ValueError, match="`normalize` must be True or False, got 1"):
        check_flag(1, "normalize", exact=True)
