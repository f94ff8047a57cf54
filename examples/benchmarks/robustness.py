"""Robustness: TartClassifier and linear classifiers on contexts that are spoilt in one way at a time.

    python examples/benchmarks/robustness.py --data FOLDER --out robustness.csv [--markdown FILE]

The conditions stand in ``conditions.py``. The sets are development sets of ``few_shot_text.py`` (embedded once, see
``--embeddings``) and a synthetic one of Gaussian classes. All vectors are given in float32. TartClassifier is also run
with its network in float32 and in bfloat16; the decompositions stay in float64. With ``--out`` a run that was killed
continues; TartClassifier is always scored anew.
"""

import argparse
import csv
import sys
import warnings
from pathlib import Path

import numpy as np
from competitors import build_discriminant_analysis, build_tuned_logistic_regression
from conditions import Data, conditions
from data_sets import embed, read_set
from few_shot_text import MINI_LM, make_encoder
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import f1_score
from tables import markdown_table

SETS = ("agnews", "cr", "sms_spam", "snips")
SYNTHETIC = "synthetic"
COMPETITORS = {
    "tuned-lr": ("Tuned LR", build_tuned_logistic_regression),
    "lda": ("LDA (shrinkage)", build_discriminant_analysis),
}
TART = "tart"
PRECISIONS = ("float32", "bfloat16")
MEASURES = ("accuracy", "macro_f1", "log_loss")
FIELDS = ("set", "condition", "seed", "method", *MEASURES, "smallest", "moved")


def main(arguments=None):
    options = parse(arguments)
    records = read_records(options.out)
    done = {(r["set"], r["condition"], r["seed"], r["method"]) for r in records}
    classifiers = tart_classifiers(options.reasoner)
    for name in options.sets:
        data = read_data(name, options)
        for number, condition in enumerate(options.conditions):
            for seed in range(options.seeds):
                task = draw(condition, data, number, seed)
                here = (name, condition.key, seed)
                found = run_competitors(task, here, done)
                append(found, options.out)
                records += found + run_tart(task, here, classifiers)
        print(f"{name}: done", file=sys.stderr, flush=True)
    text = report(records, options)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")


def read_data(name, options):
    """A whole set as float32 vectors."""
    if name == SYNTHETIC:
        return gaussian_classes()
    train, test = read_set(options.data, name)
    X, X_query = (
        embed(part.X, make_encoder, MINI_LM, options.embeddings, f"{name}.{which}")
        for part, which in ((train, "train"), (test, "test"))
    )
    return Data(X, train.y, X_query, test.y)


def gaussian_classes(n_classes=5, n_features=64, n_rows=3000):
    """Overlapping Gaussian classes with a spectrum that decays, as float32."""
    rng = np.random.default_rng(0)
    deviations = (1 + np.arange(n_features)) ** -0.5
    means = 0.4 * rng.normal(size=(n_classes, n_features)) * deviations
    y = rng.integers(n_classes, size=n_rows)
    X = (means[y] + rng.normal(size=(n_rows, n_features)) * deviations).astype(np.float32)
    half = n_rows // 2
    return Data(X[:half], y[:half], X[half:], y[half:])


def draw(condition, data, number, seed):
    """One task, in float32; contexts of the same seed hold the same rows wherever the condition allows it."""
    X, y, X_query, y_query = condition.draw(data, np.random.default_rng(seed))
    return Data(X.astype(np.float32), y, X_query.astype(np.float32), y_query)


def tart_classifiers(path):
    """TartClassifier as it comes, and with networks of lower precision, by method key."""
    import torch

    from skicl import TartClassifier
    from skicl.reasoning import load_reasoner

    networks = {f"{TART}-{name}": load_reasoner(path).to(getattr(torch, name)) for name in PRECISIONS}
    return {TART: TartClassifier(reasoner=path)} | {
        key: TartClassifier(reasoner=network) for key, network in networks.items()
    }


