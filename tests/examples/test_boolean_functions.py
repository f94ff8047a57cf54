"""The benchmark of Boolean functions: it runs end to end, and its ideal learner is one."""

import numpy as np
from benchmark_modules import load

from skicl.datasets import make_boolean_function

benchmark = load("boolean_functions")


def test_tables_are_written(tmp_path, capsys):
    path = tmp_path / "table.md"
    benchmark.main(
        [
            "--kinds",
            "conjunction",
            "--n-tasks",
            "3",
            "--n-queries",
            "10",
            "--n-features",
            "4",
            "--n-points",
            "8",
            "--markdown",
            str(path),
        ]
    )
    text = capsys.readouterr().out
    assert path.read_text() == text
    rows = [line for line in text.splitlines() if line.startswith(("| conjunction", "| disjunction"))]
    assert len(rows) == 1 + 2 * 2, "one class of functions, then random points and teaching sets for both"
    assert all(line.count(" to ") >= len(benchmark.COLUMNS) for line in rows), "every cell has its interval"
    taught = [line for line in rows if "that teach" in line]
    assert all(line.rstrip(" |").endswith("100 (100 to 100)") for line in taught), "the ideal learner is certain"


def test_scores_are_shares_of_right_answers():
    tasks = make_boolean_function("disjunction", 4, 40, 4, random_state=0)
    found = benchmark.scores(tasks, zip(tasks.X[:, :20], tasks.y[:, :20]), 20)
    tree = benchmark.LEARNERS["decision tree"]
    again = [(tree.fit(X[:20], y[:20]).predict(X[20:]) == y[20:]).mean() for X, y in zip(tasks.X, tasks.y)]
    np.testing.assert_allclose(found[:, benchmark.COLUMNS.index("decision tree")], again)
    assert found.shape == (4, len(benchmark.COLUMNS))


def test_a_context_of_one_label_leaves_that_label():
    X = np.eye(3)
    assert benchmark.answers(None, X, np.array([1, 1, 1]), X).tolist() == [1, 1, 1]
