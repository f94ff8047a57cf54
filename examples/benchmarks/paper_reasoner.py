"""The reasoner of TART's paper on its own tasks, beside the Bayes predictor, logistic regression and our default.

    python examples/benchmarks/paper_reasoner.py --reasoner RUN.safetensors [--markdown FILE]

The tasks are those it was pretrained on (alpha = 10, standard normal features, 16 at the paper's size, no intercept),
by number of labelled rows. "network" gets the points as it knows them; "reasoner" gets the same rows through the whole
path, whose whitening is there for real data and costs something here. The Bayes predictor knows alpha
(``logistic_bayes.py``). Scores are expectations over the labels of the queries, whose true probabilities are known.
What it does on real sets is in ``paper_table.py --methods tart-paper,tart,tuned-lr``.

``--release FILE --n-points N`` writes the reasoner with these scores in its card and without the positions that the
curriculum of its run had not reached.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from logistic_bayes import bayes_predictions
from synthetic_regret import Tasks, expected_loss, logistic_probabilities, reasoner_probabilities
from tables import markdown_table

from skicl.reasoning import load_reasoner, read_card, save_reasoner

ALPHA = 10.0
LABELS = {
    "bayes": "Bayes, knows alpha",
    "network": "network of the paper",
    "reasoner": "reasoner of the paper",
    "default": "default reasoner",
    "tuned-lr": "tuned LR",
}


def main(arguments=None):
    options = parse(arguments)
    reasoner = load_reasoner(options.reasoner)
    if options.n_points is not None:
        reasoner = reasoner.shortened(options.n_points)
    reasoner = reasoner.double()
    found = {n: scores_at(n, reasoner, options) for n in options.n}
    text = report(found, reasoner.config.n_features, options)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")
    if options.release:
        card = read_card(options.reasoner)
        card["evaluation"] = {"alpha": ALPHA, "tasks": options.tasks, "accuracy and log-loss by rows": found}
        save_reasoner(options.release, reasoner, card)


def scores_at(n, reasoner, options):
    """Accuracy and log-loss of every method, by key, with n labelled rows."""
    tasks = draw_tasks(n, reasoner.config.n_features, options)
    found = {
        "bayes": bayes_predictions(tasks.X, tasks.y, tasks.X_query, [ALPHA], n_draws=options.draws).known[:, 0],
        "reasoner": reasoner_scores(reasoner, tasks),
        "default": reasoner_probabilities(tasks, None),
        "tuned-lr": logistic_probabilities(tasks),
    }
    if n < reasoner.config.n_points:
        found["network"] = network_probabilities(reasoner, tasks)
    return {key: score(p, tasks) for key, p in found.items()}


def draw_tasks(n, n_features, options):
    """Tasks with n labelled rows, the same for the same arguments; contexts with one label only are drawn again."""
    generator = torch.Generator().manual_seed(n)
    X, y, p = [], [], []
    while len(y) < options.tasks:
        rows = torch.randn(n + options.queries, n_features, generator=generator, dtype=torch.float64)
        log_odds = ALPHA * rows @ torch.randn(n_features, generator=generator, dtype=torch.float64)
        labels = torch.rand(n, generator=generator, dtype=torch.float64) < log_odds[:n].sigmoid()
        if 0 < labels.sum() < n:
            X, y, p = [*X, rows], [*y, labels.long()], [*p, log_odds[n:].sigmoid()]
    X = torch.stack(X)
    return Tasks(X[:, :n], torch.stack(y), X[:, n:], torch.stack(p))


def reasoner_scores(reasoner, tasks):
    """Probability of label 1 by the whole path: whitening, both ways of naming the classes, blocks."""
    from skicl.reasoning import Evidence

    with torch.inference_mode():
        return reasoner(Evidence(tasks.X, tasks.y, n_classes=2), tasks.X_query).softmax(-1)[..., 1]


def network_probabilities(reasoner, tasks):
    """Probability of label 1 by the network alone, which reads the rows as they come."""
    with torch.inference_mode():
        return reasoner.query_log_odds(tasks.X, tasks.y, tasks.X_query).sigmoid()


def score(p, tasks):
    """Mean accuracy and log-loss over tasks, each with half the width of its 95 % interval."""
    right = torch.where(p > 0.5, tasks.p_query, 1 - tasks.p_query).mean(1).numpy()
    loss = expected_loss(p, tasks).numpy()
    found = {}
    for name, values in (("accuracy", right), ("log_loss", loss)):
        found[name] = float(np.round(values.mean(), 4))
        found[f"{name}_interval"] = float(np.round(1.96 * values.std(ddof=1) / np.sqrt(len(values)), 4))
    return found


def report(found, n_features, options):
    """Markdown: a row for each number of labelled rows, a column for each method."""
    rows = []
    for n, scores in found.items():
        cells = [cell(scores[key]) if key in scores else "" for key in LABELS]
        rows.append([n, *cells])
    card = read_card(options.reasoner)
    stages = [*card.get("earlier_stages", []), card]
    steps, sequences, seconds = (sum(stage.get(name, 0) for stage in stages) for name in ("steps", "tasks", "seconds"))
    return (
        f"{options.tasks} tasks with {options.queries} queries each; {n_features} features, alpha = {ALPHA:g}. Cells: "
        "accuracy in per cent ± "
        "half of the 95 % interval over tasks / expected log-loss in nats. The paper's reasoner was pretrained for "
        f"{steps:,} steps on {sequences:,} sequences, {seconds:,.0f} seconds on "
        f"{card.get('hardware', 'unknown hardware')}.\n\n" + markdown_table(("rows", *LABELS.values()), rows)
    )


def cell(scores):
    return f"{100 * scores['accuracy']:.1f} ± {100 * scores['accuracy_interval']:.1f} / {scores['log_loss']:.3f}"


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--reasoner", default="tart-paper", help="name or file of a causal reasoner (%(default)s)")
    parser.add_argument("--n", type=int, nargs="+", default=[8, 16, 32, 64, 128, 256], help="numbers of labelled rows")
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--draws", type=int, default=150, help="draws a chain of the Bayes predictor")
    parser.add_argument("--n-points", type=int, help="cut the network to sequences of this length")
    parser.add_argument("--markdown", type=Path, help="file for the table")
    parser.add_argument("--release", type=Path, help="file to write the reasoner to, with these scores in its card")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