def run_tart(task, here, classifiers):
    """Records of TartClassifier in all precisions, with the largest change of a probability by the precision."""
    found, reference = [], None
    for key, classifier in classifiers.items():
        probabilities = classifier.fit(task.X, task.y).predict_proba(task.X_query)
        reference = probabilities if reference is None else reference
        moved = np.abs(probabilities - reference).max()
        found.append(score(here, key, classifier.classes_, probabilities, task.y_query, moved))
    return found


def run_competitors(task, here, done):
    """Records of the competitors that the file does not have."""
    found = []
    for key, (_, build) in COMPETITORS.items():
        if (*here, key) in done:
            continue
        with warnings.catch_warnings():
            # One row of a class, huge values: what this benchmark is about.
            warnings.filterwarnings("ignore", message="Only one sample available")
            warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%")
            warnings.filterwarnings("ignore", category=ConvergenceWarning)
            warnings.filterwarnings("ignore", category=RuntimeWarning)
            try:
                classifier = build().fit(task.X, task.y)
                probabilities = classifier.predict_proba(task.X_query)
            except (ValueError, np.linalg.LinAlgError) as error:
                print(f"{key} on {'/'.join(map(str, here))}: {error}", file=sys.stderr)
                continue
        found.append(score(here, key, classifier.classes_, probabilities, task.y_query, 0.0))
    return found


def score(here, method, classes, probabilities, y, moved):
    """One record. A probability that is no number counts as a certain mistake."""
    true = np.searchsorted(classes, y)
    finite = np.isfinite(probabilities).all(axis=1)
    given = np.where(finite, np.nan_to_num(probabilities)[np.arange(len(true)), true], 0.0)
    predicted = np.where(finite, np.nan_to_num(probabilities).argmax(axis=1), -1)
    return {
        "set": here[0],
        "condition": here[1],
        "seed": here[2],
        "method": method,
        "accuracy": float((predicted == true).mean()),
        "macro_f1": float(f1_score(true, predicted, labels=np.arange(len(classes)), average="macro", zero_division=0)),
        "log_loss": float(-np.log(np.clip(given, 1e-15, 1)).mean()),
        "smallest": float(probabilities.min()),
        "moved": float(moved),
    }


def read_records(path):
    """What the file has of the competitors."""
    if path is None or not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    words = {"set", "condition", "method"}
    return [
        {name: v if name in words else int(v) if name == "seed" else float(v) for name, v in row.items()}
        for row in rows
    ]


