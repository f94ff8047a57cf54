"""Speed: one fit and predict against logistic regression, one row, and pretraining against what the device can do.

    python examples/benchmarks/speed.py [--data FOLDER] [--markdown FILE]

512 labelled rows and 600 queries of 384 columns in float32, on one thread; CPU seconds, the best of several runs that
take turns. Synthetic rows with 2, 8 and 77 classes, and with ``--data`` text sets (see ``few_shot_text.py``).
Pretraining is timed on the CPU and on a GPU if there is one, beside the least time that its operations and bytes
would take at the best rates of the device, measured in the same run (``operation_counts.py``).
"""

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from competitors import build_logistic_regression, build_tuned_logistic_regression
from operation_counts import best_rates, count
from tables import markdown_table

N_CONTEXT, N_QUERIES, N_COLUMNS = 512, 600, 384
TEXTS = ("sms_spam", "agnews", "snips", "banking77")
WARM_UP, TIMED = 2, 8  # steps of pretraining

# Tasks, labelled rows, queries, columns, classes; a GPU gets so many times more tasks a step.
WORKLOADS = {
    "few rows": (32, 32, 64, 64, 4),
    "typical": (16, 128, 64, 256, 8),
    "many classes": (2, 512, 64, 384, 77),
}
GPU_FACTOR = 32


def main(arguments=None):
    options = parse(arguments)
    torch.set_num_threads(1)
    parts = [f"CPU: {os.cpu_count()} visible, one thread used; torch {torch.__version__}."]
    rows = [classifier_row(name, *rows_of(name, options), options) for name in options.sets]
    parts.append("### Fit on 512 rows and predict 600, of 384 columns\n\n" + markdown_table(CLASSIFIER_HEADER, rows))
    if not options.skip_pretraining:
        devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
        best = {device: best_rates(device) for device in devices}
        rows = [workload_row(name, device, best[device]) for device in devices for name in WORKLOADS]
        parts.append("### Pretraining\n\n" + markdown_table(PRETRAINING_HEADER, rows))
        rates = [f"{d} {r.flops / 1e9:.0f} GFLOP/s and {r.bytes / 1e9:.0f} GB/s" for d, r in best.items()]
        parts.append(
            f"Best rates, measured in float32: {'; '.join(rates)}. The floor is the larger of operations and bytes at "
            "these rates; the bytes are those of every operation run on its own, as PyTorch runs them."
        )
    text = "\n\n".join(parts)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")


# -- classifiers -----------------------------------------------------------------------------------

CLASSIFIER_HEADER = [
    "rows",
    "classes",
    "fit, ms",
    "predict, ms",
    "LR (C=1), ms",
    "tuned LR, ms",
    "times LR (C=1)",
    "times tuned LR",
    "one row after fit, ms",
]


def classifier_row(name, X, y, X_query, options):
    """One line: milliseconds of TartClassifier and of logistic regression, fit and predict together."""
    from skicl import TartClassifier

    seconds = {"fit": [], "predict": [], "lr": [], "tuned": []}
    classifier = TartClassifier(reasoner=options.reasoner, device="cpu")
    classifier.fit(X, y).predict_proba(X_query)
    for repeat in range(options.repeats):
        seconds["fit"].append(cpu_seconds(lambda: classifier.fit(X, y)))
        seconds["predict"].append(cpu_seconds(lambda: classifier.predict_proba(X_query)))
        seconds["lr"].append(cpu_seconds(lambda: build_logistic_regression().fit(X, y).predict_proba(X_query)))
        if repeat < 2:
            tuned = build_tuned_logistic_regression()
            seconds["tuned"].append(cpu_seconds(lambda tuned=tuned: tuned.fit(X, y).predict_proba(X_query)))
    one = [cpu_seconds(lambda row=row: classifier.predict_proba(row)) for row in X_query[:200, None]]
    best = {key: 1000 * min(values) for key, values in seconds.items()}
    ours = best["fit"] + best["predict"]
    numbers = [f"{best[key]:.1f}" for key in ("fit", "predict", "lr", "tuned")]
    ratios = [f"{ours / best['lr']:.1f}", f"{ours / best['tuned']:.2f}"]
    return [name, len(np.unique(y)), *numbers, *ratios, f"{1000 * np.median(one):.2f}"]


def cpu_seconds(function):
    start = time.process_time()
    function()
    return time.process_time() - start


