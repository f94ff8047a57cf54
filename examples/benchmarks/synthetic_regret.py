"""Regret on TART's own tasks: how much log-loss the reasoner gives away against the Bayes predictor.

    python examples/benchmarks/synthetic_regret.py --out regret.csv [--markdown FILE]

The tasks are those that TART was trained on (Bhatia et al., 2023): rows x ~ N(0, I) in 16 dimensions, weights
w ~ N(0, I), labels y ~ Bernoulli(sigmoid(alpha w.x)), here for every noise level alpha from 0.5 to 10. Losses are
expectations over the labels of the queries, since their true probabilities are known. Bayes predictors:
``logistic_bayes.py``. With ``--out`` a run that was killed continues; the reasoner is always scored anew.
"""

import argparse
import csv
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from competitors import build_tuned_logistic_regression
from logistic_bayes import bayes_predictions
from tables import markdown_table

ALPHAS = (0.5, 1.0, 2.0, 5.0, 10.0)
N_FEATURES = 16
TART, BAYES, BAYES_KNOWING, TUNED_LR = "tart", "bayes", "bayes-knowing", "tuned-lr"
FIELDS = ("alpha", "n", "tasks", "queries", "method", "task", "loss", "accuracy", "monte_carlo")
CERTAIN = 1e-9  # probabilities are kept this far from 0 and 1 in the losses


class Tasks(NamedTuple):
    """Contexts X (B, N, D) with labels y (B, N), queries (B, Q, D) with their true probability of label 1 (B, Q)."""

    X: torch.Tensor
    y: torch.Tensor
    X_query: torch.Tensor
    p_query: torch.Tensor


def main(arguments=None):
    options = parse(arguments)
    records = read_records(options)
    for alpha in options.alphas:
        for n in options.n:
            records += run_cell(alpha, n, records, options)
            print(f"alpha = {alpha:g}, n = {n}: done", file=sys.stderr, flush=True)
    text = report(records, options)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")


def run_cell(alpha, n, records, options):
    """New records of all methods at one noise level and size; what the file has is not computed again."""
    tasks = draw_tasks(alpha, n, options.tasks, options.queries)
    known = {record["method"] for record in records if (record["alpha"], record["n"]) == (alpha, n)}
    found = [*score(TART, alpha, n, tasks, reasoner_probabilities(tasks, options.reasoner))]
    fresh = []
    if not {BAYES, BAYES_KNOWING} <= known:
        fresh += bayes_records(alpha, n, tasks, options)
    if TUNED_LR not in known:
        fresh += score(TUNED_LR, alpha, n, tasks, logistic_probabilities(tasks))
    append(fresh, options)
    return found + fresh


def draw_tasks(alpha, n, n_tasks, n_queries):
    """Tasks of one noise level, the same for the same arguments; contexts with one label only are drawn again."""
    generator = torch.Generator().manual_seed(int(1000 * alpha) * 100_003 + n)

    def normal(*shape):
        return torch.randn(*shape, N_FEATURES, generator=generator, dtype=torch.float64)

    X, w, y = normal(n_tasks, n), normal(n_tasks), torch.zeros(n_tasks, n, dtype=torch.long)
    missing = torch.ones(n_tasks, dtype=torch.bool)
    while missing.any():
        X[missing], w[missing] = normal(int(missing.sum()), n), normal(int(missing.sum()))
        chance = torch.rand(n_tasks, n, generator=generator, dtype=torch.float64)
        labels = (chance < torch.sigmoid(alpha * (X @ w[..., None])[..., 0])).long()
        y[missing] = labels[missing]
        missing = (y.min(1).values == 1) | (y.max(1).values == 0)
    X_query = normal(n_tasks, n_queries)
    return Tasks(X, y, X_query, torch.sigmoid(alpha * (X_query @ w[..., None])[..., 0]))


