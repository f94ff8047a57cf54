"""Classes of Boolean functions: enumeration, drawing and evaluation, against the definitions."""

from collections import Counter

import numpy as np
import pytest

from skicl.datasets._boolean_classes import (
    KINDS,
    cube,
    draw_functions,
    enumerate_functions,
    evaluate,
    n_functions,
)

SIZE = (4, 2, 2)


def by_definition(kind, function, point):
    """The value of one function at one point, literally."""

    def literal(sign, bit):
        return bit == 1 if sign > 0 else bit == 0

    if "parity" in kind:
        return sum(bit for use, bit in zip(function[0], point) if use) % 2 == 1
    if kind in ("majority", "int_halfspace"):
        return sum(weight * (1 if bit else -1) for weight, bit in zip(function[0], point)) > 0
    terms = [[literal(sign, bit) for sign, bit in zip(term, point) if sign] for term in function]
    if kind in ("conjunction", "dnf"):
        return any(all(term) for term in terms)
    return all(any(term) for term in terms)


def test_points_are_binary_numbers():
    assert cube(3).tolist()[:4] == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]]
    assert len(np.unique(cube(5), axis=0)) == 32


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_of_the_definition(kind):
    functions = draw_functions(kind, 40, *SIZE, np.random.RandomState(0))
    points = cube(4)
    expected = [[by_definition(kind, function, point) for point in points] for function in functions]
    np.testing.assert_array_equal(evaluate(kind, functions, points), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_enumeration_is_complete_and_without_repetition(kind):
    functions = enumerate_functions(kind, *SIZE)
    assert functions.ndim == 3
    assert functions.shape[2] == 4
    assert len(functions) == n_functions(kind, *SIZE) == len(np.unique(functions.reshape(len(functions), -1), axis=0))


@pytest.mark.parametrize("kind", KINDS)
def test_drawing_is_uniform_over_what_is_enumerated(kind):
    size = (3, 2, 1)
    listed = {tuple(function.ravel()) for function in enumerate_functions(kind, *size)}
    drawn = Counter(tuple(f.ravel()) for f in draw_functions(kind, 200 * len(listed), *size, np.random.RandomState(0)))
    assert set(drawn) == listed
    counts = np.array(list(drawn.values()))
    assert ((counts - 200) ** 2 / 200).sum() < len(counts) + 5 * np.sqrt(2 * len(counts)), "chi-squared"


def test_members_of_majorities_are_odd_in_number():
    for functions in (enumerate_functions("majority", *SIZE), draw_functions("majority", 50, *SIZE, np.random)):
        assert (functions.sum(axis=(1, 2)) % 2 == 1).all()
