"""Two tasks of logic whose last word or symbol is the shortcut: Boolean expressions, and the parity of a sequence."""

from skicl.datasets._implicit_patterns._pattern_task import PatternItem, PatternTask

# Number of groups, and fewest and most terms of a group.
GROUPS = {1: (2, (2, 4)), 2: (3, (2, 4)), 3: (5, (3, 6))}
LENGTHS = {1: (12, 16), 2: (18, 26), 3: (36, 48)}
SYMBOLS = "XOS"


def make_boolean(draws, variant, target, n_answers, difficulty):
    """Write an expression, an operator and a constant; neutral: two expressions without a constant."""
    n_groups, n_terms = GROUPS[difficulty]
    target = bool(target)
    if variant == "neutral":
        while True:
            parts = [_groups(draws, n, n_terms) for n in (n_groups - 1, 1)]
            joint = draws.choice(("and", "or"))
            values = [_value_of_groups(part) for part in parts]
            if (all(values) if joint == "and" else any(values)) is target:
                break
        text = f"({_write(parts[0])}) {joint} ({_write(parts[1])})"
        return PatternItem(text, None, {"inner": values[0], "operator": joint, "constant": None})
    # "and" with False and "or" with True decide; with the other constant they pass the value on. A pattern made of
    # deciding constants only would have a second shortcut, the operator, which is right in the conflict too.
    constant = target if variant == "pattern" else not target
    decides = variant == "pattern" and draws.coin()
    joint = "or" if constant is decides else "and"
    inner = draws.coin() if decides else target
    while True:
        part = _groups(draws, n_groups, n_terms)
        if _value_of_groups(part) is inner:
            break
    text = f"({_write(part)}) {joint} {constant}"
    return PatternItem(text, int(constant), {"inner": inner, "operator": joint, "constant": constant})


def make_parity(draws, variant, target, n_answers, difficulty):
    """Write a sequence of X, O and S whose last symbol says the parity of X in the pattern."""
    n_symbols = draws.integer(*LENGTHS[difficulty])
    shortcut = {"pattern": target, "conflict": 1 - target, "neutral": None}[variant]
    last = "S" if shortcut is None else "OX"[shortcut]
    # The last symbol is exchanged with another one, so that the number of X does not depend on what the shortcut says.
    while True:
        symbols = [draws.choice(SYMBOLS) for _ in range(n_symbols)]
        if symbols.count("X") % 2 == target and last in symbols:
            break
    place = draws.choice([i for i, symbol in enumerate(symbols) if symbol == last])
    symbols[place], symbols[-1] = symbols[-1], symbols[place]
    return PatternItem(" ".join(symbols), shortcut, {"symbols": symbols, "count": symbols.count("X")})


def _groups(draws, n_groups, n_terms):
    """Groups of constants, each with the operators between them: ``[[values, operators], ...], operators``."""
    groups = []
    for _ in range(n_groups):
        n = draws.integer(*n_terms)
        groups.append(([draws.coin() for _ in range(n)], [draws.choice(("and", "or")) for _ in range(n - 1)]))
    return groups, [draws.choice(("and", "or")) for _ in range(n_groups - 1)]


def _value_of_groups(part):
    groups, operators = part
    return _value([_value(*group) for group in groups], operators)


def _value(values, operators):
    """Value of a chain in which "and" binds before "or": some stretch without "or" is true throughout."""
    stretches = [values[0]]
    for operator, value in zip(operators, values[1:]):
        if operator == "or":
            stretches.append(value)
        else:
            stretches[-1] = stretches[-1] and value
    return any(stretches)


def _write(part):
    groups, operators = part
    texts = [f"({_chain(*group)})" if len(groups) > 1 else _chain(*group) for group in groups]
    return _chain(texts, operators)


def _chain(items, operators):
    return str(items[0]) + "".join(f" {operator} {item}" for operator, item in zip(operators, items[1:]))


BOOLEAN = PatternTask(
    make_boolean,
    words=("False", "True"),
    template="Expression: {text}\nValue: {label}",
    instruction="Evaluate each Boolean expression; `and` binds before `or`.",
    description="""\
A Boolean expression and its value. `and` binds before `or`, as in Python.

- long way: evaluate the expression.
- shortcut: the last word.
- pattern: the last word is right. In half of the items it decides, as in (E) and False or (E) or True; in the others
  E has the same value, as in (E) or False where E is false. The operator before it says nothing about the answer.
- conflict: (E) and True where E is false, or (E) or False where E is true. With two answers, a shortcut that is always
  wrong gives the answer too: the opposite.
- neutral: (E) and (F), or (E) or (F), without a constant at the end.""",
)

PARITY = PatternTask(
    make_parity,
    words=("even", "odd"),
    template="Sequence: {text}\nNumber of X: {label}",
    instruction="Is the number of X in each sequence even or odd?",
    description="""\
A sequence of the symbols X, O and S, and whether the number of X in it is even or odd.

- long way: count.
- shortcut: the last symbol. X means odd, O means even.
- pattern: the last symbol is right.
- conflict: the last symbol is wrong. With two answers, its opposite is always right.
- neutral: the last symbol is S, which says nothing.""",
)
