"""Long contexts: quality, time and memory of TartClassifier from ten to a hundred thousand labelled rows.

    python examples/benchmarks/long_contexts.py --out long.csv [--data FOLDER] [--markdown FILE]

Two synthetic sets with structure finer than linear, 384 columns and 10 classes, and with ``--data`` two text sets as
far as they reach, no row twice. Every line is measured in a process of its own, on one thread: CPU seconds, the median
time of a single query, and the largest memory that the process ever held. With ``--out`` a run that was killed
continues; TartClassifier is always measured anew.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from memory import peak_bytes
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from tables import markdown_table

N_COLUMNS, N_CLASSES, N_QUERIES = 384, 10, 600
TART = "tart"
LABELS = {TART: "TartClassifier", "tuned-lr": "Tuned LR", "knn": "kNN (15)"}
SINGLE_QUERIES = 30  # scored one by one for the latency
FULLY_TUNED = 3000  # rows up to which logistic regression chooses among 7 penalties in 5 folds
FIELDS = ("set", "n", "method", "accuracy", "log_loss", "fit_seconds", "predict_seconds", "latency_ms")
FIELDS += ("before_mb", "peak_mb")
WORDS = ("set", "method")


def main(arguments=None):
    options = parse(arguments)
    if options.measure:
        print(json.dumps(measure(options)))
        return
    records = read_records(options.out)
    for name, sizes in options.sets.items():
        with tempfile.TemporaryDirectory() as folder:
            n_classes, n_rows = save_set(name, max(sizes), Path(folder), options)
            for n in (n for n in sizes if n_classes <= n <= n_rows):
                records += run_size(name, n, records, folder, options)
                print(f"{name}, {n} rows: done", file=sys.stderr, flush=True)
    text = report(records, options)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")


def run_size(name, n, records, folder, options):
    """New records of all methods at one size."""
    known = {record["method"] for record in records if (record["set"], record["n"]) == (name, n)}
    found = []
    for method in LABELS:
        if method in known:
            continue
        record = {"set": name, "n": n, "method": method, **in_own_process(method, n, folder, options.reasoner)}
        if method != TART:
            append(record, options.out)
        found.append(record)
    return found


def in_own_process(method, n, folder, reasoner):
    command = [sys.executable, str(Path(__file__).resolve()), "--measure", method, "--n", str(n), "--folder", folder]
    command += [] if reasoner is None else ["--reasoner", str(Path(reasoner).resolve())]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(options):
    """Fit and score in this process: quality, CPU seconds and memory."""
    (n,), folder = options.sizes, Path(options.folder)
    X, y = np.load(folder / "X.npy", mmap_mode="r"), np.load(folder / "y.npy")
    X_query, y_query = np.load(folder / "X_query.npy"), np.load(folder / "y_query.npy")
    X, y = np.array(X[:n]), y[:n]
    classifier = build(options.measure, n, options.reasoner)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence of a penalty that is not chosen
        small = np.unique(y, return_index=True)[1].repeat(2)
        build(options.measure, len(small), options.reasoner).fit(X[small], y[small]).predict_proba(X_query)
        before = peak_bytes() / 2**20
        start = time.process_time()
        classifier.fit(X, y)
        fitted = time.process_time()
        probabilities = classifier.predict_proba(X_query)
        predicted = time.process_time()
        latencies = [cpu_seconds(classifier.predict_proba, X_query[i : i + 1]) for i in range(SINGLE_QUERIES)]
    return {
        "accuracy": float((classifier.classes_[probabilities.argmax(axis=1)] == y_query).mean()),
        "log_loss": float(log_loss(y_query, probabilities, labels=classifier.classes_)),
        "fit_seconds": fitted - start,
        "predict_seconds": predicted - fitted,
        "latency_ms": 1000 * float(np.median(latencies)),
        "before_mb": before,
        "peak_mb": peak_bytes() / 2**20,
    }


def cpu_seconds(function, argument):
    start = time.process_time()
    function(argument)
    return time.process_time() - start


def build(method, n, reasoner):
    if method == "knn":
        return KNeighborsClassifier(min(15, n), weights="distance")
    if method == "tuned-lr":
        from competitors import build_tuned_logistic_regression

        return build_tuned_logistic_regression() if n <= FULLY_TUNED else HeldOutLogisticRegression()
    from skicl import TartClassifier

    return TartClassifier(reasoner=reasoner)


class HeldOutLogisticRegression(ClassifierMixin, BaseEstimator):
    """Four penalties, chosen by log-loss on a fifth of the rows, as for long contexts 35 fits take an hour."""

    def fit(self, X, y):
        X_fit, X_held, y_fit, y_held = train_test_split(X, y, test_size=0.2, stratify=y, random_state=0)
        losses = {}
        for penalty in (0.01, 1.0, 100.0, 10000.0):
            fitted = LogisticRegression(C=penalty, max_iter=200).fit(X_fit, y_fit)
            losses[penalty] = log_loss(y_held, fitted.predict_proba(X_held), labels=fitted.classes_)
        self.model_ = LogisticRegression(C=min(losses, key=losses.get), max_iter=200).fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X):
        return self.model_.predict_proba(X)


def save_set(name, n_rows, folder, options):
    """Write rows and queries to the folder, one row of each class first; how many classes and rows there are."""
    if name in SYNTHETIC:
        X, y = SYNTHETIC[name](n_rows + N_QUERIES)
        X_query, y_query, X, y = X[:N_QUERIES], y[:N_QUERIES], X[N_QUERIES:], y[N_QUERIES:]
    else:
        X, y, X_query, y_query = text_vectors(name, options)
    first = np.sort(np.unique(y, return_index=True)[1])
    order = np.concatenate([first, np.delete(np.arange(len(y)), first)])
    X, y = X[order], y[order]
    for stem, array in {"X": X, "y": y, "X_query": X_query, "y_query": y_query}.items():
        np.save(folder / f"{stem}.npy", array)
    return len(first), len(y)


def hypercube_clusters(n_rows):
    """Three clusters a class at corners of a 20-dimensional cube, mixed into 384 columns (scikit-learn's generator)."""
    X, y = make_classification(
        n_rows,
        N_COLUMNS,
        n_informative=20,
        n_redundant=N_COLUMNS - 20,
        n_classes=N_CLASSES,
        n_clusters_per_class=3,
        flip_y=0.02,
        random_state=0,
    )
    return X.astype(np.float32), y


def leading_clusters(n_rows, n_clusters=10, n_leading=16):
    """Ten clusters a class that differ in the leading directions of a spectrum that decays; rows of length one."""
    rng = np.random.default_rng(0)
    deviations = ((1 + np.arange(N_COLUMNS) / 10) ** -0.8).astype(np.float32)
    leading = deviations * (np.arange(N_COLUMNS) < n_leading)
    means = 0.5 * leading * rng.standard_normal((N_CLASSES, 1, N_COLUMNS), dtype=np.float32)
    centres = means + leading * rng.standard_normal((N_CLASSES, n_clusters, N_COLUMNS), dtype=np.float32)
    y, cluster = rng.integers(N_CLASSES, size=n_rows), rng.integers(n_clusters, size=n_rows)
    X = deviations * rng.standard_normal((n_rows, N_COLUMNS), dtype=np.float32)
    X += centres[y, cluster] + 0.5 * deviations * rng.standard_normal(N_COLUMNS, dtype=np.float32)
    return X / np.linalg.norm(X, axis=1, keepdims=True), y


SYNTHETIC = {"hypercube clusters": hypercube_clusters, "leading clusters": leading_clusters}
TEXTS = ("agnews", "banking77")


def text_vectors(name, options):
    from data_sets import embed, read_set
    from few_shot_text import MINI_LM, make_encoder

    train, test = read_set(options.data, name)
    X, X_query = (
        embed(part.X, make_encoder, MINI_LM, options.embeddings, f"{name}.{which}")
        for part, which in ((train, "train"), (test, "test"))
    )
    order, queries = (np.random.default_rng(0).permutation(len(part.y)) for part in (train, test))
    queries = queries[:N_QUERIES]
    return X[order], train.y[order], X_query[queries], test.y[queries]


def read_records(path):
    if path is None or not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return [
            {k: v if k in WORDS else int(v) if k == "n" else float(v) for k, v in row.items()}
            for row in csv.DictReader(file)
        ]


def append(record, path):
    if path is None:
        return
    is_new = not path.exists()
    with open(path, "a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if is_new:
            writer.writeheader()
        writer.writerow(record)


def report(records, options):
    """Markdown: one table for each set."""
    parts = [
        "CPU seconds on one thread; 600 queries together, and the median of single ones. Memory: the most that the "
        "process ever held, and in brackets what it held before `fit` (imports, weights, the rows). Tuned LR: 7 "
        f"penalties in 5 folds up to {FULLY_TUNED} rows, beyond them 4 penalties on one held-out fifth."
    ]
    for name in options.sets:
        here = [record for record in records if record["set"] == name]
        rows = [
            [
                n,
                LABELS[method],
                f"{100 * record['accuracy']:.1f}",
                f"{record['log_loss']:.3f}",
                f"{record['fit_seconds']:.1f}",
                f"{1000 * record['predict_seconds']:.0f}",
                f"{record['latency_ms']:.1f}",
                f"{record['peak_mb']:.0f} ({record['before_mb']:.0f})",
            ]
            for n in options.sets[name]
            for method in LABELS
            for record in here
            if (record["n"], record["method"]) == (n, method)
        ]
        header = ["rows", "method", "accuracy", "log-loss", "fit, s", "predict, ms", "one query, ms", "memory, MB"]
        parts.append(f"### {name}\n\n{markdown_table(header, rows)}\n\n{growth(here)}".rstrip())
    return "\n\n".join(parts)


def growth(records):
    """A sentence on how the time to fit grows with the rows, and the time to predict."""
    mine = sorted((record for record in records if record["method"] == TART), key=lambda record: record["n"])
    if len(mine) < 2:
        return ""
    first, last = next((record for record in mine if record["n"] >= 1000), mine[0]), mine[-1]  # below, constants rule
    power = np.log(last["fit_seconds"] / first["fit_seconds"]) / np.log(last["n"] / first["n"])
    together, single = (last[name] / first[name] for name in ("predict_seconds", "latency_ms"))
    return (
        f"From {first['n']} to {last['n']} rows the time of TartClassifier to fit grows like the rows to the power "
        f"{power:.2f}, its time to predict all queries by a factor of {together:.2f}, a single one {single:.2f}."
    )


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data", type=Path, help="folder with the text sets, see few_shot_text.py")
    parser.add_argument("--embeddings", type=Path, help="folder that keeps the embeddings for the next run")
    sizes = "10,100,1000,3000,10000,30000,100000"
    parser.add_argument("--n", default=sizes, help="comma-separated sizes (%(default)s)")
    parser.add_argument("--reasoner", type=Path, help="weights to measure (default: the bundled reasoner)")
    parser.add_argument("--out", type=Path, help="CSV file of the competitors' results, to write and continue from")
    parser.add_argument("--markdown", type=Path, help="file for the tables")
    parser.add_argument("--measure", choices=LABELS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.sizes = sorted({int(n) for n in options.n.split(",")})
    if options.sizes[0] < N_CLASSES:
        parser.error(f"--n must be at least {N_CLASSES}, got {options.sizes[0]}")
    if options.reasoner is not None and not options.reasoner.is_file():
        parser.error(f"--reasoner: there is no file {str(options.reasoner)!r}")
    options.sets = {name: options.sizes for name in SYNTHETIC}
    if options.data:
        options.sets |= {name: [n for n in (10, 100, 1000, 2000, 4000) if n <= options.sizes[-1]] for name in TEXTS}
    return options


if __name__ == "__main__":
    main()