def rows_of(name, options):
    """512 labelled rows, of every class at least one, and 600 queries."""
    if name in TEXTS:
        from data_sets import embed, read_set
        from few_shot_text import MINI_LM, make_encoder

        train, test = read_set(options.data, name)
        X, X_query = (
            embed(part.X, make_encoder, MINI_LM, options.embeddings, f"{name}.{which}")
            for part, which in ((train, "train"), (test, "test"))
        )
        first = np.unique(train.y, return_index=True)[1]
        chosen = np.concatenate([first, np.setdiff1d(np.arange(len(X)), first)])[:N_CONTEXT]
        return X[chosen], train.y[chosen], X_query[:N_QUERIES]
    n_classes = int(name.split()[-1])
    rng = np.random.default_rng(n_classes)
    deviations = (1 + np.arange(N_COLUMNS) / 20) ** -0.9
    means = 0.7 * rng.normal(size=(n_classes, N_COLUMNS)) * deviations
    y = np.arange(N_CONTEXT + N_QUERIES) % n_classes
    X = means[y] + rng.normal(size=(len(y), N_COLUMNS)) * deviations + 0.3 * rng.normal(size=N_COLUMNS)
    X = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)
    return X[:N_CONTEXT], y[:N_CONTEXT], X[N_CONTEXT:]


# -- pretraining -----------------------------------------------------------------------------------

PRETRAINING_HEADER = [
    "device",
    "tasks",
    "tasks, rows, queries, columns, classes",
    "tasks a second",
    "GFLOP a task",
    "MB a task",
    "floor, tasks a second",
    "of the floor",
]


def workload_row(name, device, best):
    """One line: tasks a second of whole steps (tasks drawn, forward, backward, update) against the floor."""
    n_tasks, *sizes = WORKLOADS[name]
    n_tasks *= GPU_FACTOR if device == "cuda" else 1
    prior = FixedSizes((n_tasks, *sizes))
    rate = n_tasks / step_seconds(prior, device)
    cost = step_cost(prior, device)
    floor = n_tasks / cost.floor_seconds(best)
    shape = ", ".join(map(str, (n_tasks, *sizes)))
    per_task = [f"{cost.flops / n_tasks / 1e9:.3f}", f"{cost.bytes / n_tasks / 1e6:.0f}"]
    return [device, name, shape, f"{rate:.1f}", *per_task, f"{floor:.1f}", f"{100 * rate / floor:.0f} %"]


@dataclass(frozen=True)
class FixedSizes:
    """The prior of the package, with the same sizes in every step."""

    sizes: tuple

    def sample(self, generator):
        from skicl.pretraining import EmbeddingPrior, Sizes

        n_tasks, n_labelled, n_queries, n_features, n_classes = self.sizes
        sizes = Sizes(n_tasks, n_labelled, 0, n_queries, n_features, n_classes)
        return EmbeddingPrior(side_share=0.0).sample(generator, sizes)


def step_seconds(prior, device):
    """Seconds of a step of pretraining, after a warm-up: CPU seconds of this thread, or wall-clock for a GPU."""
    from skicl.pretraining import Schedule, pretrain

    clock = time.perf_counter if device == "cuda" else time.process_time
    with tempfile.TemporaryDirectory() as folder:
        run = {"prior": prior, "schedule": Schedule(steps=WARM_UP + TIMED), "device": device}
        pretrain(Path(folder) / "run", **run, stop_after=WARM_UP)
        start = clock()
        pretrain(Path(folder) / "run", **run)
        return (clock() - start) / TIMED


def step_cost(prior, device):
    """Operations and bytes of forward and backward of one step."""
    from skicl.reasoning import EquivariantReasoner, Evidence

    tasks = prior.sample(torch.Generator(device).manual_seed(0))
    reasoner = EquivariantReasoner().to(device)

    def forward_and_backward():
        context = reasoner.encode(Evidence(tasks.X, tasks.y, tasks.n_classes))
        logits = torch.stack(reasoner.score_all_layers(context, tasks.X_query)).flatten(0, 2)
        target = tasks.y_query.flatten().repeat(len(reasoner.layers))
        torch.nn.functional.cross_entropy(logits, target, ignore_index=-1).backward()

    return count(forward_and_backward)


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data", type=Path, help="folder with the text sets, see few_shot_text.py")
    parser.add_argument("--embeddings", type=Path, help="folder that keeps the embeddings for the next run")
    parser.add_argument("--classes", default="2,8,77", help="classes of the synthetic rows (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of which the best counts (%(default)s)")
    parser.add_argument("--reasoner", type=Path, help="weights to measure (default: the bundled reasoner)")
    parser.add_argument("--skip-pretraining", action="store_true", help="measure classifiers only")
    parser.add_argument("--markdown", type=Path, help="file for the tables")
    options = parser.parse_args(arguments)
    options.sets = [f"synthetic {int(number)}" for number in options.classes.split(",")]
    if options.data:
        options.sets += TEXTS
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    if options.reasoner is not None and not options.reasoner.is_file():
        parser.error(f"--reasoner: there is no file {str(options.reasoner)!r}")
    return options


if __name__ == "__main__":
    main()