def reasoner_probabilities(tasks, path):
    """Probability of label 1, all tasks at once in float64."""
    from skicl.reasoning import Evidence, load_reasoner

    reasoner = load_reasoner(path).double()
    with torch.inference_mode():
        return reasoner(Evidence(tasks.X, tasks.y, n_classes=2), tasks.X_query).softmax(-1)[..., 1]


def logistic_probabilities(tasks):
    """Tuned logistic regression, task by task."""
    found = []
    for X, y, X_query, _ in zip(*tasks):
        fitted = build_tuned_logistic_regression().fit(X.numpy(), y.numpy())
        found.append(fitted.predict_proba(X_query.numpy())[:, 1])
    return torch.from_numpy(np.stack(found))


def bayes_records(alpha, n, tasks, options):
    """Both Bayes predictors, with the loss that the finite number of draws costs them."""
    candidates = sorted({*ALPHAS, alpha})
    bayes = bayes_predictions(tasks.X, tasks.y, tasks.X_query, candidates, n_draws=options.draws)
    at = candidates.index(alpha)
    mixed = bayes.mixed(), [bayes.mixed(half) for half in bayes.halves]
    knowing = bayes.known[:, at], [half[:, at] for half in bayes.halves]
    records = []
    for method, (p, halves) in ((BAYES, mixed), (BAYES_KNOWING, knowing)):
        # Half of the draws cost twice as much: the difference to all draws is what all of them cost.
        of_halves = sum(expected_loss(half, tasks) for half in halves) / 2
        records += score(method, alpha, n, tasks, p, of_halves - expected_loss(p, tasks))
    return records


def score(method, alpha, n, tasks, p, monte_carlo=None):
    """Records of one method, one for each task, from its probabilities of label 1 (B, Q)."""
    right = torch.where(p > 0.5, tasks.p_query, 1 - tasks.p_query).mean(1).tolist()
    loss = expected_loss(p, tasks).tolist()
    monte_carlo = [0.0] * len(loss) if monte_carlo is None else monte_carlo.tolist()
    return [
        {
            "alpha": alpha,
            "n": n,
            "tasks": tasks.X.shape[0],
            "queries": tasks.X_query.shape[1],
            "method": method,
            "task": task,
            "loss": loss[task],
            "accuracy": right[task],
            "monte_carlo": monte_carlo[task],
        }
        for task in range(len(loss))
    ]


def expected_loss(p, tasks):
    """Expected log-loss of every task (B,), in nats, for labels drawn from the true probabilities."""
    p, truth = p.clamp(CERTAIN, 1 - CERTAIN), tasks.p_query
    return -(truth * p.log() + (1 - truth) * torch.log1p(-p)).mean(1)


def read_records(options):
    """Records of the file that belong to these settings; none of the reasoner, whose weights may have changed."""
    if options.out is None or not options.out.exists():
        return []
    with open(options.out, encoding="utf-8", newline="") as file:
        rows = [
            {name: value if name == "method" else float(value) for name, value in row.items()}
            for row in csv.DictReader(file)
        ]
    return [row for row in rows if (row["tasks"], row["queries"]) == (options.tasks, options.queries)]


