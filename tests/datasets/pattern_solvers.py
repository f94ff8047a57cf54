"""Solvers of the implicit-pattern problems that know only the text: written apart from the generators.

``SOLVERS[task](text)`` is the right answer and ``SHORTCUTS[task](text)`` what the shortcut says, or "" where it has
nothing to go by; both as strings.
"""

import json
import re
import subprocess
import sys
from collections import defaultdict
from fractions import Fraction

from skicl.pretraining._language_models._lexicon import read_lexicon

RUN_ALL = """
import contextlib, io, json, sys
answers = []
for source in json.load(sys.stdin):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(source, {})
    answers.append(out.getvalue().strip())
print(json.dumps(answers))
"""


def outputs_of_python(snippets):
    """What Python prints for each snippet, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", RUN_ALL], input=json.dumps(snippets), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


class Reader:
    """Tokens, read from left to right by the rules of a grammar."""

    def __init__(self, tokens):
        self.tokens = [*tokens, None]
        self.place = 0

    def take(self, *expected):
        token = self.tokens[self.place]
        if expected and token not in expected:
            return None
        self.place += 1
        return token

    def whole(self, rule):
        value = rule()
        assert self.take() is None, "something is left"
        return value


class Arithmetic(Reader):
    """sum = product {(+|-) product}; product = factor {* factor}; factor = [-] (number | "(" sum ")")."""

    def sum(self):
        value = self.product()
        while sign := self.take("+", "-"):
            value += self.product() if sign == "+" else -self.product()
        return value

    def product(self):
        value = self.factor()
        while self.take("*"):
            value *= self.factor()
        return value

    def factor(self):
        if self.take("-"):
            return -self.factor()
        if self.take("("):
            value = self.sum()
            assert self.take(")"), "a bracket is open"
            return value
        return int(self.take())


class Logic(Reader):
    """or = and {"or" and}; and = atom {"and" atom}; atom = constant | "(" or ")"."""

    def either(self):
        value = self.both()
        while self.take("or"):
            value = self.both() or value
        return value

    def both(self):
        value = self.atom()
        while self.take("and"):
            value = self.atom() and value
        return value

    def atom(self):
        if self.take("("):
            value = self.either()
            assert self.take(")"), "a bracket is open"
            return value
        return {"True": True, "False": False}[self.take()]


def solve_expression(text):
    reader = Arithmetic(re.findall(r"\d+|[-+*()]", text))
    return str(reader.whole(reader.sum))


def shortcut_expression(text):
    return solve_expression(text.partition(")")[0] + ")") if "*" in text else ""


def solve_boolean(text):
    reader = Logic(re.findall(r"\w+|[()]", text))
    return str(reader.whole(reader.either))


def shortcut_boolean(text):
    last = text.split()[-1]
    return last if last in ("True", "False") else ""


def solve_parity(text):
    return ("even", "odd")[sum(symbol == "X" for symbol in text) % 2]


def shortcut_parity(text):
    return {"X": "odd", "O": "even", "S": ""}[text[-1]]


def connections(text):
    lines = [line.strip() for line in text.split(".") if line.strip()]
    return [re.fullmatch(r"([A-Z]) is connected with ([A-Z])", line).groups() for line in lines]


def solve_relation(text):
    neighbours = defaultdict(set)
    for one, other in connections(text):
        neighbours[one].add(other)
        neighbours[other].add(one)
    reached, border = {"A"}, ["A"]
    while border:
        new = neighbours[border.pop()] - reached
        reached |= new
        border.extend(new)
    return str("Z" in reached)


def shortcut_relation(text):
    places = [i for i, pair in enumerate(connections(text)) if "Z" in pair]
    assert len(places) == 1, "Z is named once"
    last = len(connections(text)) - 1
    return {last: "True", 0: "False"}.get(places[0], "")


def equations(text):
    """Rows of coefficients of a, b, c and of the right side."""
    rows = []
    for equation in text.split(";"):
        left, right = equation.split("=")
        row = dict.fromkeys("abc", 0)
        for coefficient, name in re.findall(r"(\d*)([abc])", left):
            row[name] += int(coefficient or 1)
        rows.append([*row.values(), int(right)])
    return rows


def determinant(matrix):
    """By expansion along the first row."""
    if len(matrix) == 1:
        return matrix[0][0]
    minors = ([[*row[:j], *row[j + 1 :]] for row in matrix[1:]] for j in range(len(matrix)))
    return sum((-1) ** j * value * determinant(minor) for j, (value, minor) in enumerate(zip(matrix[0], minors)))


def cramer(rows):
    """The solution of a square system by Cramer's rule; None if it is not unique."""
    left = [row[:-1] for row in rows]
    whole = determinant(left)
    if whole == 0:
        return None
    replaced = ([[*row[:j], row[-1], *row[j + 1 : -1]] for row in rows] for j in range(len(rows)))
    return [Fraction(determinant(matrix), whole) for matrix in replaced]


def solve_algebra(text):
    a, _, c = cramer(equations(text))
    return str(a + c)


def shortcut_algebra(text):
    first, second, _ = equations(text)
    if first[2] or second[2]:
        return ""
    return str(cramer([[row[0], row[1], row[3]] for row in (first, second)])[0])


def shortcut_code(text):
    if "def second(z, a):" not in text:
        return ""
    operation, constant = re.search(r"return z ([-+*]) (\d+)", text).groups()
    z, c = int(re.search(r"^n = (\d+)$", text, flags=re.MULTILINE)[1]), int(constant)
    return str({"+": z + c, "-": z - c, "*": z * c}[operation])


def solve_topic(text):
    """By the categories of the lexicon of the tiny language model, which has lists of its own."""
    lexicon = {category.names[0]: set(category.words) for category in read_lexicon()}
    kinds = {kind for kind in ("animal", "fruit", "tool", "vehicle") if lexicon[kind] & set(text.split())}
    assert len(kinds) == 1
    return "yes" if kinds <= {"animal", "fruit"} else "no"


def shortcut_topic(text):
    return {"!": "yes", "?": "no"}.get(text[-1], "")


SOLVERS = {
    "algebra": lambda texts: list(map(solve_algebra, texts)),
    "boolean": lambda texts: list(map(solve_boolean, texts)),
    "code": outputs_of_python,
    "expression": lambda texts: list(map(solve_expression, texts)),
    "parity": lambda texts: list(map(solve_parity, texts)),
    "relation": lambda texts: list(map(solve_relation, texts)),
    "topic": lambda texts: list(map(solve_topic, texts)),
}
SHORTCUTS = {
    "algebra": shortcut_algebra,
    "boolean": shortcut_boolean,
    "code": shortcut_code,
    "expression": shortcut_expression,
    "parity": shortcut_parity,
    "relation": shortcut_relation,
    "topic": shortcut_topic,
}