def append(records, path):
    if path is None or not records:
        return
    is_new = not path.exists()
    with open(path, "a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if is_new:
            writer.writeheader()
        writer.writerows(records)


def report(records, options):
    """Markdown: one table of all conditions, one of the precisions."""
    seeds = range(options.seeds)
    values = {(r["method"], r["set"], r["condition"], r["seed"]): r for r in records}

    def mean(method, condition, measure, sets=options.sets):
        found = [values.get((method, name, condition.key, seed)) for name in sets for seed in seeds]
        return np.mean([np.nan if record is None else record[measure] for record in found])

    methods = {TART: "TartClassifier"} | {key: label for key, (label, _) in COMPETITORS.items()}
    rows, gaps = [], []
    for condition in options.conditions:
        cells = [cell(*(mean(m, condition, measure) for measure in MEASURES)) for m in methods]
        by_set = {
            name: 100 * (mean(TART, condition, "accuracy", [name]) - mean("tuned-lr", condition, "accuracy", [name]))
            for name in options.sets
        }
        losses = [mean(method, condition, "log_loss") for method in (TART, "tuned-lr")]
        gaps.append((np.mean(list(by_set.values())), *losses))
        worst = min(by_set, key=by_set.get)
        more = [f"{gaps[-1][0]:+.1f}", f"{by_set[worst]:+.1f} ({worst})", f"{losses[0] - losses[1]:+.3f}"]
        rows.append([condition.label, *cells, *more])
    header = ["condition", *methods.values(), "points above tuned LR", "worst set", "log-loss minus that of tuned LR"]
    gain, loss, loss_of_lr = np.transpose(gaps)
    smallest = min(r["smallest"] for r in records if r["method"] == TART)
    return (
        f"Sets: {', '.join(options.sets)}; {options.seeds} contexts each, the same for all methods. Cells: accuracy in "
        f"% / macro-F1 in % / log-loss; tuned LR and LDA as in the few-shot benchmark. TartClassifier is not more than "
        f"half a point behind tuned LR in {(gain > -0.5).sum()} of {len(gain)} conditions (median "
        f"{np.median(gain):+.1f} points) and has the lower log-loss in {(loss < loss_of_lr).sum()}. Its smallest "
        f"probability anywhere is {smallest:.1e}.\n\n{markdown_table(header, rows)}\n\n{precision_table(records)}"
    )


def cell(accuracy, macro_f1, log_loss):
    if np.isnan(accuracy):
        return "fails"
    return f"{100 * accuracy:.1f} / {100 * macro_f1:.1f} / {log_loss:.3f}"


def precision_table(records):
    """Markdown: how far the precision of the network moves the probabilities, over all conditions and sets."""
    rows = []
    for key in (TART, *(f"{TART}-{name}" for name in PRECISIONS)):
        mine = [record for record in records if record["method"] == key]
        moved = np.array([record["moved"] for record in mine])
        worst = mine[int(np.argmax(np.nan_to_num(moved, nan=np.inf)))]
        rows.append(
            [
                key.removeprefix(TART).removeprefix("-") or "float64 (default)",
                f"{100 * np.mean([record['accuracy'] for record in mine]):.2f}",
                f"{np.mean([record['log_loss'] for record in mine]):.4f}",
                f"{np.median(moved):.1e}",
                f"{moved.max():.1e} ({worst['condition']}, {worst['set']})",
                f"{sum(not np.isfinite(record['smallest']) for record in mine)} of {len(mine)}",
                f"{min(record['smallest'] for record in mine):.1e}",
            ]
        )
    header = ["network", "accuracy", "log-loss", "probabilities moved by, median", "at most", "not finite", "smallest"]
    return "Precision of the network, all conditions and sets together:\n\n" + markdown_table(header, rows)


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    known = {condition.key: condition for condition in conditions()}
    parser.add_argument("--data", type=Path, help="folder with the text sets; without it only the synthetic set")
    parser.add_argument("--embeddings", type=Path, help="folder that keeps the embeddings for the next run")
    parser.add_argument("--sets", default=",".join((*SETS, SYNTHETIC)), help="comma-separated names (%(default)s)")
    parser.add_argument("--conditions", default=",".join(known), help="comma-separated (default: all)")
    parser.add_argument("--seeds", type=int, default=2, help="contexts per set and condition (%(default)s)")
    parser.add_argument("--reasoner", type=Path, help="weights to measure (default: the bundled reasoner)")
    parser.add_argument("--out", type=Path, help="CSV file of the competitors' results, to write and continue from")
    parser.add_argument("--markdown", type=Path, help="file for the tables")
    options = parser.parse_args(arguments)
    options.sets = options.sets.split(",") if options.data else [SYNTHETIC]
    unknown = [key for key in options.conditions.split(",") if key not in known]
    if unknown:
        parser.error(f"--conditions: {unknown[0]!r} is not one of {', '.join(known)}")
    options.conditions = [known[key] for key in options.conditions.split(",")]
    if options.seeds < 1:
        parser.error("--seeds must be at least 1")
    if options.reasoner is not None and not options.reasoner.is_file():
        parser.error(f"--reasoner: there is no file {str(options.reasoner)!r}")
    return options


if __name__ == "__main__":
    main()
