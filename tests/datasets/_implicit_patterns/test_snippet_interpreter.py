"""The interpreter of snippets prints what Python prints, and refuses all that it does not know."""

import pytest
from datasets.pattern_solvers import outputs_of_python

from skicl.datasets import make_implicit_pattern
from skicl.datasets._implicit_patterns._snippet_interpreter import SnippetError, run_snippet

SNIPPETS = [
    "print(7 - 2 * 3)",
    "print((0 - 7) // 2)\nprint((0 - 7) % 3)\nprint(7 % (0 - 3))",
    "x = 3\ny = x * x + 1\nprint(y % 4)",
    "t = 0\nfor i in range(5):\n    t = t + i * i\nprint(t)\nprint(i)",
    "t = 1\nfor i in range(2, 10, 3):\n    for j in range(i):\n        t = t + j\nprint(t)",
    "for i in range(0):\n    print(i)\nprint(9)",
    "x = 4\nif x > 3:\n    print(1)\nelse:\n    print(0)",
    "x = 4\nif x == 3:\n    print(1)\nif x != 3:\n    print(2)\nif x <= 4:\n    print(3)",
    "x = 2\nif x > 3:\n    y = 1\nelse:\n    if x >= 2:\n        y = 5\n    else:\n        y = 6\nprint(y)",
    "def f(x):\n    t = x\n    return t * 2\nt = 5\nprint(f(3) + t)",
    "def f(x, y):\n    if x < y:\n        return y\n    return x\nprint(f(f(1, 2), f(0, 7)))",
    "def f(x):\n    for i in range(10):\n        if i * i > x:\n            return i\n    return 99\nprint(f(30))",
    "def f(n):\n    if n < 2:\n        return 1\n    return n * f(n - 1)\nprint(f(6))",
    "print(len(str(100 * 37)))\nprint(len(str(0 - 5)))",
]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_it_prints_what_python_prints(snippet):
    assert run_snippet(snippet) == outputs_of_python([snippet])[0]


@pytest.mark.parametrize("difficulty", [1, 2, 3])
def test_it_agrees_with_the_targets(difficulty):
    problems = make_implicit_pattern("code", 1000, variant="mixed", difficulty=difficulty, random_state=2)
    assert [run_snippet(text) for text in problems.data] == problems.target.tolist()


@pytest.mark.parametrize(
    "snippet",
    [
        "import os",
        "from os import system",
        "print(__import__('os'))",
        "print((1).__class__)",
        "open('file')",
        "print(open('file'))",
        "exec('print(1)')",
        "x = [1, 2]",
        "x = 'text'",
        "x = 1.5",
        "x = True",
        "x, y = 1, 2",
        "x = y = 1",
        "x += 1",
        "while 1:\n    x = 1",
        "class A:\n    x = 1",
        "print(lambda: 1)",
        "print(1, 2)",
        "print(1, sep='')",
        "print(2 ** 9)",
        "print(1 / 2)",
        "print(1 < 2 < 3)",
        "print(f'{1}')",
        "for i in (1, 2):\n    print(i)",
        "for i in range(3):\n    print(i)\nelse:\n    print(9)",
        "def f(x=1):\n    return x\nprint(f())",
        "def f(*x):\n    return 1\nprint(f(1))",
        "@print\ndef f(x):\n    return 1\nprint(f(1))",
        "def f(x):\n    return 1\nprint(f(1, 2))",
        "def f(x):\n    return\nprint(f(1))",
        "print(len(5))",
        "print(str(1) + str(2))",
        "print(str(1) * 3)",
        "print(1 < str(1))",
        "for i in range():\n    print(i)",
        "for i in range(str(1)):\n    print(i)",
        "for i in range(1, 9, 0):\n    print(i)",
        "return 1",
    ],
)
def test_what_it_does_not_know_is_refused(snippet):
    with pytest.raises(SnippetError):
        run_snippet(snippet)


@pytest.mark.parametrize(
    ("snippet", "message"),
    [
        ("print(x)", "line 1: the name 'x' has no value"),
        ("def f(x):\n    t = 1\nprint(f(1))", "line 3: f returns nothing"),
        ("x = 1\nprint(x // 0)", "line 2: division by zero"),
        ("print(", "cannot be read"),
        ("x = 10\n" + "x = x * x\n" * 6, "more than 30 digits"),
        ("for i in range(100000):\n    x = i", "more than 10000 steps"),
        ("def f(x):\n    return f(x + 1)\nprint(f(0))", "steps|nested too deeply"),
        ("x = attribute.name", r"'attribute.name' is not known here"),
    ],
)
def test_errors_say_what_is_wrong(snippet, message):
    with pytest.raises(SnippetError, match=message):
        run_snippet(snippet)


def test_functions_see_only_their_parameters():
    with pytest.raises(SnippetError, match="'y' has no value"):
        run_snippet("y = 1\ndef f(x):\n    return x + y\nprint(f(1))")
