import numpy as np
import pytest

from skicl._validation._finite import check_finite


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_result_that_is_not_finite_names_the_row_and_the_cause(wrong):
    values = np.zeros((4, 3), dtype=np.float32)
    values[2, 1] = wrong
    with pytest.raises(ValueError, match=r"The vectors of 1 of 4 rows, first at position 2, are NaN .* Look there\."):
        check_finite(values, "vectors", "Look there.")


@pytest.mark.parametrize("values", [np.zeros((0, 2)), np.zeros((3, 2)), [1, 2], 0.5, np.full((2, 2), 3e38, np.float32)])
def test_finite_results_pass(values):
    check_finite(values, "vectors", "Look there.")
