"""A task of reading code: a long function whose result is not used in the pattern."""

from skicl.datasets._implicit_patterns._pattern_task import PatternItem, PatternTask
from skicl.datasets._implicit_patterns._snippet_interpreter import run_snippet

# Fewest and most statements between the first line of the long function and its return.
STATEMENTS = {1: (1, 1), 2: (2, 3), 3: (4, 6)}
LARGEST_CONSTANT = 9


def make_code(draws, variant, target, n_answers, difficulty):
    """Write a snippet of two functions; in the pattern the second one ignores the result of the first."""
    kept = target if variant in ("pattern", "neutral") else draws.other(target, n_answers)
    operation, z, constant = _operation_with_value(draws, kept, n_answers)
    number = draws.integer(0, n_answers - 1) if variant == "neutral" else z
    body = _long_body(draws, draws.integer(*STATEMENTS[difficulty]))
    # What the long function must return: any number, the input of the second function, or the missing difference.
    wanted = {"pattern": draws.integer(0, n_answers - 1), "neutral": z, "conflict": abs(target - kept)}[variant]
    unshifted = int(run_snippet("\n".join([*_function("first", "x", [*body, "return t"]), f"print(first({number}))"])))
    shift = (wanted - unshifted) % n_answers
    first = _function("first", "x", [*body, f"return (t + {shift}) % {n_answers}"])
    result = f"z {operation} {constant}"
    if variant == "conflict":
        result += " + a" if target > kept else " - a"
    second = _function("second", "z" if variant == "neutral" else "z, a", [f"return {result}"])
    call = "second(first(n))" if variant == "neutral" else "second(n, first(n))"
    text = "\n".join([*first, *second, f"n = {number}", f"print({call})"])
    features = {"input": number, "first": wanted, "operation": operation, "constant": constant}
    return PatternItem(text, None if variant == "neutral" else kept, features)


def _operation_with_value(draws, value, n_answers):
    """An operation with its left and right sides, chosen so that the result is `value`."""
    constants = range(1, LARGEST_CONSTANT + 1)
    sides = {
        "+": [(value - c, c) for c in constants],
        "-": [(value + c, c) for c in constants],
        "*": [(value // c, c) for c in constants if value % c == 0],
    }
    in_range = {operation: [pair for pair in pairs if 0 <= pair[0] < n_answers] for operation, pairs in sides.items()}
    operation = draws.choice([operation for operation, pairs in in_range.items() if pairs])
    return operation, *draws.choice(in_range[operation])


def _long_body(draws, n_statements):
    """Lines that compute t from x."""
    lines = [f"t = {draws.integer(1, 9)}"]
    for _ in range(n_statements):
        a, b, c = (draws.integer(2, 9) for _ in range(3))
        lines += draws.choice(
            (
                [f"t = t * {a} + x"],
                [f"t = t + len(str(x * {a * b * c}))"],
                [f"for i in range({draws.integer(2, 5)}):", f"    t = t + i * {b}"],
                [f"for i in range(x % {a} + 1):", f"    t = t * {draws.integer(2, 3)} + {c}"],
                [f"if t % {draws.integer(2, 4)} == 0:", f"    t = t // 2 + {b}", "else:", f"    t = t * 3 + {c}"],
                [f"if x > {draws.integer(2, 7)}:", f"    t = t + {b} * x"],
            )
        )
    return lines


def _function(name, parameters, body):
    return [f"def {name}({parameters}):", *(f"    {line}" for line in body)]


CODE = PatternTask(
    make_code,
    words=None,
    template="Code:\n{text}\nOutput: {label}",
    instruction="What does each Python program print?",
    description="""\
A short Python program of two functions, and the number that it prints. The first function is long, the second one
line. The answers were computed by an interpreter of the package, not by running the programs.

- long way: go through both functions.
- shortcut: apply the operation in the second function to n and ignore the rest.
- pattern: the second function gets the result of the first and does not use it.
- conflict: the second function adds or subtracts the result of the first, which is not 0.
- neutral: the second function gets only the result of the first. There is nothing to ignore.""",
)
