"""What learners that know nothing of Boolean functions learn of them from a few points, against the ideal learner.

    python examples/benchmarks/boolean_functions.py --markdown docs/benchmarks/tables/boolean_functions.md

Every task has a function of its own (``skicl.datasets.make_boolean_function``); the last table compares points drawn at
random with as many that were chosen to teach the function (``skicl.datasets.teaching_set``).
"""

import argparse
import time
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier
from tables import markdown_table

from skicl import TartClassifier
from skicl.datasets import make_boolean_function, teaching_set

KINDS = (
    "conjunction",
    "disjunction",
    "sparse_disjunction",
    "dnf",
    "cnf",
    "majority",
    "int_halfspace",
    "parity",
    "sparse_parity",
)
LEARNERS = {
    "TART": TartClassifier(),
    "logistic regression": LogisticRegression(max_iter=1000),
    "nearest neighbour": KNeighborsClassifier(1),
    "decision tree": DecisionTreeClassifier(random_state=0),
}
COLUMNS = (*LEARNERS, "ideal learner")


def main(arguments=None):
    options = parse(arguments)
    started = time.process_time()
    parts = []
    for n_points in options.n_points:
        rows = []
        for kind in options.kinds:
            tasks = draw(kind, n_points, options)
            contexts = zip(tasks.X[:, :n_points], tasks.y[:, :n_points])
            rows.append([kind, *map(cell, scores(tasks, contexts, n_points).T)])
        parts.append(f"### {n_points} points\n\n{markdown_table(['functions', *COLUMNS], rows)}")
    parts.append(f"### Points that teach\n\n{taught(options)}")
    head = (
        f"{options.n_tasks} functions of {options.n_features} features of each kind, {options.n_queries} queries "
        "each; both labels are equally frequent, so that guessing has 50 %. Cells: accuracy in % with the 95 % "
        f"bootstrap interval over functions. Seconds of processor time: {time.process_time() - started:.0f}."
    )
    text = "\n\n".join([head, *parts])
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")


def taught(options):
    """Table of teaching sets and of as many points drawn at random."""
    rows = []
    for kind in ("conjunction", "disjunction"):
        tasks = draw(kind, options.n_features + 2, options)
        n_points = options.n_features + 2
        chosen = [teaching_set(kind, function, random_state=options.seed) for function in tasks.functions]
        drawn = [(X[: len(y_chosen)], y[: len(y_chosen)]) for X, y, (_, y_chosen) in zip(tasks.X, tasks.y, chosen)]
        sizes = [len(y) for _, y in chosen]
        name = f"{kind}, {min(sizes)} to {max(sizes)} points"
        for how, contexts in (("drawn at random", drawn), ("that teach", chosen)):
            rows.append([f"{name} {how}", *map(cell, scores(tasks, contexts, n_points).T)])
    return markdown_table(["functions", *COLUMNS], rows)


def draw(kind, n_points, options):
    """Tasks of so many points to learn from, and the queries behind them."""
    return make_boolean_function(
        kind, options.n_tasks, n_points + options.n_queries, options.n_features, random_state=options.seed
    )


def scores(tasks, contexts, n_points):
    """Accuracies (n_tasks, n_learners), those of the ideal learner last; queries are the points from `n_points` on."""
    found = []
    for X_context, y_context, X, y in zip(*zip(*contexts), tasks.X[:, n_points:], tasks.y[:, n_points:]):
        right = [(answers(learner, X_context, y_context, X) == y).mean() for learner in LEARNERS.values()]
        ideal = tasks.bayes_predict(X_context, y_context, X) > 0.5
        found.append([*right, (ideal == y).mean()])
    return np.array(found)


def answers(learner, X_context, y_context, X):
    """Predictions; a context of one label leaves that label."""
    if len(set(y_context.tolist())) == 1:
        return np.full(len(X), y_context[0])
    return learner.fit(X_context, y_context).predict(X)


def cell(values):
    """Mean over tasks with its bootstrap interval, in per cent."""
    drawn = np.random.RandomState(0).randint(len(values), size=(1000, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    return f"{100 * values.mean():.0f} ({100 * low:.0f} to {100 * high:.0f})"


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="classes of functions")
    for name, value in (("n_tasks", 40), ("n_queries", 40), ("n_features", 6), ("seed", 0)):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value, help="default: %(default)s")
    parser.add_argument("--n-points", type=int, nargs="+", default=[8, 16, 32], help="points to learn from")
    parser.add_argument("--markdown", type=Path, help="file to write the tables to")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
