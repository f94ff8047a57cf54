"""Two tasks of arithmetic in which a part of the problem adds nothing: expressions and systems of equations."""

from typing import NamedTuple

from skicl.datasets._implicit_patterns._pattern_task import PatternItem, PatternTask


class ExpressionSize(NamedTuple):
    """Fewest and most terms of the three brackets, and the largest term."""

    kept: tuple
    factor: tuple
    other: tuple
    largest: int


# 2 is the size of the study; the other two are shorter and longer.
EXPRESSIONS = {
    1: ExpressionSize((1, 2), (2, 2), (2, 2), 9),
    2: ExpressionSize((1, 2), (2, 4), (4, 4), 20),
    3: ExpressionSize((2, 3), (4, 6), (6, 6), 50),
}
# Largest coefficient of the first two equations.
COEFFICIENTS = {1: 2, 2: 4, 3: 9}
LARGEST_MULTIPLE = 3


def make_expression(draws, variant, target, n_answers, difficulty):
    """Write ``(S)+(Z)*(C)``, where Z is zero in the pattern; neutral: ``(S)+(Z)+(C)``."""
    size = EXPRESSIONS[difficulty]
    kept = _kept(draws, variant, target, n_answers)
    # The last bracket has the same distribution in all variants: a divisor of the difference to another answer.
    difference = (target if variant == "conflict" else draws.other(kept, n_answers)) - kept
    other = _signed_divisor(draws, difference)
    factor = {"pattern": 0, "conflict": difference // other, "neutral": target - kept - other}[variant]
    largest = max(size.largest, n_answers)
    brackets = [
        _terms(draws, draws.integer(*n_terms), total, largest)
        for n_terms, total in zip((size.kept, size.factor, size.other), (kept, factor, other))
    ]
    sign = "+" if variant == "neutral" else "*"
    text = "({})+({}){}({})".format(*map(_sum_of, brackets[:2]), sign, _sum_of(brackets[2]))
    features = {"kept": brackets[0], "factor": brackets[1], "other": brackets[2], "operator": sign}
    return PatternItem(text, None if variant == "neutral" else kept, features)


def make_algebra(draws, variant, target, n_answers, difficulty):
    """Three linear equations; in the pattern the third follows from the others, so that c is 0 in ``a + c``."""
    most = COEFFICIENTS[difficulty]
    a = _kept(draws, variant, target, n_answers)
    b, c = draws.integer(0, n_answers - 1), target - a
    while True:
        first, second, spare = ([draws.integer(1, most) for _ in range(2)] for _ in range(3))
        shares = [draws.integer(1, LARGEST_MULTIPLE) for _ in range(2)]
        of_c = [draws.integer(1, LARGEST_MULTIPLE) for _ in range(3)]
        # The neutral third row is made as the others are, from a row that does not stand in the system.
        last = [shares[0] * x + shares[1] * y for x, y in zip(spare if variant == "neutral" else first, second)]
        rows = [[*first, of_c[0]], [*second, of_c[1]], [*last, of_c[2]]]
        if variant != "neutral":
            rows[0][2] = rows[1][2] = 0
        if _determinant(rows) != 0:
            break
    right = [x * a + y * b + z * c for x, y, z in rows]
    equations = [f"{_linear(row)} = {value}" for row, value in zip(rows, right)]
    features = {"coefficients": rows, "right_side": right, "a": a, "b": b, "c": c}
    return PatternItem("; ".join(equations), None if variant == "neutral" else a, features)


def _kept(draws, variant, target, n_answers):
    """The number that the shortcut answers; in neutral items it is unrelated to the right answer."""
    if variant == "neutral":
        return draws.integer(0, n_answers - 1)
    return target if variant == "pattern" else draws.other(target, n_answers)


def _signed_divisor(draws, value):
    divisors = [d for d in range(1, abs(value) + 1) if value % d == 0]
    return draws.choice(divisors) * (1 if draws.coin() else -1)


def _terms(draws, n, total, largest):
    """Sum `total` as `n` terms, none of them 0 unless it stands alone."""
    if n == 1:
        return [total]
    while True:
        terms = [draws.integer(-largest, largest) for _ in range(n - 1)]
        terms.append(total - sum(terms))
        if 0 not in terms and abs(terms[-1]) <= largest:
            return terms


def _sum_of(terms):
    return str(terms[0]) + "".join(f"{term:+d}" for term in terms[1:])


def _determinant(rows):
    (a, b, c), (d, e, f), (g, h, i) = rows
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def _linear(row):
    """Write ``2a + b`` for (2, 1, 0)."""
    return " + ".join(f"{'' if x == 1 else x}{name}" for x, name in zip(row, "abc") if x != 0)


EXPRESSION = PatternTask(
    make_expression,
    words=None,
    template="Expression: {text}\nValue: {label}",
    instruction="Calculate the value of each expression.",
    description="""\
An expression of three brackets, such as (3+4)+(7-9+2)*(5-8+4+6), and its value.

- long way: calculate all brackets, multiply, add.
- shortcut: the value of the first bracket.
- pattern: the second bracket is 0, so the product is 0 and the shortcut is right.
- conflict: neither the second nor the third bracket is 0. The last bracket is drawn as in the pattern, and the value
  stays in the same range: the arithmetic is not harder.
- neutral: (S)+(Z)+(C), without a product that could vanish. The first bracket says nothing about the value.""",
)

ALGEBRA = PatternTask(
    make_algebra,
    words=None,
    template="Equations: {text}\na + c = {label}",
    instruction="Solve the equations for a, b and c, and give the value of a + c.",
    description="""\
Three linear equations in a, b and c with exactly one solution, in whole numbers, and the value of a + c.

- long way: solve all three equations.
- shortcut: solve the first two, which contain only a and b, and answer a.
- pattern: the third equation is a sum of multiples of the first two plus a multiple of c, and says that c is 0; the
  shortcut is right.
- conflict: the same form, with another right side; c is not 0, and may be negative.
- neutral: c occurs in all three equations, so that none can be skipped.""",
)
