import numpy as np
import pytest

from skicl.prompting._training_rows import plans_without, rows_as_they_come, rows_by_class

CODES = np.array([0] * 12 + [1] * 3 + [2])
ROWS = [(f"row {i}",) for i in range(len(CODES))]
SHOWN = {0, 1, 12, 15}


@pytest.mark.parametrize("rows_of", [rows_by_class, rows_as_they_come])
def test_rows_that_are_not_shown_come_first(rows_of):
    numbers = rows_of(CODES, SHOWN, 99)
    assert sorted(numbers) == list(range(len(CODES)))
    assert set(numbers[-4:]) == SHOWN
    assert rows_of(CODES, SHOWN, 5) == numbers[:5]


def test_classes_come_by_turns_or_as_they_are():
    assert sorted(CODES[rows_by_class(CODES, set(), 5)].tolist()) == [0, 0, 1, 1, 2]
    many = np.arange(2000) % 10 == 0
    first = many[rows_as_they_come(many.astype(int), set(), 500)]
    assert 0.07 < first.mean() < 0.13
    assert set(CODES[rows_as_they_come(CODES, set(), 3)].tolist()) == {0, 1, 2}


def test_plans_of_one_kind_lose_a_row_of_each_class():
    plan = (0, 12, 1, 13)
    plans = plans_without([0, 5, 13], [plan] * 3, ROWS, CODES, 3)
    assert plans[1] == plan
    assert 0 not in plans[0]
    assert 13 not in plans[2]
    assert all(np.bincount(CODES[list(left)]).tolist() == [1, 1] for left in (plans[0], plans[2]))


def test_plans_that_vary_lose_the_row_alone():
    assert plans_without([0, 1], [(0, 2, 12), (1, 2, 3)], ROWS, CODES, 3) == [(2, 12), (2, 3)]