def append(records, options):
    if options.out is None or not records:
        return
    is_new = not options.out.exists()
    with open(options.out, "a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if is_new:
            writer.writeheader()
        writer.writerows(records)


def report(records, options):
    """Markdown: losses and regrets at every noise level and size, then means."""
    losses = {}
    for record in records:
        losses.setdefault((record["alpha"], record["n"], record["method"]), {})[record["task"]] = record["loss"]
    losses = {key: np.array([of_task[task] for task in sorted(of_task)]) for key, of_task in losses.items()}
    cells = [(alpha, n) for alpha in options.alphas for n in options.n]
    gaps = {pair: [losses[*cell, pair[0]] - losses[*cell, pair[1]] for cell in cells] for pair in PAIRS}
    rows = []
    for at, cell in enumerate(cells):
        means = [f"{losses[*cell, method].mean():.3f}" for method in (BAYES_KNOWING, BAYES, TART, TUNED_LR)]
        rows.append([f"{cell[0]:g}", cell[1], *means, *(with_interval([gaps[pair][at]]) for pair in PAIRS)])
    for n in options.n:
        chosen = [at for at, cell in enumerate(cells) if cell[1] == n]
        rows.append(mean_row("all", n, chosen, cells, losses, gaps))
    rows.append(mean_row("all", "all", range(len(cells)), cells, losses, gaps))
    worst = int(np.argmax([gap.mean() for gap in gaps[TART, BAYES]]))
    cost = max(
        np.mean([r["monte_carlo"] for r in records if r["method"] == method and (r["alpha"], r["n"]) == cell])
        for method in (BAYES, BAYES_KNOWING)
        for cell in cells
    )
    return (
        f"{options.tasks} tasks with {options.queries} queries each at every noise level alpha and size n; expected "
        "log-loss in nats; regrets with 95 % intervals over the tasks. The finite number of draws costs the Bayes "
        f"predictors at most {max(cost, 0):.1e} nats. Largest regret of the reasoner against the Bayes predictor that "
        f"does not know alpha: {gaps[TART, BAYES][worst].mean():.4f}, at alpha = {cells[worst][0]:g}, "
        f"n = {cells[worst][1]}.\n\n" + markdown_table(HEADER, rows)
    )


PAIRS = ((TART, BAYES), (TART, BAYES_KNOWING), (TUNED_LR, BAYES))
HEADER = (
    "alpha",
    "n",
    "Bayes, knows alpha",
    "Bayes",
    "reasoner",
    "tuned LR",
    "regret of the reasoner",
    "... to Bayes that knows alpha",
    "regret of tuned LR",
)


def mean_row(alpha, n, chosen, cells, losses, gaps):
    means = [
        f"{np.mean([losses[*cells[at], method].mean() for at in chosen]):.3f}"
        for method in (BAYES_KNOWING, BAYES, TART, TUNED_LR)
    ]
    return [alpha, n, *means, *(with_interval([gaps[pair][at] for at in chosen]) for pair in PAIRS)]


def with_interval(gaps):
    """Mean over cells of the mean over tasks, with the half width of its 95 % interval."""
    middle = np.mean([gap.mean() for gap in gaps])
    variance = sum(gap.var(ddof=1) / len(gap) for gap in gaps) / len(gaps) ** 2
    return f"{middle:.4f} ± {1.96 * np.sqrt(variance):.4f}"


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--reasoner", type=Path, help="weights to measure (default: the bundled reasoner)")
    parser.add_argument("--out", type=Path, help="CSV file of results, to write and to continue from")
    parser.add_argument("--markdown", type=Path, help="file for the table")
    parser.add_argument("--alphas", default="0.5,1,2,5,10", help="comma-separated noise levels (%(default)s)")
    parser.add_argument("--n", default="32,64,128,256", help="comma-separated sizes of the context (%(default)s)")
    parser.add_argument("--tasks", type=int, default=64, help="tasks per noise level and size (%(default)s)")
    parser.add_argument("--queries", type=int, default=256, help="queries per task (%(default)s)")
    parser.add_argument("--draws", type=int, default=250, help="draws of each of 4 chains (%(default)s)")
    options = parser.parse_args(arguments)
    options.alphas = [float(alpha) for alpha in options.alphas.split(",")]
    options.n = [int(n) for n in options.n.split(",")]
    if min(options.n) < 2 or min(options.alphas) <= 0:
        parser.error("--n must be at least 2 and --alphas positive")
    if options.tasks < 2 or options.queries < 1 or options.draws < 1:
        parser.error("--tasks must be at least 2, --queries and --draws at least 1")
    if options.reasoner is not None and not options.reasoner.is_file():
        parser.error(f"--reasoner: there is no file {str(options.reasoner)!r}")
    return options


if __name__ == "__main__":
    main()
